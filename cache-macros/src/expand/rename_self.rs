//! `self` in a body that runs without its receiver.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

/// What the body calls `self`.
pub(super) fn this() -> Ident {
    Ident::new("__larder_self", Span::mixed_site())
}

/// The user's statements with `__larder_self` for `self`, which no closure can have of its own.
///
/// Left as they are: paths (`self::f`), `use`, and items with a `self` of theirs.
pub(super) fn without_self(tokens: TokenStream) -> TokenStream {
    let mut inside = Inside::Body;
    let mut out = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let next = tokens.peek();
        let after = inside.after(&token, out.last());
        out.push(match token {
            TokenTree::Ident(ident) if inside == Inside::Body && ident == "self" && !starts_path(next) => {
                let mut this = this();
                this.set_span(ident.span().resolved_at(Span::mixed_site()));
                TokenTree::Ident(this)
            }
            TokenTree::Group(group) if inside == Inside::Body => {
                let mut renamed = Group::new(group.delimiter(), without_self(group.stream()));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            other => other,
        });
        inside = after;
    }
    out.into_iter().collect()
}

/// `self::`
fn starts_path(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
}

/// What the tokens belong to.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Body,
    /// A `use`, up to its `;`.
    Use,
    /// An `impl` or a `trait`, up to the braces that aren't arguments of a type: `impl T<{ N }> for S { .. }`.
    Item {
        angles: usize,
    },
}

impl Inside {
    /// What the tokens behind this one belong to.
    fn after(self, token: &TokenTree, previous: Option<&TokenTree>) -> Self {
        match (self, token) {
            (Self::Body, TokenTree::Ident(word)) if word == "use" => Self::Use,
            (Self::Body, TokenTree::Ident(word)) if word == "impl" || word == "trait" => Self::Item { angles: 0 },
            (Self::Item { angles: 0 }, TokenTree::Group(block)) if block.delimiter() == Delimiter::Brace => Self::Body,
            (Self::Item { angles }, TokenTree::Punct(punct)) if punct.as_char() == '<' => {
                Self::Item { angles: angles + 1 }
            }
            (Self::Item { angles }, TokenTree::Punct(punct)) if punct.as_char() == '>' && !is(previous, '-') => {
                Self::Item { angles: angles.saturating_sub(1) }
            }
            (_, TokenTree::Punct(punct)) if punct.as_char() == ';' => Self::Body,
            _ => self,
        }
    }
}

fn is(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn the_receiver_is_renamed_wherever_the_body_uses_it() {
        for (body, expected) in [
            (quote!(self.id), quote!(__larder_self.id)),
            (
                quote!({ f(&self, [self.0]) }; vec![self]),
                quote!({ f(&__larder_self, [__larder_self.0]) }; vec![__larder_self]),
            ),
            (quote!(move || self.id), quote!(move || __larder_self.id)),
            (quote!(if self.a: B { self }), quote!(if __larder_self.a: B { __larder_self })),
        ] {
            assert_eq!(without_self(body).to_string(), expected.to_string());
        }
    }

    #[test]
    fn paths_and_imports_keep_their_self() {
        for (body, expected) in [
            (quote!(self::f(self.id)), quote!(self::f(__larder_self.id))),
            (quote!(use self::f;, self.id), quote!(use self::f;, __larder_self.id)),
            (quote!(use a::{self, b};, self.id), quote!(use a::{self, b};, __larder_self.id)),
        ] {
            assert_eq!(without_self(body).to_string(), expected.to_string());
        }
    }

    /// The code behind such an item uses the receiver again.
    #[test]
    fn items_in_the_body_keep_their_self() {
        let block = quote!({
            fn f(&self) -> u8 {
                self.0
            }
        });
        for item in [
            quote!(struct W(u8); impl W #block),
            quote!(impl Deref for [u8; 2] #block),
            quote!(impl Tr<{ 1 }> for (W, u8) where [W; 1]: Sized #block),
            quote!(impl<F: Fn(u8) -> u8> Tr<{ 1 }> for W<F> #block),
            quote!(
                fn g(x: &u8) -> impl Sized + use<'_> {
                    x
                }
            ),
            quote!(
                trait Tr {
                    fn f(&self) -> u8;
                    fn g(self) {}
                }
            ),
            quote!(
                trait Tr: Fn(u8) {
                    fn f(self: Box<Self>);
                }
            ),
        ] {
            let body = quote!(let a = self.a; #item self.id + W(1).f());
            let expected = quote!(let a = __larder_self.a; #item __larder_self.id + W(1).f());
            assert_eq!(without_self(body).to_string(), expected.to_string());
        }
    }
}
