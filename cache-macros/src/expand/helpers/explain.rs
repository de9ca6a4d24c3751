//! `explain_f`

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::signature::{docs, head, helper, ignored_arguments, is_async, kept_arguments};
use crate::expand::site::function_name;
use crate::expand::site_function::shared_site;
use crate::expand::{lookup, refresh_options, tags};
use crate::model::{Mentions, Model};

/// Looks, and says what it has found.
pub(super) fn explain(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "explain");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let mentions =
        [lookup::mentions(model, model.cache.as_ref()), tags::mentions(model), refresh_options::mentions(model)];
    let mentions: Vec<&Mentions> = mentions.iter().collect();
    let arguments = kept_arguments(model, &mentions);
    let ignored = ignored_arguments(model, &mentions);
    let site = shared_site(model);
    let found = lookup::found(model, "explained");
    // The tags are made so that their names are known.
    let (tags, policy) = (tags::tags(model), refresh_options::refresh_options(model));
    let explained = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.explain().await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.explain_sync())
    };
    let doc = format!(
        "Says what `{}` would answer for these arguments, or why it would run. Never runs it.",
        function_name(model).value()
    );
    let asyncness = &model.function.sig.asyncness;
    let head = head(model, &docs(&doc, None));
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments) -> #krate::Explanation #bounds {
            #ignored
            #site
            let __larder_call = {
                #found
                __larder_found
            };
            #tags
            #policy
            #explained
        }
    }
}
