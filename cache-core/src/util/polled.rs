//! Futures that are polled again after their end.

/// Panics, as the language's own futures do then: to be pending for good would hide the mistake.
#[cold]
#[inline(never)]
#[track_caller]
#[allow(clippy::panic, reason = "a mistake of the caller's, who has the result already")]
pub(crate) fn polled_after_completion(future: &str) -> ! {
    panic!("{future} polled after completion")
}
