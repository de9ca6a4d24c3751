//! Whether the function stands in an impl.
//!
//! The macro can't see whether a function without a receiver does. It takes one that mentions `Self` for one that does.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};

use crate::model::{Model, says};

/// Whether the function stands in an impl, as far as can be seen.
pub(super) fn in_impl(model: &Model) -> bool {
    let sig = &model.function.sig;
    model.helpers.associated
        || sig.receiver().is_some()
        || says(sig.to_token_stream(), "Self")
        || says_self(model.body.block.stream())
}

/// Whether a body says `Self` and means its own: not that of an item inside of it.
fn says_self(body: TokenStream) -> bool {
    let mut in_item = false;
    body.into_iter().any(|token| match token {
        TokenTree::Ident(ident) if ["impl", "trait", "struct", "enum", "union"].iter().any(|word| ident == word) => {
            in_item = true;
            false
        }
        TokenTree::Ident(ident) => !in_item && ident == "Self",
        TokenTree::Punct(punct) => {
            in_item &= punct.as_char() != ';';
            false
        }
        TokenTree::Group(group) if in_item => {
            in_item = group.delimiter() != Delimiter::Brace;
            false
        }
        TokenTree::Group(group) => says_self(group.stream()),
        TokenTree::Literal(_) => false,
    })
}

/// `Self::`, or nothing.
pub(super) fn path_of_self(model: &Model) -> TokenStream {
    if in_impl(model) { quote_spanned!(model.function.sig.ident.span()=> Self::) } else { TokenStream::new() }
}
