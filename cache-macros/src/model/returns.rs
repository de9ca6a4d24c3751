//! Rules of what a function returns. Each refusal says what to return instead.

use syn::visit::Visit;
use syn::{GenericArgument, PathArguments, ReturnType, Signature, TraitBound, Type, TypeReference, parse_quote};

use super::types::{borrow, unnamed};
use super::values::flag;
use crate::errors::Errors;
use crate::parse::Options;

/// Applies the rules.
pub(super) fn check(signature: &Signature, options: &Options, errors: &mut Errors) {
    returns_at_all(signature, errors);
    let returns = returns(signature, options);
    match future(&returns) {
        // What it borrows and where it is kept doesn't matter then: its lifetimes are `#[async_trait]`'s.
        Some(bound) => not_a_future(signature, bound, errors),
        None => {
            nameable(&returns, errors);
            owned(&returns, errors);
            if !options.local.is_given() {
                let cache_err = flag(&options.cache_err, &mut Errors::ignored()) == Some(true);
                static_borrows_are_local(&returns, cache_err, errors);
            }
        }
    }
}

/// What the body returns: `stored`, or what the function says.
pub(super) fn returns(signature: &Signature, options: &Options) -> Type {
    match (options.stored.value(), &signature.output) {
        (Some(stored), _) => stored.clone(),
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (None, ReturnType::Default) => parse_quote!(()),
    }
}

fn returns_at_all(signature: &Signature, errors: &mut Errors) {
    if let ReturnType::Type(_, ty) = &signature.output
        && let Type::Never(never) = &**ty
    {
        errors.at(never, "a function that never returns has no result to cache: remove #[cached]");
    }
}

/// `Pin<Box<dyn Future>>`, which is also what `#[async_trait]` leaves of an `async fn`, with a lifetime of its own name.
fn not_a_future(signature: &Signature, bound: &TraitBound, errors: &mut Errors) {
    let of_async_trait = signature.generics.lifetimes().any(|param| param.lifetime.ident == "async_trait");
    let advice = if of_async_trait {
        "#[async_trait] returns a boxed future here, which can't be cached: move the body to an `async fn` outside the trait, \
         put #[cached] on that, and call it here"
    } else {
        "a future can't be cached, only what it resolves to: make this an `async fn`"
    };
    errors.at(bound, advice);
}

fn future(ty: &Type) -> Option<&TraitBound> {
    struct Futures<'a>(Option<&'a TraitBound>);
    impl<'a> Visit<'a> for Futures<'a> {
        fn visit_trait_bound(&mut self, bound: &'a TraitBound) {
            if bound.path.segments.last().is_some_and(|segment| segment.ident == "Future") {
                self.0.get_or_insert(bound);
            }
        }
    }
    let mut futures = Futures(None);
    futures.visit_type(ty);
    futures.0
}

/// No borrowed results: an entry outlives the call. `&'static` is fine.
fn owned(returns: &Type, errors: &mut Errors) {
    if let Some(found) = borrow(returns) {
        errors.at(
            &found,
            "a cached result can't borrow, because it outlives the call: return an owned value, such as `String` for `&str` \
             and `Vec<T>` for `&[T]`",
        );
    }
}

/// `&'static str` can be kept in memory, but not be made of the bytes that a backend keeps. Serde's own message speaks of
/// lifetimes. Only where a borrow is certain to be stored: what an unknown type does with its parameters isn't known.
fn static_borrows_are_local(returns: &Type, cache_err: bool, errors: &mut Errors) {
    let Some(found) = stored_static(returns, cache_err) else { return };
    let owned = match &*found.elem {
        Type::Path(path) if path.path.is_ident("str") => "`String` or `Cow<'static, str>`",
        Type::Slice(_) => "`Vec<_>` or `Cow<'static, [_]>`",
        _ => "an owned value",
    };
    errors.at(
        found,
        format_args!(
            "a `&'static` can't be read back from a layer that processes share: return {owned}, or write `local` to keep \
             results in this process only"
        ),
    );
}

/// The first `&'static` to text, bytes or paths in what is stored.
fn stored_static(ty: &Type, cache_err: bool) -> Option<&TypeReference> {
    /// Containers that store what they are given.
    const STORE: [&str; 13] = [
        "Option",
        "Vec",
        "Box",
        "Arc",
        "Rc",
        "VecDeque",
        "LinkedList",
        "HashSet",
        "BTreeSet",
        "HashMap",
        "BTreeMap",
        "Result",
        "Reverse",
    ];
    match ty {
        Type::Paren(inner) => stored_static(&inner.elem, cache_err),
        Type::Group(inner) => stored_static(&inner.elem, cache_err),
        Type::Array(array) => stored_static(&array.elem, cache_err),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(|element| stored_static(element, cache_err)),
        Type::Reference(reference) => {
            let known = match &*reference.elem {
                Type::Slice(_) => true,
                Type::Path(path) => path
                    .path
                    .segments
                    .last()
                    .is_some_and(|last| ["str", "Path", "OsStr", "CStr"].iter().any(|ty| last.ident == ty)),
                _ => false,
            };
            let lasting = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
            (known && lasting).then_some(reference)
        }
        Type::Path(path) => {
            let last = path.path.segments.last().filter(|last| STORE.iter().any(|store| last.ident == store))?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            let stored = if last.ident == "Result" && !cache_err { 1 } else { usize::MAX };
            arguments.args.iter().take(stored).find_map(|argument| match argument {
                GenericArgument::Type(ty) => stored_static(ty, cache_err),
                _ => None,
            })
        }
        _ => None,
    }
}

/// No `impl Trait`.
fn nameable(returns: &Type, errors: &mut Errors) {
    if let Some(found) = unnamed(returns) {
        errors.at(
            found,
            "an `impl Trait` result can't be cached, because it can't be stored: return a concrete type, such as a `Vec` \
             instead of an iterator",
        );
    }
}
