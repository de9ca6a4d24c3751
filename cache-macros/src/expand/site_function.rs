//! The static of a function whose helpers need it too: it stands in a function beside them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::GenericParam;
use syn::ext::IdentExt;

use super::advice::advice_name;
use super::attributes::kept_attribute;
use super::in_impl::path_of_self;
use super::site;
use crate::model::Model;

/// `fn __larder_site_f<T>() -> (&'static Site, Here) { static .. }`. Where the function may stand in an impl that it doesn't fit,
/// its name is advice instead.
pub(super) fn site_function(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let attrs = model.function.attrs.iter().filter_map(kept_attribute);
    let name = site_name(model);
    let generics = &model.function.sig.generics;
    let bounds = &generics.where_clause;
    let site = site::site(model);
    quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc(hidden)]
        #[allow(dead_code, non_snake_case, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        fn #name #generics() -> (&'static #krate::__private::Site, #krate::__private::Here) #bounds {
            #site
            (&__LARDER_SITE, #krate::__private::Here::of(&|| ()))
        }
    }
}

/// `let (__larder_site, __larder_here) = Self::__larder_site_f::<T>();`
pub(super) fn shared_site(model: &Model) -> TokenStream {
    let this = path_of_self(model);
    let name = site_name(model);
    let generics = turbofish(model);
    quote_spanned!(Span::mixed_site()=> let (__larder_site, __larder_here) = #this #name #generics();)
}

/// The name of that function. The static says it to the library, which takes names from paths.
pub(super) fn site_name(model: &Model) -> Ident {
    advice_name(model).unwrap_or_else(|| {
        let function = &model.function.sig.ident;
        // Seen by the helpers only, but an item: those go by the call site's rules.
        format_ident!("__larder_site_{}", function.unraw(), span = function.span())
    })
}

/// `::<T, N>`: lifetimes are left to the compiler.
pub(super) fn turbofish(model: &Model) -> TokenStream {
    let names = model.function.sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(ty) => Some(&ty.ident),
        GenericParam::Const(number) => Some(&number.ident),
        GenericParam::Lifetime(_) => None,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { TokenStream::new() } else { quote!(::<#(#names),*>) }
}
