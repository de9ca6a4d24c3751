//! `jitter`, `refresh_ahead`, and the options that are durations of a call rather than of an entry.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};

use super::lifetimes::lifetime_let;
use super::spans::at;
use crate::model::{Lifetime, Mentions, Model};

/// `let __larder_call = __larder_call.policy(|policy| { policy.jitter(0.1); });`, if there is anything to say.
pub(super) fn refresh_options(model: &Model) -> TokenStream {
    let refresh = &model.refresh;
    let mut steps = TokenStream::new();
    for (name, share) in [("jitter", refresh.jitter), ("refresh_ahead", refresh.refresh_ahead)] {
        if let Some(share) = share {
            let name = Ident::new(name, Span::mixed_site());
            steps.extend(quote_spanned!(Span::mixed_site()=> __larder_policy.#name(#share);));
        }
    }
    for (name, time) in refresh.durations() {
        let set = lifetime_let(model, name, time);
        let local = format_ident!("__larder_{name}", span = Span::mixed_site());
        let name = Ident::new(name, Span::mixed_site());
        steps.extend(quote_spanned!(Span::mixed_site()=> #set __larder_policy.#name(#local);));
    }
    if steps.is_empty() {
        return steps;
    }
    let fails =
        refresh.stale_if_error.as_ref().map(|(keyword, _)| quote_spanned!(at(keyword)=> __larder_call.can_fail();));
    quote_spanned! {Span::mixed_site()=>
        #fails
        #[allow(clippy::used_underscore_binding)]
        let __larder_call = __larder_call.policy(|__larder_policy| {
            #steps
        });
    }
}

/// The names that its durations are made of.
pub(super) fn mentions(model: &Model) -> Mentions {
    Mentions::of(model.refresh.durations().filter_map(|(_, time)| match time {
        Lifetime::Computed(expression) => Some(expression),
        Lifetime::Fixed(..) | Lifetime::OfResult(_) => None,
    }))
}
