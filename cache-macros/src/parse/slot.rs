//! The place of one option.

use proc_macro2::Ident;

use crate::errors::Errors;

/// What was given for one option, if it was.
#[derive(Debug)]
pub(crate) struct Slot<T>(Option<(Ident, T)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Slot<T> {
    /// Fills the slot; a second time is a mistake, whatever the option.
    pub(crate) fn set(&mut self, keyword: Ident, value: T, errors: &mut Errors) {
        if self.0.is_some() {
            errors.at(&keyword, format_args!("`{keyword}` is given twice: remove one"));
        } else {
            self.0 = Some((keyword, value));
        }
    }

    /// The value.
    pub(crate) fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }

    /// The option's name where it was written, to point at.
    pub(crate) fn keyword(&self) -> Option<&Ident> {
        self.0.as_ref().map(|(keyword, _)| keyword)
    }

    /// Whether the option was given.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }
}
