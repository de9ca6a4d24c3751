//! Rules of options that stand for themselves.

use syn::{Expr, Lit, LitStr, Path};

use super::values::{flag_or, literal, over_result};
use crate::errors::Errors;
use crate::parse::Options;

/// `lossy = true`, of results that may come back changed from where they are encoded.
pub(super) fn lossy(options: &Options, errors: &mut Errors) -> bool {
    if let (Some(lossy), true) = (options.lossy.keyword(), options.local.is_given()) {
        errors.at(lossy, "`lossy` is about encoded results, and those of a `local` function never are: remove one");
    }
    flag_or(&options.lossy, "", errors).unwrap_or(false)
}

/// The facade.
pub(super) fn krate(options: &Options) -> Path {
    options.krate.value().cloned().unwrap_or_else(|| syn::parse_quote!(::larder))
}

/// `cache = MY_CACHE`
pub(super) fn cache(options: &Options, errors: &mut Errors) -> Option<Expr> {
    let value = options.cache.value()?;
    if let Some(literal) = literal(value) {
        errors.at(literal, "`cache` takes a `Cache`, such as a static or what an argument has: `cache = MY_CACHE`");
        return None;
    }
    Some(value.clone())
}

/// `name = "users.get"`
pub(super) fn name(options: &Options, errors: &mut Errors) -> Option<LitStr> {
    let value = options.name.value()?;
    match literal(value) {
        Some(Lit::Str(name)) => {
            if name.value().trim().is_empty() {
                errors.at(name, "`name` is empty: write one such as \"users.get\", or leave it out");
            }
            Some(name.clone())
        }
        _ => {
            errors.at(value, "`name` is a string literal: `name = \"users.get\"`");
            None
        }
    }
}

/// `version = 2`
pub(super) fn version(options: &Options, errors: &mut Errors) -> u64 {
    let Some(value) = options.version.value() else {
        return 0;
    };
    match literal(value) {
        Some(Lit::Int(number)) => number.base10_parse().unwrap_or_else(|_| {
            errors.at(value, "`version` is a number that fits into 64 bits: `version = 2`");
            0
        }),
        _ => {
            errors.at(value, "`version` is an integer literal: `version = 2`");
            0
        }
    }
}

/// `map`, without which `stored` has no meaning.
pub(super) fn map(options: &Options, errors: &mut Errors) -> Option<Expr> {
    if let (Some(stored), false) = (options.stored.keyword(), options.map.is_given()) {
        let advice = "`map = decorate` turns what is stored into what the function returns";
        errors.at(stored, format_args!("`stored` needs `map`: {advice}"));
    }
    over_result("map", &options.map, errors)
}
