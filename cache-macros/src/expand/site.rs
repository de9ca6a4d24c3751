//! What is known of the function before it is called.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::LitStr;
use syn::ext::IdentExt;

use super::at;
use crate::model::{Amount, Bound, Model};

/// `static __LARDER_SITE: Site = ..;`
pub(super) fn site(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let function = function_name(model);
    let name = name(model);
    let version = model.version;
    let local = model.local;
    let (max_entries, max_bytes) = match &model.bound {
        None => (none(), none()),
        Some(Bound::Entries(entries)) => (amount(entries), none()),
        Some(Bound::Bytes(bytes)) => (none(), amount(bytes)),
    };
    let scoped = model.scope.is_some();
    let allow = computes(model).then(|| {
        let lints = quote!(clippy::cast_lossless, clippy::cast_possible_truncation, clippy::unnecessary_cast);
        quote_spanned!(Span::mixed_site()=> #[allow(#lints, clippy::cast_sign_loss)])
    });
    quote_spanned! {Span::mixed_site()=>
        #allow
        static __LARDER_SITE: #krate::__private::Site = #krate::__private::Site::new(#krate::__private::SiteOptions {
            function: #function,
            name: #name,
            version: #version,
            local: #local,
            max_entries: #max_entries,
            max_bytes: #max_bytes,
            scoped: #scoped,
        });
    }
}

/// The identifier, without `r#`.
pub(super) fn function_name(model: &Model) -> LitStr {
    let ident = model.function.sig.ident.unraw();
    LitStr::new(&ident.to_string(), Span::mixed_site())
}

/// The `name` option.
pub(super) fn name(model: &Model) -> TokenStream {
    match &model.name {
        Some(name) => quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#name)),
        None => none(),
    }
}

/// `None`
pub(super) fn none() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::core::option::Option::None)
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
