//! `observe`: a value with where it came from.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::observer::{Observation, Observer, Source};
use super::{Context, current, within, within_sync};
use crate::freshness::dependencies::Dependencies;
use crate::tag::{IntoTag, Tag, TagId, names};

/// A value with where it came from. Made by [`observe`].
///
/// It is about the calls of cached functions that the observed code makes directly, and not about those that the bodies of
/// these functions make. If there are several, each field says the worst of them.
#[non_exhaustive]
pub struct Observed<T> {
    /// What the observed code returned.
    pub value: T,
    /// Where it came from. Of several calls, that which took the longest way. [`Source::Uncached`] if there was none.
    pub source: Source,
    /// How long ago the value was computed. Of several calls, that of the oldest value. Zero if there was none.
    pub age: Duration,
    /// What is left of the function's `ttl`; `None` without one. Neither `memory_ttl` nor a backend that can't be reached
    /// makes it shorter. Of several calls, the shortest; a call whose result wasn't kept has nothing left.
    pub expires_in: Option<Duration>,
    /// Whether it is past its `ttl`, by `stale_while_revalidate`, `stale_if_error` or `timeout`. Of several calls, whether one
    /// was.
    pub stale: bool,
    /// What its invalidation drops the value.
    pub tags: SeenTags,
}

/// Everything whose invalidation drops an observed value, directly or through what it was computed from. Made when it is
/// first asked for.
///
/// Beside the tags that users write, these are the ids that stand for the value's key, function and scope, which have no
/// name. Of values that are made of very many others, the first 10,000 are there.
pub struct SeenTags {
    dependencies: Vec<Dependencies>,
    first: Option<Dependencies>,
    tags: OnceLock<Vec<(TagId, Option<Arc<Tag>>)>>,
}

/// One of [`SeenTags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenTag<'a> {
    /// How backends know it.
    pub id: TagId,
    /// What it is called, if this process knows. Entries and messages carry ids, so the tags that another process has written
    /// have names here only if this one has written them, too.
    pub name: Option<&'a Tag>,
}

/// So many tags are listed.
const MOST_TAGS: usize = 10_000;

/// Runs the future, and says where its value came from.
///
/// ```
/// # async fn run() {
/// # async fn get_user(id: u64) -> u64 { id }
/// let seen = cache_core::observe(get_user(7)).await;
/// println!("user {} came from {:?}, {:?} old", seen.value, seen.source, seen.age);
/// for tag in seen.tags.iter() {
///     println!("depends on {:?}", tag.name);
/// }
/// # }
/// ```
///
/// Names of tags are known of those that this process has written since it first observed something, the last 8,000 at least.
///
/// A hit that is observed takes a little longer than one inside a run. Hits that aren't observed take as long as ever.
///
/// # Cancel safety
/// As the future itself.
pub async fn observe<F: Future>(future: F) -> Observed<F::Output> {
    let context = begin();
    let value = within(Some(Arc::clone(&context)), future).await;
    Observed::new(value, context)
}

/// Runs the closure, and says where its value came from; see [`observe`].
///
/// # Panics
/// If the closure does.
pub fn observe_sync<R>(closure: impl FnOnce() -> R) -> Observed<R> {
    let context = begin();
    let value = within_sync(Some(Arc::clone(&context)), closure);
    Observed::new(value, context)
}

thread_local! {
    /// The context of an observation that is over, for the next one: making both is most of what it costs to observe a hit.
    static SPARE: Cell<Option<Arc<Context>>> = const { Cell::new(None) };
}

/// The context of a block that is observed from now on.
fn begin() -> Arc<Context> {
    names::want();
    let outer = current();
    if outer.is_none()
        && let Some(spare) = SPARE.try_with(Cell::take).ok().flatten()
    {
        return spare;
    }
    let outer = outer.map_or_else(Context::default, |outer| (*outer).clone());
    let observer = Observer::within(outer.observer.clone());
    Arc::new(Context { observer: Some(Arc::new(observer)), ..outer })
}

/// The block is over.
fn end(mut context: Arc<Context>) -> Observation {
    let observation = context.observer.as_ref().map(|observer| observer.end()).unwrap_or_default();
    // Nobody else has it any more, and nothing was around it.
    if let Some(Context { cache: None, scope: None, frame: None, collector: None, observer: Some(observer), .. }) =
        Arc::get_mut(&mut context)
        && let Some(observer) = Arc::get_mut(observer)
        && observer.renew()
    {
        let _ = SPARE.try_with(|spare| spare.set(Some(context)));
    }
    observation
}

impl<T> Observed<T> {
    fn new(value: T, context: Arc<Context>) -> Self {
        let Observation { source, age, expires_in, stale, first, others } = end(context);
        Self {
            value,
            source,
            age: Duration::from_nanos(age),
            expires_in: expires_in.map(Duration::from_nanos),
            stale,
            tags: SeenTags { dependencies: others, first, tags: OnceLock::new() },
        }
    }

    /// The same with another value.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Observed<U> {
        let Self { value, source, age, expires_in, stale, tags } = self;
        Observed { value: map(value), source, age, expires_in, stale, tags }
    }
}

impl<T> fmt::Debug for Observed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("source", &self.source)
            .field("age", &self.age)
            .field("expires_in", &self.expires_in)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl SeenTags {
    /// These.
    pub(crate) fn of_ids(mut ids: Vec<TagId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let named: Vec<_> = ids.into_iter().map(|id| (id, names::name_of(id))).collect();
        Self { dependencies: Vec::new(), first: None, tags: OnceLock::from(named) }
    }

    /// What an entry depends on.
    pub(crate) fn of(dependencies: &Dependencies) -> Self {
        Self { dependencies: Vec::new(), first: Some(dependencies.clone()), tags: OnceLock::new() }
    }

    fn list(&self) -> &[(TagId, Option<Arc<Tag>>)] {
        self.tags.get_or_init(|| {
            let mut ids = Vec::new();
            for dependencies in self.first.iter().chain(&self.dependencies) {
                dependencies.list_ids(MOST_TAGS, &mut ids);
            }
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(MOST_TAGS);
            ids.into_iter().map(|id| (id, names::name_of(id))).collect()
        })
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = SeenTag<'_>> {
        self.list().iter().map(|(id, name)| SeenTag { id: *id, name: name.as_deref() })
    }

    /// Whether invalidating this tag drops the value. Needs no name.
    pub fn contains(&self, tag: impl IntoTag) -> bool {
        let id = Tag::new(tag).id();
        self.list().binary_search_by_key(&id, |(id, _)| *id).is_ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are none: no cached function was called.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }
}

impl fmt::Debug for SeenTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenTags").finish_non_exhaustive()
    }
}
