//! The types that the `scope` option accepts: a trait of our own, for a better compile error than that of `Display`.

use std::fmt::Display;

/// The value of the option.
#[inline]
pub fn shown<S: CanBeScope + ?Sized>(scope: &S) -> &dyn Display {
    scope.shown()
}

/// What is displayed can be a scope.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a scope, because it doesn't implement `Display`",
    label = "not a scope",
    note = "a scope is a text or a number that the arguments tell: `scope = tenant`, `scope = user.org_id`, or \
            `scope = format_args!(\"{{region}}/{{tenant}}\")`"
)]
pub trait CanBeScope {
    /// As it is written.
    fn shown(&self) -> &dyn Display;
}

#[diagnostic::do_not_recommend]
impl<T: Display> CanBeScope for T {
    #[inline]
    fn shown(&self) -> &dyn Display {
        self
    }
}

macro_rules! what_is_displayed_already {
    ($($displayed:ty),+) => {$(
        #[diagnostic::do_not_recommend]
        impl CanBeScope for $displayed {
            #[inline]
            fn shown(&self) -> &dyn Display {
                self
            }
        }
    )+};
}

what_is_displayed_already!(
    dyn Display + '_,
    dyn Display + Send + '_,
    dyn Display + Sync + '_,
    dyn Display + Send + Sync + '_
);
