//! The arguments: their names, and which of them are skipped.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Pat, PatIdent, ReceiverKind, Signature, Token, Type, TypeImplTrait, TypeParamBound};

use super::patterns;
use super::tokens::words;
use super::types::{borrows_inside, mutable_borrow, unnamed};
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

    /// Whether its type borrows where `local` keys don't look through borrows.
    pub(crate) fn borrows_inside(&self) -> bool {
        borrows_inside(&self.ty)
    }

    /// The pattern, for a reference to the argument: `(a, mut b)` becomes `(a, b)`.
    pub(crate) fn pattern_by_reference(&self) -> Option<Pat> {
        self.pattern.as_ref().map(patterns::by_reference)
    }

    /// The pattern with only those of its names that are wanted: `(a, mut b)` becomes `(_, b)`.
    pub(crate) fn pattern_of(&self, wanted: impl Fn(&Ident) -> bool) -> Option<Pat> {
        let pattern = self.pattern.as_ref().filter(|_| self.names.iter().any(&wanted))?;
        Some(patterns::only(pattern, wanted))
    }

    fn is_named(&self, name: &str) -> bool {
        self.pattern.is_none() && self.names.iter().any(|ident| ident.unraw() == name)
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
                nameable(&typed.ty, errors);
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
    let names = pattern.as_ref().map(patterns::names).unwrap_or_default();
    Argument { ident, ty, mutability: None, lints: Vec::new(), pattern, names, skipped: false }
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

/// No `impl Trait`.
fn nameable(ty: &Type, errors: &mut Errors) {
    let Some(found) = unnamed(ty) else { return };
    let message = if is_function(found) {
        "what a function does can't be compared, so it makes no key: take `&dyn Fn(..)`, or a type \
         parameter, for each type of which answers are kept apart, and leave it out with `skip(..)`, if the answer is the \
         same whatever it does"
    } else {
        "an `impl Trait` argument can't be part of a key, because its type has no name: take a concrete type, or a type \
         parameter (`fn f<T: Trait>(value: T)`)"
    };
    errors.at(found, message);
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
