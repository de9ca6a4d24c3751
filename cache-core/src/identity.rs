//! What names a key in backends and in its tag.

use crate::backend::TagId;
use crate::tag;

/// Function, version, scope and arguments, so that different calls have different bytes.
pub(crate) fn identity(function: &str, version: u64, scope: &str, args: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(function.len() + scope.len() + args.len() + 25);
    write_identity(function, version, scope, args, |part| bytes.extend_from_slice(part));
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
    write_identity(function, version, scope, args, |part| {
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

fn write_identity(function: &str, version: u64, scope: &str, args: &[u8], mut write: impl FnMut(&[u8])) {
    const FORMAT: u8 = 1;
    write(&[FORMAT]);
    for text in [function, scope] {
        write(&(text.len() as u64).to_le_bytes());
        write(text.as_bytes());
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
