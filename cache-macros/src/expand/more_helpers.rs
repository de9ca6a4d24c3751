//! `refresh_f`, `prime_f` and `peek_f`, and the static that they share with the function.
//!
//! The macro can't see whether a function without a receiver stands in an impl. It takes one that mentions `Self` for
//! one that does.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{FnArg, GenericParam, Pat, ReturnType, Token};

use super::helpers::{head_with, helper, ignored_arguments, kept_arguments, kept_attribute};
use super::site::function_name;
use super::{copied_parts, look, policy, site, tags, verdict};
use crate::model::{Mentions, Model, says};

pub(super) fn helpers(model: &Model) -> TokenStream {
    let helpers = model.helpers;
    if !(helpers.refresh || helpers.prime || helpers.peek) {
        return TokenStream::new();
    }
    let (hint, ask) = hint_for_impls(model);
    let site = helpers.share_site().then(|| site_function(model));
    let refresh = helpers.refresh.then(|| refresh(model, &ask));
    let prime = helpers.prime.then(|| prime(model, &ask));
    let peek = helpers.peek.then(|| peek(model, &ask));
    quote!(#hint #site #refresh #prime #peek)
}

/// `fn __larder_site_f<T>() -> (&'static Site, Here) { static .. }`
fn site_function(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let name = site_name(model);
    let generics = &model.function.sig.generics;
    let bounds = &generics.where_clause;
    let site = site::site(model);
    quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc(hidden)]
        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        fn #name #generics() -> (&'static #krate::__private::Site, #krate::__private::Here) #bounds {
            #site
            (&__LARDER_SITE, #krate::__private::Here::of(&|| ()))
        }
    }
}

/// `let (__larder_site, __larder_here) = Self::__larder_site_f::<T>();`
pub(super) fn shared_site(model: &Model) -> TokenStream {
    let place = place(model);
    let name = site_name(model);
    let generics = turbofish(model);
    quote_spanned!(Span::mixed_site()=> let (__larder_site, __larder_here) = #place #name #generics();)
}

fn site_name(model: &Model) -> Ident {
    let function = &model.function.sig.ident;
    // Seen by the helpers only, but an item: those go by the call site's rules.
    format_ident!("__larder_site_{}", function.unraw(), span = function.span())
}

/// A constant beside the function, and a use of it by a helper. In an impl, where neither it nor anything else that the
/// helpers use is found, its name says what to do: names are all that the compiler then shows.
fn hint_for_impls(model: &Model) -> (TokenStream, TokenStream) {
    if associated(model) {
        return <(TokenStream, TokenStream)>::default();
    }
    let function = &model.function.sig.ident;
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let advice = "__if_it_is_in_an_impl_list_its_helpers_as__Self_refresh__Self_prime__Self_peek";
    let span = function.span().located_at(Span::call_site());
    let name = format_ident!("__larder_{}{advice}", function.unraw(), span = span);
    let hint = quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc(hidden)]
        #[allow(dead_code, non_upper_case_globals)]
        const #name: () = ();
    };
    (hint, quote_spanned!(Span::mixed_site()=> let () = #name;))
}

/// Whether the function stands in an impl, as far as can be seen.
pub(super) fn associated(model: &Model) -> bool {
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
fn place(model: &Model) -> TokenStream {
    if associated(model) { quote_spanned!(model.function.sig.ident.span()=> Self::) } else { TokenStream::new() }
}

/// `::<T, N>`: lifetimes are left to the compiler.
fn turbofish(model: &Model) -> TokenStream {
    let names = model.function.sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(ty) => Some(&ty.ident),
        GenericParam::Const(number) => Some(&number.ident),
        GenericParam::Lifetime(_) => None,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { TokenStream::new() } else { quote!(::<#(#names),*>) }
}

fn output(model: &Model) -> TokenStream {
    match &model.function.sig.output {
        ReturnType::Type(_, ty) => quote!(#ty),
        ReturnType::Default => quote!(()),
    }
}

fn is_async(model: &Model) -> bool {
    model.function.sig.asyncness.is_some()
}

/// Runs the function now.
fn refresh(model: &Model, ask: &TokenStream) -> TokenStream {
    let krate = &model.krate;
    let sig = &model.function.sig;
    let helper = helper(model, "refresh");
    let (generics, bounds, inputs) = (&sig.generics, &sig.generics.where_clause, inputs(model));
    let output = output(model);
    let name = &sig.ident;
    let arguments = model.arguments.list.iter().map(|argument| beside(name, &argument.ident));
    let types = turbofish(model);
    let place = match sig.receiver() {
        Some(receiver) => {
            let this = &receiver.self_token;
            quote!(#this.)
        }
        None => place(model),
    };
    let call = quote_spanned!(Span::mixed_site()=> #place #name #types(#(#arguments),*));
    let call = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> #krate::__private::refresh(__larder_site, __larder_here, #call).await)
    } else {
        quote_spanned!(Span::mixed_site()=> #krate::__private::refresh_sync(__larder_site, __larder_here, || #call))
    };
    let doc = format!(
        "Runs `{}` now, and replaces what it answered for these arguments. What it calls is answered as ever.",
        function_name(model).value()
    );
    let asyncness = &model.function.sig.asyncness;
    let head = head_with(model, &docs(&doc, None));
    let deprecated = model.function.attrs.iter().any(|attr| attr.path().is_ident("deprecated"));
    let allow = deprecated.then(|| quote!(#[allow(deprecated)]));
    let site = shared_site(model);
    quote_spanned! {Span::mixed_site()=>
        #allow #head #asyncness fn #helper #generics (#inputs) -> #output #bounds {
            #ask
            #site
            #call
        }
    }
}

/// All arguments, which are only handed on.
fn inputs(model: &Model) -> Punctuated<FnArg, Token![,]> {
    let sig = &model.function.sig;
    let mut inputs = sig.inputs.clone();
    for input in &mut inputs {
        match input {
            FnArg::Receiver(receiver) => receiver.mutability = None,
            FnArg::Typed(typed) => {
                if let Pat::Ident(name) = &mut *typed.pat {
                    name.ident = beside(&sig.ident, &name.ident);
                }
            }
        }
    }
    inputs
}

/// The argument's name. One that is called as the function is would hide it from the call.
fn beside(function: &Ident, argument: &Ident) -> Ident {
    let mut argument = argument.clone();
    if argument == *function {
        argument.set_span(argument.span().resolved_at(Span::mixed_site()));
    }
    argument
}

/// Stores a value.
fn prime(model: &Model, ask: &TokenStream) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "prime");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let mentions = [
        look::mentions(model, model.cache.as_ref()),
        tags::mentions(model),
        policy::mentions(model),
        verdict::mentions(model),
        verdict::closure_mentions(model),
    ];
    let mentions: Vec<&Mentions> = mentions.iter().collect();
    let arguments = kept_arguments(model, &mentions);
    let comma = (!arguments.is_empty()).then(|| quote!(,));
    let ignored = ignored_arguments(model, &mentions);
    let returns = &model.returns;
    let site = shared_site(model);
    let found = look::found(model, "prime");
    let (tags, policy, lifetimes) = (tags::tags(model), policy::policy(model), verdict::lifetimes(model));
    let nothing = || quote_spanned!(Span::mixed_site()=> |_, _| {});
    let judge = verdict::verdict(model, false).unwrap_or_else(nothing);
    let parts = copied_parts(model, &verdict::closure_mentions(model), |_| true);
    let call = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.prime(#judge, value).await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.prime_sync(#judge, value))
    };
    let doc = format!(
        "Stores a value as the answer of `{}` for these arguments, as if it had run now. An invalidation meanwhile wins.",
        function_name(model).value()
    );
    let errors = "It is an `Err`, which isn't stored; the arguments can't be a key; it is the function's own run that calls; \
                  or a shared layer could not be told.";
    let asyncness = &model.function.sig.asyncness;
    let head = head_with(model, &docs(&doc, Some(errors)));
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments #comma value: #returns) -> ::core::result::Result<(), #krate::Error> #bounds {
            #ask
            #ignored
            #site
            let __larder_call = {
                #found
                __larder_found
            };
            #tags
            #policy
            #lifetimes
            #parts
            #call
        }
    }
}

/// Looks, and never runs.
fn peek(model: &Model, ask: &TokenStream) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "peek");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let map_mentions = Mentions::of(&model.map);
    let mentions = [look::mentions(model, model.cache.as_ref()), policy::mentions(model), map_mentions];
    let mentions: Vec<&Mentions> = mentions.iter().collect();
    let arguments = kept_arguments(model, &mentions);
    let ignored = ignored_arguments(model, &mentions);
    let output = output(model);
    let site = shared_site(model);
    let found = look::found(model, "lookup");
    let policy = policy::policy(model);
    let mapped = super::mapped(model, quote_spanned!(Span::mixed_site()=> __larder_value));
    let looked = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek().await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek_sync())
    };
    let doc = format!(
        "What `{}` would answer at once for these arguments: a stored value that is still good. Never runs it.",
        function_name(model).value()
    );
    let asyncness = &model.function.sig.asyncness;
    let head = head_with(model, &docs(&doc, None));
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments) -> ::core::option::Option<#output> #bounds {
            #ask
            #ignored
            #site
            let __larder_call = {
                #found
                match __larder_found {
                    #krate::__private::Lookup::Hit(__larder_value) => {
                        return ::core::option::Option::Some(#mapped);
                    }
                    #krate::__private::Lookup::Miss(__larder_call) => __larder_call,
                }
            };
            #policy
            match #looked {
                ::core::option::Option::Some(__larder_value) => ::core::option::Option::Some(#mapped),
                ::core::option::Option::None => ::core::option::Option::None,
            }
        }
    }
}

fn docs(doc: &str, errors: Option<&str>) -> TokenStream {
    let errors = errors.map(|errors| quote!(#[doc = "\n# Errors\n"] #[doc = #errors]));
    quote!(#[doc = #doc] #errors)
}
