//! What the types of arguments and results say: borrows, `&mut` and `impl Trait`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Lifetime, ParenthesizedGenericArguments, PathSegment, TraitBound, Type, TypeFnPtr, TypeImplTrait, TypeReference,
    TypeTuple,
};

/// What an argument is, seen from a run that must own it.
pub(crate) enum Ownership<'a> {
    /// It is moved into the run.
    Moved,
    /// It is a `&T`, and the run has a `T::Owned`.
    Cloned(&'a Type),
}

/// How a run gets to own a value of this type.
pub(crate) fn ownership(ty: &Type) -> Ownership<'_> {
    match ty {
        Type::Paren(inner) => ownership(&inner.elem),
        Type::Group(inner) => ownership(&inner.elem),
        Type::Reference(reference) if !is_static(reference) => Ownership::Cloned(&reference.elem),
        _ => Ownership::Moved,
    }
}

fn is_static(reference: &TypeReference) -> bool {
    reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static")
}

/// The first borrow that isn't the argument as a whole.
pub(super) fn inner_borrow(ty: &Type) -> Option<TokenStream> {
    match ownership(ty) {
        Ownership::Cloned(inner) => borrow(inner),
        Ownership::Moved => borrow(ty),
    }
}

/// The first borrow of something that isn't `'static`. What stands inside `fn(&T)` and `Fn(&T)` is none.
pub(super) fn borrow(ty: &Type) -> Option<TokenStream> {
    let mut borrows = Borrows::default();
    borrows.visit_type(ty);
    borrows.first
}

/// See [`borrow`].
#[derive(Default)]
struct Borrows {
    first: Option<TokenStream>,
}

impl<'ast> Visit<'ast> for Borrows {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if is_static(reference) {
            visit::visit_type_reference(self, reference);
        } else {
            self.first.get_or_insert_with(|| reference.to_token_stream());
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

/// Whether a type borrows somewhere else than where `local` keys look through borrows: as `Query<'_>` and `(&T, u8)` do, but
/// not `&T` and `Option<&T>`.
pub(super) fn borrows_inside(ty: &Type) -> bool {
    let mut inside = BorrowsInside::default();
    inside.visit_type(ty);
    inside.found
}

/// See [`borrows_inside`].
#[derive(Default)]
struct BorrowsInside {
    found: bool,
    /// Around the type that is visited stands one through which nobody looks.
    opaque: bool,
}

impl BorrowsInside {
    fn within(&mut self, opaque: bool, visit: impl FnOnce(&mut Self)) {
        let around = std::mem::replace(&mut self.opaque, opaque);
        visit(self);
        self.opaque = around;
    }
}

impl<'ast> Visit<'ast> for BorrowsInside {
    fn visit_type_tuple(&mut self, tuple: &'ast TypeTuple) {
        self.within(true, |this| visit::visit_type_tuple(this, tuple));
    }

    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        let seen_through = ["Option", "Vec", "Cow"].iter().any(|name| segment.ident == name);
        self.within(self.opaque || !seen_through, |this| visit::visit_path_segment(this, segment));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.found |= self.opaque && lifetime.ident != "static";
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.found |= self.opaque && reference.lifetime.is_none();
        visit::visit_type_reference(self, reference);
    }

    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}

    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}
}

/// The first `impl Trait` in a type.
pub(super) fn unnamed(ty: &Type) -> Option<&TypeImplTrait> {
    struct Unnamed<'a>(Option<&'a TypeImplTrait>);
    impl<'a> Visit<'a> for Unnamed<'a> {
        fn visit_type_impl_trait(&mut self, found: &'a TypeImplTrait) {
            self.0.get_or_insert(found);
        }
    }
    let mut unnamed = Unnamed(None);
    unnamed.visit_type(ty);
    unnamed.0
}
