//! What is tested.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, BoxFuture};

pub(super) type Hook = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;
type Advance = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Two processes' handles of one empty store, and what the test can do to that store.
///
/// Hooks are optional; the points that need one are skipped without it. A hook has done its work when its future is
/// ready.
pub struct Subject {
    pub(super) first: Arc<dyn Backend>,
    pub(super) second: Arc<dyn Backend>,
    pub(super) stranger: Option<Arc<dyn Backend>>,
    pub(super) advance: Option<Advance>,
    pub(super) lose_tag_records: Option<Hook>,
    pub(super) lose_clock: Option<Hook>,
    pub(super) lose_leases: Option<Hook>,
    pub(super) damage_entries: Option<Hook>,
}

impl Subject {
    /// The handles of two processes. Two connections of one process will do, if they share nothing but the store.
    pub fn new(first: impl Backend, second: impl Backend) -> Self {
        Self {
            first: Arc::new(first),
            second: Arc::new(second),
            stranger: None,
            advance: None,
            lose_tag_records: None,
            lose_clock: None,
            lose_leases: None,
            damage_entries: None,
        }
    }

    /// A backend that uses the same server under another prefix, to see that they leave each other alone.
    #[must_use]
    pub fn stranger(mut self, stranger: impl Backend) -> Self {
        self.stranger = Some(Arc::new(stranger));
        self
    }

    /// Lets time pass for the backend. Without it the suite sleeps.
    #[must_use]
    pub fn advance<F: Future<Output = ()> + Send + 'static>(
        mut self,
        advance: impl Fn(Duration) -> F + Send + Sync + 'static,
    ) -> Self {
        self.advance = Some(Box::new(move |time| Box::pin(advance(time))));
        self
    }

    /// Loses the record of which tags were invalidated when, all of it, but no entry.
    #[must_use]
    pub fn lose_tag_records<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.lose_tag_records = Some(boxed(hook));
        self
    }

    /// Loses the clock.
    #[must_use]
    pub fn lose_clock<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.lose_clock = Some(boxed(hook));
        self
    }

    /// Ends all leases in the store while their guards still exist, as when their time ran out behind a cut network.
    #[must_use]
    pub fn lose_leases<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.lose_leases = Some(boxed(hook));
        self
    }

    /// Changes bytes of every stored entry.
    #[must_use]
    pub fn damage_entries<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.damage_entries = Some(boxed(hook));
        self
    }

    /// Every handle.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        [&self.first, &self.second].into_iter().chain(&self.stranger)
    }
}

fn boxed<F: Future<Output = ()> + Send + 'static>(hook: impl Fn() -> F + Send + Sync + 'static) -> Hook {
    Box::new(move || Box::pin(hook()))
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("first", &self.first).field("second", &self.second).finish_non_exhaustive()
    }
}
