//! What is wrong with a function's types or its bound, said once where somebody listens.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// A kind of [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ReportKind {
    /// A result didn't come back from its encoded form as it was, as with `#[serde(skip)]`. See `lossy` in the
    /// statistics.
    Lossy,
    /// The codec refused a result. See `encode_errors` in the statistics.
    NotEncodable,
    /// A result can't be decoded from what the codec made of it, or an entry of a backend from what an equal type made of
    /// it. See `lossy` and `damaged` in the statistics.
    NotDecodable,
    /// Code of a result's type panicked: its `Serialize`, `Deserialize`, `PartialEq`, `Clone` or `Drop`, or the codec did. It is
    /// counted as what it prevented, or among `panics`.
    Panicked,
    /// A function that calls itself computes results again because memory has evicted them while it still needs them. Reported
    /// once 100 results or more were computed again so, and they are at least one in 16 of the function's misses. See
    /// `recomputed` in the statistics.
    BoundTooSmall,
}

/// Something about a cached function that keeps results out of backends or memory, or has entries there be misses. Calls are
/// answered all the same. Each kind is reported once for each function of a cache: see
/// [`CacheBuilder::on_report`](crate::CacheBuilder::on_report).
///
/// `Display` is one line with the function, what happened and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What kind of thing happened.
    pub kind: ReportKind,
    /// The function: its `name` option, or its path.
    pub function: String,
    /// What happened, and what to do about it. It has names of types and no values.
    pub message: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.function, self.message)
    }
}

pub(crate) type OnReport = dyn Fn(&Report) + Send + Sync;

/// Which kinds were reported for a function.
#[derive(Debug, Default)]
pub(crate) struct Reported(AtomicU8);

impl Reported {
    /// Whether this is the first of its kind.
    pub(crate) fn is_first(&self, kind: ReportKind) -> bool {
        let bit = 1 << kind as u8;
        self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}
