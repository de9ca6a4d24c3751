//! Values that local functions tell apart by `Eq` and `Hash`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use cache_core::key::{Args, Identity, KeyBuf};
use serde::Serialize;

use crate::{Color, assert_keys, color, identity_bytes, serde_bytes, user};

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
