//! What is wrong with a function's types, said once where somebody listens.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::caught::caught;
use crate::context;
use crate::function::Function;

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
}

/// Something about a cached function that keeps results out of backends, or has entries there be misses. Calls are answered all
/// the same. Each kind is reported once for each function of a cache: see
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
    fn is_first(&self, kind: ReportKind) -> bool {
        let bit = 1 << kind as u8;
        self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// Reports it, if it is the first of its kind for this function. `of` is the type of its results.
///
/// The hook is the user's code: it is called with no lock held and outside of any run, and may panic.
#[cold]
pub(crate) fn report(function: &Function, kind: ReportKind, of: &str) {
    if !function.reported.is_first(kind) {
        return;
    }
    let Some(on_report) = &function.engine.on_report else { return };
    let codec = function.engine.codec.as_deref();
    let report = Report { kind, function: function.site.name().to_owned(), message: message(kind, of, codec) };
    context::beside(|| caught(|| on_report(&report)));
}

fn message(kind: ReportKind, of: &str, codec: Option<&dyn crate::codec::Codec>) -> String {
    let codec = codec.and_then(|codec| caught(|| codec.name().to_owned())).unwrap_or_default();
    match kind {
        ReportKind::Lossy => format!(
            "a result of type `{of}` came back changed from its encoded form (`{codec}`), as a field with `#[serde(skip)]` \
             does; such results stay in this process's memory, and other processes run the body. Have `Serialize` and \
             `Deserialize` keep all that `PartialEq` compares, return what they do keep, or write `lossy = true` if the loss \
             is meant"
        ),
        ReportKind::NotEncodable => format!(
            "the codec `{codec}` refused a result of type `{of}`; such results stay in this process's memory, and other \
             processes run the body. Another codec may take it (`Cache::builder().codec(..)`), or write `local` if it is to \
             stay there"
        ),
        ReportKind::NotDecodable => format!(
            "a result of type `{of}` can't be decoded from its encoded form (`{codec}`), as happens with `untagged` and \
             `flatten`; such results stay in this process's memory, and other processes run the body. Another codec may do \
             (`Cache::builder().codec(..)`, as `Json`), or write `local` if they are to stay there"
        ),
        ReportKind::Panicked => format!(
            "the `Serialize`, `Deserialize`, `PartialEq`, `Clone` or `Drop` of `{of}` panicked, or the codec `{codec}` did, so a \
             result wasn't stored, or an entry not used. The panic hook was told what the panic said"
        ),
    }
}
