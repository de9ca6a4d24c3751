//! Patterns of arguments, changed for where they are taken apart again.

use proc_macro2::Ident;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{FieldPat, Pat, PatIdent};

/// The names that a pattern binds.
pub(super) fn names(pattern: &Pat) -> Vec<Ident> {
    let mut names = Names::default();
    names.visit_pat(pattern);
    names.0
}

#[derive(Default)]
struct Names(Vec<Ident>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, ident: &'ast PatIdent) {
        self.0.push(ident.ident.clone());
        visit::visit_pat_ident(self, ident);
    }
}

/// The pattern for a reference to the argument: `(a, mut b)` becomes `(a, b)`.
pub(super) fn by_reference(pattern: &Pat) -> Pat {
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
    let mut pattern = pattern.clone();
    ByReference.visit_pat_mut(&mut pattern);
    pattern
}

/// The pattern with only those of its names that are wanted: `(a, mut b)` becomes `(_, b)`. So it moves nothing else.
pub(super) fn only(pattern: &Pat, wanted: impl Fn(&Ident) -> bool) -> Pat {
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
    let mut pattern = pattern.clone();
    Only(wanted).visit_pat_mut(&mut pattern);
    pattern
}
