//! `refresh_f`, `prime_f` and `peek_f`, and the static that the last two share with the function.
//!
//! The macro can't see whether a function without a receiver stands in an impl. It takes one that mentions `Self` for
//! one that does.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{GenericParam, ReturnType};

use super::helpers::{head_with, helper, ignored_arguments, kept_arguments, kept_attribute};
use super::site::function_name;
use super::{at, look, policy, site, tags, verdict};
use crate::model::{Mentions, Model, says};

pub(super) fn helpers(model: &Model) -> TokenStream {
    let helpers = model.helpers;
    let site = helpers.share_site().then(|| site_function(model));
    let refresh = helpers.refresh.then(|| refresh(model));
    let prime = helpers.prime.then(|| prime(model));
    let peek = helpers.peek.then(|| peek(model));
    quote!(#site #refresh #prime #peek)
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
        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery)]
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

/// `Self::`, or nothing.
fn place(model: &Model) -> TokenStream {
    let sig = &model.function.sig;
    let associated =
        sig.receiver().is_some() || says(sig.to_token_stream(), "Self") || says(model.body.block.stream(), "Self");
    if associated { quote_spanned!(sig.ident.span()=> Self::) } else { TokenStream::new() }
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
fn refresh(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let sig = &model.function.sig;
    let helper = helper(model, "refresh");
    let (generics, bounds, inputs) = (&sig.generics, &sig.generics.where_clause, &sig.inputs);
    let output = output(model);
    let name = &sig.ident;
    let arguments = model.arguments.list.iter().map(|argument| &argument.ident);
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
        quote_spanned!(Span::mixed_site()=> #krate::__private::refresh(#call).await)
    } else {
        quote_spanned!(Span::mixed_site()=> #krate::__private::refresh_sync(|| #call))
    };
    let doc = format!(
        "Runs `{}` now, and replaces what it answered for these arguments. What it calls is answered as ever.",
        function_name(model).value()
    );
    let head = head_with(model, &docs(&doc, None));
    quote_spanned! {Span::mixed_site()=>
        #head fn #helper #generics (#inputs) -> #output #bounds {
            #call
        }
    }
}

/// Stores a value.
fn prime(model: &Model) -> TokenStream {
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
    let judge = verdict::verdict(model);
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
    let head = head_with(model, &docs(&doc, Some(errors)));
    quote_spanned! {Span::mixed_site()=>
        #head fn #helper #generics (#arguments #comma value: #returns) -> ::core::result::Result<(), #krate::Error> #bounds {
            #ignored
            #site
            let __larder_call = {
                #found
                match __larder_found {
                    #krate::__private::Lookup::Hit(_) => return ::core::result::Result::Ok(()),
                    #krate::__private::Lookup::Miss(__larder_call) => __larder_call,
                }
            };
            #tags
            #policy
            #lifetimes
            #call
        }
    }
}

/// Looks, and never runs.
fn peek(model: &Model) -> TokenStream {
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
    let mapped = match &model.map {
        Some(map) => quote_spanned!(at(map)=> #krate::__private::shape::map(__larder_value, #map)),
        None => quote_spanned!(Span::mixed_site()=> __larder_value),
    };
    let looked = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek().await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek_sync())
    };
    let doc = format!(
        "What `{}` would answer at once for these arguments: a stored value that is still good. Never runs it.",
        function_name(model).value()
    );
    let head = head_with(model, &docs(&doc, None));
    quote_spanned! {Span::mixed_site()=>
        #head fn #helper #generics (#arguments) -> ::core::option::Option<#output> #bounds {
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
