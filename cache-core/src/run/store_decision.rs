//! What a function's options say of one result.

use std::any::Any;
use std::marker::PhantomData;
use std::time::Duration;

use crate::tag::{IntoTag, TagSet};

/// Gathered after the body has run. The lifetimes that don't depend on the result are there before.
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

    /// The `weigh` option. Weights beyond 4 GiB count as 4 GiB, and nothing as 1: else no bound would hold.
    pub fn weigh<T: TryInto<u64>>(&mut self, weight: T) {
        let weight = weight.try_into().ok().and_then(|weight| u32::try_from(weight).ok()).unwrap_or(u32::MAX);
        self.weight = weight.max(1);
    }
}

/// What a function's options say of its results, without their type.
pub trait Judge {
    /// Adds to the verdict what follows from the value.
    fn judge(&self, value: &(dyn Any + Send + Sync), verdict: &mut Verdict);
}

/// Nothing follows from the value.
#[derive(Clone, Copy, Debug)]
pub struct Unjudged;

impl Judge for Unjudged {
    fn judge(&self, _: &(dyn Any + Send + Sync), _: &mut Verdict) {}
}

/// A closure over values of type `T`.
#[derive(Debug)]
pub struct Judged<T, J>(J, PhantomData<fn(&T)>);

impl<T, J: Fn(&T, &mut Verdict)> Judged<T, J> {
    pub(crate) fn new(judge: J) -> Self {
        Self(judge, PhantomData)
    }
}

impl<T: 'static, J: Fn(&T, &mut Verdict)> Judge for Judged<T, J> {
    fn judge(&self, value: &(dyn Any + Send + Sync), verdict: &mut Verdict) {
        if let Some(value) = value.downcast_ref() {
            (self.0)(value, verdict);
        }
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
