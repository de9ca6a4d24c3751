//! The life of a lease on the side of its holder: from the attempt to take it until it is released.

mod commands;
mod guard;
mod release;
mod renewal;

pub(crate) use self::commands::{OF_ANOTHER_TYPE, holder, milliseconds};
pub(crate) use self::guard::RedisLease;
