//! Values whose key is what `Identity` says.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cache_core::key::{Identity, KeyBuf, KeyWriter};
use proptest::collection::{btree_map, hash_map, hash_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::Serialize;

use crate::{User, assert_keys, identity_bytes, serde_bytes, user};

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
