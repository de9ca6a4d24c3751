//! Tells the user's hook what is wrong with a function's types, or with its bound.

use crate::context;
use crate::engine::function::Function;
use crate::stats::report::{Report, ReportKind};
use crate::trace;
use crate::util::caught::caught;

/// Reports it, if it is the first of its kind for this function. `of` is the type of its results.
///
/// The hook is the user's code: it is called with no lock held and outside of any run, and may panic.
#[cold]
pub(crate) fn report(function: &Function, kind: ReportKind, of: &str) {
    if !function.reported.is_first(kind) {
        return;
    }
    let codec = function.engine.codec.as_deref();
    let report = Report { kind, function: function.descriptor.name().to_owned(), message: message(kind, of, codec) };
    context::beside(|| caught(|| trace::reported(&report.function, &report.message)));
    let Some(on_report) = &function.engine.on_report else { return };
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
        ReportKind::BoundTooSmall => "it evicts what it still needs: set `max_entries` to more than the results that one \
             recursion uses, or to `unlimited`. It calls itself, and computes results again that memory has evicted since the \
             outermost call began, which may take exponentially longer"
            .to_owned(),
        ReportKind::Panicked => format!(
            "the `Serialize`, `Deserialize`, `PartialEq`, `Clone` or `Drop` of `{of}` panicked, or the codec `{codec}` did, so a \
             result wasn't stored, or an entry not used. The panic hook was told what the panic said"
        ),
    }
}
