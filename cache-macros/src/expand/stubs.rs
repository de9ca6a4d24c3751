//! What stands in for the helpers if the attribute has mistakes: the same functions without their bodies. Who calls them
//! would get an error more for each call, which says that there is no such function: today's compiler is silent about names
//! that a failed macro might have made, but not about those in an impl.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{File, Item, parse_quote};

use super::advice::advice_for_trait_impls;
use super::helpers::helpers;
use super::site_function::site_name;
use crate::model::Model;

/// `fn invalidate_f(id: u64) -> Invalidation { unimplemented!() }`
pub(crate) fn stubs(model: &Model) -> TokenStream {
    // In the impl of a trait, which can't be told from another, they would be mistakes themselves.
    if advice_for_trait_impls(model).is_some() {
        return TokenStream::new();
    }
    let Ok(file) = syn::parse2::<File>(helpers(model)) else { return TokenStream::new() };
    let site = site_name(model);
    let functions = file.items.into_iter().filter_map(|item| match item {
        Item::Fn(mut function) if function.sig.ident != site => {
            function.attrs.push(parse_quote!(#[allow(unused)]));
            *function.block = parse_quote!({ ::core::unimplemented!() });
            Some(function.into_token_stream())
        }
        _ => None,
    });
    functions.collect()
}
