//! Small tools that know nothing of caches.

pub(crate) mod caught;
pub(crate) mod id_hasher;
pub(crate) mod per_process;
pub(crate) mod polled;
pub(crate) mod seed;
pub(crate) mod sync;
pub(crate) mod text;
