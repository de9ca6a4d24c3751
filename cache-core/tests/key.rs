//! Keys: different arguments have different keys, equal ones equal keys, whatever way they get in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::error::Error as _;
use std::fmt::Debug;
use std::hash::{Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cache_core::ErrorKind;
use cache_core::key::{Args, Identity, KeyBuf, KeyWriter, Part};
use proptest::collection::{btree_map, hash_map, hash_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

/// What the macro writes for the arguments of a function.
macro_rules! key {
    ($($argument:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut key = KeyBuf::new();
        $({
            #[allow(unused_imports)]
            use cache_core::key::{ByIdentity as _, BySerialize as _, Missing as _};
            (&&&&Part(&($argument))).__larder_add(&mut key);
        })*
        key
    }};
}

/// What it writes for those of a `local` function.
macro_rules! local_key {
    ($($argument:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut key = KeyBuf::new();
        $({
            #[allow(unused_imports)]
            use cache_core::key::local::{self, ByHash as _, ByIdentity as _, BySerialize as _, Missing as _};
            (&&&&local::Part(&($argument))).__larder_add(&mut key);
        })*
        key
    }};
}

fn identity_bytes<T: Identity + ?Sized>(value: &T) -> Vec<u8> {
    key!(*value).bytes().to_vec()
}

fn serde_bytes<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut key = key!(*value);
    assert!(key.error().is_none());
    key.bytes().to_vec()
}

/// Whatever way two keys are compared, it comes to `equal`; and hashes follow.
fn assert_keys(a: &KeyBuf<'_>, b: &KeyBuf<'_>, equal: bool) {
    let (a_args, b_args) = (a.to_args(), b.to_args());
    assert!(a_args.matches(a) && b_args.matches(b));
    assert_eq!(a_args.matches(b), equal, "{a:?} {b:?}");
    assert_eq!(b_args.matches(a), equal, "{a:?} {b:?}");
    assert_eq!(a_args == b_args, equal, "{a_args:?} {b_args:?}");
    assert_eq!(a_args.bytes(), a.bytes());
    assert_eq!(a_args.is_local_only(), a.is_local_only());
    if equal {
        assert_eq!(a.hash(7), b.hash(7));
        assert_eq!(a_args.typed_hash(), b_args.typed_hash());
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct User {
    id: u64,
    name: String,
}

fn user(id: u64, name: &str) -> User {
    User { id, name: name.to_owned() }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Color(u8, String);

fn color(depth: u8) -> Color {
    Color(depth, "red".to_owned())
}

// ---- by identity ----------------------------------------------------------------------------------------------------

/// The keys of two values are equal iff the values are, and no key is the beginning of another.
fn assert_identities<T: Identity + Debug>(a: &T, b: &T, equal: bool) {
    assert_keys(&key!(*a), &key!(*b), equal);
    let (a, b) = (identity_bytes(a), identity_bytes(b));
    assert!(equal || !a.starts_with(&b) && !b.starts_with(&a), "{a:?} {b:?}");
}

macro_rules! identity_properties {
    ($($name:ident: $type:ty = $strategy:expr;)*) => {
        proptest! {
    /// In words, on the stack, or in a vector: it makes no difference where bytes are, nor in which pieces they came.
    #[test]
    fn bytes_are_the_same_however_they_are_pushed(
        pieces in vec(vec(any::<u8>(), 0..24), 0..8),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let whole = pieces.concat();
        let mut in_pieces = KeyBuf::new();
        pieces.iter().for_each(|piece| in_pieces.push(piece));
        let mut at_once = KeyBuf::new();
        at_once.push(&whole);
        prop_assert_eq!(in_pieces.bytes(), &whole[..]);
        prop_assert_eq!(at_once.bytes(), &whole[..]);
        prop_assert_eq!(in_pieces.hash(seed), at_once.hash(seed));
        prop_assert!(in_pieces.to_args().matches(&at_once) && at_once.to_args().matches(&in_pieces));
        // One byte makes all the difference, and so does a zero more.
        let differs = |bytes: &[u8]| {
            let mut other = KeyBuf::new();
            other.push(bytes);
            !other.to_args().matches(&in_pieces) && !in_pieces.to_args().matches(&other) && other.hash(seed) != in_pieces.hash(seed)
        };
        prop_assert!(differs(&[&whole[..], &[0]].concat()));
        if !whole.is_empty() {
            let mut other = whole.clone();
            other[at.index(whole.len())] ^= 1;
            prop_assert!(differs(&other));
        }
    }
}

proptest! {$(
            #[test]
            fn $name(a in $strategy, b in $strategy) {
                let (a, b): ($type, $type) = (a, b);
                assert_identities(&a, &b, a == b);
                assert_identities(&a, &a.clone(), true);
            }
        )*}
    };
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,3}", "[ab\\x00\\x01\\x02]{0,4}", "a{250,260}"]
}

identity_properties! {
    identity_u8: u8 = any::<u8>();
    identity_i128: i128 = any::<i128>();
    identity_usize: usize = any::<usize>();
    identity_bool: bool = any::<bool>();
    identity_char: char = any::<char>();
    identity_string: String = text();
    identity_strings: (String, String) = (text(), text());
    identity_string_list: Vec<String> = vec(text(), 0..4);
    identity_nested_lists: Vec<Vec<u8>> = vec(vec(0..3u8, 0..3), 0..4);
    identity_nested_options: Option<Option<Option<u8>>> = of(of(of(0..2u8)));
    identity_options: Vec<Option<u16>> = vec(of(0..4u16), 0..4);
    identity_result: Result<u8, u8> = proptest::result::maybe_ok(0..3u8, 0..3u8);
    identity_arrays: [Vec<u8>; 2] = [vec(0..3u8, 0..3), vec(0..3u8, 0..3)];
    identity_tuple: (u8, Option<String>, Vec<u32>, bool) = (0..2u8, of(text()), vec(0..3u32, 0..3), any::<bool>());
    identity_duration: Duration = any::<Duration>();
    identity_system_time: SystemTime = any::<SystemTime>();
    identity_ip: IpAddr = any::<IpAddr>();
    identity_socket: SocketAddr = any::<SocketAddr>();
    identity_nonzero: std::num::NonZeroU32 = any::<std::num::NonZeroU32>();
    identity_range: std::ops::RangeInclusive<u8> = (0..4u8, 0..4u8).prop_map(|(a, b)| a..=b);
    identity_btree_map: BTreeMap<String, u8> = btree_map(text(), 0..3u8, 0..4);
    identity_hash_map: HashMap<String, Vec<u8>> = hash_map(text(), vec(0..3u8, 0..3), 0..4);
    identity_hash_set: HashSet<(String, bool)> = hash_set((text(), any::<bool>()), 0..4);
    identity_map_of_maps: HashMap<u8, HashMap<u8, u8>> = hash_map(0..3u8, hash_map(0..3u8, 0..3u8, 0..3), 0..3);
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY)]
}

proptest! {
    #[test]
    fn floats_have_one_zero_and_one_nan(a in floats(), b in floats()) {
        let equal = a == b || a.is_nan() && b.is_nan();
        assert_identities(&a, &b, equal);
        prop_assert_eq!(serde_bytes(&a) == serde_bytes(&b), equal);
        let (a, b) = (a as f32, b as f32);
        let equal = a == b || a.is_nan() && b.is_nan();
        assert_identities(&a, &b, equal);
        prop_assert_eq!(serde_bytes(&a) == serde_bytes(&b), equal);
    }

    #[test]
    fn neighbours_stay_apart(a in (text(), text(), 0..3u8), b in (text(), text(), 0..3u8)) {
        assert_keys(&key!(a.0, a.1, a.2), &key!(b.0, b.1, b.2), a == b);
        let (x, y) = (user(1, &a.0), user(1, &b.0));
        assert_keys(&key!(x, a.1), &key!(y, b.1), a.0 == b.0 && a.1 == b.1);
    }

    #[test]
    fn insertion_order_makes_no_difference(pairs in hash_map(text(), 0..9u64, 0..6)) {
        let list: Vec<_> = pairs.into_iter().collect();
        let mut forward = HashMap::with_hasher(RandomState::new());
        let mut backward = HashMap::with_capacity_and_hasher(100, RandomState::new());
        forward.extend(list.iter().cloned());
        backward.extend(list.iter().rev().cloned());
        assert_keys(&key!(forward), &key!(backward), true);

        let set = |map: &HashMap<String, u64>| map.clone().into_iter().collect::<HashSet<_>>();
        assert_keys(&key!(set(&forward)), &key!(set(&backward)), true);

        let users = |map: HashMap<String, u64>| -> HashMap<String, User> {
            map.into_iter().map(|(name, id)| (name, user(id, "x"))).collect()
        };
        let (forward, backward) = (users(forward), users(backward));
        assert_keys(&key!(forward), &key!(backward), true);
        prop_assert_eq!(serde_bytes(&forward), serde_bytes(&forward.iter().collect::<BTreeMap<_, _>>()));
    }
}

#[test]
fn text_does_not_flow_into_its_neighbour() {
    assert_keys(&key!("ab", "c"), &key!("a", "bc"), false);
    assert_keys(&key!(("ab", "c")), &key!(("a", "bc")), false);
    assert_keys(&key!("", "x"), &key!("x", ""), false);
    assert_keys(&key!(["a", "b"][..], [""; 0][..]), &key!(["a"][..], ["b"][..]), false);
}

#[test]
fn borrowed_and_owned_forms_are_one_key() {
    let text = "larder";
    let expected = identity_bytes(text);
    assert_eq!(expected, b"\x06larder");
    assert_eq!(identity_bytes(&text.to_owned()), expected);
    assert_eq!(identity_bytes(&Cow::Borrowed(text)), expected);
    assert_eq!(identity_bytes(&Arc::<str>::from(text)), expected);
    assert_eq!(identity_bytes(&Rc::new(text.to_owned())), expected);
    assert_eq!(identity_bytes(&Box::<str>::from(text)), expected);
    assert_eq!(identity_bytes(&&mut &text), expected);
    assert_eq!(identity_bytes(Path::new(text)), expected);
    assert_eq!(identity_bytes(&PathBuf::from(text)), expected);
    assert_eq!(identity_bytes(Path::new(text).as_os_str()), expected);
    assert_eq!(identity_bytes(c"larder"), expected);

    let numbers = vec![1u64, 2];
    let expected = identity_bytes(&numbers);
    assert_eq!(identity_bytes(numbers.as_slice()), expected);
    assert_eq!(identity_bytes(&VecDeque::from(numbers.clone())), expected);
    assert_eq!(identity_bytes(&numbers.iter().collect::<BTreeSet<_>>()), expected);
    assert_eq!(identity_bytes(&Arc::<[u64]>::from(numbers)), expected);
    assert_eq!(identity_bytes(&Some(&text)), identity_bytes(&Some(text.to_owned())));
}

#[test]
fn sizes_are_the_same_on_every_platform() {
    assert_eq!(identity_bytes(&7usize), 7u64.to_le_bytes());
    assert_eq!(identity_bytes(&-7isize), (-7i64).to_le_bytes());
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
    assert_eq!(identity_bytes(path), b"\x02/\xff");
}

#[test]
fn times_and_addresses_count_whole() {
    let second = Duration::from_secs(1);
    assert_identities(&(SystemTime::UNIX_EPOCH + second), &(SystemTime::UNIX_EPOCH - second), false);
    let socket = |flow, scope| SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, flow, scope);
    assert_identities(&socket(0, 0), &socket(1, 0), false);
    assert_identities(&socket(0, 0), &socket(0, 1), false);
}

#[test]
fn an_exhausted_range_is_another_key() {
    let mut range = 1..=1u8;
    let before = identity_bytes(&range);
    range.next();
    assert_ne!(identity_bytes(&range), before);
}

#[test]
fn long_keys_spill() {
    for length in [54, 55, 56, 62, 63, 64, 65, 254, 255, 256, 70_000] {
        let text = "x".repeat(length);
        let mut expected = (length as u64).to_le_bytes().to_vec();
        if length < 255 {
            expected.push(length as u8);
        } else {
            expected.push(255);
            expected.extend((length as u64).to_le_bytes());
        }
        expected.extend(text.bytes());
        expected.push(1);
        let key = key!(length, text, 1u8);
        assert_eq!(key.bytes(), expected);
        assert_keys(&key, &key!(length, text, 1u8), true);
        assert_keys(&key, &key!(length, text, 2u8), false);
    }
}

#[test]
fn an_own_identity_wins_over_everything() {
    #[derive(Clone, PartialEq, Eq, Hash, Serialize)]
    struct Tenant {
        id: u64,
        plan: String,
    }
    impl Identity for Tenant {
        fn identify(&self, key: &mut KeyWriter<'_>) {
            key.add(&self.id);
        }
    }
    let tenant = Tenant { id: 3, plan: "free".into() };
    let upgraded = Tenant { id: 3, plan: "paid".into() };
    assert_eq!(key!(tenant).bytes(), 3u64.to_le_bytes());
    assert_eq!(local_key!(&tenant).bytes(), 3u64.to_le_bytes());
    assert_keys(&key!(Some(&tenant)), &key!(Some(&upgraded)), true);
}

// ---- by serde -------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Meters(f64);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Feet(f64);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Celsius {
    degrees: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Kelvin {
    degrees: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    Small(u8),
    Wide(u64),
    Signed(i64),
    Text(String),
    Letter(char),
    List(Vec<u8>),
    Pair(u8, u8),
    Metric(Meters),
    Imperial(Feet),
    Named { a: u8 },
    OtherName { b: u8 },
    Map(BTreeMap<String, u8>),
    NamedNothing(Unit),
    Celsius(Celsius),
    Kelvin(Kelvin),
    Tagged(Tagged),
    Boxed(Option<Box<Untagged>>),
    Deep { inner: Vec<Untagged> },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
enum Tagged {
    Unit,
    Other,
    Newtype(u8),
    OtherNewtype(u8),
    Tuple(u8, u8),
    OtherTuple(u8, u8),
    Struct { a: u8, b: Option<u8> },
}

fn tagged() -> impl Strategy<Value = Tagged> {
    prop_oneof![
        Just(Tagged::Unit),
        Just(Tagged::Other),
        (0..3u8).prop_map(Tagged::Newtype),
        (0..3u8).prop_map(Tagged::OtherNewtype),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Tagged::Tuple(a, b)),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Tagged::OtherTuple(a, b)),
        (0..3u8, of(0..3u8)).prop_map(|(a, b)| Tagged::Struct { a, b }),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        Just(Untagged::Nothing),
        (0..3u8).prop_map(Untagged::Small),
        (0..3u64).prop_map(Untagged::Wide),
        (0..3i64).prop_map(Untagged::Signed),
        "[a-c]{0,2}".prop_map(Untagged::Text),
        any::<char>().prop_map(Untagged::Letter),
        vec(0..3u8, 0..3).prop_map(Untagged::List),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Untagged::Pair(a, b)),
        Just(Untagged::Metric(Meters(1.0))),
        Just(Untagged::Imperial(Feet(1.0))),
        (0..3u8).prop_map(|a| Untagged::Named { a }),
        (0..3u8).prop_map(|b| Untagged::OtherName { b }),
        btree_map("[ab]", 0..3u8, 0..3).prop_map(Untagged::Map),
        Just(Untagged::NamedNothing(Unit)),
        tagged().prop_map(Untagged::Tagged),
        Just(Untagged::Boxed(None)),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Untagged::Boxed(Some(Box::new(inner)))),
            vec(inner, 0..3).prop_map(|inner| Untagged::Deep { inner }),
        ]
    })
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rest: Vec<Tagged>,
}

fn skipping() -> impl Strategy<Value = Skipping> {
    let word = || of("[ab]{0,2}");
    (word(), word(), vec(tagged(), 0..3)).prop_map(|(first, second, rest)| Skipping { first, second, rest })
}

proptest! {
    #[test]
    fn untagged_enums_stay_apart(a in untagged(), b in untagged(), tail in 0..3u8) {
        assert_keys(&key!(a, tail), &key!(b, tail), a == b);
        prop_assert!(a == b || !serde_bytes(&a).starts_with(&serde_bytes(&b)));
    }

    #[test]
    fn skipped_fields_are_not_their_neighbours(a in skipping(), b in skipping()) {
        assert_keys(&key!(a), &key!(b), a == b);
        assert_keys(&key!([&a, &b]), &key!([&b, &a]), a == b);
    }
}

/// Values that differ in kind, width or name alone. What a random pair would seldom hit is here.
#[test]
fn kinds_widths_and_names_tell_values_apart() {
    let text = || "a".to_owned();
    let all = [
        Untagged::Nothing,
        Untagged::Small(1),
        Untagged::Wide(1),
        Untagged::Signed(1),
        Untagged::Text(text()),
        Untagged::Letter('a'),
        Untagged::List(vec![]),
        Untagged::List(vec![1, 1]),
        Untagged::Pair(1, 1),
        Untagged::Metric(Meters(1.0)),
        Untagged::Imperial(Feet(1.0)),
        Untagged::Named { a: 1 },
        Untagged::OtherName { b: 1 },
        Untagged::Map(BTreeMap::new()),
        Untagged::Map(BTreeMap::from([(text(), 1)])),
        Untagged::NamedNothing(Unit),
        Untagged::Tagged(Tagged::Unit),
        Untagged::Tagged(Tagged::Other),
        Untagged::Tagged(Tagged::Newtype(1)),
        Untagged::Tagged(Tagged::OtherNewtype(1)),
        Untagged::Celsius(Celsius { degrees: 1 }),
        Untagged::Kelvin(Kelvin { degrees: 1 }),
        Untagged::Tagged(Tagged::Tuple(1, 1)),
        Untagged::Tagged(Tagged::OtherTuple(1, 1)),
        Untagged::Tagged(Tagged::Struct { a: 1, b: None }),
        Untagged::Tagged(Tagged::Struct { a: 1, b: Some(1) }),
        Untagged::Boxed(None),
        Untagged::Boxed(Some(Box::new(Untagged::Boxed(None)))),
        Untagged::Boxed(Some(Box::new(Untagged::Small(1)))),
        Untagged::Deep { inner: vec![] },
        Untagged::Deep { inner: vec![Untagged::Small(1)] },
        Untagged::Deep { inner: vec![Untagged::Small(1), Untagged::Small(1)] },
    ];
    for (i, a) in all.iter().map(serde_bytes).enumerate() {
        for (j, b) in all.iter().map(serde_bytes).enumerate() {
            assert!(i == j || !a.starts_with(&b), "{:?} {:?}", all[i], all[j]);
        }
    }
}

#[test]
fn lists_end_where_they_end() {
    let users = |list: &str| -> Vec<User> { list.chars().map(|name| user(1, &name.to_string())).collect() };
    let lists = |lists: &[&str]| -> Vec<Vec<User>> { lists.iter().map(|list| users(list)).collect() };
    let all = [&[][..], &[""], &["", ""], &["ab"], &["a", "b"], &["ab", ""], &["", "ab"]].map(lists);
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_keys(&key!(a), &key!(b), i == j);
        }
    }
}

#[test]
fn text_written_by_display_is_the_same_text() {
    struct Shown(String);
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("<{}", self.0))
        }
    }
    for length in [0, 1, 60, 70, 252, 253, 254, 255, 300] {
        let text = "x".repeat(length);
        assert_eq!(serde_bytes(&Shown(text.clone())), serde_bytes(&format!("<{text}")));
    }
}

#[test]
fn maps_are_sorted_whatever_their_keys() {
    struct Pairs(Vec<(User, u8)>);
    impl Serialize for Pairs {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for (key, value) in &self.0 {
                map.serialize_key(key)?;
                map.serialize_value(value)?;
            }
            map.end()
        }
    }
    let mut pairs: Vec<_> = (0..20).map(|n| (user(n % 10, &"n".repeat(n as usize)), n as u8)).collect();
    let forward = serde_bytes(&(Pairs(pairs.clone()), 1u8));
    pairs.reverse();
    assert_eq!(serde_bytes(&(Pairs(pairs.clone()), 1u8)), forward);
    pairs[0].1 += 1;
    assert_ne!(serde_bytes(&(Pairs(pairs), 1u8)), forward);
}

#[test]
fn a_sequence_of_unknown_length_is_a_sequence() {
    struct Lazy(Vec<u8>);
    impl Serialize for Lazy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            self.0.iter().try_for_each(|element| seq.serialize_element(element))?;
            seq.end()
        }
    }
    assert_eq!(serde_bytes(&Lazy(vec![1, 2])), serde_bytes(&vec![1u8, 2]));
}

#[test]
fn what_cannot_be_encoded_is_an_error_that_helps() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    struct Torn;
    impl Serialize for Torn {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_key(&1)?;
            map.end()
        }
    }
    let mut key = key!(1u8, Broken, Torn);
    let error = key.error().unwrap();
    assert!(key.error().is_none());
    assert_eq!(error.kind(), ErrorKind::Key);
    let message = error.to_string();
    assert!(
        message.contains("Broken`") && message.contains("`key = ..`") && message.contains("`skip(..)`"),
        "{message}"
    );
    assert_eq!(error.source().unwrap().to_string(), "not today");
    assert!(key!(Torn).error().is_some());
}

#[test]
fn an_ignored_error_is_still_an_error() {
    struct Broken(u8);
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            seq.serialize_element(&self.0)?;
            Err(serde::ser::Error::custom("not today"))
        }
    }
    struct Careless(bool);
    impl Serialize for Careless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("b", "")?;
                let _ = map.serialize_entry(&Broken(1), "");
                map.serialize_entry("a", "")?;
                map.end()
            } else {
                let mut seq = serializer.serialize_seq(None)?;
                let _ = seq.serialize_element(&Broken(1));
                seq.end()
            }
        }
    }
    for careless in [Careless(true), Careless(false)] {
        assert!(key!(careless).error().is_some());
    }
}

#[test]
fn depth_is_bounded() {
    #[derive(Serialize)]
    struct Chain(Option<Box<Chain>>);
    let chain = |length| (0..length).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))));
    assert!(key!(chain(60)).error().is_none());
    let error = key!(chain(1000)).error().unwrap();
    assert!(error.source().unwrap().to_string().contains("deep"));
}

// ---- by hash, in local functions ------------------------------------------------------------------------------------

#[test]
fn typed_parts_match_iff_equal() {
    let (a, same, b) = (color(1), color(1), color(2));
    assert!(local_key!(a).is_local_only());
    assert_keys(&local_key!(a), &local_key!(same), true);
    assert_keys(&local_key!(a), &local_key!(b), false);
    assert_keys(&local_key!(7u8, a, "x"), &local_key!(7u8, same, "x"), true);
    assert_keys(&local_key!(7u8, a, "x"), &local_key!(8u8, same, "x"), false);
    assert_keys(&local_key!(a, b), &local_key!(b, a), false);
    assert_keys(&local_key!(a, b), &local_key!(a), false);
    assert_keys(&local_key!(), &local_key!(a), false);
}

#[test]
fn equal_looking_parts_of_two_types_differ() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Celsius(i8);
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Kelvin(i8);
    let (cold, hot) = (Celsius(1), Kelvin(1));
    assert_keys(&local_key!(cold), &local_key!(hot), false);
}

#[test]
fn a_stored_key_outlives_its_arguments() {
    let args: Args = {
        let borrowed = color(3);
        local_key!(&borrowed, Some(&borrowed)).to_args()
    };
    let again = color(3);
    assert!(args.matches(&local_key!(&again, Some(&again))));
    assert!(!args.matches(&local_key!(&again, None::<&Color>)));
}

#[test]
fn borrows_of_typed_parts_are_seen_through() {
    /// Keys made of borrows that are gone when it returns: only what they lead to counts.
    #[allow(clippy::ptr_arg)]
    fn keys<'a>(
        one: &'a Color,
        many: &'a [Color],
        refs: &'a [&'a Color],
        cow: &'a Cow<'_, [Color]>,
    ) -> Vec<KeyBuf<'a>> {
        vec![
            local_key!(one),
            local_key!(&one),
            local_key!(Some(one)),
            local_key!(many),
            local_key!(Some(many)),
            local_key!(&many),
            local_key!(refs),
            local_key!([one, one]),
            local_key!(vec![one]),
            local_key!(*cow),
        ]
    }
    let (a, b) = (color(1), color(2));
    let (list, refs) = ([a.clone(), b.clone()], [&a, &b]);
    let (cow, owned) = (Cow::Borrowed(&list[..]), Cow::Owned(list.to_vec()));
    for (key, again) in keys(&a, &list, &refs, &cow).iter().zip(&keys(&a.clone(), &list.clone(), &refs, &owned)) {
        assert!(key.is_local_only());
        assert_keys(key, again, true);
    }
    let other = Cow::Borrowed(&list[1..]);
    for (key, other) in keys(&a, &list, &refs, &cow).iter().zip(&keys(&b, &list[1..], &refs[..1], &other)) {
        assert_keys(key, other, false);
    }
    let (one, nobody) = (Some(&a), None::<&Color>);
    assert_keys(&local_key!(nobody, one), &local_key!(one, nobody), false);
    let (empty, nothing) = (Some(&list[..0]), None::<&[Color]>);
    assert_keys(&local_key!(nothing, empty), &local_key!(empty, nothing), false);
    let (none, all, head, tail) = (&list[..0], &list[..], &list[..1], &list[1..]);
    assert_keys(&local_key!(head, tail), &local_key!(none, all), false);
    assert_keys(&local_key!(Some(none)), &local_key!(None::<&[Color]>), false);
}

/// The ways the macro's probing must find, generic code included; a wrong one doesn't compile or shows in the key.
#[test]
fn probing_goes_by_type() {
    fn serialized<T: Serialize>(value: &T) -> bool {
        key!(value).bytes().len() > 1 && local_key!(value).bytes() == key!(*value).bytes()
    }
    #[allow(clippy::needless_pass_by_value)]
    fn hashed<T: Hash + Eq + Clone + Send + Sync + 'static>(value: T, values: &[T]) -> bool {
        let (list, shared) = (vec![value.clone()], Arc::new(value.clone()));
        local_key!(value).is_local_only()
            && local_key!(&value).is_local_only()
            && local_key!(Some(&value)).is_local_only()
            && local_key!(values).is_local_only()
            && local_key!(list).is_local_only()
            && local_key!(shared).is_local_only()
    }
    fn both<T: Hash + Eq + Clone + Send + Sync + Serialize + 'static>(value: &T) -> bool {
        !key!(value).is_local_only() && local_key!(value).is_local_only()
    }
    fn all<T: Identity + Hash + Eq + Clone + Send + Sync + Serialize + 'static>(value: &T) -> bool {
        local_key!(value).bytes() == identity_bytes(value) && key!(value).bytes() == identity_bytes(value)
    }
    assert!(serialized(&user(1, "a")) && hashed(color(1), &[color(2)]) && both(&3u8) && all(&3u8));

    let (id, text, name) = (5u64, "ab", "ab".to_owned());
    macro_rules! by_identity {
        ($($argument:expr => $bytes:expr;)*) => {$(
            assert_eq!(key!($argument).bytes(), $bytes);
            assert_eq!(local_key!($argument).bytes(), $bytes);
        )*};
    }
    by_identity! {
        id => [5, 0, 0, 0, 0, 0, 0, 0];
        text => b"\x02ab";
        &text => b"\x02ab";
        name => b"\x02ab";
        Some(text) => b"\x01\x02ab";
        None::<&str> => b"\x00";
        &[1u64][..] => b"\x01\x01\x00\x00\x00\x00\x00\x00\x00";
        &[text, "c"][..] => b"\x02\x02ab\x01c";
        Cow::Borrowed(text) => b"\x02ab";
        (1u16, text) => b"\x01\x00\x02ab";
    }

    let ann = user(1, "ann");
    let bytes = serde_bytes(&ann);
    assert_eq!(key!(ann).bytes(), bytes);
    assert_eq!(key!(&ann).bytes(), bytes);
    assert_eq!(key!(Arc::new(ann.clone())).bytes(), bytes);
    assert_eq!(local_key!(&ann).bytes(), bytes);
    let list = vec![ann.clone()];
    assert_eq!(key!(list).bytes(), key!(list.as_slice()).bytes());
    assert_eq!(local_key!(Some(&ann)).bytes(), key!(Some(&ann)).bytes());
    let map = HashMap::from([("a".to_owned(), ann)]);
    assert_eq!(local_key!(map).bytes(), key!(&map).bytes());
}

// ---- cost -----------------------------------------------------------------------------------------------------------

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; the counter doesn't allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn lookups_do_not_allocate() {
    let (name, id, tint, ann) = ("some-user-name", 42u64, color(1), user(1, "ann"));
    let stored = (key!(name, id).to_args(), local_key!(id, &tint).to_args(), key!(ann).to_args());
    let count = allocations(|| {
        let key = key!(name, id);
        assert!(stored.0.matches(&key) && key.hash(1) != 0);
        let key = local_key!(id, &tint);
        assert!(stored.1.matches(&key) && key.hash(1) != 0);
        let key = key!(ann);
        assert!(stored.2.matches(&key) && key.hash(1) != 0);
    });
    assert_eq!(count, 0);
    assert_eq!(allocations(|| drop(key!(name, id).to_args())), 1);
}
