//! Keys: different arguments have different keys, equal ones equal keys, whatever way they get in.

use std::fmt::Debug;
use std::hash::Hash;

use cache_core::key::{Identity, KeyBuf};
use serde::Serialize;

/// What the macro writes for the arguments of a function.
macro_rules! key {
    ($($argument:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut key = cache_core::key::KeyBuf::new();
        $({
            #[allow(unused_imports)]
            use cache_core::key::{ByIdentity as _, BySerialize as _, Missing as _};
            (&&&&cache_core::key::Part(&($argument))).__larder_add(&mut key);
        })*
        key
    }};
}

/// What it writes for those of a `local` function.
macro_rules! local_key {
    ($($argument:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut key = cache_core::key::KeyBuf::new();
        $({
            #[allow(unused_imports)]
            use cache_core::key::local::{self, ByHash as _, ByIdentity as _, BySerialize as _, Missing as _};
            (&&&&local::Part(&($argument))).__larder_add(&mut key);
        })*
        key
    }};
}

mod allocations;
mod by_hash;
mod by_identity;
mod by_serde;

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
