//! What is done with a result before it is stored.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::{Expr, ExprClosure};

use super::{at, krate, patterns, policy};
use crate::model::{Lifetime, Mentions, Model};

/// `ttl: Some(Duration::new(300, 0)),` for what is written out: part of the function's static.
pub(super) fn fixed(model: &Model) -> TokenStream {
    let mut fields = TokenStream::new();
    for (name, lifetime) in [("ttl", &model.verdict.ttl), ("memory_ttl", &model.verdict.memory_ttl)] {
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
    let verdict = &model.verdict;
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

/// The names that closures over the result are made of.
pub(super) fn closure_mentions(model: &Model) -> Mentions {
    let verdict = &model.verdict;
    let mut mentions = Mentions::of([&verdict.cache_if, &verdict.result_tags, &verdict.weigh].into_iter().flatten());
    if let Some(Lifetime::OfResult(closure)) = &verdict.ttl {
        mentions.extend([&closure_expr(closure)]);
    }
    mentions
}

/// `|value, verdict| { .. }`, which owns what it mentions if it may be called when its caller is gone. `None` if nothing
/// depends on the result.
pub(super) fn verdict(model: &Model, owns: bool) -> Option<TokenStream> {
    let verdict = &model.verdict;
    let mut steps = Vec::new();
    if let Some(Lifetime::OfResult(closure)) = &verdict.ttl {
        steps.push(of_result(model, "ttl", &closure_expr(closure), owns));
    }
    if let Some((keyword, _)) = &verdict.none_ttl {
        steps.push(quote_spanned!(at(keyword)=> __larder_verdict.none_ttl(__larder_value, __larder_none_ttl);));
    }
    if let Some(keyword) = &verdict.skip_none {
        steps.push(quote_spanned!(at(keyword)=> __larder_verdict.skip_none(__larder_value);));
    }
    for (method, option) in [("cache_if", &verdict.cache_if), ("tags", &verdict.result_tags), ("weigh", &verdict.weigh)]
    {
        if let Some(option) = option {
            steps.push(of_result(model, method, option, owns));
        }
    }
    if steps.is_empty() {
        return None;
    }
    Some(if owns {
        let arguments = policy::borrowed_for_closures(model, &closure_mentions(model));
        quote_spanned!(Span::mixed_site()=> move |__larder_value, __larder_verdict| { #arguments #(#steps)* })
    } else {
        quote_spanned!(Span::mixed_site()=> |__larder_value, __larder_verdict| { #(#steps)* })
    })
}

fn closure_expr(closure: &ExprClosure) -> Expr {
    Expr::Closure(closure.clone())
}

/// `verdict.cache_if(apply(CLOSURE, value));`
fn of_result(model: &Model, method: &str, closure: &Expr, owns: bool) -> TokenStream {
    // A result of another type is the closure's body's mistake.
    let at = match closure {
        Expr::Closure(closure) => at(&closure.body),
        other => at(other),
    };
    let krate = krate(model, at);
    let closure = closure.to_token_stream();
    let closure = if owns && model.arguments.receiver.is_some() { policy::without_self(closure) } else { closure };
    let value = quote_spanned!(at=> #krate::__private::apply(#closure, __larder_value));
    if method == "tags" {
        return quote_spanned! {at=> {
            #[allow(unused_imports)]
            use #krate::__private::listed::{IsList as _, IsNoList as _};
            #krate::__private::listed::Listed(#value).__larder_add_to(__larder_verdict);
        }};
    }
    let method = Ident::new(method, at);
    quote_spanned!(at=> __larder_verdict.#method(#value);)
}
