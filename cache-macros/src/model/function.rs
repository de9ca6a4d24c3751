//! Rules of the function itself. Each refusal says what to do instead.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    GenericArgument, Lifetime, ParenthesizedGenericArguments, PathArguments, ReturnType, Safety, Signature, TraitBound,
    Type, TypeFnPtr, TypeImplTrait, TypeParamBound, TypeReference, parse_quote,
};

use super::options::flag;
use crate::errors::Errors;
use crate::parse::{Body, Function, Options};

/// Applies the rules and takes the body out.
pub(super) fn check(function: &mut Function, options: &Options, errors: &mut Errors) -> Option<Body> {
    cached_once(function, errors);
    not_const(&function.sig, errors);
    not_unsafe(&function.sig, errors);
    not_extern(&function.sig, errors);
    not_variadic(&function.sig, errors);
    returns_at_all(&function.sig, errors);
    let returns = returns(&function.sig, options);
    match future(&returns) {
        // What it borrows and where it is kept doesn't matter then: its lifetimes are `#[async_trait]`'s.
        Some(bound) => not_a_future(bound, errors),
        None => {
            nameable(&returns, Refusal::Result, errors);
            owned(&returns, errors);
            if !options.local.is_given() {
                let cache_err = flag(&options.cache_err, &mut Errors::ignored()) == Some(true);
                static_borrows_are_local(&returns, cache_err, errors);
            }
        }
    }
    has_body(function, errors)
}

/// What the body returns: `stored`, or what the function says.
pub(super) fn returns(signature: &Signature, options: &Options) -> Type {
    match (options.stored.value(), &signature.output) {
        (Some(stored), _) => stored.clone(),
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (None, ReturnType::Default) => parse_quote!(()),
    }
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

fn returns_at_all(signature: &Signature, errors: &mut Errors) {
    if let ReturnType::Type(_, ty) = &signature.output
        && let Type::Never(never) = &**ty
    {
        errors.at(never, "a function that never returns has no result to cache: remove #[cached]");
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

/// `Pin<Box<dyn Future>>`, which is also what `#[async_trait]` leaves of an `async fn`.
fn not_a_future(bound: &TraitBound, errors: &mut Errors) {
    errors.at(
        bound,
        "a future can't be cached, only what it resolves to: make this an `async fn`. Under #[async_trait], call a cached \
         `async fn` outside the trait",
    );
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

/// Where a type stands that can't be named.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Argument,
    Result,
}

/// No `impl Trait`.
pub(super) fn nameable(ty: &Type, place: Refusal, errors: &mut Errors) {
    struct Unnamed<'a>(Option<&'a TypeImplTrait>);
    impl<'a> Visit<'a> for Unnamed<'a> {
        fn visit_type_impl_trait(&mut self, found: &'a TypeImplTrait) {
            self.0.get_or_insert(found);
        }
    }
    let mut unnamed = Unnamed(None);
    unnamed.visit_type(ty);
    let Some(found) = unnamed.0 else { return };
    match place {
        Refusal::Argument if is_function(found) => errors.at(
            found,
            "what a function does can't be compared, so it makes no key: take `&dyn Fn(..)`, or a type \
             parameter, for each type of which answers are kept apart, and leave it out with `skip(..)`, if the answer is the \
             same whatever it does",
        ),
        Refusal::Argument => errors.at(
            found,
            "an `impl Trait` argument can't be part of a key, because its type has no name: take a concrete type, or a type \
             parameter (`fn f<T: Trait>(value: T)`)",
        ),
        Refusal::Result => errors.at(
            found,
            "an `impl Trait` result can't be cached, because it can't be stored: return a concrete type, such as a `Vec` \
             instead of an iterator",
        ),
    }
}

/// `impl Fn(..)` and its kin.
fn is_function(found: &TypeImplTrait) -> bool {
    found.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| {
            ["Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"].iter().any(|name| last.ident == name)
        }),
        _ => false,
    })
}

/// No borrowed results: an entry outlives the call. `&'static` is fine.
fn owned(returns: &Type, errors: &mut Errors) {
    let mut borrows = Borrows::default();
    borrows.visit_type(returns);
    let Some(found) = borrows.first else { return };
    errors.push(syn::Error::new_spanned(
        found,
        "a cached result can't borrow, because it outlives the call: return an owned value, such as `String` for `&str` and \
         `Vec<T>` for `&[T]`",
    ));
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

/// Finds borrows that outlive nothing. What stands inside `fn(&T)` and `Fn(&T)` is none.
#[derive(Default)]
struct Borrows {
    first: Option<proc_macro2::TokenStream>,
}

impl<'ast> Visit<'ast> for Borrows {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => visit::visit_type_reference(self, reference),
            _ => drop(self.first.get_or_insert_with(|| reference.to_token_stream())),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.first.get_or_insert_with(|| lifetime.to_token_stream());
        }
    }

    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        // Lifetimes that `for<..>` brings in may be used below it.
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }

    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}

    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}
}

/// The first `&mut T` in a type. What a function pointer takes is not the caller's.
pub(super) fn mutable_borrow(ty: &Type) -> Option<&TypeReference> {
    struct Mutable<'a>(Option<&'a TypeReference>);
    impl<'a> Visit<'a> for Mutable<'a> {
        fn visit_type_reference(&mut self, reference: &'a TypeReference) {
            if reference.mutability.is_some() {
                self.0.get_or_insert(reference);
            } else {
                visit::visit_type_reference(self, reference);
            }
        }
        fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
        fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
    }
    let mut mutable = Mutable(None);
    mutable.visit_type(ty);
    mutable.0
}
