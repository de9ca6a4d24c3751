//! One run per key: flights, who leads them, who waits for them, and who waits for whom.
//!
//! A *flight* is a run of one key together with everybody who waits for its result.

pub(crate) mod landing;
pub(crate) mod per_key;
pub(crate) mod single;
pub(crate) mod wait_graph;
