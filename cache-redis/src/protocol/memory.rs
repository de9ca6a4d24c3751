//! The memory layer of a process, with the logical stamps that decide whether an entry is live.
//!
//! Models `freshness/` and `entry/` of `cache-core`. Each method is atomic here; interleavings of threads
//! inside of them are checked by `cache-core/tests/interleavings/`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::backend::{BootInstant, HeldTag, Listener, Stamp, TagId};

use super::application::{Key, Tag, Value};
use super::mistakes::Mistake;

/// The stamps that an entry holds for a tag: the process's epoch, and the Redis sequence if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) local: u64,
    pub(super) remote: Option<u64>,
}

impl Held {
    /// The older stamp of the two. Unknown if either is unknown.
    fn oldest(self, other: Self) -> Self {
        let remote = self.remote.and_then(|remote| Some(remote.min(other.remote?)));
        Self { local: self.local.min(other.local), remote }
    }
}

/// The tags that an entry depends on, with their stamps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lineage(pub(super) BTreeMap<TagId, Held>);

impl Lineage {
    pub(super) fn add(&mut self, tag: TagId, held: Held) {
        self.0.entry(tag).and_modify(|known| *known = known.oldest(held)).or_insert(held);
    }

    pub(super) fn inherit(&mut self, other: &Self) {
        for (tag, held) in &other.0 {
            self.add(*tag, *held);
        }
    }

    /// The form that is stored in Redis; `None` if a stamp is unknown.
    pub(super) fn for_backend(&self) -> Option<Vec<HeldTag>> {
        self.0.iter().map(|(tag, held)| Some(HeldTag { tag: *tag, stamp: Stamp(held.remote?) })).collect()
    }
}

/// An entry in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) lineage: Lineage,
    /// The entry can be used until then even if no heartbeat succeeds.
    pub(super) assured: u64,
    /// Its flight among those of the process; `None` if it came from Redis.
    pub(super) flight: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The epoch of the last invalidation of each tag.
    marks: BTreeMap<TagId, u64>,
    entries: BTreeMap<Key, Arc<Entry>>,
    epoch: u64,
    trusted_until: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Memory {
    state: Mutex<State>,
    /// The instant of model time 0.
    zero: BootInstant,
    mistake: Option<Mistake>,
}

impl Memory {
    pub(super) fn new(zero: BootInstant, mistake: Option<Mistake>) -> Self {
        Self { state: Mutex::new(State { epoch: 1, ..State::default() }), zero, mistake }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Applies an invalidation.
    pub(super) fn mark(&self, tags: &[TagId]) {
        let mut state = self.lock();
        let stamp = state.epoch + 1;
        state.marks.extend(tags.iter().map(|tag| (*tag, stamp)));
        state.epoch = stamp;
    }

    pub(super) fn is_live(&self, lineage: &Lineage) -> bool {
        let state = self.lock();
        lineage.0.iter().all(|(tag, held)| state.marks.get(tag).is_none_or(|mark| *mark <= held.local))
    }

    /// The end of trust for a live entry: extended by successful heartbeats.
    pub(super) fn vouched(&self, assured: u64) -> u64 {
        if self.mistake == Some(Mistake::MemoryIsTrustedForEver) {
            return u64::MAX;
        }
        assured.max(self.lock().trusted_until)
    }

    /// The entry for this key, if it is live and trusted.
    pub(super) fn usable(&self, key: Key, now: u64) -> Option<Arc<Entry>> {
        let entry = self.lock().entries.get(&key).cloned()?;
        (self.is_live(&entry.lineage) && now < self.vouched(entry.assured)).then_some(entry)
    }

    /// Returns the entry that was there before.
    pub(super) fn insert(&self, key: Key, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        self.lock().entries.insert(key, entry)
    }

    /// Drops this entry, unless there is another one by now.
    pub(super) fn withdraw(&self, key: Key, entry: &Arc<Entry>) {
        let mut state = self.lock();
        if state.entries.get(&key).is_some_and(|there| Arc::ptr_eq(there, entry)) {
            state.entries.remove(&key);
        }
    }

    /// Drops all entries, as the memory bound may do at any time.
    pub(super) fn evict(&self) {
        self.lock().entries.clear();
    }
}

impl Listener for Memory {
    fn invalidated(&self, tags: &[TagId]) {
        self.mark(tags);
    }

    fn doubt(&self) {
        if self.mistake != Some(Mistake::DoubtsAreIgnored) {
            self.mark(&[Tag::Everything.id()]);
        }
    }

    fn trusted_until(&self, deadline: BootInstant) {
        self.lock().trusted_until = deadline.saturating_duration_since(self.zero).as_secs();
    }
}
