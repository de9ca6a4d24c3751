//! `peek_f`

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::signature::{docs, head, helper, ignored_arguments, is_async, kept_arguments, output};
use crate::expand::parts::mapped;
use crate::expand::site::function_name;
use crate::expand::site_function::shared_site;
use crate::expand::{lookup, refresh_options};
use crate::model::{Mentions, Model};

/// Looks, and never runs.
pub(super) fn peek(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "peek");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let map_mentions = Mentions::of(&model.map);
    let mentions = [lookup::mentions(model, model.cache.as_ref()), refresh_options::mentions(model), map_mentions];
    let mentions: Vec<&Mentions> = mentions.iter().collect();
    let arguments = kept_arguments(model, &mentions);
    let ignored = ignored_arguments(model, &mentions);
    let output = output(model);
    let site = shared_site(model);
    let found = lookup::found(model, "lookup");
    let policy = refresh_options::refresh_options(model);
    let mapped = mapped(model, quote_spanned!(Span::mixed_site()=> __larder_value));
    let looked = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek().await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.peek_sync())
    };
    let doc = format!(
        "What `{}` would answer at once for these arguments: a stored value that is still good. Never runs it.",
        function_name(model).value()
    );
    let asyncness = &model.function.sig.asyncness;
    let head = head(model, &docs(&doc, None));
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments) -> ::core::option::Option<#output> #bounds {
            #ignored
            #site
            let __larder_call = {
                #found
                match __larder_found {
                    #krate::__private::Lookup::Hit(__larder_value) => {
                        return ::core::option::Option::Some(#mapped);
                    }
                    #krate::__private::Lookup::Miss(__larder_call) => __larder_call,
                }
            };
            #policy
            match #looked {
                ::core::option::Option::Some(__larder_value) => ::core::option::Option::Some(#mapped),
                ::core::option::Option::None => ::core::option::Option::None,
            }
        }
    }
}
