//! What of a result decides how it is stored, and whether: closures over it, and rules for `None`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Expr, ExprClosure};

use super::owned_arguments::borrowed_for_closures;
use super::rename_self::without_self;
use super::spans::{at, krate};
use crate::model::{Lifetime, Mentions, Model};

/// The names that closures over the result are made of.
pub(super) fn mentions(model: &Model) -> Mentions {
    let decision = &model.decision;
    let mut mentions = Mentions::of([&decision.cache_if, &decision.result_tags, &decision.weigh].into_iter().flatten());
    if let Some(Lifetime::OfResult(closure)) = &decision.ttl {
        mentions.extend([&closure_expr(closure)]);
    }
    mentions
}

/// `|value, verdict| { .. }`, which owns what it mentions if it may be called when its caller is gone. `None` if nothing
/// depends on the result.
pub(super) fn store_decision(model: &Model, owns: bool) -> Option<TokenStream> {
    let decision = &model.decision;
    let mut steps = Vec::new();
    if let Some(Lifetime::OfResult(closure)) = &decision.ttl {
        steps.push(of_result(model, "ttl", &closure_expr(closure), owns));
    }
    if let Some((keyword, _)) = &decision.none_ttl {
        steps.push(quote_spanned!(at(keyword)=> __larder_verdict.none_ttl(__larder_value, __larder_none_ttl);));
    }
    if let Some(keyword) = &decision.skip_none {
        steps.push(quote_spanned!(at(keyword)=> __larder_verdict.skip_none(__larder_value);));
    }
    for (method, option) in
        [("cache_if", &decision.cache_if), ("tags", &decision.result_tags), ("weigh", &decision.weigh)]
    {
        if let Some(option) = option {
            steps.push(of_result(model, method, option, owns));
        }
    }
    if steps.is_empty() {
        return None;
    }
    Some(if owns {
        let arguments = borrowed_for_closures(model, &mentions(model));
        quote_spanned!(Span::mixed_site()=> move |__larder_value, __larder_verdict| { #arguments #(#steps)* })
    } else {
        quote_spanned!(Span::mixed_site()=> |__larder_value, __larder_verdict| { #(#steps)* })
    })
}

fn closure_expr(closure: &ExprClosure) -> Expr {
    Expr::Closure(closure.clone())
}

/// `verdict.cache_if(apply(CLOSURE, value));`
fn of_result(model: &Model, method: &str, closure: &Expr, owns: bool) -> TokenStream {
    // A result of another type is the closure's body's mistake.
    let at = match closure {
        Expr::Closure(closure) => at(&closure.body),
        other => at(other),
    };
    let krate = krate(model, at);
    let closure = closure.to_token_stream();
    let closure = if owns && model.arguments.receiver.is_some() { without_self(closure) } else { closure };
    let value = quote_spanned!(at=> #krate::__private::apply(#closure, __larder_value));
    if method == "tags" {
        return quote_spanned! {at=> {
            #[allow(unused_imports)]
            use #krate::__private::result_tags::{IsTagList as _, IsNoTagList as _};
            #krate::__private::result_tags::ResultTags(#value).__larder_add_to(__larder_verdict);
        }};
    }
    let method = Ident::new(method, at);
    quote_spanned!(at=> __larder_verdict.#method(#value);)
}
