//! What each option does, through the facade: one file per option, and per kind of function.
//!
//! Every test has functions of its own or a `Cache` of its own, so all run side by side in one process. Lifetimes are
//! measured with a manual clock, so none waits for one to end. What concerns the whole process runs in one of its own: see
//! [`support::alone`].

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(
    clippy::mixed_attributes_style,
    clippy::multiple_bound_locations,
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_unit,
    clippy::useless_vec,
    reason = "functions are written in every form that users may choose"
)]
#![allow(clippy::unnecessary_operation, reason = "`(f(1), f(2));` calls both")]

mod support;

mod arguments;
mod at_least;
mod bodies;
mod bound_too_small;
mod bounds;
mod cache;
mod cache_err;
mod cache_if;
mod clock;
mod context;
mod errors;
mod evict;
mod explain;
mod front;
mod generics;
mod helpers;
mod hygiene;
mod idle_ttl;
mod items;
mod jitter;
mod key;
mod lease;
mod local;
#[cfg(feature = "msgpack")]
mod lossy;
mod map;
mod max_wait;
mod memory_ttl;
mod methods;
mod name;
mod none;
mod observe;
mod patterns;
mod peek;
mod pending;
mod prime;
mod receivers;
mod refresh;
mod refresh_ahead;
#[cfg(feature = "msgpack")]
mod replaced;
mod require_scope;
mod result_tags;
mod result_types;
mod run_context;
mod scope;
mod send;
mod shared_errors;
mod shared_keys;
mod skip;
mod stale_if_error;
mod stale_while_revalidate;
mod stats;
mod tag;
mod tags;
mod timeout;
mod traits;
mod ttl;
mod version;
mod writing;
