//! Nothing is in scope here but what is named, and what usual names mean is something else.

#![no_implicit_prelude]
#![expect(dead_code, reason = "these only stand in the way")]

/// In the way.
struct Result;
/// In the way.
struct Option;
/// In the way.
struct Vec;
/// In the way.
struct String;
/// In the way.
struct Duration;
/// In the way.
#[expect(non_camel_case_types, reason = "it hides the primitive type")]
struct u64;
/// In the way.
enum Variants {
    /// In the way.
    Some,
    /// In the way.
    None,
    /// In the way.
    Ok,
    /// In the way.
    Err,
}
/// In the way.
mod std {}
/// In the way.
mod core {}
/// In the way.
mod alloc {}

/// As if all that weren't there.
#[::pantry::cached(
    crate = ::pantry,
    ttl = "5m",
    tags = ["a", "of:{of}", ("of", of)],
    result_tags = |_| ["x"],
    jitter = 0.1,
    max_entries = 5,
    helpers = [refresh, prime, peek, tag, explain]
)]
#[inline]
#[must_use]
pub fn sync(of: u8) -> u8 {
    of
}

/// As if all that weren't there, async and renewed.
#[::pantry::cached(crate = ::pantry, ttl = "5m", stale_while_revalidate = "1m", tags = ["of:{of}"], helpers = [refresh, prime, peek, tag, explain])]
#[inline]
#[must_use]
pub async fn not_sync(of: u8) -> u8 {
    of
}
