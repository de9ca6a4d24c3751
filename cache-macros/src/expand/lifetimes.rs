//! `ttl`, `memory_ttl` and `none_ttl`, and durations in general.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};

use super::parts::patterns;
use super::spans::at;
use crate::model::{Lifetime, Mentions, Model};

/// `ttl: Some(Duration::new(300, 0)),` for what is written out: part of the function's static.
pub(super) fn fixed(model: &Model) -> TokenStream {
    let mut fields = TokenStream::new();
    for (name, lifetime) in [("ttl", &model.decision.ttl), ("memory_ttl", &model.decision.memory_ttl)] {
        if let Some(Lifetime::Fixed(duration, span)) = lifetime {
            let (name, duration) = (Ident::new(name, Span::mixed_site()), fixed_duration(*duration, *span));
            fields.extend(quote_spanned!(Span::mixed_site()=> #name: ::core::option::Option::Some(#duration),));
        }
    }
    fields
}

fn fixed_duration(duration: Duration, span: Span) -> TokenStream {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    let at = span.resolved_at(Span::mixed_site());
    quote_spanned!(at=> ::core::time::Duration::new(#seconds, #nanoseconds))
}

/// `let __larder_ttl: Duration = ..;` for lifetimes that are computed, but not from the result, and what is done with them
/// before the run.
pub(super) fn lifetimes(model: &Model) -> TokenStream {
    let mut lets = TokenStream::new();
    for (name, lifetime) in given(model) {
        if matches!(lifetime, Lifetime::OfResult(_)) {
            continue;
        }
        if name == "none_ttl" {
            lets.extend(lifetime_let(model, name, lifetime));
        } else if matches!(lifetime, Lifetime::Computed(_)) {
            let (ttl, method) = (local(name), Ident::new(name, Span::mixed_site()));
            lets.extend(lifetime_let(model, name, lifetime));
            lets.extend(quote_spanned! {Span::mixed_site()=>
                let __larder_call = __larder_call.#method(#ttl);
            });
        }
    }
    lets
}

/// The names that those lifetimes are made of.
pub(super) fn mentions(model: &Model) -> Mentions {
    Mentions::of(given(model).filter_map(|(_, lifetime)| match lifetime {
        Lifetime::Computed(expression) => Some(expression),
        Lifetime::Fixed(..) | Lifetime::OfResult(_) => None,
    }))
}

fn given(model: &Model) -> impl Iterator<Item = (&'static str, &Lifetime)> {
    let verdict = &model.decision;
    let none_ttl = verdict.none_ttl.as_ref().map(|(_, ttl)| ttl);
    [("ttl", verdict.ttl.as_ref()), ("memory_ttl", verdict.memory_ttl.as_ref()), ("none_ttl", none_ttl)]
        .into_iter()
        .filter_map(|(name, lifetime)| Some((name, lifetime?)))
}

pub(super) fn lifetime_let(model: &Model, name: &str, lifetime: &Lifetime) -> TokenStream {
    let local = local(name);
    let value = match lifetime {
        Lifetime::Fixed(duration, span) => fixed_duration(*duration, *span),
        Lifetime::Computed(expression) => {
            let patterns = patterns(model, &Mentions::of([expression]));
            if patterns.is_empty() {
                quote_spanned!(at(expression)=> #expression)
            } else {
                quote_spanned!(at(expression)=> { #patterns #expression })
            }
        }
        Lifetime::OfResult(_) => return TokenStream::new(),
    };
    quote_spanned!(Span::mixed_site()=> let #local: ::core::time::Duration = #value;)
}

fn local(name: &str) -> Ident {
    format_ident!("__larder_{name}", span = Span::mixed_site())
}
