//! The second half of a call: the body, should it have to run.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::parts::{copied_parts, mapped};
use super::rename_self::without_self;
use super::spans::{allow_of_lets, at};
use super::{lifetimes, lookup, owned_arguments, refresh_options, store_decision, tags};
use crate::model::{Argument, Mentions, Model, Ownership, ownership};

/// `__larder_call.run(body)`, awaited and mapped.
pub(super) fn run(model: &Model) -> TokenStream {
    let background = model.refresh.in_background();
    let judge = store_decision::store_decision(model, background);
    let returns = &model.returns;
    let is_async = model.function.sig.asyncness.is_some();
    // Never runs; it tells the compiler the type, so that `?` works in the body.
    let typed = is_async.then(|| {
        let krate = &model.krate;
        quote_spanned! {Span::mixed_site()=>
            if false {
                return #krate::__private::never::<#returns>();
            }
        }
    });
    let body = body(model, &typed.unwrap_or_default());
    let value = match (is_async, background) {
        (true, true) => {
            let owned = owned_arguments::owned_arguments(model);
            let (run, judge) = judged("run_owned", judge);
            quote_spanned! {Span::mixed_site()=> {
                #owned
                __larder_call.#run(#judge move || ::std::boxed::Box::pin(async move #body)).await
            }}
        }
        (false, true) => {
            let owned = owned_arguments::owned_arguments(model);
            let (run, judge) = judged("run_owned_sync", judge);
            quote_spanned! {Span::mixed_site()=> {
                #owned
                __larder_call.#run(#judge move || -> #returns #body)
            }}
        }
        (true, false) => {
            let (run, judge) = judged("run", judge);
            quote_spanned! {Span::mixed_site()=>
                __larder_call.#run(#judge ::std::boxed::Box::pin(async move #body)).await
            }
        }
        (false, false) => {
            let judge = judge.map(|judge| quote_spanned!(Span::mixed_site()=> &#judge));
            let (run, judge) = judged("run_sync", judge);
            quote_spanned! {Span::mixed_site()=>
                __larder_call.#run(#judge ::std::boxed::Box::new(move || -> #returns #body))
            }
        }
    };
    // In front of the body, which takes the arguments with it.
    let mentions = store_decision::mentions(model);
    let (owned, parts) = if background {
        let moved = |argument: &Argument| matches!(ownership(&argument.ty), Ownership::Moved);
        (owned_arguments::owned_for_closures(model, &mentions), copied_parts(model, &mentions, moved))
    } else {
        (TokenStream::new(), copied_parts(model, &mentions, |_| true))
    };
    let parts = quote!(#owned #parts);
    let value = if parts.is_empty() { value } else { quote_spanned!(Span::mixed_site()=> { #parts #value }) };
    mapped(model, value)
}

/// The method for functions whose options see the result, and its first argument; or the other one.
fn judged(method: &str, judge: Option<TokenStream>) -> (Ident, TokenStream) {
    match judge {
        Some(judge) => (format_ident!("{method}_judged", span = Span::mixed_site()), quote!(#judge,)),
        None => (Ident::new(method, Span::mixed_site()), TokenStream::new()),
    }
}

/// The user's block with statements of ours in front: not a block in a block, which the compiler would call unnecessary.
fn body(model: &Model, first: &TokenStream) -> Group {
    let arguments = arguments(model);
    let block = &model.body.block;
    let (borrowed, statements) = if model.refresh.in_background() {
        let statements = match &model.arguments.receiver {
            Some(_) => without_self(block.stream()),
            None => block.stream(),
        };
        (owned_arguments::borrowed_arguments(model), statements)
    } else {
        (TokenStream::new(), block.stream())
    };
    let mut body = Group::new(Delimiter::Brace, quote!(#first #borrowed #arguments #statements));
    body.set_span(block.span());
    body
}

/// Arguments as the body knows them: `let mut a = a; let (b, c) = __larder_arg1;`
fn arguments(model: &Model) -> TokenStream {
    let mut lets = TokenStream::new();
    for argument in &model.arguments.list {
        let (ident, lints) = (&argument.ident, &argument.lints);
        if let Some(pattern) = &argument.pattern {
            let allow = allow_of_lets(is_for_options(model, argument));
            lets.extend(quote_spanned!(at(pattern)=> #allow #(#lints)* let #pattern = #ident;));
        } else if let Some(mutability) = argument.mutability {
            let allow = allow_of_lets(false);
            lets.extend(quote_spanned!(at(ident)=> #allow #(#lints)* let #mutability #ident = #ident;));
        }
    }
    lets
}

/// Whether a part of the argument has a name because an option needs it: the body need not use that.
fn is_for_options(model: &Model, argument: &Argument) -> bool {
    let mentions = [
        lookup::mentions(model, model.cache.as_ref()),
        tags::mentions(model),
        lifetimes::mentions(model),
        refresh_options::mentions(model),
        store_decision::mentions(model),
        Mentions::of(&model.map),
    ];
    argument.names.iter().any(|name| mentions.iter().any(|mentions| mentions.contains_ident(name)))
}
