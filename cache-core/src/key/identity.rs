//! What identifies a value of a type that is known here, or that says so itself: short bytes, fast to write.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{self, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::bytes::{Bytes, EntrySpan};

/// Says what identifies a value in a cache key.
///
/// It is implemented for numbers, text, paths, addresses, times, and the standard containers of such. Implement it for a
/// type of your own when less than the whole value, or something cheaper than its `Serialize`, identifies it:
///
/// ```ignore
/// struct Tenant { id: u64, settings: Settings }
///
/// impl Identity for Tenant {
///     fn identify(&self, key: &mut KeyWriter<'_>) {
///         key.add(&self.id);
///     }
/// }
/// ```
///
/// # Contract
///
/// - Two values for which a cached function may answer differently add different parts.
/// - Two values that are to share an entry add equal parts, in every process.
/// - Which parts follow is fixed, or told by the parts before them: an enum adds a number for its variant first, a
///   container its length. (A slice, an `Option` and so on do so by themselves.)
///
/// Borrowed and owned forms add the same: `&str` and `String`, `&[T]` and `Vec<T>`, `Path` and `PathBuf`, `T` and
/// `Arc<T>`. Paths count by their text, not by what they lead to: `a/b` and `a//b` are two. Floats count by their bits,
/// except that there is one NaN, and `-0.0` is `0.0`.
///
/// It can't be required of a trait that is used as `dyn Trait`, whose types would be told apart by nothing. Give that a
/// method which names the type, and implement `Identity` for `dyn Trait` with it.
#[diagnostic::on_unimplemented(
    message = "nothing says what identifies a `{Self}` in a cache key",
    note = "implement `Identity` for it"
)]
pub trait Identity {
    /// There is no `dyn Identity`: it wouldn't say which of two types a value is of, and theirs may add the same.
    #[doc(hidden)]
    const OF_ONE_TYPE: () = ();

    /// Appends what identifies the value.
    fn identify(&self, key: &mut KeyWriter<'_>);

    /// Appends the elements one after the other; a type whose elements can be taken in one go does that.
    #[doc(hidden)]
    fn identify_all(elements: &[Self], key: &mut KeyWriter<'_>)
    where
        Self: Sized,
    {
        elements.iter().for_each(|element| element.identify(key));
    }
}

/// Where an [`Identity`] writes to.
pub struct KeyWriter<'w> {
    out: &'w mut Bytes,
}

impl<'w> KeyWriter<'w> {
    #[inline]
    pub(super) fn new(out: &'w mut Bytes) -> Self {
        Self { out }
    }

    /// Appends a part. Parts delimit themselves: `"ab"` then `"c"` is not `"a"` then `"bc"`.
    #[inline]
    pub fn add<T: Identity + ?Sized>(&mut self, part: &T) -> &mut Self {
        part.identify(self);
        self
    }

    #[inline]
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.out.push(&[tag]);
        self
    }

    #[inline]
    fn delimited(&mut self, bytes: &[u8]) {
        self.out.push_delimited(bytes);
    }

    fn sequence<'e, T: Identity + 'e>(&mut self, elements: impl ExactSizeIterator<Item = &'e T>) {
        self.out.push_count(elements.len());
        elements.for_each(|element| element.identify(self));
    }

    /// Appends entries so that their order makes no difference. `write` appends the key, then says where it ends, then
    /// appends the value.
    fn unordered<E>(&mut self, entries: impl ExactSizeIterator<Item = E>, write: impl Fn(&mut Self, E) -> usize) {
        self.out.push_count(entries.len());
        let first = self.out.len();
        let mut spans: Vec<EntrySpan> = entries
            .map(|entry| {
                let start = self.out.len();
                let key_end = write(self, entry);
                EntrySpan { start, key_end, end: self.out.len() }
            })
            .collect();
        self.out.sort_entries(first, &mut spans);
    }
}

impl fmt::Debug for KeyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyWriter({})", self.out.as_slice().escape_ascii())
    }
}

/// The bits of a float, with one NaN and one zero.
#[inline]
pub(super) fn canonical_f32(value: f32) -> u32 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// The bits of a float, with one NaN and one zero.
#[inline]
pub(super) fn canonical_f64(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// A table of implementations: `{generics} Type: |value, key| what to write;`
macro_rules! identities {
    ($($({$($generics:tt)*})? $type:ty: |$value:ident, $key:pat_param| $write:expr;)*) => {$(
        impl<$($($generics)*)?> Identity for $type {
            #[inline]
            fn identify(&self, $key: &mut KeyWriter<'_>) {
                let $value = self;
                let _ = $write;
            }
        }
    )*};
}

/// Numbers of a fixed width: their bytes and nothing else.
macro_rules! fixed {
    ($($type:ident)*) => { identities! { $($type: |v, key| key.out.push(&v.to_le_bytes());)* } };
}

fixed! { i8 i16 i32 i64 i128 u16 u32 u64 u128 }

impl Identity for u8 {
    #[inline]
    fn identify(&self, key: &mut KeyWriter<'_>) {
        key.out.push(&[*self]);
    }

    #[inline]
    fn identify_all(elements: &[Self], key: &mut KeyWriter<'_>) {
        key.out.push(elements);
    }
}

macro_rules! nonzero {
    ($($type:ident)*) => { identities! { $(num::$type: |v, key| v.get().identify(key);)* } };
}

nonzero! {
    NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64 NonZeroI128 NonZeroIsize
    NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroU128 NonZeroUsize
}

identities! {
    // As wide as on the widest platform, so that a key is the same on all.
    usize: |v, key| (*v as u64).identify(key);
    isize: |v, key| (*v as i64).identify(key);
    bool: |v, key| key.tag(u8::from(*v));
    char: |v, key| u32::from(*v).identify(key);
    f32: |v, key| canonical_f32(*v).identify(key);
    f64: |v, key| canonical_f64(*v).identify(key);
    Ordering: |v, key| (*v as i8).identify(key);
    (): |_v, _| ();
    Infallible: |v, _| match *v {};
    RangeFull: |_v, _| ();
    {T: ?Sized} PhantomData<T>: |_v, _| ();

    str: |v, key| key.delimited(v.as_bytes());
    String: |v, key| v.as_str().identify(key);
    CStr: |v, key| key.delimited(v.to_bytes());
    CString: |v, key| v.as_c_str().identify(key);
    OsStr: |v, key| key.delimited(v.as_encoded_bytes());
    OsString: |v, key| v.as_os_str().identify(key);
    Path: |v, key| v.as_os_str().identify(key);
    PathBuf: |v, key| v.as_os_str().identify(key);

    {T: Identity + ?Sized} &T: |v, key| (**v).identify(key);
    {T: Identity + ?Sized} &mut T: |v, key| (**v).identify(key);
    {T: Identity + ?Sized} Box<T>: |v, key| (**v).identify(key);
    {T: Identity + ?Sized} Rc<T>: |v, key| (**v).identify(key);
    {T: Identity + ?Sized} Arc<T>: |v, key| (**v).identify(key);
    {T: Identity + ToOwned + ?Sized} Cow<'_, T>: |v, key| (**v).identify(key);
    {T: Identity} Wrapping<T>: |v, key| v.0.identify(key);
    {T: Identity} Saturating<T>: |v, key| v.0.identify(key);
    {T: Identity} Reverse<T>: |v, key| v.0.identify(key);

    {T: Identity} Option<T>: |v, key| match v {
        None => key.tag(0),
        Some(value) => key.tag(1).add(value),
    };
    {T: Identity, E: Identity} Result<T, E>: |v, key| match v {
        Ok(value) => key.tag(0).add(value),
        Err(error) => key.tag(1).add(error),
    };
    {T: Identity} Bound<T>: |v, key| match v {
        Bound::Unbounded => key.tag(0),
        Bound::Included(value) => key.tag(1).add(value),
        Bound::Excluded(value) => key.tag(2).add(value),
    };
    {T: Identity} Range<T>: |v, key| key.add(&v.start).add(&v.end);
    {T: Identity} RangeFrom<T>: |v, key| key.add(&v.start);
    {T: Identity} RangeTo<T>: |v, key| key.add(&v.end);
    {T: Identity} RangeToInclusive<T>: |v, key| key.add(&v.end);
    // A range that was iterated to its end still has its bounds; only `is_empty` tells.
    {T: Identity + PartialOrd} RangeInclusive<T>: |v, key| key.add(v.start()).add(v.end()).add(&v.is_empty());

    {T: Identity} [T]: |v, key| {
        key.out.push_count(v.len());
        T::identify_all(v, key);
    };
    {T: Identity} Vec<T>: |v, key| v.as_slice().identify(key);
    {T: Identity, const N: usize} [T; N]: |v, key| T::identify_all(v, key);
    {T: Identity} VecDeque<T>: |v, key| key.sequence(v.iter());
    {T: Identity} LinkedList<T>: |v, key| key.sequence(v.iter());
    {T: Identity} BTreeSet<T>: |v, key| key.sequence(v.iter());
    {K: Identity, V: Identity} BTreeMap<K, V>: |v, key| {
        key.out.push_count(v.len());
        for (k, v) in v {
            key.add(k).add(v);
        }
    };
    {T: Identity, S} HashSet<T, S>: |v, key| key.unordered(v.iter(), |key, element| key.add(element).out.len());
    {K: Identity, V: Identity, S} HashMap<K, V, S>: |v, key| key.unordered(v.iter(), |key, (k, v)| {
        let key_end = key.add(k).out.len();
        key.add(v);
        key_end
    });

    Duration: |v, key| key.add(&v.as_secs()).add(&v.subsec_nanos());
    SystemTime: |v, key| match v.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => key.tag(0).add(&after),
        Err(before) => key.tag(1).add(&before.duration()),
    };
    Ipv4Addr: |v, key| v.octets().identify(key);
    Ipv6Addr: |v, key| v.octets().identify(key);
    IpAddr: |v, key| match v {
        IpAddr::V4(address) => key.tag(4).add(address),
        IpAddr::V6(address) => key.tag(6).add(address),
    };
    SocketAddrV4: |v, key| key.add(v.ip()).add(&v.port());
    SocketAddrV6: |v, key| key.add(v.ip()).add(&v.port()).add(&v.flowinfo()).add(&v.scope_id());
    SocketAddr: |v, key| match v {
        SocketAddr::V4(address) => key.tag(4).add(address),
        SocketAddr::V6(address) => key.tag(6).add(address),
    };
}

macro_rules! tuples {
    ($(($($name:ident . $index:tt)+))*) => {
        identities! { $({$($name: Identity),+} ($($name,)+): |v, key| { $(key.add(&v.$index);)+ };)* }
    };
}

tuples! {
    (A.0)
    (A.0 B.1)
    (A.0 B.1 C.2)
    (A.0 B.1 C.2 D.3)
    (A.0 B.1 C.2 D.3 E.4)
    (A.0 B.1 C.2 D.3 E.4 F.5)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6 H.7)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6 H.7 I.8)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6 H.7 I.8 J.9)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6 H.7 I.8 J.9 K.10)
    (A.0 B.1 C.2 D.3 E.4 F.5 G.6 H.7 I.8 J.9 K.10 L.11)
}
