//! Rules of `max_entries`, of `max_bytes` with `weigh`, and of `evict`.

use quote::ToTokens;
use syn::{Expr, GenericParam, Generics, Lit, UnOp};

use super::arguments::Arguments;
use super::mentions::Mentions;
use super::size;
use super::tokens::says;
use super::values::bare;
use crate::errors::Errors;
use crate::parse::Options;

/// How much this function may keep in memory.
#[derive(Debug)]
pub(crate) enum Bound {
    Entries(Amount),
    Bytes(Amount),
}

/// A number.
#[derive(Debug)]
pub(crate) enum Amount {
    Fixed(u64),
    Computed(Expr),
}

/// `max_entries`, or `max_bytes` with `weigh`.
pub(super) fn bound(
    options: &Options,
    generics: &Generics,
    arguments: &Arguments,
    errors: &mut Errors,
) -> Option<Bound> {
    one_bound(options, errors);
    bytes_are_weighed(options, errors);
    let entries = options.max_entries.value().and_then(|value| amount("max_entries", value, errors));
    let bytes = options.max_bytes.value().and_then(|value| amount("max_bytes", value, errors));
    let bound = entries.map(Bound::Entries).or(bytes.map(Bound::Bytes));
    if let Some(Bound::Entries(Amount::Computed(value)) | Bound::Bytes(Amount::Computed(value))) = &bound {
        bounds_are_constants(value, generics, arguments, errors);
    }
    bound
}

/// `evict = lru`: what was used least recently goes first.
pub(super) fn is_lru(options: &Options, errors: &mut Errors) -> bool {
    let (Some(keyword), Some(value)) = (options.evict.keyword(), options.evict.value()) else { return false };
    if !matches!(bare(value), Expr::Path(path) if path.path.is_ident("lru")) {
        errors.at(
            value,
            "`evict` is `lru`: what was used least recently goes first. Without `evict`, what nobody has asked for again goes \
             first; there is no other policy",
        );
        return false;
    }
    let is_unlimited = |value: &Expr| matches!(bare(value), Expr::Path(path) if path.path.is_ident("unlimited"));
    if options.max_entries.value().is_some_and(is_unlimited) {
        errors.at(
            value,
            "`evict = lru` and `max_entries = unlimited` exclude each other: without a bound nothing is evicted. Give a number, \
             or leave `evict` out",
        );
    } else if !options.max_entries.is_given() && !options.max_bytes.is_given() {
        errors.at(
            keyword,
            "`evict` needs a bound of this function's own, as functions without one share their room: `max_entries = 10_000`, or \
             `max_bytes = \"64MiB\"` with `weigh`",
        );
    }
    true
}

/// They stand in a `static`, which the compiler would say in a riddle.
fn bounds_are_constants(value: &Expr, generics: &Generics, arguments: &Arguments, errors: &mut Errors) {
    let mentions = Mentions::of([value]);
    let mut arguments = arguments.names().into_iter();
    let parameters = generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(ty) => Some(&ty.ident),
        GenericParam::Const(number) => Some(&number.ident),
        GenericParam::Lifetime(_) => None,
    });
    let mut of_the_type = parameters.map(ToString::to_string).chain(["Self".to_owned()]);
    if arguments.any(|name| mentions.contains(&name)) || of_the_type.any(|name| says(value.to_token_stream(), &name)) {
        errors.at(
            value,
            "the bound is one for the whole program, so it can't depend on `Self`, type parameters or arguments: give a number, \
             or a constant such as `MAX` or `Shop::MAX`",
        );
    }
}

fn one_bound(options: &Options, errors: &mut Errors) {
    if let (true, Some(bytes)) = (options.max_entries.is_given(), options.max_bytes.keyword()) {
        errors.at(bytes, "`max_bytes` and `max_entries` exclude each other: keep one");
    }
}

fn bytes_are_weighed(options: &Options, errors: &mut Errors) {
    match (options.max_bytes.keyword(), options.weigh.keyword()) {
        (Some(bytes), None) => {
            let advice = "say how much a value weighs: `weigh = |value| value.len()`";
            errors.at(bytes, format_args!("`max_bytes` needs `weigh`: {advice}"));
        }
        (None, Some(weigh)) => {
            let advice = "say how much all values may weigh: `max_bytes = \"64MiB\"`";
            errors.at(weigh, format_args!("`weigh` needs `max_bytes`: {advice}"));
        }
        _ => {}
    }
}

/// A number of entries or bytes.
fn amount(name: &str, value: &Expr, errors: &mut Errors) -> Option<Amount> {
    let fixed = match bare(value) {
        Expr::Path(path) if path.path.is_ident("unlimited") => {
            if name == "max_entries" {
                return Some(Amount::Fixed(u64::MAX));
            }
            errors.at(
                value,
                "only `max_entries` can be `unlimited`: write `max_entries = unlimited` and leave out `weigh`",
            );
            return None;
        }
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => match number.base10_parse::<u64>() {
                Ok(number) => number,
                Err(_) => {
                    errors.at(value, format_args!("`{name}` is a number that fits into 64 bits: `{name} = 10_000`"));
                    return None;
                }
            },
            Lit::Str(text) if name == "max_bytes" => match size::parse(&text.value()) {
                Ok(bytes) => bytes,
                Err(message) => {
                    errors.at(text, message);
                    return None;
                }
            },
            other => {
                errors.at(other, format_args!("`{name}` is a number: `{name} = 10_000`"));
                return None;
            }
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            errors.at(value, format_args!("`{name}` can't be negative"));
            return None;
        }
        _ => return Some(Amount::Computed(value.clone())),
    };
    if fixed == 0 {
        errors.at(value, format_args!("`{name}` is zero, so nothing could be kept: give a bound, or leave it out"));
        return None;
    }
    Some(Amount::Fixed(fixed))
}
