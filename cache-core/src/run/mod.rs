//! The pipeline of a call, from the first look to the last store.
//!
//! The expansion of `#[cached]` calls the typed ends in `macro_support`; nothing here knows the type of a value, nor whether
//! the caller is sync or async: sync functions drive the same futures on their own thread. These are the stages, in the
//! order in which a call goes through them. [`drive`] calls one after the other.
//!
//! | stage | file | a call leaves here if |
//! |---|---|---|
//! | look into the thread's table | `memory/hit.rs`, by `macro_support/lookup.rs` | the table has the entry |
//! | look into memory | `memory/store.rs`, by `macro_support/lookup.rs` | memory has it |
//! | join a flight or lead one | [`join`] | another call's run answers it |
//! | ask the backends, take their leases and stamps | [`ask_backends`], which waits for others' leases by [`lease_wait`] | a backend has it |
//! | prepare: the run's own stamp, the tags known so far | [`prepare`] | |
//! | the body, in its context | [`drive`], by `macro_support/call.rs` | |
//! | decide what to keep, publish it to memory and to waiting calls | [`settle`] | nothing is to be stored in backends |
//! | store in the backends | [`store`] | |
//!
//! What they pass on: a [`call`] (its [`target`], the request, the function's options, what memory had), and from the moment it
//! leads [a run](one_run) with its [`leases`]. Beside the way: a run [ends](end) without a result to keep; an
//! [old value](fallback) stands in for a run that failed; a backend's entry is a [hit](backend_hit) whose [bytes](value_bytes)
//! may turn out unreadable; the function's options make the [decision](store_decision) what is stored; a hit of an entry with
//! `idle_ttl` [touches](touch) it in the backends; a [recursion] that lacks room is reported; and one can [ask](explain) what a call would be
//! answered with.

mod ask_backends;
pub(crate) mod backend_hit;
pub(crate) mod call;
pub(crate) mod drive;
mod end;
pub(crate) mod explain;
mod fallback;
pub(crate) mod join;
mod lease_wait;
mod leases;
pub(crate) mod one_run;
pub(crate) mod prepare;
mod recursion;
mod settle;
pub(crate) mod store;
pub(crate) mod store_decision;
pub(crate) mod tally;
pub(crate) mod target;
mod touch;
mod value_bytes;
