//! Where tokens of ours stand, and the paths and lints that they need there.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::Model;

/// Where these tokens stand, for tokens of ours that an error should point to.
pub(super) fn at(tokens: &(impl ToTokens + Spanned)) -> Span {
    tokens.span().resolved_at(Span::mixed_site())
}

/// The facade's path, standing there.
pub(super) fn krate(model: &Model, at: Span) -> TokenStream {
    let path = model.krate.to_token_stream();
    path.into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(at));
            token
        })
        .collect()
}

/// Lints that would take a second `let` of a user's name for the user's.
pub(super) fn allow_of_lets(unused: bool) -> TokenStream {
    let unused = unused.then(|| quote!(unused_variables,));
    quote_spanned! {Span::mixed_site()=>
        #[allow(#unused clippy::pedantic, clippy::restriction)]
    }
}

/// `None`
pub(super) fn none() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::core::option::Option::None)
}
