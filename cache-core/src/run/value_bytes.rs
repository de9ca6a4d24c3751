//! A value on its way to its bytes, and back. Whatever goes wrong there, in a type's code or a codec's, costs an entry and no
//! call its answer, and is counted and reported.
//!
//! # What comes back
//!
//! Memory keeps values as they are, and a backend what the codec makes of them. So what serde leaves out (`#[serde(skip)]`,
//! a `serialize_with` that rounds, which variant of an `untagged` enum it is) would be there or not depending on which layer
//! answers. Before a function's first values are stored, and some of the later ones, they are decoded again and compared, if
//! their type can be compared; what comes back changed is kept in memory only.

use std::any::Any;

use crate::codec::Codec;
use crate::context;
use crate::engine::report::report;
use crate::entry::value_codec::ValueCodec;
use crate::run::target::Target;
use crate::stats::kinds::StoreOutcome;
use crate::stats::report::ReportKind;
use crate::util::caught::caught;
use crate::wire;

type Value = dyn Any + Send + Sync;

/// The value with the header that says what it is.
///
/// # Errors
/// If it can't be encoded, or would come back changed.
pub(crate) fn seal(target: &Target, value: &Value) -> Result<Vec<u8>, StoreOutcome> {
    let function = &*target.function;
    // Who has none of these has no lease either.
    let known = || Some((function.engine.codec.as_deref()?, target.codec?, target.fingerprint()?));
    let (codec, of, fingerprint) = known().ok_or(StoreOutcome::NotEncodable)?;
    let refused = |kind| {
        function.counters.encode_errors.one();
        report(function, kind, (of.type_name)());
        StoreOutcome::NotEncodable
    };
    let payload = match caught(|| wire::seal(fingerprint, codec, |out| (of.encode)(value, codec, out))) {
        Some(Ok(payload)) => payload,
        Some(Err(_)) => return Err(refused(ReportKind::NotEncodable)),
        None => return Err(refused(ReportKind::Panicked)),
    };
    let instance = target.instance.id.instance();
    if function.checks.are_due(instance, payload.len()) {
        let original = Original { value, of, codec, payload: &payload, fingerprint };
        // It is no part of the run, whose entry has its dependencies already.
        let checked = context::beside(|| original.check(function.descriptor.options.lossy));
        if let Err(kind) = checked {
            function.checks.suspect(instance);
            function.counters.lossy.one();
            report(function, kind, (of.type_name)());
            return Err(StoreOutcome::Lossy);
        }
    }
    Ok(payload)
}

/// The value in a payload. `None` if it isn't of this type and version, or can't be decoded.
pub(crate) fn unseal(target: &Target, payload: &[u8]) -> Option<Box<Value>> {
    let function = &*target.function;
    let (codec, of) = (function.engine.codec.as_deref()?, target.codec?);
    let fingerprint = target.fingerprint()?;
    let bytes = caught(|| wire::open(payload, fingerprint, codec))?.ok()?;
    match decode(of, codec, bytes) {
        Ok(value) => Some(value),
        Err(kind) => {
            report(function, kind, (of.type_name)());
            None
        }
    }
}

fn decode(of: ValueCodec, codec: &dyn Codec, bytes: &[u8]) -> Result<Box<Value>, ReportKind> {
    let decoded = caught(|| (of.decode)(bytes, codec)).ok_or(ReportKind::Panicked)?;
    decoded.map_err(|_| ReportKind::NotDecodable)
}

/// A value, and what it was sealed to.
#[derive(Clone, Copy)]
struct Original<'a> {
    value: &'a Value,
    of: ValueCodec,
    codec: &'a dyn Codec,
    payload: &'a [u8],
    fingerprint: u64,
}

impl Original<'_> {
    /// Whether it comes back as it was. `lossy`: only whether it comes back.
    fn check(self, lossy: bool) -> Result<(), ReportKind> {
        let copy = self.copy()?;
        let same = match self.of.same {
            Some(same) if !lossy => self.compare(same, &*copy),
            _ => Ok(()),
        };
        same.and(let_go(copy))
    }

    fn copy(self) -> Result<Box<Value>, ReportKind> {
        let bytes = caught(|| wire::open(self.payload, self.fingerprint, self.codec)).ok_or(ReportKind::Panicked)?;
        decode(self.of, self.codec, bytes.map_err(|_| ReportKind::NotDecodable)?)
    }

    fn compare(self, same: fn(&Value, &Value) -> bool, copy: &Value) -> Result<(), ReportKind> {
        let are_same = |one: &Value, other: &Value| caught(|| same(one, other)).ok_or(ReportKind::Panicked);
        if are_same(self.value, copy)? {
            return Ok(());
        }
        // With NaN inside, or compared by where it is, nothing is the same as anything that was decoded.
        let another = self.copy()?;
        let comparable = are_same(copy, &*another);
        let_go(another)?;
        if comparable? || !self.is_encoded_alike(copy)? { Err(ReportKind::Lossy) } else { Ok(()) }
    }

    /// Whether the copy has the bytes of the value, in whatever order: that of maps is another each time.
    fn is_encoded_alike(self, copy: &Value) -> Result<bool, ReportKind> {
        let encode = |out: &mut Vec<u8>| (self.of.encode)(copy, self.codec, out);
        let again = caught(|| wire::seal(self.fingerprint, self.codec, encode)).ok_or(ReportKind::Panicked)?;
        let again = again.map_err(|_| ReportKind::Lossy)?;
        let sorted = |payload: &[u8]| {
            let mut bytes = caught(|| wire::open(payload, self.fingerprint, self.codec).map(<[u8]>::to_vec))?.ok()?;
            bytes.sort_unstable();
            Some(bytes)
        };
        Ok(sorted(&again) == sorted(self.payload))
    }
}

/// Drops a value that was made here.
fn let_go(copy: Box<Value>) -> Result<(), ReportKind> {
    caught(|| drop(copy)).ok_or(ReportKind::Panicked)
}
