//! The shape of a type: equal for equal declarations, different for any change that changes the bytes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cache_core::codec::shape::of;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Declares the same type name in modules of their own, one for each variation, and collects the shapes.
macro_rules! variations {
    ($($name:ident { $($item:item)* })*) => {
        [$({
            #[allow(dead_code, unused_imports)]
            mod $name {
                use super::*;
                $($item)*
            }
            (stringify!($name), of::<$name::T>())
        }),*]
    };
}

#[track_caller]
fn all_different(shapes: &[(&str, Option<u64>)]) {
    for (index, (name, shape)) in shapes.iter().enumerate() {
        assert!(shape.is_some(), "{name} has no shape");
        for (other, other_shape) in &shapes[..index] {
            assert_ne!(shape, other_shape, "{name} and {other}");
        }
    }
}

#[test]
fn changes_to_a_struct_change_its_shape() {
    all_different(&variations! {
        original { #[derive(Deserialize)] pub(crate) struct T { a: u32, b: u32, c: Option<String> } }
        reordered { #[derive(Deserialize)] pub(crate) struct T { b: u32, a: u32, c: Option<String> } }
        renamed_field { #[derive(Deserialize)] pub(crate) struct T { a: u32, x: u32, c: Option<String> } }
        renamed_by_attribute { #[derive(Deserialize)] pub(crate) struct T { a: u32, #[serde(rename = "y")] b: u32, c: Option<String> } }
        more { #[derive(Deserialize)] pub(crate) struct T { a: u32, b: u32, c: Option<String>, d: u8 } }
        fewer { #[derive(Deserialize)] pub(crate) struct T { a: u32, b: u32 } }
        other_number { #[derive(Deserialize)] pub(crate) struct T { a: u64, b: u32, c: Option<String> } }
        signed { #[derive(Deserialize)] pub(crate) struct T { a: i32, b: u32, c: Option<String> } }
        no_option { #[derive(Deserialize)] pub(crate) struct T { a: u32, b: u32, c: String } }
        other_option { #[derive(Deserialize)] pub(crate) struct T { a: u32, b: u32, c: Option<Vec<String>> } }
        tuple { #[derive(Deserialize)] pub(crate) struct T(u32, u32, Option<String>); }
        unit { #[derive(Deserialize)] pub(crate) struct T; }
        newtype { #[derive(Deserialize)] pub(crate) struct T(u32); }
        nested { #[derive(Deserialize)] struct I { x: u8 } #[derive(Deserialize)] pub(crate) struct T { i: Vec<I> } }
        nested_changed { #[derive(Deserialize)] struct I { y: u8 } #[derive(Deserialize)] pub(crate) struct T { i: Vec<I> } }
        map { #[derive(Deserialize)] pub(crate) struct T { i: BTreeMap<String, u8> } }
        map_key { #[derive(Deserialize)] pub(crate) struct T { i: BTreeMap<char, u8> } }
        map_value { #[derive(Deserialize)] pub(crate) struct T { i: BTreeMap<String, i8> } }
        array { #[derive(Deserialize)] pub(crate) struct T { i: [u8; 4] } }
        longer_array { #[derive(Deserialize)] pub(crate) struct T { i: [u8; 5] } }
        // The second vector is not looked into again, but must be known for what it is.
        second_same { #[derive(Deserialize)] pub(crate) struct T { a: Vec<u8>, b: Vec<char>, c: Vec<u8> } }
        second_other { #[derive(Deserialize)] pub(crate) struct T { a: Vec<u8>, b: Vec<char>, c: Vec<char> } }
        skipped { #[derive(Deserialize)] pub(crate) struct T { a: u32, #[serde(skip)] b: u32, c: Option<String> } }
    });
}

#[test]
fn changes_to_an_enum_change_its_shape() {
    all_different(&variations! {
        original { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8), D { x: u8 } } }
        reordered { #[derive(Deserialize)] pub(crate) enum T { B(u8), A, C(u8, u8), D { x: u8 } } }
        renamed { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8), E { x: u8 } } }
        more { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8), D { x: u8 }, E } }
        newtype { #[derive(Deserialize)] pub(crate) enum T { A, B(u16), C(u8, u8), D { x: u8 } } }
        tuple { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, i8), D { x: u8 } } }
        longer_tuple { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8, u8), D { x: u8 } } }
        field { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8), D { y: u8 } } }
        field_type { #[derive(Deserialize)] pub(crate) enum T { A, B(u8), C(u8, u8), D { x: u32 } } }
        no_content { #[derive(Deserialize)] pub(crate) enum T { A, B, C(u8, u8), D { x: u8 } } }
    });
}

/// Every variant of every enum is reached, wherever it stands.
#[test]
fn changes_deep_inside_change_the_shape() {
    all_different(&variations! {
        in_second_variant {
            #[derive(Deserialize)] enum I { A, B(Option<Vec<u8>>) }
            #[derive(Deserialize)] pub(crate) enum T { X, Y(Vec<I>), Z(BTreeMap<u8, (I, I)>) }
        }
        in_second_variant_changed {
            #[derive(Deserialize)] enum I { A, B(Option<Vec<u16>>) }
            #[derive(Deserialize)] pub(crate) enum T { X, Y(Vec<I>), Z(BTreeMap<u8, (I, I)>) }
        }
        two_enums {
            #[derive(Deserialize)] enum I { A, B, C { x: char } }
            #[derive(Deserialize)] enum J { A, B(u8), C(I) }
            #[derive(Deserialize)] pub(crate) struct T { i: I, j: Option<J>, k: Result<I, J> }
        }
        two_enums_changed {
            #[derive(Deserialize)] enum I { A, B, C { x: char } }
            #[derive(Deserialize)] enum J { A, B(i8), C(I) }
            #[derive(Deserialize)] pub(crate) struct T { i: I, j: Option<J>, k: Result<I, J> }
        }
        generics {
            #[derive(Deserialize)] struct Page<I> { items: Vec<I> }
            #[derive(Deserialize)] struct Org { name: String }
            #[derive(Deserialize)] pub(crate) struct T { a: Page<u8>, b: Page<Org> }
        }
        generics_changed {
            #[derive(Deserialize)] struct Page<I> { items: Vec<I> }
            #[derive(Deserialize)] struct Org { title: String }
            #[derive(Deserialize)] pub(crate) struct T { a: Page<u8>, b: Page<Org> }
        }
        recursive {
            #[derive(Deserialize)] pub(crate) enum T { Leaf, Node { left: Box<T>, right: Option<Box<T>>, value: u8 } }
        }
        recursive_changed {
            #[derive(Deserialize)] pub(crate) enum T { Leaf, Node { left: Box<T>, right: Option<Box<T>>, value: u16 } }
        }
        recursive_first {
            #[derive(Deserialize)] pub(crate) enum T { Add(Box<T>, Box<T>), Neg(Box<T>), List(Vec<T>), Num(i64) }
        }
        recursive_first_changed {
            #[derive(Deserialize)] pub(crate) enum T { Add(Box<T>, Box<T>), Neg(Box<T>), List(Vec<T>), Num(i32) }
        }
        mutual {
            #[derive(Deserialize)] enum I { X(Box<T>), Y(u8), Z(Option<Box<I>>, u8) }
            #[derive(Deserialize)] pub(crate) enum T { A(I), B(Vec<I>), C }
        }
        mutual_changed {
            #[derive(Deserialize)] enum I { X(Box<T>), Y(u8), Z(Option<Box<I>>, u16) }
            #[derive(Deserialize)] pub(crate) enum T { A(I), B(Vec<I>), C }
        }
        after_recursion {
            #[derive(Deserialize)] pub(crate) struct T { next: Option<Box<T>>, children: Vec<T>, last: u8 }
        }
        after_recursion_changed {
            #[derive(Deserialize)] pub(crate) struct T { next: Option<Box<T>>, children: Vec<T>, last: i8 }
        }
    });
}

#[test]
fn kinds_of_values_have_different_shapes() {
    macro_rules! shapes {
        ($($t:ty),* $(,)?) => { [$((stringify!($t), of::<$t>())),*] };
    }
    all_different(&shapes![
        bool, i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64, char, String, (), Option<u8>, Vec<u8>, [u8; 2],
        (u8, i8), HashMap<u8, u8>, Duration, SystemTime, IpAddr, SocketAddr, Result<u8, u8>, Option<Option<u8>>,
        Vec<Vec<u8>>, Vec<Option<u8>>, Option<Vec<u8>>, std::ops::Range<u8>,
    ]);
}

#[test]
fn what_has_the_same_bytes_has_the_same_shape() {
    assert_eq!(of::<Box<u8>>(), of::<u8>());
    assert_eq!(of::<Arc<str>>(), of::<String>());
    assert_eq!(of::<Rc<[u8]>>(), of::<Vec<u8>>());
    assert_eq!(of::<HashSet<u8>>(), of::<Vec<u8>>());
    assert_eq!(of::<BTreeMap<u8, u8>>(), of::<HashMap<u8, u8>>());
    assert_eq!(of::<NonZeroU64>(), of::<u64>());
    assert_eq!(of::<usize>(), of::<u64>());
    assert_eq!(of::<PhantomData<u8>>(), of::<PhantomData<u16>>());
    let twice = variations! {
        one { #[derive(Deserialize)] pub(crate) struct T { a: u8, b: Vec<Option<char>> } }
        two { #[derive(Deserialize)] pub(crate) struct T { a: u8, b: Vec<Option<char>> } }
    };
    assert_eq!(twice[0].1, twice[1].1);
    assert!(twice[0].1.is_some());
}

/// A type that takes only what passes this check.
struct Checked<C>(PhantomData<C>);

trait Check {
    type From: DeserializeOwned;
    fn check(from: Self::From) -> bool;
}

impl<'de, C: Check> Deserialize<'de> for Checked<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let from = C::From::deserialize(deserializer)?;
        if C::check(from) { Ok(Self(PhantomData)) } else { Err(D::Error::custom("refused")) }
    }
}

macro_rules! check {
    ($($name:ident($arg:ident: $from:ty) = $check:expr;)*) => {
        $(enum $name {}
        impl Check for $name {
            type From = $from;
            fn check($arg: $from) -> bool { $check }
        })*
    };
}

check! {
    Url(text: String) = text.contains("://");
    Date(text: String) = text.len() == 10 && text.matches('-').count() == 2;
    DateTime(text: String) = text.ends_with('Z');
    Uuid(bytes: serde_bytes::Bytes) = bytes.0.len() == 16;
    Even(number: u32) = number.is_multiple_of(2);
    Never(_text: String) = false;
}

/// As the crate `serde_bytes` does it.
mod serde_bytes {
    use super::*;

    pub(super) struct Bytes(pub(super) Vec<u8>);

    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Bytes;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(bytes.to_vec()))
                }
            }
            deserializer.deserialize_bytes(Visitor)
        }
    }
}

#[test]
fn types_that_check_their_values_are_given_others() {
    assert!(of::<Checked<Url>>().is_some());
    assert!(of::<Checked<Uuid>>().is_some());
    assert!(of::<Checked<Even>>().is_some());
    assert_eq!(of::<Checked<Never>>(), None);
    // Several of them in one, and what follows them is still seen.
    all_different(&variations! {
        first {
            #[derive(Deserialize)]
            pub(crate) struct T { u: Checked<Url>, d: Vec<(Checked<Date>, Checked<DateTime>)>, e: Option<Checked<Even>>, x: u8 }
        }
        second {
            #[derive(Deserialize)]
            pub(crate) struct T { u: Checked<Url>, d: Vec<(Checked<Date>, Checked<DateTime>)>, e: Option<Checked<Even>>, x: i8 }
        }
        // A variant that nothing satisfies doesn't hide the others.
        third { #[derive(Deserialize)] pub(crate) enum T { A(Checked<Never>), B(Checked<Url>), C(u8) } }
        fourth { #[derive(Deserialize)] pub(crate) enum T { A(Checked<Never>), B(Checked<Url>), C(i8) } }
    });
}

#[derive(Deserialize)]
struct Endless(#[allow(dead_code)] Box<Endless>);

#[derive(Deserialize)]
#[allow(dead_code)]
enum Hopeless {
    A(Box<Hopeless>),
    B(Box<Hopeless>, Box<Hopeless>),
}

#[derive(Deserialize)]
enum Void {}

/// 4 to the power of 12 leaves.
#[allow(dead_code)]
#[derive(Deserialize)]
struct Wide<T>(Box<[T; 4]>);
type Wide3<T> = Wide<Wide<Wide<T>>>;
type Wide12 = Wide3<Wide3<Wide3<Wide3<u8>>>>;

/// Asks for any value.
#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Untagged {
    A(u8),
    B(String),
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Flat {
    #[serde(flatten)]
    rest: HashMap<String, u8>,
}

#[test]
fn types_without_a_shape_are_none_and_nothing_worse() {
    assert_eq!(of::<Endless>(), None);
    assert_eq!(of::<Hopeless>(), None);
    assert_eq!(of::<Void>(), None);
    assert_eq!(of::<Untagged>(), None);
    assert_eq!(of::<Vec<Untagged>>(), None);
    assert_eq!(of::<Wide12>(), None);
    // A hand-written map visitor is satisfied by one entry of anything.
    let _ = of::<Flat>();
}

/// Mutually recursive types with many options: linear, not exponential.
#[test]
fn large_types_take_no_time() {
    macro_rules! web {
        ($($name:ident: $a:ident $b:ident $c:ident;)*) => {
            $(#[derive(Deserialize)]
            #[allow(dead_code)]
            struct $name { a: Option<Box<$a>>, b: Vec<$b>, c: HashMap<String, $c>, d: Option<Box<$b>>, e: Result<Box<$c>, u8> })*
        };
    }
    web! {
        A: B C D; B: C D E; C: D E F; D: E F G; E: F G H; F: G H A; G: H A B; H: A B C;
    }
    let start = std::time::Instant::now();
    assert!(of::<A>().is_some());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Other processes compare with it: a change makes every entry of such codecs a miss.
#[test]
fn the_shape_is_pinned() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct User {
        id: u64,
        name: String,
        role: Role,
        tags: Vec<String>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Role {
        Admin,
        Member { since: Option<u32> },
    }
    assert_eq!(of::<User>(), Some(2_787_589_958_972_852_203));
}

mod text {
    use super::*;
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
                let mut read = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    read.push(u8::try_from(text.len()).map_err(A::Error::custom)?);
                }
                Ok(read)
            }
        }
        from.deserialize_seq(Visitor)
    }
}

/// Both make the same value of a list, each its own way.
#[test]
fn lists_that_are_read_by_other_code_are_looked_at() {
    all_different(&variations! {
        numbers { #[derive(Deserialize)] pub(crate) struct T { a: Vec<u8>, b: Vec<u8> } }
        texts { #[derive(Deserialize)] pub(crate) struct T { a: Vec<u8>, #[serde(with = "text")] b: Vec<u8> } }
    });
}
