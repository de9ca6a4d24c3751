//! Arguments that the signature takes as patterns, taken apart again for code outside the body that mentions their parts.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::spans::{allow_of_lets, at, krate};
use crate::model::{Argument, Mentions, Model};

/// Patterns of arguments again, for what is evaluated outside the body and mentions their parts:
/// `let (a, b) = &__larder_arg0;`
pub(super) fn patterns(model: &Model, mentions: &Mentions) -> TokenStream {
    let mut lets = TokenStream::new();
    for argument in &model.arguments.list {
        let Some(pattern) = argument.pattern_by_reference() else {
            continue;
        };
        if argument.names.iter().any(|name| mentions.contains_ident(name)) {
            let (ident, allow) = (&argument.ident, allow_of_lets(true));
            lets.extend(quote_spanned! {Span::mixed_site()=>
                #allow
                let #pattern = &#ident;
            });
        }
    }
    lets
}

/// The same for closures over the result, which are called when the body has its arguments. Of a part that is `Copy` they
/// have a copy, as of a whole argument: `let (_, b) = __larder_arg0;`
pub(super) fn copied_parts(model: &Model, mentions: &Mentions, of: impl Fn(&Argument) -> bool) -> TokenStream {
    let mut lets = TokenStream::new();
    for argument in model.arguments.list.iter().filter(|argument| of(argument)) {
        if let Some(pattern) = argument.pattern_of(|name| mentions.contains_ident(name)) {
            let (ident, allow) = (&argument.ident, allow_of_lets(true));
            lets.extend(quote_spanned! {Span::mixed_site()=>
                #allow
                let #pattern = #ident;
            });
        }
    }
    lets
}

/// `map(value, MAP)`, or just the value.
pub(super) fn mapped(model: &Model, value: TokenStream) -> TokenStream {
    let Some(map) = &model.map else { return value };
    let at = at(map);
    let krate = krate(model, at);
    let parts = copied_parts(model, &Mentions::of([map]), |_| true);
    let mapped = quote_spanned!(at=> #krate::__private::shape::map(#value, #map));
    if parts.is_empty() { mapped } else { quote_spanned!(Span::mixed_site()=> { #parts #mapped }) }
}
