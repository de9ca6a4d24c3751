//! `invalidate_f` and `invalidate_all_f`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitStr, Meta, Token, Visibility};

use super::look::{Named, cache_ref, mentions, named};
use super::more_helpers;
use super::site::{function_name, name, place};
use crate::model::{Argument, KeyPart, Mentions, Model};

pub(super) fn helpers(model: &Model) -> TokenStream {
    let hint = hint_for_trait_impls(model);
    let one = invalidate(model);
    let all = invalidate_all(model);
    quote!(#hint #one #all)
}

/// In the impl of a trait, which can't be told from another, the compiler says that `invalidate_f` is not a member of the
/// trait, and nothing of ours but names. So the first name it says is one that tells what to do. Elsewhere nobody sees it.
fn hint_for_trait_impls(model: &Model) -> TokenStream {
    if !matches!(model.function.vis, Visibility::Inherited) || !more_helpers::associated(model) {
        return TokenStream::new();
    }
    let function = &model.function.sig.ident;
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let advice = "__in_the_impl_of_a_trait_write__helpers_none";
    let name = format_ident!("__larder_{}{advice}", function.unraw(), span = function.span());
    quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc(hidden)]
        #[allow(dead_code, non_upper_case_globals)]
        const #name: () = ();
    }
}

/// The entry of these arguments.
fn invalidate(model: &Model) -> TokenStream {
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
fn invalidate_all(model: &Model) -> TokenStream {
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

pub(super) fn helper(model: &Model, prefix: &str) -> Ident {
    let function = &model.function.sig.ident;
    format_ident!("{prefix}_{}", function.unraw(), span = function.span())
}

/// Everything in front of `fn`.
fn head(model: &Model, doc: &str) -> TokenStream {
    let failing =
        "A shared layer could not be told: repeat it until it succeeds. This process has forgotten all the same.";
    let doc = quote_spanned! {Span::mixed_site()=>
        #[doc = #doc]
        #[doc = "\n# Errors\n"]
        #[doc = #failing]
    };
    head_with(model, &doc)
}

/// The same with these docs.
pub(super) fn head_with(model: &Model, docs: &TokenStream) -> TokenStream {
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let vis = &model.function.vis;
    quote_spanned! {Span::mixed_site()=>
        #docs
        #(#attrs)*
        #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        #vis
    }
}

/// Only what decides whether the helper is there and seen. `expect` would be unfulfilled.
pub(super) fn kept_attribute(attr: &Attribute) -> Option<TokenStream> {
    let path = attr.path();
    if path.is_ident("cfg") || path.is_ident("allow") {
        return Some(quote!(#attr));
    }
    match &attr.meta {
        Meta::List(list) if path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(quote!(#[allow(#lints)]))
        }
        Meta::List(_) if path.is_ident("doc") => Some(quote!(#attr)),
        Meta::List(list) if path.is_ident("cfg_attr") => {
            let inner = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
            let harmless = |meta: &Meta| {
                let path = meta.path();
                path.is_ident("allow")
                    || path.is_ident("cfg")
                    || (path.is_ident("doc") && matches!(meta, Meta::List(_)))
            };
            inner.iter().skip(1).all(harmless).then(|| quote!(#attr))
        }
        _ => None,
    }
}

/// The receiver, if something needs it, and all arguments that aren't skipped. One that is, and that the scope or the
/// cache follows from, is needed all the same.
pub(super) fn kept_arguments(model: &Model, mentions: &[&Mentions]) -> TokenStream {
    let uses_self = mentions.iter().any(|mentions| mentions.contains("self"));
    let receiver = model.arguments.receiver.as_ref().filter(|_| uses_self).map(|receiver| {
        let mut receiver = receiver.syntax.clone();
        receiver.attrs.clear();
        receiver.mutability = None;
        quote!(#receiver)
    });
    let kept = model.arguments.list.iter().filter(|argument| !argument.skipped || is_mentioned(argument, mentions));
    let kept = kept.map(|argument| {
        let (ident, ty) = (&argument.ident, &argument.ty);
        quote!(#ident: #ty)
    });
    let all = receiver.into_iter().chain(kept);
    quote!(#(#all),*)
}

fn is_mentioned(argument: &Argument, mentions: &[&Mentions]) -> bool {
    argument.names.iter().any(|name| mentions.iter().any(|mentions| mentions.contains_ident(name)))
}

/// `let _ = &x;` for arguments that the key leaves out.
pub(super) fn ignored_arguments(model: &Model, mentions: &[&Mentions]) -> TokenStream {
    let is_part =
        |index| model.key.parts.iter().any(|part| matches!(part, KeyPart::Argument(argument) if *argument == index));
    let ignored = model
        .arguments
        .list
        .iter()
        .enumerate()
        .filter(|(index, argument)| !argument.skipped && !is_part(*index) && !is_mentioned(argument, mentions));
    let ignored = ignored.map(|(_, argument)| {
        let ident = &argument.ident;
        quote_spanned!(Span::mixed_site()=> let _ = &#ident;)
    });
    ignored.collect()
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
        asyncness => (asyncness, quote_spanned!(Span::mixed_site()=> ::core::result::Result<(), #krate::Error>)),
    }
}

/// `&Named { .. }`
fn this(model: &Model, helper: &Ident) -> TokenStream {
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
