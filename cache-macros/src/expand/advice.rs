//! Advice as names.
//!
//! The macro can't see whether a function stands in an impl, or in that of a trait, where it generates what doesn't compile. All
//! that the compiler then shows are the names of what was generated. So the first of these has a name that is a sentence which
//! says what to write: the function that holds the static if there is one, and a constant otherwise. Elsewhere nobody sees it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::Visibility;
use syn::ext::IdentExt;

use super::attributes::kept_attribute;
use super::in_impl::in_impl;
use crate::model::Model;

/// The constant, unless the function that holds the static has this name.
pub(super) fn advice(model: &Model) -> TokenStream {
    let Some(name) = advice_name(model).filter(|_| !model.helpers.share_site()) else {
        return TokenStream::new();
    };
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc(hidden)]
        #[allow(dead_code, non_upper_case_globals)]
        const #name: () = ();
    }
}

/// The advice, if the function may stand where its helpers don't fit.
pub(super) fn advice_name(model: &Model) -> Option<Ident> {
    advice_for_trait_impls(model).or_else(|| advice_for_impls(model))
}

/// `write_helpers_none_on_f_in_the_impl_of_a_trait`, if the function may stand there.
pub(super) fn advice_for_trait_impls(model: &Model) -> Option<Ident> {
    let helpers = model.helpers.invalidation || model.helpers.share_site();
    let may_be = helpers && matches!(model.function.vis, Visibility::Inherited) && in_impl(model);
    let function = &model.function.sig.ident;
    may_be.then(|| {
        format_ident!("write_helpers_none_on_{}_in_the_impl_of_a_trait", function.unraw(), span = function.span())
    })
}

/// `list_Self_peek_in_the_helpers_of_f_in_an_impl`, if the function doesn't seem to stand there and its helpers need to know.
fn advice_for_impls(model: &Model) -> Option<Ident> {
    let helpers = model.helpers;
    if in_impl(model) || !helpers.share_site() {
        return None;
    }
    let listed = [
        ("_Self_refresh", helpers.refresh),
        ("_Self_prime", helpers.prime),
        ("_Self_peek", helpers.peek),
        ("_Self_explain", helpers.explain),
    ];
    let listed: String = listed.into_iter().filter_map(|(name, listed)| listed.then_some(name)).collect();
    let function = &model.function.sig.ident;
    // An error that stood at the function's name would propose to change that.
    let span = function.span().located_at(Span::call_site());
    Some(format_ident!("list{listed}_in_the_helpers_of_{}_in_an_impl", function.unraw(), span = span))
}
