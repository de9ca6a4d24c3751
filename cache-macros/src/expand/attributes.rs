//! Attributes of the function that its helpers have too.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

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
