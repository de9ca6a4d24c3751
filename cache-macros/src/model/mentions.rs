//! Which names an expression uses.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Expr, ExprPath, LitStr, Macro};

use super::text::names;

/// Names that may be those of arguments. A field is none, nor is a method or a path of several parts; inside macros
/// every word counts, and so do names in braces.
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
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => drop(self.0.insert(ident.unraw().to_string())),
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
        let expression: Expr =
            syn::parse_quote!((a, b.c, d(e::f), self.g, [h; 2], format!("{i} {}", j.k), r#type, { l }));
        let mentions = Mentions::of([&expression]);
        let found: Vec<&str> = mentions.0.iter().map(String::as_str).collect();
        assert_eq!(found, ["a", "b", "d", "h", "i", "j", "k", "l", "self", "type"]);
    }
}
