//! Time, timers and threads: what the engine needs of the operating system and of the caller's runtime.

pub(crate) mod background_pool;
pub(crate) mod block_on;
pub(crate) mod clock;
pub(crate) mod deep_stack;
pub(crate) mod jobs;
pub(crate) mod timer;
