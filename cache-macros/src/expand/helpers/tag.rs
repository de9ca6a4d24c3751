//! `tag_f`

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::invalidate::this;
use super::signature::{docs, head, helper, ignored_arguments, kept_arguments};
use crate::expand::lookup::{Named, mentions, named};
use crate::expand::site::function_name;
use crate::model::Model;

/// Names the entry of these arguments.
pub(super) fn tag(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "tag");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let mentions = mentions(model, model.cache.as_ref());
    let arguments = kept_arguments(model, &[&mentions]);
    let ignored = ignored_arguments(model, &[&mentions]);
    let Named { before, scope, cache, key } = named(model, model.cache.as_ref());
    let this = this(model, &helper);
    let doc = format!(
        "The tag of what `{}` answers for these arguments, in the current scope: for `larder::writing` and its kin.",
        function_name(model).value()
    );
    let head = head(model, &docs(&doc, Some("The arguments can't be a key.")));
    let asyncness = &model.function.sig.asyncness;
    let output = quote_spanned!(Span::mixed_site()=> ::core::result::Result<#krate::Tag, #krate::Error>);
    let path = quote_spanned!(Span::mixed_site()=> #krate::__private::path_of(&|| ()));
    let call = quote_spanned! {Span::mixed_site()=>
        #krate::__private::tag_of_key(#this, #path, #scope, #cache, __larder_key)
    };
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments) -> #output #bounds {
            #ignored
            #before
            #key
            #call
        }
    }
}
