//! What larder's own program needs to know of the names and messages in Redis. No part of the API for others.

use crate::bus::Message;
use crate::keys::Names;

/// An invalidation, as a message tells of it.
#[derive(Clone, Debug)]
pub struct Invalidation {
    /// The process that made it, or however it calls itself.
    pub author: String,
    /// Its number; 0 if everything was invalidated as Redis was out of memory.
    pub number: u64,
    /// What was invalidated.
    pub tags: Vec<cache_core::backend::TagId>,
}

impl Invalidation {
    /// `None` for what is none.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        match Message::parse(payload)? {
            Message::Invalidated { author, number, tags } => {
                Some(Self { author: String::from_utf8_lossy(author).into_owned(), number, tags })
            }
            Message::Here { .. } => None,
        }
    }
}

/// Where invalidations are told.
pub fn bus_channel(prefix: &str, database: u8) -> String {
    Names::new(prefix, database).bus
}

/// Keys and channels of a prefix.
#[derive(Clone, Debug)]
pub struct Places {
    /// Holds the number of the latest invalidation.
    pub sequence: String,
    /// The tag buckets.
    pub buckets: Vec<String>,
    /// An entry's key that no function has.
    pub entry: String,
    /// The lease of the same.
    pub lease: String,
    /// Where the ends of leases are told.
    pub lease_events: String,
}

impl Places {
    /// Those under this prefix.
    pub fn of(prefix: &str, database: u8) -> Self {
        let names = Names::new(prefix, database);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            sequence: text(&names.sequence),
            buckets: names.all_buckets().map(|bucket| text(&bucket)).collect(),
            entry: text(&names.entry(0)),
            lease: text(&names.lease(0)),
            lease_events: names.lease_events.clone(),
        }
    }
}
