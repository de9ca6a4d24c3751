//! What a function's options say of one result.

use std::time::Duration;

use crate::tag::{IntoTag, TagSet};

/// Gathered after the body has run.
#[derive(Debug)]
pub struct Verdict {
    pub(crate) ttl: Option<Duration>,
    pub(crate) memory_ttl: Option<Duration>,
    pub(crate) store: bool,
    pub(crate) tags: TagSet,
    pub(crate) weight: u32,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { ttl: None, memory_ttl: None, store: true, tags: TagSet::default(), weight: 1 }
    }
}

impl Verdict {
    /// The `ttl` option.
    pub fn ttl(&mut self, ttl: Duration) {
        self.ttl = Some(ttl);
    }

    /// The `memory_ttl` option.
    pub fn memory_ttl(&mut self, ttl: Duration) {
        self.memory_ttl = Some(ttl);
    }

    /// The `none_ttl` option.
    pub fn none_ttl<T: MaybeNone>(&mut self, value: &T, ttl: Duration) {
        if value.is_nothing() {
            self.ttl = Some(ttl);
        }
    }

    /// `cache_none = false`.
    pub fn skip_none<T: MaybeNone>(&mut self, value: &T) {
        self.store &= !value.is_nothing();
    }

    /// The `cache_if` option.
    pub fn cache_if(&mut self, store: bool) {
        self.store &= store;
    }

    /// The `result_tags` option.
    pub fn tags<T: IntoTag>(&mut self, tags: impl IntoIterator<Item = T>) {
        self.tags.extend(tags);
    }

    /// The `weigh` option. Weights beyond 4 GiB count as 4 GiB.
    pub fn weigh<T: TryInto<u64>>(&mut self, weight: T) {
        self.weight = weight.try_into().ok().and_then(|weight| u32::try_from(weight).ok()).unwrap_or(u32::MAX);
    }
}

/// What `none_ttl` and `cache_none` are for.
#[diagnostic::on_unimplemented(
    message = "`none_ttl` and `cache_none` are for functions that return an `Option`, or a `Result` of one",
    label = "`{Self}` is never `None`"
)]
pub trait MaybeNone {
    /// Whether it is `None`.
    fn is_nothing(&self) -> bool;
}

impl<T> MaybeNone for Option<T> {
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl<T, E> MaybeNone for Result<Option<T>, E> {
    fn is_nothing(&self) -> bool {
        matches!(self, Ok(None))
    }
}
