//! Room on the stack for bodies of sync functions that call themselves.

/// What has to be left of the stack when a body begins: it is the caller's and its own frames up to the next body.
#[cfg(feature = "deep-recursion")]
const LEFT: usize = 256 * 1024;
/// How much a piece of stack has that is added.
#[cfg(feature = "deep-recursion")]
const PIECE: usize = 8 * 1024 * 1024;

/// Calls it where there is room for it: with the feature `deep-recursion` on a further piece of stack, if need be.
#[cfg(feature = "deep-recursion")]
pub(crate) fn with_room<R>(call: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(LEFT, PIECE, call)
}

/// Calls it.
#[cfg(not(feature = "deep-recursion"))]
pub(crate) fn with_room<R>(call: impl FnOnce() -> R) -> R {
    call()
}
