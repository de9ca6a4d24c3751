//! A [`Model`] into code: the function, now asking the library first, and the helpers beside it. Nothing here can fail.
//!
//! ```text
//! async fn get_user(id: u64) -> Result<User, E> { BODY }
//! // becomes
//! async fn get_user(id: u64) -> Result<User, E> {
//!     static __LARDER_SITE: Site = Site::new(SiteOptions { ttl: Some(TTL), .. });          // site.rs
//!     let call = {                                                                         // look.rs
//!         let mut key = KeyBuf::new();
//!         KEY
//!         match lookup(&__LARDER_SITE, Here::of(&|| ()), SHAPE, SCOPE, CACHE, key) {
//!             Lookup::Hit(value) => return value,
//!             Lookup::Miss(call) => call,
//!         }
//!     };
//!     let call = call.tags(|tags| { TAGS });                                               // tags.rs
//!     call.run_judged(|value, verdict| { VERDICT }, Box::pin(async move { BODY })).await   // verdict.rs, run.rs
//! }
//! fn invalidate_get_user(id: u64) -> Invalidation { .. }                                   // helpers.rs
//! fn invalidate_all_get_user() -> Invalidation { .. }
//! ```
//!
//! What this calls is compiled in the user's crate as far as it is generic, so each token and each type parameter counts:
//! closures are written only where an option needs one, and what is generic is so over the result, not over the function.
//!
//! Tokens of ours have mixed-site spans, so that locals of ours never meet a user's. Where a type may not fit, they
//! stand where the user wrote the cause ([`at`]).

mod helpers;
mod look;
mod more_helpers;
mod policy;
mod run;
mod site;
mod stubs;
mod tags;
mod verdict;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::FnArg;
use syn::spanned::Spanned;

pub(crate) use self::stubs::stubs;
use crate::model::{Argument, Mentions, Model};

/// The function and its helpers.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let function = function(model);
    let helpers = model.helpers.invalidation.then(|| helpers::helpers(model));
    let more = more_helpers::helpers(model);
    quote!(#function #helpers #more)
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
    let site = if model.helpers.share_site() { more_helpers::shared_site(model) } else { site::site(model) };
    let look = look::look(model);
    let tags = tags::tags(model);
    let policy = policy::policy(model);
    let lifetimes = verdict::lifetimes(model);
    let run = run::run(model);
    let mut body = quote! {{
        #(#inner_attrs)*
        #site
        #look
        #tags
        #policy
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

/// Where these tokens stand, for tokens of ours that an error should point to.
fn at(tokens: &(impl ToTokens + Spanned)) -> Span {
    tokens.span().resolved_at(Span::mixed_site())
}

/// The facade's path, standing there.
fn krate(model: &Model, at: Span) -> TokenStream {
    let path = model.krate.to_token_stream();
    path.into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(at));
            token
        })
        .collect()
}

/// Patterns of arguments again, for what is evaluated outside the body and mentions their parts:
/// `let (a, b) = &__larder_arg0;`
fn patterns(model: &Model, mentions: &Mentions) -> TokenStream {
    let mut lets = TokenStream::new();
    for argument in &model.arguments.list {
        let Some(pattern) = argument.pattern_by_reference() else {
            continue;
        };
        if argument.names.iter().any(|name| mentions.contains_ident(name)) {
            let (ident, allow) = (&argument.ident, allow_of_lets(true));
            lets.extend(quote_spanned! {Span::mixed_site()=>
                #allow
                let #pattern = &#ident;
            });
        }
    }
    lets
}

/// The same for closures over the result, which are called when the body has its arguments. Of a part that is `Copy` they
/// have a copy, as of a whole argument: `let (_, b) = __larder_arg0;`
fn copied_parts(model: &Model, mentions: &Mentions, of: impl Fn(&Argument) -> bool) -> TokenStream {
    let mut lets = TokenStream::new();
    for argument in model.arguments.list.iter().filter(|argument| of(argument)) {
        if let Some(pattern) = argument.pattern_of(|name| mentions.contains_ident(name)) {
            let (ident, allow) = (&argument.ident, allow_of_lets(true));
            lets.extend(quote_spanned! {Span::mixed_site()=>
                #allow
                let #pattern = #ident;
            });
        }
    }
    lets
}

/// `map(value, MAP)`, or just the value.
fn mapped(model: &Model, value: TokenStream) -> TokenStream {
    let Some(map) = &model.map else { return value };
    let at = at(map);
    let krate = krate(model, at);
    let parts = copied_parts(model, &Mentions::of([map]), |_| true);
    let mapped = quote_spanned!(at=> #krate::__private::shape::map(#value, #map));
    if parts.is_empty() { mapped } else { quote_spanned!(Span::mixed_site()=> { #parts #mapped }) }
}

/// Lints that would take a second `let` of a user's name for the user's.
fn allow_of_lets(unused: bool) -> TokenStream {
    let unused = unused.then(|| quote!(unused_variables,));
    quote_spanned! {Span::mixed_site()=>
        #[allow(#unused clippy::pedantic, clippy::restriction)]
    }
}
