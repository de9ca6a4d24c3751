//! The functions beside the cached one: `invalidate_f` and its kin.

mod explain;
mod invalidate;
mod peek;
mod prime;
mod refresh;
mod signature;
mod tag;

use proc_macro2::TokenStream;
use quote::quote;

use super::advice::advice;
use super::site_function::site_function;
use crate::model::Model;

/// All helpers that the function has, and what they need.
pub(super) fn helpers(model: &Model) -> TokenStream {
    let helpers = model.helpers;
    let advice = advice(model);
    let site = helpers.share_site().then(|| site_function(model));
    let invalidate = helpers.invalidation.then(|| invalidate::one(model));
    let invalidate_all = helpers.invalidation.then(|| invalidate::all(model));
    let refresh = helpers.refresh.then(|| refresh::refresh(model));
    let prime = helpers.prime.then(|| prime::prime(model));
    let peek = helpers.peek.then(|| peek::peek(model));
    let tag = helpers.tag.then(|| tag::tag(model));
    let explain = helpers.explain.then(|| explain::explain(model));
    quote!(#advice #site #invalidate #invalidate_all #refresh #prime #peek #tag #explain)
}
