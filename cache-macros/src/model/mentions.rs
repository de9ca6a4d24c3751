//! Which names an expression uses.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprClosure, ExprConst, ExprForLoop, ExprIf, ExprLet, ExprPath, ExprWhile, Item, LitStr, Local,
    Macro, Pat, PatIdent,
};

use super::text::names;

/// Names that may be those of arguments. A field is none, nor is a method or a path of several parts; inside macros
/// every such word counts, and so do names in braces. What the expression itself binds (a closure's parameters, a `let`)
/// hides an argument of that name from there on.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    names: BTreeSet<String>,
    /// What is bound around the place that is visited, the innermost last.
    bound: Vec<String>,
}

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
        names(&literal.value()).for_each(|name| self.add(name));
    }

    fn add(&mut self, name: String) {
        if !self.bound.contains(&name) {
            self.names.insert(name);
        }
    }

    /// Visits something that binds names for itself only.
    fn scoped(&mut self, visit: impl FnOnce(&mut Self)) {
        let around = self.bound.len();
        visit(self);
        self.bound.truncate(around);
    }

    /// From here on its names are not those of arguments.
    fn bind(&mut self, pattern: &Pat) {
        struct Names<'a>(&'a mut Vec<String>);
        impl<'ast> Visit<'ast> for Names<'_> {
            fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
                self.0.push(pattern.ident.unraw().to_string());
                visit::visit_pat_ident(self, pattern);
            }

            // A guard.
            fn visit_expr(&mut self, _: &'ast Expr) {}
        }
        Names(&mut self.bound).visit_pat(pattern);
        self.visit_pat(pattern);
    }

    /// Whether the name is used.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
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
                        self.add(ident.unraw().to_string());
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
            self.add(ident.unraw().to_string());
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.scoped(|this| visit::visit_block(this, block));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let Some(init) = &local.init {
            self.visit_local_init(init);
        }
        self.bind(&local.pat);
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.scoped(|this| {
            closure.inputs.iter().for_each(|input| this.bind(input));
            this.visit_expr(&closure.body);
        });
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        self.scoped(|this| {
            this.bind(&arm.pat);
            this.visit_expr(&arm.body);
        });
    }

    // It binds for what follows in the condition, and for the block behind it.
    fn visit_expr_let(&mut self, found: &'ast ExprLet) {
        self.visit_expr(&found.expr);
        self.bind(&found.pat);
    }

    fn visit_expr_if(&mut self, found: &'ast ExprIf) {
        self.scoped(|this| {
            this.visit_expr(&found.cond);
            this.visit_block(&found.then_branch);
        });
        if let Some((_, otherwise)) = &found.else_branch {
            self.visit_expr(otherwise);
        }
    }

    fn visit_expr_while(&mut self, found: &'ast ExprWhile) {
        self.scoped(|this| visit::visit_expr_while(this, found));
    }

    fn visit_expr_for_loop(&mut self, found: &'ast ExprForLoop) {
        self.visit_expr(&found.expr);
        self.scoped(|this| {
            this.bind(&found.pat);
            this.visit_block(&found.body);
        });
    }

    // Neither sees the arguments.
    fn visit_item(&mut self, _: &'ast Item) {}
    fn visit_expr_const(&mut self, _: &'ast ExprConst) {}

    fn visit_macro(&mut self, found: &'ast Macro) {
        self.tokens(found.tokens.clone());
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens.clone());
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
        assert_eq!(
            found(&expression),
            ["a", "b", "d", "h", "i", "j", "l", "m", "n", "p", "q", "r", "s", "self", "type"]
        );
    }

    #[test]
    fn what_a_closure_binds_is_its_own() {
        let expression: Expr = syn::parse_quote!(|(a, b)| {
            let c = d + a;
            vec![format!("{b}{e}{}", c.f), g::h(i), j::k]
        });
        assert_eq!(found(&expression), ["d", "e", "i"]);
    }

    #[test]
    fn what_is_bound_hides_an_argument_from_there_on() {
        for (expression, mentioned) in [
            (
                syn::parse_quote!({
                    let a = a.len();
                    a
                }),
                &["a"][..],
            ),
            (
                syn::parse_quote!({
                    let a = 1;
                    a
                }),
                &[],
            ),
            (
                syn::parse_quote!((
                    {
                        let a = 1;
                        a
                    },
                    a
                )),
                &["a"],
            ),
            (
                syn::parse_quote!({
                    let Some(a) = b else { return a };
                    a
                }),
                &["a", "b"],
            ),
            (syn::parse_quote!((|a| a)(b)), &["b"]),
            (
                syn::parse_quote!((|a| {
                    let c = a;
                    move || c + d
                })(b)),
                &["b", "d"],
            ),
            (
                syn::parse_quote!(if let Some(a) = b
                    && a > c
                {
                    a
                } else {
                    d
                }),
                &["b", "c", "d"],
            ),
            (syn::parse_quote!(if let Some(a) = b { a } else { a }), &["a", "b"]),
            (
                syn::parse_quote!(match b {
                    Some(a) if a > c => a,
                    _ => d,
                }),
                &["b", "c", "d"],
            ),
            (
                syn::parse_quote!(match b {
                    Some(a) => a,
                    None => a,
                }),
                &["a", "b"],
            ),
            (
                syn::parse_quote!({
                    for a in a.iter() {
                        f(a)
                    }
                }),
                &["a", "f"],
            ),
            (
                syn::parse_quote!({
                    while let Some(a) = b.next() {
                        a;
                    }
                }),
                &["b"],
            ),
            (
                syn::parse_quote!({
                    fn a(b: u8) -> u8 {
                        b
                    }
                    1
                }),
                &[],
            ),
            (syn::parse_quote!(const { a }), &[]),
            (
                syn::parse_quote!({
                    let a = 1;
                    format!("{a}{b}")
                }),
                &["b"],
            ),
            (syn::parse_quote!(Key { a, b: c, ..d }), &["a", "c", "d"]),
            (syn::parse_quote!(format!("{a:>b$.c$} {:d$}", 1)), &["a", "b", "c", "d"]),
        ] {
            assert_eq!(found(&expression), mentioned, "{}", quote::ToTokens::to_token_stream(&expression));
        }
    }

    fn found(expression: &Expr) -> Vec<String> {
        Mentions::of([expression]).names.into_iter().collect()
    }
}
