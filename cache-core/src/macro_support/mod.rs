//! What the expansion of `#[cached]` calls. Not part of the public interface: it changes without notice.

mod background;
pub(crate) mod call;
mod claim;
mod helpers;
mod invalidate;
mod lookup;
pub mod owned_argument;
pub mod result_tags;
mod scope_option;
pub mod shape;
mod shared_work;
mod work;

#[cfg(test)]
mod tests;

pub use self::background::owned;
pub use self::call::{Call, Running, apply, cache_ref, never};
pub use self::helpers::{explained, prime, refresh, refresh_sync};
pub use self::invalidate::{
    Invalidation, Named, invalidate_function, invalidate_function_in, invalidate_function_in_sync,
    invalidate_function_sync, invalidate_key, invalidate_key_in, invalidate_key_in_sync, invalidate_key_sync, path_of,
    tag_of_key,
};
pub use self::lookup::{Lookup, lookup};
pub use self::scope_option::{CanBeScope, shown};
pub use crate::cache::site::Site;
pub use crate::engine::descriptor::SiteOptions;
pub use crate::entry::policy::Policy;
pub use crate::key;
pub use crate::key::function_names::Place;
pub use crate::key::here::Here;
pub use crate::memory::Evict;
pub use crate::run::store_decision::{Judge, Judged, MaybeNone, Unjudged, Verdict};
pub use crate::tag::TagSet;
