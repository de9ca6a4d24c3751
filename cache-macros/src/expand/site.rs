//! What is known of the function before it is called.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::LitStr;
use syn::ext::IdentExt;

use super::lifetimes;
use super::site_function::site_name;
use super::spans::{at, none};
use crate::model::{Amount, Bound, Model};

/// `static __LARDER_SITE: Site = ..;`
pub(super) fn site(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let function = function_name(model);
    let mut options = TokenStream::new();
    if model.name.is_some() {
        let name = name(model);
        options.extend(quote_spanned!(Span::mixed_site()=> name: #name,));
    }
    if model.version != 0 {
        let version = model.version;
        options.extend(quote_spanned!(Span::mixed_site()=> version: #version,));
    }
    if model.local {
        options.extend(quote_spanned!(Span::mixed_site()=> local: true,));
    } else if !model.key.names.is_empty() {
        let names = LitStr::new(&model.key.names, Span::mixed_site());
        options.extend(quote_spanned!(Span::mixed_site()=> key: #names,));
    }
    if model.lossy {
        options.extend(quote_spanned!(Span::mixed_site()=> lossy: true,));
    }
    match &model.bound {
        None => {}
        Some(Bound::Entries(entries)) => {
            let entries = amount(entries);
            options.extend(quote_spanned!(Span::mixed_site()=> max_entries: #entries,));
        }
        Some(Bound::Bytes(bytes)) => {
            let bytes = amount(bytes);
            options.extend(quote_spanned!(Span::mixed_site()=> max_bytes: #bytes,));
        }
    }
    if model.lru {
        let krate = &model.krate;
        options.extend(quote_spanned!(Span::mixed_site()=> evict: #krate::__private::Evict::Lru,));
    }
    if model.scope.is_some() {
        options.extend(quote_spanned!(Span::mixed_site()=> scoped: true,));
    }
    if model.helpers.share_site() {
        let holder = LitStr::new(&site_name(model).to_string(), Span::mixed_site());
        options.extend(quote_spanned!(Span::mixed_site()=> holder: #holder,));
    }
    options.extend(lifetimes::fixed(model));
    let allow = computes(model).then(|| {
        let lints = quote!(clippy::cast_lossless, clippy::cast_possible_truncation, clippy::unnecessary_cast);
        quote_spanned!(Span::mixed_site()=> #[allow(#lints, clippy::cast_sign_loss)])
    });
    let place = place(model);
    let of = quote_spanned!(Span::mixed_site()=> #krate::__private::SiteOptions::of(#function, #place));
    let options = if options.is_empty() {
        of
    } else {
        quote_spanned!(Span::mixed_site()=> #krate::__private::SiteOptions { #options ..#of })
    };
    quote_spanned! {Span::mixed_site()=>
        #allow
        static __LARDER_SITE: #krate::__private::Site = #krate::__private::Site::new(#options);
    }
}

/// The identifier, without `r#`.
pub(super) fn function_name(model: &Model) -> LitStr {
    let ident = model.function.sig.ident.unraw();
    LitStr::new(&ident.to_string(), Span::mixed_site())
}

/// `Place { .. }`
pub(super) fn place(model: &Model) -> TokenStream {
    let (krate, code) = (&model.krate, model.code);
    quote_spanned! {Span::mixed_site()=>
        #krate::__private::Place {
            module: ::core::module_path!(),
            line: ::core::line!(),
            column: ::core::column!(),
            code: #code,
        }
    }
}

/// The `name` option.
pub(super) fn name(model: &Model) -> TokenStream {
    match &model.name {
        Some(name) => quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#name)),
        None => none(),
    }
}

/// Whether a bound is cast from an expression of the user's.
fn computes(model: &Model) -> bool {
    matches!(&model.bound, Some(Bound::Entries(Amount::Computed(_)) | Bound::Bytes(Amount::Computed(_))))
}

fn amount(amount: &Amount) -> TokenStream {
    match amount {
        Amount::Fixed(amount) => {
            quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#amount))
        }
        Amount::Computed(amount) => {
            quote_spanned!(at(amount)=> ::core::option::Option::Some((#amount) as ::core::primitive::u64))
        }
    }
}
