//! Rules of the function itself. Each refusal says what to do instead.

use syn::{Safety, Signature};

use super::returns;
use crate::errors::Errors;
use crate::parse::{Body, Function, Options};

/// Applies the rules and takes the body out.
pub(super) fn check(function: &mut Function, options: &Options, errors: &mut Errors) -> Option<Body> {
    cached_once(function, errors);
    not_const(&function.sig, errors);
    not_unsafe(&function.sig, errors);
    not_extern(&function.sig, errors);
    not_variadic(&function.sig, errors);
    returns::check(&function.sig, options, errors);
    has_body(function, errors)
}

fn cached_once(function: &Function, errors: &mut Errors) {
    for attr in &function.attrs {
        if attr.path().segments.last().is_some_and(|segment| segment.ident == "cached") {
            errors.at(attr, "this function is cached already: merge the options into one `#[cached(..)]`");
        }
    }
}

fn not_const(signature: &Signature, errors: &mut Errors) {
    if let Some(constness) = signature.constness {
        errors.at(&constness, "a `const fn` can't be cached: remove `const`, or cache a function that calls it");
    }
}

fn not_unsafe(signature: &Signature, errors: &mut Errors) {
    if let Safety::Unsafe(unsafety) = signature.safety {
        errors.at(&unsafety, "an `unsafe fn` can't be cached: cache a safe function that calls it");
    }
}

fn not_extern(signature: &Signature, errors: &mut Errors) {
    if let Some(abi) = &signature.abi {
        errors.at(abi, "an `extern` function can't be cached: cache a Rust function that it calls");
    }
}

fn not_variadic(signature: &Signature, errors: &mut Errors) {
    if let Some(variadic) = &signature.variadic {
        errors.at(variadic, "a function with `...` can't be cached: take a slice");
    }
}

fn has_body(function: &mut Function, errors: &mut Errors) -> Option<Body> {
    let body = function.body.take();
    if body.is_none() {
        let advice = "put #[cached] on the methods of the impls, or give this one a default body";
        errors.at(&function.sig, format_args!("a function without a body can't be cached: {advice}"));
    }
    body
}
