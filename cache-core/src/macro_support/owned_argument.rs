//! What a run that outlives its caller has of what that borrowed: a clone. Found by method probing, as in
//! [`shape`](super::shape::KeptByClone), so that the message says what it is for.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

/// Makes a `T` of its own from a `&T`.
pub struct OwnedArgument<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: ?Sized> OwnedArgument<T> {
    /// The one there is.
    pub const NEW: Self = Self(PhantomData);
}

impl<T: ?Sized> fmt::Debug for OwnedArgument<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnedArgument")
    }
}

/// It can be cloned.
pub trait CanBeOwned<T: ?Sized> {
    /// The clone.
    type Own;
    /// Makes it.
    fn __larder_own(self, borrowed: &T) -> Self::Own
    where
        Self::Own: Send + 'static;
}

impl<T: ToOwned + ?Sized> CanBeOwned<T> for OwnedArgument<T> {
    type Own = T::Owned;

    fn __larder_own(self, borrowed: &T) -> T::Owned
    where
        T::Owned: Send + 'static,
    {
        borrowed.to_owned()
    }
}

/// It can't.
pub trait CannotBeOwned<T: ?Sized> {
    /// Refuses.
    fn __larder_own(self, borrowed: &T) -> T::Own
    where
        T: ClonedForLater;
}

impl<T: ?Sized> CannotBeOwned<T> for &OwnedArgument<T> {
    fn __larder_own(self, borrowed: &T) -> T::Own
    where
        T: ClonedForLater,
    {
        borrowed.__larder_own()
    }
}

/// Implemented by nothing: see the message.
#[diagnostic::on_unimplemented(
    message = "the body may run after the call, so it needs a clone of what is borrowed here, and `{Self}` can't be cloned",
    label = "borrowed for the length of the call",
    note = "that is so with `stale_while_revalidate`, `refresh_ahead` and `timeout`",
    note = "take an `Arc`: `self: &Arc<Self>` instead of `&self`, `&Arc<T>` instead of `&T`; or derive Clone"
)]
pub trait ClonedForLater {
    /// Stands for what is missing.
    type Own;
    /// Never called.
    fn __larder_own(&self) -> Self::Own;
}

/// Borrowed again inside the run.
pub fn borrowed<T: ?Sized, O: Borrow<T>>(own: &O) -> &T {
    own.borrow()
}
