//! Which names an expression uses.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Expr, ExprClosure, ExprPath, LitStr, Macro, PatIdent};

use super::text::names;

/// Names that may be those of arguments. A field is none, nor is a method or a path of several parts; inside macros
/// every such word counts, and so do names in braces. What a closure itself binds is none of them.
#[derive(Debug, Default)]
pub(crate) struct Mentions(BTreeSet<String>);

impl Mentions {
    /// What these expressions mention.
    pub(crate) fn of<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> Self {
        let mut mentions = Self::default();
        mentions.extend(expressions);
        mentions
    }

    /// Adds what these expressions mention.
    pub(crate) fn extend<'a>(&mut self, expressions: impl IntoIterator<Item = &'a Expr>) {
        for expression in expressions {
            self.visit_expr(expression);
        }
    }

    /// Adds what a string that is given to `format!` mentions.
    pub(crate) fn extend_format(&mut self, literal: &LitStr) {
        self.0.extend(names(&literal.value()));
    }

    /// Whether the name is used.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The same for an identifier.
    pub(crate) fn contains_ident(&self, ident: &Ident) -> bool {
        self.contains(&ident.unraw().to_string())
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let (mut dots, mut colons) = (0, 0);
        while let Some(token) = tokens.next() {
            let (field, in_path) = (dots == 1, colons == 2);
            let punct = if let TokenTree::Punct(punct) = &token { punct.as_char() } else { ' ' };
            dots = if punct == '.' { dots + 1 } else { 0 };
            colons = if punct == ':' { colons + 1 } else { 0 };
            match token {
                TokenTree::Ident(ident) => {
                    // `ident::` or `ident!`
                    let starts = tokens.peek().is_some_and(|next| match next {
                        TokenTree::Punct(next) if next.as_char() == ':' => next.spacing() == Spacing::Joint,
                        TokenTree::Punct(next) if next.as_char() == '!' => next.spacing() == Spacing::Alone,
                        _ => false,
                    });
                    if !field && !in_path && !starts {
                        self.0.insert(ident.unraw().to_string());
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(literal) = syn::parse2::<LitStr>(TokenTree::Literal(literal).into()) {
                        self.extend_format(&literal);
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(ident) = path.path.get_ident() {
            self.0.insert(ident.unraw().to_string());
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        let mut own = Bound::default();
        own.visit_expr_closure(closure);
        let mut inside = Self::default();
        visit::visit_expr_closure(&mut inside, closure);
        self.0.extend(inside.0.difference(&own.0).cloned());
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        self.tokens(found.tokens.clone());
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens.clone());
    }
}

/// All names that are bound somewhere.
#[derive(Default)]
struct Bound(BTreeSet<String>);

impl<'ast> Visit<'ast> for Bound {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.0.insert(pattern.ident.unraw().to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_arguments_count() {
        let expression: Expr = syn::parse_quote!((
            a,
            b.c,
            d(e::f),
            self.g,
            [h; 2],
            format!("{i} {}", j.k),
            r#type,
            { l },
            vec![m..n, { "o": p }, q != r, !s]
        ));
        let mentions = Mentions::of([&expression]);
        let found: Vec<&str> = mentions.0.iter().map(String::as_str).collect();
        assert_eq!(found, ["a", "b", "d", "h", "i", "j", "l", "m", "n", "p", "q", "r", "s", "self", "type"]);
    }

    #[test]
    fn what_a_closure_binds_is_its_own() {
        let expression: Expr = syn::parse_quote!(|(a, b)| {
            let c = d + a;
            vec![format!("{b}{e}{}", c.f), g::h(i), j::k]
        });
        let mentions = Mentions::of([&expression]);
        let found: Vec<&str> = mentions.0.iter().map(String::as_str).collect();
        assert_eq!(found, ["d", "e", "i"]);
    }
}
