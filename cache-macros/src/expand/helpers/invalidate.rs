//! `invalidate_f` and `invalidate_all_f`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, LitStr, Token};

use super::signature;
use super::signature::{helper, ignored_arguments, is_mentioned, kept_arguments};
use crate::expand::lookup::{Named, cache_ref, mentions, named};
use crate::expand::site::{function_name, name, place};
use crate::model::{KeyPart, Mentions, Model};

/// The entry of these arguments.
pub(super) fn one(model: &Model) -> TokenStream {
    let helper = helper(model, "invalidate");
    let generics = &model.function.sig.generics;
    let bounds = &generics.where_clause;
    let mentions = mentions(model, model.cache.as_ref());
    let arguments = kept_arguments(model, &[&mentions]);
    let ignored = ignored_arguments(model, &[&mentions]);
    let Named { before, scope, cache, key } = named(model, model.cache.as_ref());
    // An expression is evaluated when the future is awaited, as those of the function itself are.
    let exprs = model.scope.is_some() || model.cache.is_some();
    let lazy = exprs || model.key.parts.iter().any(|part| matches!(part, KeyPart::Expr(_)));
    let key_buf = quote_spanned!(Span::mixed_site()=> __larder_key);
    let arguments_of_call = if exprs { quote!(#scope, #cache, #key_buf) } else { key_buf };
    let call = call(model, &helper, if exprs { "invalidate_key_in" } else { "invalidate_key" }, &arguments_of_call);
    let call = awaited(model, &quote!(#before #key #call), lazy);
    let (asyncness, output) = output(model, lazy);
    let head = head(
        model,
        &format!(
            "Forgets what `{}` answered for these arguments, in the current scope: the next call runs it again.",
            function_name(model).value()
        ),
    );
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments) -> #output #bounds {
            #ignored
            #call
        }
    }
}

/// All entries of the function.
pub(super) fn all(model: &Model) -> TokenStream {
    let helper = helper(model, "invalidate_all");
    let scoped = model.scope.is_some();
    let cache = model.cache.as_ref().filter(|cache| !mentions_arguments(model, cache));
    let lazy = cache.is_some();
    let cache = cache_ref(model, cache);
    let (function, arguments) = if lazy || scoped {
        ("invalidate_function_in", quote!(#scoped, #cache))
    } else {
        ("invalidate_function", TokenStream::new())
    };
    let call = call(model, &helper, function, &arguments);
    let call = awaited(model, &call, lazy || scoped);
    let (asyncness, output) = output(model, lazy || scoped);
    let head = head(
        model,
        &format!(
            "Forgets everything `{}` answered, in {}: the next calls run it again.",
            function_name(model).value(),
            if scoped { "every scope" } else { "the current scope" }
        ),
    );
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper() -> #output {
            #call
        }
    }
}

/// Everything in front of `fn`.
fn head(model: &Model, doc: &str) -> TokenStream {
    let failing = "A shared layer could not be told yet. This process has forgotten all the same, and tells Redis before it reads there again.";
    let doc = quote_spanned! {Span::mixed_site()=>
        #[doc = #doc]
        #[doc = "\n# Errors\n"]
        #[doc = #failing]
    };
    signature::head(model, &doc)
}

fn mentions_arguments(model: &Model, cache: &Expr) -> bool {
    let mentions = Mentions::of([cache]);
    mentions.contains("self") || model.arguments.list.iter().any(|argument| is_mentioned(argument, &[&mentions]))
}

/// `async` and `Result`, or just the future: that of an `async fn` would be one more state machine to compile.
fn output(model: &Model, lazy: bool) -> (Option<Token![async]>, TokenStream) {
    let krate = &model.krate;
    match model.function.sig.asyncness {
        Some(_) if !lazy => (None, quote_spanned!(Span::mixed_site()=> #krate::__private::Invalidation)),
        asyncness => {
            (asyncness, quote_spanned!(Span::mixed_site()=> ::core::result::Result<#krate::Invalidated, #krate::Error>))
        }
    }
}

/// `&Named { .. }`
pub(super) fn this(model: &Model, helper: &Ident) -> TokenStream {
    let krate = &model.krate;
    let function = function_name(model);
    let helper = LitStr::new(&helper.to_string(), Span::mixed_site());
    let (name, place) = (name(model), place(model));
    let version = model.version;
    quote_spanned! {Span::mixed_site()=>
        &#krate::__private::Named {
            function: #function,
            helper: #helper,
            place: #place,
            name: #name,
            version: #version,
        }
    }
}

/// The one call into the library.
fn call(model: &Model, helper: &Ident, function: &str, arguments: &TokenStream) -> TokenStream {
    let krate = &model.krate;
    let this = this(model, helper);
    let path = quote_spanned!(Span::mixed_site()=> #krate::__private::path_of(&|| ()));
    let is_async = model.function.sig.asyncness.is_some();
    let function = format_ident!("{function}{}", if is_async { "" } else { "_sync" }, span = Span::mixed_site());
    quote_spanned!(Span::mixed_site()=> #krate::__private::#function(#this, #path, #arguments))
}

/// The statements with the call, awaited if the helper is async. What they borrow and make is let go of before: a
/// `&dyn Display` is not `Send`, nor is the guard of a mutex that a part of the key is read through.
fn awaited(model: &Model, call: &TokenStream, lazy: bool) -> TokenStream {
    if lazy && model.function.sig.asyncness.is_some() {
        quote_spanned!(Span::mixed_site()=> let __larder_done = { #call }; __larder_done.await)
    } else {
        call.clone()
    }
}
