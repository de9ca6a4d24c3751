//! Rules of the options that decide whether, for how long and with which tags a result is stored.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Expr, ExprLit, Lit};

use super::duration::{self, Lifetime};
use super::text::names;
use super::values::{bare, flag, over_result};
use crate::errors::Errors;
use crate::parse::Options;

/// What is done with a result before it is stored. Options that suit only some results come with their names, to point
/// at them if the type doesn't fit.
#[derive(Debug, Default)]
pub(crate) struct StoreDecision {
    pub(crate) ttl: Option<Lifetime>,
    pub(crate) memory_ttl: Option<Lifetime>,
    pub(crate) none_ttl: Option<(Ident, Lifetime)>,
    /// `cache_none = false`
    pub(crate) skip_none: Option<Ident>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) result_tags: Option<Expr>,
    pub(crate) weigh: Option<Expr>,
}

pub(super) fn store_decision(options: &Options, errors: &mut Errors) -> StoreDecision {
    let cache_none = flag(&options.cache_none, errors);
    none_is_cached_or_not(options, cache_none, errors);
    let none_ttl = duration::fixed("none_ttl", &options.none_ttl, errors);
    StoreDecision {
        ttl: duration::of_result(&options.ttl, errors),
        memory_ttl: duration::fixed("memory_ttl", &options.memory_ttl, errors),
        none_ttl: options.none_ttl.keyword().cloned().zip(none_ttl),
        skip_none: options.cache_none.keyword().filter(|_| cache_none == Some(false)).cloned(),
        cache_if: over_result("cache_if", &options.cache_if, errors),
        result_tags: over_result("result_tags", &options.result_tags, errors)
            .inspect(|tags| tags_are_a_list(tags, errors)),
        weigh: over_result("weigh", &options.weigh, errors),
    }
}

fn tags_are_a_list(tags: &Expr, errors: &mut Errors) {
    let Expr::Closure(closure) = bare(tags) else { return };
    match bare(&closure.body) {
        tag @ (Expr::Lit(_) | Expr::Tuple(_)) => {
            let tag = tag.to_token_stream();
            errors.at(&tag, format_args!("`result_tags` gives a list of tags, also if there is one: `[{tag}]`"));
        }
        Expr::Array(list) => list.elems.iter().for_each(|tag| nothing_is_filled_in(tag, errors)),
        _ => {}
    }
}

/// `"user:{id}"` is filled in by `tags`. Here it would be a tag with braces in its name, which nobody invalidates.
fn nothing_is_filled_in(tag: &Expr, errors: &mut Errors) {
    match bare(tag) {
        Expr::Tuple(path) => path.elems.iter().for_each(|part| nothing_is_filled_in(part, errors)),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if names(&text.value()).next().is_some() => {
            let text = text.token();
            let message = format!("`result_tags` is code, where a text stays as it is: write `format!({text})`");
            errors.at(&text, message);
        }
        _ => {}
    }
}

fn none_is_cached_or_not(options: &Options, cache_none: Option<bool>, errors: &mut Errors) {
    if let (Some(keyword), Some(false)) = (options.none_ttl.keyword(), cache_none) {
        errors.at(
            keyword,
            "`none_ttl` and `cache_none = false` exclude each other: a `None` that isn't cached has no lifetime",
        );
    }
}
