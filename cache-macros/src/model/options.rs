//! Rules of options that stand for themselves.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Expr, ExprClosure, GenericParam, Generics, Lit, LitStr, Path, UnOp};

use super::arguments::Arguments;
use super::mentions::Mentions;
use super::refresh::says;
use super::size;
use crate::errors::Errors;
use crate::parse::{Options, Slot};

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

/// What is generated beside the function.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Helpers {
    /// `invalidate_f` and `invalidate_all_f`.
    pub(crate) invalidation: bool,
    pub(crate) refresh: bool,
    pub(crate) prime: bool,
    pub(crate) peek: bool,
    /// Some were written as `Self::peek`: the function stands in an impl.
    pub(crate) associated: bool,
}

impl Helpers {
    /// Whether a helper needs the function's own static.
    pub(crate) fn share_site(self) -> bool {
        self.refresh || self.prime || self.peek
    }
}

/// The expression without parentheses, seen or unseen, around it.
pub(super) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        other => other,
    }
}

/// A closure that gets the result, which this one must do.
pub(super) fn closure(name: &str, closure: &ExprClosure, errors: &mut Errors) -> Option<ExprClosure> {
    if closure.inputs.len() != 1 {
        errors.at(closure, format_args!("the closure of `{name}` takes one parameter, a reference to the result"));
        return None;
    }
    if let Some(asyncness) = closure.asyncness {
        errors.at(&asyncness, format_args!("the closure of `{name}` can't be async: do that work in the function"));
        return None;
    }
    Some(closure.clone())
}

/// An option that takes a closure or a function over the result.
pub(super) fn over_result(name: &str, slot: &Slot<Expr>, errors: &mut Errors) -> Option<Expr> {
    let value = slot.value()?;
    match bare(value) {
        Expr::Closure(found) => closure(name, found, errors).map(Expr::Closure),
        Expr::Lit(_) | Expr::Array(_) | Expr::Tuple(_) | Expr::Unary(_) | Expr::Binary(_) => {
            errors.at(value, format_args!("`{name}` takes a closure over the result: `{name} = |value| ..`"));
            None
        }
        _ => Some(value.clone()),
    }
}

/// `true` or `false`, of an option that decides what is stored.
pub(super) fn flag(slot: &Slot<Expr>, errors: &mut Errors) -> Option<bool> {
    flag_or(slot, "; `cache_if` decides by the result", errors)
}

fn flag_or(slot: &Slot<Expr>, instead: &str, errors: &mut Errors) -> Option<bool> {
    let (keyword, value) = (slot.keyword()?, slot.value()?);
    match bare(value) {
        Expr::Lit(literal) if let Lit::Bool(flag) = &literal.lit => Some(flag.value),
        _ => {
            errors.at(value, format_args!("`{keyword}` is `true` or `false`{instead}"));
            None
        }
    }
}

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
    if let Expr::Lit(literal) = bare(value) {
        errors.at(literal, "`cache` takes a `Cache`, such as a static or what an argument has: `cache = MY_CACHE`");
        return None;
    }
    Some(value.clone())
}

/// `name = "users.get"`
pub(super) fn name(options: &Options, errors: &mut Errors) -> Option<LitStr> {
    let value = options.name.value()?;
    match bare(value) {
        Expr::Lit(literal) if let Lit::Str(name) = &literal.lit => {
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
    match bare(value) {
        Expr::Lit(literal) if let Lit::Int(number) = &literal.lit => number.base10_parse().unwrap_or_else(|_| {
            errors.at(value, "`version` is a number that fits into 64 bits: `version = 2`");
            0
        }),
        _ => {
            errors.at(value, "`version` is an integer literal: `version = 2`");
            0
        }
    }
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

/// `map`, without which `stored` has no meaning.
pub(super) fn map(options: &Options, errors: &mut Errors) -> Option<Expr> {
    if let (Some(stored), false) = (options.stored.keyword(), options.map.is_given()) {
        let advice = "`map = decorate` turns what is stored into what the function returns";
        errors.at(stored, format_args!("`stored` needs `map`: {advice}"));
    }
    over_result("map", &options.map, errors)
}

/// `peek` or `Self::peek`
fn helper_name(helper: &Expr) -> (bool, Option<&Ident>) {
    let Expr::Path(path) = helper else { return (false, None) };
    let mut segments = path.path.segments.iter();
    match (segments.next(), segments.next(), segments.next()) {
        (Some(name), None, _) => (false, Some(&name.ident)),
        (Some(this), Some(name), None) if this.ident == "Self" => (true, Some(&name.ident)),
        _ => (false, None),
    }
}

/// What to say of a name that is no helper.
fn no_helper(name: Option<&str>) -> &'static str {
    match name {
        Some("none") => "`none` stands without brackets: `helpers = none`",
        Some(name) if name.starts_with("invalidate") => {
            "`invalidate_f` and `invalidate_all_f` are always there, unless you write `helpers = none`: leave this out"
        }
        _ => "unknown helper: there are `refresh`, `prime` and `peek`",
    }
}

/// `helpers = none` or `helpers = [refresh, peek]`
pub(super) fn helpers(options: &Options, errors: &mut Errors) -> Helpers {
    let mut helpers = Helpers { invalidation: true, ..Helpers::default() };
    let Some(value) = options.helpers.value() else {
        return helpers;
    };
    match bare(value) {
        Expr::Path(path) if path.path.is_ident("none") => helpers.invalidation = false,
        Expr::Array(list) => {
            for helper in &list.elems {
                let (associated, ident) = helper_name(helper);
                helpers.associated |= associated;
                let named = |name: &str| ident.is_some_and(|ident| ident == name);
                let wanted = if named("refresh") {
                    &mut helpers.refresh
                } else if named("prime") {
                    &mut helpers.prime
                } else if named("peek") {
                    &mut helpers.peek
                } else {
                    errors.at(helper, no_helper(ident.map(ToString::to_string).as_deref()));
                    continue;
                };
                if std::mem::replace(wanted, true) {
                    errors.at(helper, "this helper is listed twice: remove one");
                }
            }
            if list.elems.is_empty() {
                errors.at(list, "an empty list of helpers: write `helpers = none`, or leave it out");
            }
        }
        other => errors.at(
            other,
            "`helpers` takes a list, `helpers = [refresh, prime, peek]`, or `none` for no functions beside this one",
        ),
    }
    helpers
}
