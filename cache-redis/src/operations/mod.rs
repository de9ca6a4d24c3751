//! What each operation of the backend sends to Redis, and how it reads the answers: one file for each.

mod catch_up;
mod lease;
mod read;
mod read_batch;
mod store;
mod touch;
mod wait;

use cache_core::backend::TagId;

pub(crate) use self::catch_up::catch_up;
pub(crate) use self::lease::lease;
pub(crate) use self::read::read;
pub(crate) use self::store::store;
pub(crate) use self::touch::touch;
pub(crate) use self::wait::wait;

/// The tags in their order, each once.
fn sorted(tags: impl Iterator<Item = TagId>) -> Vec<TagId> {
    let mut tags: Vec<_> = tags.collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
