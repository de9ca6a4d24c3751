//! A [`Model`] into code: the function, now asking the library first, and the helpers beside it. Nothing here can fail.
//!
//! ```text
//! async fn get_user(id: u64) -> Result<User, E> { BODY }
//! // becomes
//! async fn get_user(id: u64) -> Result<User, E> {
//!     static __LARDER_SITE: Site = Site::new(SiteOptions { ttl: Some(TTL), .. });          // site.rs
//!     let call = {                                                                         // lookup.rs
//!         let mut key = KeyBuf::new();
//!         KEY
//!         match lookup(&__LARDER_SITE, Here::of(&|| ()), SHAPE, SCOPE, CACHE, key) {
//!             Lookup::Hit(value) => return value,
//!             Lookup::Miss(call) => call,
//!         }
//!     };
//!     let call = call.tags(|tags| { TAGS });                                               // tags.rs
//!     call.run_judged(|value, verdict| { VERDICT }, Box::pin(async move { BODY })).await   // store_decision.rs, run.rs
//! }
//! fn invalidate_get_user(id: u64) -> Invalidation { .. }                                   // helpers/
//! fn invalidate_all_get_user() -> Invalidation { .. }
//! ```
//!
//! What this calls is compiled in the user's crate as far as it is generic, so each token and each type parameter counts:
//! closures are written only where an option needs one, and what is generic is so over the result, not over the function.
//!
//! Tokens of ours have mixed-site spans, so that locals of ours never meet a user's. Where a type may not fit, they
//! stand where the user wrote the cause ([`spans::at`]).

mod advice;
mod attributes;
mod helpers;
mod in_impl;
mod lifetimes;
mod lookup;
mod owned_arguments;
mod parts;
mod refresh_options;
mod rename_self;
mod run;
mod site;
mod site_function;
mod spans;
mod store_decision;
mod stubs;
mod tags;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::quote;
use syn::FnArg;

pub(crate) use self::stubs::stubs;
use crate::model::Model;

/// The function and its helpers.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let function = function(model);
    let helpers = helpers::helpers(model);
    quote!(#function #helpers)
}

fn function(model: &Model) -> TokenStream {
    let attrs = &model.function.attrs;
    let vis = &model.function.vis;
    let mut sig = model.function.sig.clone();
    if model.refresh.in_background()
        && let Some(FnArg::Receiver(receiver)) = sig.inputs.first_mut()
    {
        // It is the `self` of the body that is, which is another one.
        receiver.mutability = None;
    }
    let inner_attrs = &model.body.attrs;
    let site = if model.helpers.share_site() { site_function::shared_site(model) } else { site::site(model) };
    let lookup = lookup::lookup(model);
    let tags = tags::tags(model);
    let refresh_options = refresh_options::refresh_options(model);
    let lifetimes = lifetimes::lifetimes(model);
    let run = run::run(model);
    let mut body = quote! {{
        #(#inner_attrs)*
        #site
        #lookup
        #tags
        #refresh_options
        #lifetimes
        #run
    }};
    body = respan_braces(body, model.body.block.span());
    quote!(#(#attrs)* #vis #sig #body)
}

/// Errors about the whole body then point at the body.
fn respan_braces(block: TokenStream, span: Span) -> TokenStream {
    block
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut group = Group::new(group.delimiter(), group.stream());
                group.set_span(span);
                TokenTree::Group(group)
            }
            other => other,
        })
        .collect()
}
