//! The arguments: their names, and which of them are skipped.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, FieldPat, FnArg, Lifetime, ParenthesizedGenericArguments, Pat, PatIdent, PathSegment, ReceiverKind,
    Signature, Token, Type, TypeFnPtr, TypeReference, TypeTuple,
};

use super::function::{Refusal, mutable_borrow, nameable};
use super::refresh::background_option;
use super::text::words;
use crate::errors::Errors;
use crate::parse::Options;

/// What a function takes.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) receiver: Option<Receiver>,
    pub(crate) list: Vec<Argument>,
}

/// `self`
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) syntax: syn::Receiver,
    pub(crate) skipped: bool,
    /// It can't be cached by at all, so nothing more is said about it.
    pub(crate) refused: bool,
}

/// Any other argument.
#[derive(Debug)]
pub(crate) struct Argument {
    /// Its name in the signature, which is ours if it has none.
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// `mut`, which only the body sees.
    pub(crate) mutability: Option<Token![mut]>,
    /// `#[allow(..)]` and so on, if the body makes a `let` of it.
    pub(crate) lints: Vec<Attribute>,
    /// What stood in the place of a name.
    pub(crate) pattern: Option<Pat>,
    /// What the body, the key and so on call it or its parts.
    pub(crate) names: Vec<Ident>,
    pub(crate) skipped: bool,
}

impl Argument {
    /// The name, unless it is a pattern.
    pub(super) fn simple_name(&self) -> Option<String> {
        self.pattern.is_none().then(|| self.names.first().map(ToString::to_string)).flatten()
    }

    /// What it is called as a part of the key: its name, or its pattern, whatever that borrows or changes.
    pub(super) fn name_in_key(&self) -> String {
        match (self.pattern_by_reference(), self.names.first()) {
            (Some(pattern), _) => words(pattern.to_token_stream()),
            (None, Some(name)) => name.unraw().to_string(),
            (None, None) => "_".to_owned(),
        }
    }

    /// Whether its type borrows somewhere else than where `local` keys look through borrows: as `Query<'_>` and `(&T, u8)` do,
    /// but not `&T` and `Option<&T>`.
    pub(crate) fn borrows_inside(&self) -> bool {
        let mut inside = BorrowsInside::default();
        inside.visit_type(&self.ty);
        inside.found
    }

    /// The pattern, for a reference to the argument: `(a, mut b)` becomes `(a, b)`.
    pub(crate) fn pattern_by_reference(&self) -> Option<Pat> {
        struct ByReference;
        impl VisitMut for ByReference {
            fn visit_pat_mut(&mut self, pattern: &mut Pat) {
                while let Pat::Reference(reference) = pattern {
                    *pattern = (*reference.pat).clone();
                }
                visit_mut::visit_pat_mut(self, pattern);
            }
            fn visit_pat_ident_mut(&mut self, ident: &mut PatIdent) {
                ident.by_ref = None;
                ident.mutability = None;
                visit_mut::visit_pat_ident_mut(self, ident);
            }
        }
        let mut pattern = self.pattern.clone()?;
        ByReference.visit_pat_mut(&mut pattern);
        Some(pattern)
    }

    /// The pattern with only those of its names that are wanted: `(a, mut b)` becomes `(_, b)`. So it moves nothing else.
    pub(crate) fn pattern_of(&self, wanted: impl Fn(&Ident) -> bool) -> Option<Pat> {
        struct Only<F>(F);
        impl<F: Fn(&Ident) -> bool> VisitMut for Only<F> {
            fn visit_pat_mut(&mut self, pattern: &mut Pat) {
                let instead = match pattern {
                    Pat::Ident(name) if self.0(&name.ident) => {
                        name.mutability = None;
                        None
                    }
                    Pat::Ident(PatIdent { subpat: Some((_, inner)), .. }) => Some((**inner).clone()),
                    Pat::Ident(_) => Some(syn::parse_quote!(_)),
                    _ => None,
                };
                match instead {
                    Some(instead) => {
                        *pattern = instead;
                        self.visit_pat_mut(pattern);
                    }
                    None => visit_mut::visit_pat_mut(self, pattern),
                }
            }
            fn visit_field_pat_mut(&mut self, field: &mut FieldPat) {
                visit_mut::visit_field_pat_mut(self, field);
                if !matches!(*field.pat, Pat::Ident(_)) {
                    field.colon_token.get_or_insert_default(); // `S { x }` has become `S { x: _ }`
                }
            }
        }
        if !self.names.iter().any(&wanted) {
            return None;
        }
        let mut pattern = self.pattern.clone()?;
        Only(wanted).visit_pat_mut(&mut pattern);
        Some(pattern)
    }
}

impl Arguments {
    /// All names that expressions may use.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let receiver = self.receiver.iter().map(|_| "self".to_owned());
        let names = self.list.iter().flat_map(|argument| &argument.names);
        receiver.chain(names.map(|name| name.unraw().to_string())).collect()
    }

    /// The same for a message.
    pub(super) fn list_names(&self) -> String {
        let names: Vec<String> = self.names().iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) }
    }
}

/// Takes the arguments out of the signature, and leaves there what callers see: plain names.
pub(super) fn arguments(signature: &mut Signature, options: &Options, errors: &mut Errors) -> Arguments {
    let mut arguments = Arguments { receiver: None, list: Vec::new() };
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                no_cfg(&receiver.attrs, errors);
                let refused = receiver_is_shared(receiver, errors);
                arguments.receiver = Some(Receiver { syntax: receiver.clone(), skipped: false, refused });
            }
            FnArg::Typed(typed) => {
                no_cfg(&typed.attrs, errors);
                nameable(&typed.ty, Refusal::Argument, errors);
                let mut argument = argument(arguments.list.len(), &typed.pat, &typed.ty);
                if argument.pattern.is_some() || argument.mutability.is_some() {
                    argument.lints = typed.attrs.extract_if(.., |attr| sets_lints(attr)).collect();
                }
                let ident = argument.ident.clone();
                *typed.pat =
                    Pat::Ident(PatIdent { attrs: Vec::new(), by_ref: None, mutability: None, ident, subpat: None });
                arguments.list.push(argument);
            }
        }
    }
    skipped(&mut arguments, options.skip.value().map_or(&[], Vec::as_slice), errors);
    // With such an option there can be none at all, which its own rule says.
    if background_option(options).is_none() {
        mutable_borrows_are_skipped(&arguments, errors);
    }
    arguments
}

fn argument(index: usize, pattern: &Pat, ty: &Type) -> Argument {
    let ty = ty.clone();
    if let Pat::Ident(PatIdent { by_ref: None, mutability, ident, subpat: None, .. }) = pattern {
        let (ident, names) = (ident.clone(), vec![ident.clone()]);
        return Argument {
            ident,
            ty,
            mutability: *mutability,
            lints: Vec::new(),
            pattern: None,
            names,
            skipped: false,
        };
    }
    let ident = format_ident!("__larder_arg{index}", span = Span::mixed_site());
    let pattern = (!matches!(pattern, Pat::Wild(_))).then(|| pattern.clone());
    let mut names = Names::default();
    pattern.iter().for_each(|pattern| names.visit_pat(pattern));
    Argument { ident, ty, mutability: None, lints: Vec::new(), pattern, names: names.0, skipped: false }
}

/// See [`Argument::borrows_inside`].
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

/// The names that a pattern binds.
#[derive(Default)]
struct Names(Vec<Ident>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, ident: &'ast PatIdent) {
        self.0.push(ident.ident.clone());
        visit::visit_pat_ident(self, ident);
    }
}

fn sets_lints(attr: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}

fn no_cfg(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs {
        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            errors.at(attr, "an argument can't be conditional here: write two functions, each with its `#[cfg(..)]`");
        }
    }
}

/// Whether it was refused.
fn receiver_is_shared(receiver: &syn::Receiver, errors: &mut Errors) -> bool {
    let mutable = match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => mutable_borrow(ty).is_some(),
        _ => false,
    };
    if mutable {
        errors.at(
            receiver,
            "a cached method can't take `&mut self`: a cached answer would skip the mutation. Take `&self`, or cache the \
             part that only computes",
        );
    }
    mutable
}

fn skipped(arguments: &mut Arguments, skip: &[Ident], errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for name in skip {
        let text = name.unraw().to_string();
        if !seen.insert(text.clone()) {
            errors.at(name, format_args!("`{name}` is skipped twice: remove one"));
        } else if text == "self" {
            match &mut arguments.receiver {
                Some(receiver) => receiver.skipped = true,
                None => errors.at(name, "there is no `self` to skip: this function has no receiver"),
            }
        } else if let Some(argument) = arguments.list.iter_mut().find(|argument| argument.is_named(&text)) {
            argument.skipped = true;
        } else if arguments.names().contains(&text) {
            let advice = "give the whole argument a name and take it apart in the body, or use `key = ..`";
            errors
                .at(name, format_args!("`{name}` is a part of an argument, and only whole ones are skipped: {advice}"));
        } else {
            errors.at(name, format_args!("there is no argument `{name}` to skip: {}", arguments.list_names()));
        }
    }
}

impl Argument {
    fn is_named(&self, name: &str) -> bool {
        self.pattern.is_none() && self.names.iter().any(|ident| ident.unraw() == name)
    }
}

fn mutable_borrows_are_skipped(arguments: &Arguments, errors: &mut Errors) {
    for argument in arguments.list.iter().filter(|argument| !argument.skipped) {
        if let Some(found) = mutable_borrow(&argument.ty) {
            let name = argument.simple_name().unwrap_or_else(|| "..".to_owned());
            errors.at(
                found,
                format_args!(
                    "a cached answer would skip what is written through `&mut`: take the value, or write `skip({name})` if \
                     nobody misses it"
                ),
            );
        }
    }
}
