//! Holds: invalidations that are promised in advance.

use std::fmt;
use std::time::Duration;

use crate::backend::BoxFuture;
use crate::error::Error;

/// The longest time that a hold lasts after its last renewal.
pub const MAX_HOLD: Duration = Duration::from_secs(30);

/// A hold on some tags, in one backend: the promise that these tags are invalidated later, whatever becomes of the process
/// that made it. Made by [`Backend::hold`](crate::backend::Backend::hold).
///
/// While it lives, nothing changes for readers. When it ends, its tags are invalidated, so everything that was stored before
/// dies. It ends by [`end`](Self::end); or by itself, once it hasn't been renewed for as long as a hold lasts (30 s at most).
///
/// # Contract
///
/// 1. The backend places the hold in the background, and renews it until `end`, `leave` or a drop. It goes on trying after a
///    failure.
/// 2. A hold that was placed ends by itself also when its process is killed, when the backend can't be reached, and when what
///    the backend keeps of holds is lost. In the last case everything is invalidated at once, and again as long after the loss
///    was noticed as a hold lasts.
/// 3. Dropping it is [`leave`](Self::leave) without waiting: it must not block.
/// 4. An invalidation by `end`, `leave` or a drop that can't be recorded is remembered, if the backend remembers those of
///    [`invalidate`](crate::backend::Backend::invalidate).
pub trait BackendHold: fmt::Debug + Send + Sync {
    /// Waits until the first attempt to place it is over.
    ///
    /// # Errors
    /// It failed. The hold isn't known to be placed; the backend goes on trying.
    fn placed(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Ready once it isn't certain any more that the hold lives until its end: it couldn't be renewed for two thirds of the
    /// time that it lasts, or had ended before it was renewed. Told once; the backend goes on renewing. Pending otherwise.
    fn lost(&self) -> BoxFuture<'static, ()>;

    /// The write is done: invalidates the tags and removes the hold, in one step.
    ///
    /// # Errors
    /// The invalidation isn't known to be recorded. The hold ends by itself all the same.
    fn end(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;

    /// It isn't known whether the write was done, or will be: invalidates the tags now, stops renewing, and leaves the hold to
    /// end by itself.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}
