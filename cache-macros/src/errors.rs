//! The mistakes found so far, all of which are reported at once.

use proc_macro2::Span;
use quote::ToTokens;

/// Collects mistakes. It exists only inside [`collect`](Self::collect), so none can be forgotten.
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    /// Does the work, and fails with everything that went wrong in it, and with what was done all the same. The work returns
    /// `None` if it had to stop early.
    pub(crate) fn collect<T>(work: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, (syn::Error, Option<T>)> {
        let mut errors = Self(Vec::new());
        let done = work(&mut errors);
        let combined = errors.0.into_iter().reduce(|mut all, next| {
            all.combine(next);
            all
        });
        match (done, combined) {
            (done, Some(error)) => Err((error, done)),
            (Some(done), None) => Ok(done),
            (None, None) => {
                Err((syn::Error::new(Span::call_site(), "#[cached] can't handle this; please report it"), None))
            }
        }
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// For what another rule reports.
    pub(crate) fn ignored() -> Self {
        Self(Vec::new())
    }

    /// A mistake that these tokens make.
    pub(crate) fn at(&mut self, tokens: &impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// A mistake found elsewhere.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// The value, or `None` after noting the mistake.
    pub(crate) fn attempt<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }
}
