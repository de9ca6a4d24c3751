//! What the [`tracing`] facade is told, with the feature of that name; without it, nothing, which costs nothing.
//!
//! Nothing told here has arguments, values or names of scopes and tags in it. Subscribers are code of the user's: no lock of the
//! engine's is held where they are called.

#[cfg(not(feature = "tracing"))]
#[path = "trace/off.rs"]
mod told;
#[cfg(feature = "tracing")]
#[path = "trace/on.rs"]
mod told;

pub(crate) use self::told::{CallSpan, Lead, backend, invalidated, missed_messages, reported, run_ended};
