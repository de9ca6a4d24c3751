//! `prime_f`

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::signature::{docs, head, helper, ignored_arguments, is_async, kept_arguments};
use crate::expand::parts::copied_parts;
use crate::expand::site::function_name;
use crate::expand::site_function::shared_site;
use crate::expand::{lifetimes, lookup, refresh_options, store_decision, tags};
use crate::model::{Mentions, Model};

/// Stores a value.
pub(super) fn prime(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let helper = helper(model, "prime");
    let (generics, bounds) = (&model.function.sig.generics, &model.function.sig.generics.where_clause);
    let mentions = [
        lookup::mentions(model, model.cache.as_ref()),
        tags::mentions(model),
        refresh_options::mentions(model),
        lifetimes::mentions(model),
        store_decision::mentions(model),
    ];
    let mentions: Vec<&Mentions> = mentions.iter().collect();
    let arguments = kept_arguments(model, &mentions);
    let comma = (!arguments.is_empty()).then(|| quote!(,));
    let ignored = ignored_arguments(model, &mentions);
    let returns = &model.returns;
    let site = shared_site(model);
    let found = lookup::found(model, "prime");
    let (tags, policy, lifetimes) =
        (tags::tags(model), refresh_options::refresh_options(model), lifetimes::lifetimes(model));
    let nothing = || quote_spanned!(Span::mixed_site()=> |_, _| {});
    let judge = store_decision::store_decision(model, false).unwrap_or_else(nothing);
    let parts = copied_parts(model, &store_decision::mentions(model), |_| true);
    let call = if is_async(model) {
        quote_spanned!(Span::mixed_site()=> __larder_call.prime(#judge, value).await)
    } else {
        quote_spanned!(Span::mixed_site()=> __larder_call.prime_sync(#judge, value))
    };
    let doc = format!(
        "Stores a value as the answer of `{}` for these arguments, as if it had run now. An invalidation meanwhile wins.",
        function_name(model).value()
    );
    let errors = "It is an `Err`, which isn't stored; the arguments can't be a key; it is the function's own run that calls; \
                  or a shared layer could not be told.";
    let asyncness = &model.function.sig.asyncness;
    let head = head(model, &docs(&doc, Some(errors)));
    quote_spanned! {Span::mixed_site()=>
        #head #asyncness fn #helper #generics (#arguments #comma value: #returns) -> ::core::result::Result<(), #krate::Error> #bounds {
            #ignored
            #site
            let __larder_call = {
                #found
                __larder_found
            };
            #tags
            #policy
            #lifetimes
            #parts
            #call
        }
    }
}
