//! `refresh_f`

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{FnArg, Pat, Token};

use super::signature::{docs, head, helper, is_async, output};
use crate::expand::in_impl::path_of_self;
use crate::expand::site::function_name;
use crate::expand::site_function::{shared_site, turbofish};
use crate::model::Model;

/// Runs the function now.
pub(super) fn refresh(model: &Model) -> TokenStream {
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
        None => path_of_self(model),
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
    let head = head(model, &docs(&doc, None));
    let deprecated = model.function.attrs.iter().any(|attr| attr.path().is_ident("deprecated"));
    let allow = deprecated.then(|| quote!(#[allow(deprecated)]));
    let site = shared_site(model);
    quote_spanned! {Span::mixed_site()=>
        #allow #head #asyncness fn #helper #generics (#inputs) -> #output #bounds {
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
