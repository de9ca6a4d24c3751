//! What names a key in backends and in its tag.

use crate::tag::{self, TagId};

/// What names a key in its tag: function, version, scope and arguments, so that different calls have different bytes.
///
/// It is the same in builds that call the arguments something else, or take them in another order: an invalidation reaches
/// what they have stored, which is not to be read there (see [`entry_identity`]).
pub(crate) fn identity(function: &str, version: u64, scope: &str, args: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(function.len() + scope.len() + args.len() + 25);
    write_identity(&[function, scope], version, args, |part| bytes.extend_from_slice(part));
    bytes
}

/// The same for a moment, which seldom takes an allocation.
pub(crate) fn with_identity<R>(
    function: &str,
    version: u64,
    scope: &str,
    args: &[u8],
    with: impl FnOnce(&[u8]) -> R,
) -> R {
    let mut bytes = [0; 256];
    let mut end = Some(0);
    write_identity(&[function, scope], version, args, |part| {
        end = end.and_then(|start| {
            bytes.get_mut(start..start + part.len())?.copy_from_slice(part);
            Some(start + part.len())
        });
    });
    match end.and_then(|end| bytes.get(..end)) {
        Some(bytes) => with(bytes),
        None => with(&identity(function, version, scope, args)),
    }
}

/// What names an entry in backends: the same, and what the parts of the key are called, in their order. So builds whose
/// parameters were swapped or renamed don't read each other's entries, and side by side don't replace them either.
pub(crate) fn entry_identity(function: &str, key: &str, version: u64, scope: &str, args: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(function.len() + key.len() + scope.len() + args.len() + 33);
    write_identity(&[function, key, scope], version, args, |part| bytes.extend_from_slice(part));
    bytes
}

fn write_identity(names: &[&str], version: u64, args: &[u8], mut write: impl FnMut(&[u8])) {
    const FORMAT: u8 = 1;
    write(&[FORMAT]);
    for name in names {
        write(&(name.len() as u64).to_le_bytes());
        write(name.as_bytes());
    }
    write(&version.to_le_bytes());
    write(args);
}

/// The tag of one key. Arguments that have no bytes go by a hash that means something in this process only, where
/// their entries stay.
pub(crate) fn key_tag(identity: &[u8], typed: Option<u64>) -> TagId {
    match typed {
        Some(typed) => tag::key_tag(&[identity, &typed.to_le_bytes()].concat()),
        None => tag::key_tag(identity),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Parts = (String, u64, String, Vec<u8>);

    /// Few letters, and those that lengths are made of: so that two are often nearly the same.
    fn parts() -> impl Strategy<Value = Parts> {
        let text = || prop_oneof!["[a\0\x01:]{0,3}", ".{0,3}"];
        let args = prop_oneof![vec(0..3u8, 0..6), vec(any::<u8>(), 0..300)];
        (text(), prop_oneof![0..3u64, any::<u64>()], text(), args)
    }

    fn bytes((function, version, scope, args): &Parts) -> Vec<u8> {
        identity(function, *version, scope, args)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

        #[test]
        fn different_calls_have_different_bytes(a in parts(), b in parts(), at in any::<prop::sample::Index>()) {
            prop_assert_eq!(bytes(&a) == bytes(&b), a == b);
            let (function, version, scope, args) = &a;
            prop_assert_eq!(with_identity(function, *version, scope, args, <[u8]>::to_vec), bytes(&a));
            // What moves from one part to its neighbour.
            let all = format!("{function}{scope}");
            let cut = all.char_indices().map(|(place, _)| place).chain([all.len()]).collect::<Vec<_>>();
            let (left, right) = all.split_at(cut[at.index(cut.len())]);
            let moved = (left.to_owned(), *version, right.to_owned(), args.clone());
            prop_assert_eq!(bytes(&moved) == bytes(&a), moved == a);
            let longer = [version.to_le_bytes().as_slice(), args].concat();
            let moved = (function.clone(), *version, scope.clone(), longer);
            prop_assert!(bytes(&moved) != bytes(&a));
        }
    }
}
