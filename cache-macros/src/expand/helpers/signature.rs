//! What the helpers of a function have in common: their names, docs, attributes and arguments.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ReturnType;
use syn::ext::IdentExt;

use crate::expand::attributes::kept_attribute;
use crate::model::{Argument, KeyPart, Mentions, Model};

/// `invalidate_f`
pub(super) fn helper(model: &Model, prefix: &str) -> Ident {
    let function = &model.function.sig.ident;
    format_ident!("{prefix}_{}", function.unraw(), span = function.span())
}

/// Everything in front of `fn`.
pub(super) fn head(model: &Model, docs: &TokenStream) -> TokenStream {
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let vis = &model.function.vis;
    quote_spanned! {Span::mixed_site()=>
        #docs
        #(#attrs)*
        #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        #vis
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

/// Whether one of these mentions the argument, or a part of it.
pub(super) fn is_mentioned(argument: &Argument, mentions: &[&Mentions]) -> bool {
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

/// What the function returns.
pub(super) fn output(model: &Model) -> TokenStream {
    match &model.function.sig.output {
        ReturnType::Type(_, ty) => quote!(#ty),
        ReturnType::Default => quote!(()),
    }
}

/// Whether the function is, and so the helper.
pub(super) fn is_async(model: &Model) -> bool {
    model.function.sig.asyncness.is_some()
}

/// Docs, and a section about errors.
pub(super) fn docs(doc: &str, errors: Option<&str>) -> TokenStream {
    let errors = errors.map(|errors| quote!(#[doc = "\n# Errors\n"] #[doc = #errors]));
    quote!(#[doc = #doc] #errors)
}
