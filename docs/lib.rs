//! The guides, for the compiler: every Rust block in them is a test.

/// From `cached`.
#[cfg(doctest)]
#[doc = include_str!("moving-from-cached.md")]
pub mod cached {}

/// From moka.
#[cfg(doctest)]
#[doc = include_str!("moving-from-moka.md")]
pub mod moka {}

/// From `@requence/cache`.
#[cfg(doctest)]
#[doc = include_str!("moving-from-requence-cache.md")]
pub mod requence_cache {}
