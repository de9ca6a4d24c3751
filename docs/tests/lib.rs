//! The guides and the README, for the compiler: every Rust block in them is a test.

/// Beside fragments, which are left out.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}

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
