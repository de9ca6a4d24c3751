//! The engine of [larder](https://docs.rs/larder): depend on `larder`, unless you write a backend.
//!
//! | to read about | go to |
//! |---|---|
//! | how a call is answered | `read_path` |
//! | when an entry may be used | `freshness`, `lineage`, `base_tags`, `stored` |
//! | what backends say, and nearer ones are told | `layers`, `near` |
//! | what may panic | `caught` |
//! | one run per key | `flights`, `flight`, `landing`, `waiting`, `deadlock`, `patience` |
//! | what leaves the process, and comes back | `value_bytes`, [`codec`], [`wire`]; what is said of it, `report` |
//! | what a call inherits, and what a run collects | `context`, `frame` |
//! | old values, background runs | `policy`, `fallback`, `back_off`, `private::background`, `spawner`, `timer` |
//! | what makes calls differ | `key`, `call_key`, `name_owner` |
//! | what a shared layer must do | [`backend`], [`conformance`], [`mod@reference`]; if it panics, `shielded` |

// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod back_off;
pub mod backend;
mod base_tags;
mod block_on;
mod cache;
mod call_key;
mod caught;
mod clock;
pub mod codec;
pub mod conformance;
mod context;
mod deadlock;
mod error;
mod fallback;
mod flight;
mod flights;
mod found;
mod frame;
mod free;
mod freshness;
mod function;
mod given_up;
mod identity;
pub mod key;
mod landing;
mod layers;
mod leases;
mod lineage;
mod memory;
mod name_owner;
mod names;
mod near;
mod patience;
mod policy;
mod process;
mod progress;
mod read_path;
pub mod reference;
mod report;
mod scope;
mod seed;
mod shielded;
mod spawner;
mod stats;
mod stored;
mod sync;
mod tag;
mod tag_index;
mod tag_table;
mod text;
mod thread;
mod timer;
mod value_bytes;
mod waiting;
pub mod wire;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
use __private as private;

pub use self::__private::shape::SharedFailure;
pub use self::cache::{Cache, CacheBuilder, reset};
pub use self::clock::{Clock, ManualClock};
pub use self::context::{
    Disabled, add_tag, carry, carry_sync, disable, dont_cache, refreshing, refreshing_sync, scope, set_ttl, with_scope,
    with_scope_sync, without_cache, without_cache_sync,
};
pub use self::error::{Error, ErrorKind};
pub use self::free::{blocking, invalidate_tag, invalidate_tags, stats};
#[cfg(feature = "memory")]
pub use self::memory::Memory;
pub use self::report::{Report, ReportKind};
pub use self::scope::Scope;
pub use self::stats::{FunctionStats, Stats};
pub use self::tag::{IntoTag, Tag};
/// For backends, whose callers are on any runtime or none.
#[doc(hidden)]
pub use self::timer::with_timeout as __with_timeout;
