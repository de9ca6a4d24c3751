//! Kinds of values that several options take: a flag, a closure over the result.

use syn::{Expr, ExprClosure, Lit};

use crate::errors::Errors;
use crate::parse::Slot;

/// The expression without the parentheses and invisible groups around it.
pub(super) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        other => other,
    }
}

/// The literal that the expression is, if it is one.
pub(super) fn literal(expression: &Expr) -> Option<&Lit> {
    match bare(expression) {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
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

/// The same, with what else the message says.
pub(super) fn flag_or(slot: &Slot<Expr>, instead: &str, errors: &mut Errors) -> Option<bool> {
    let (keyword, value) = (slot.keyword()?, slot.value()?);
    match literal(value) {
        Some(Lit::Bool(flag)) => Some(flag.value),
        _ => {
            errors.at(value, format_args!("`{keyword}` is `true` or `false`{instead}"));
            None
        }
    }
}
