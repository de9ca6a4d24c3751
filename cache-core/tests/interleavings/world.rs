//! A small world: data, a tag, a memory with one key, and what a thread remembers of it.

use std::cell::Cell;

use crate::TAG;
use crate::freshness::epoch::{Epoch, LastFoundLive};
use crate::freshness::function_tags::{BaseTags, KnownBaseTags};
use crate::freshness::invalidation::Freshness;
use crate::freshness::tags_in_use::TagRef;
use crate::generations::{Generations, Stamp};
use crate::scope::Scope;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::sync::{Arc, Mutex};

pub(crate) struct Entry {
    pub(crate) value: u64,
    pub(crate) held: u64,
    pub(crate) cell: TagRef,
    pub(crate) found_live: LastFoundLive,
}

impl Entry {
    pub(crate) fn is_usable(&self, freshness: &Freshness) -> bool {
        self.is_live_at(freshness.epoch())
    }

    pub(crate) fn is_live_at(&self, epoch: u64) -> bool {
        self.found_live.is_live(epoch, || !self.cell.is_newer_than(self.held))
    }

    /// Its tag is looked at only if something of its group was invalidated.
    pub(crate) fn is_live_by_groups(&self, freshness: &Freshness) -> bool {
        let (order, epoch) = (freshness.order(), freshness.epoch());
        self.found_live.is_still_live(order, epoch, self.cell.group()) || self.is_live_at(epoch)
    }
}

/// Of the one key there is.
pub(crate) const HASH: u64 = 7;

/// What a thread's front remembers of the key.
pub(crate) struct Slot {
    pub(crate) entry: Arc<Entry>,
    pub(crate) stamp: Stamp,
    pub(crate) generation: Cell<u64>,
}

pub(crate) struct World {
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) base: KnownBaseTags,
    pub(crate) data: AtomicU64,
    pub(crate) invalidated: AtomicU64,
    pub(crate) memory: Mutex<Option<Arc<Entry>>>,
    pub(crate) generations: Generations<2>,
    pub(crate) primed: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            // A world of its own for each schedule.
            freshness: Arc::new(Freshness::new(Box::leak(Box::new(Epoch::new())))),
            base: KnownBaseTags::default(),
            data: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            memory: Mutex::new(None),
            generations: Generations::new(),
            primed: AtomicU64::new(0),
        })
    }

    pub(crate) fn entry(&self, value: u64, held: u64) -> Arc<Entry> {
        Arc::new(Entry { value, held, cell: self.freshness.intern(TAG), found_live: LastFoundLive::never() })
    }

    /// As the store does it.
    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        *self.memory.lock().unwrap() = Some(entry);
        self.generations.advance(HASH);
    }

    /// Replaces a value that was not invalidated.
    pub(crate) fn prime(&self, value: u64) {
        self.insert(self.entry(value, self.freshness.epoch()));
        self.primed.fetch_max(value, Ordering::SeqCst);
    }

    /// A call as the front and the store answer it.
    pub(crate) fn ask(&self, slot: &mut Option<Slot>) -> Option<u64> {
        if let Some(slot) = slot {
            let (generation, epoch) = (self.generations.now(HASH), self.freshness.epoch());
            if slot.stamp.is(generation, epoch) {
                return Some(slot.entry.value);
            }
            // A look of its own.
            let (generation, epoch) = (self.generations.now(HASH), self.freshness.epoch());
            if slot.generation.get() == generation && slot.entry.is_live_at(epoch) {
                slot.stamp.set(generation, epoch);
                return Some(slot.entry.value);
            }
        }
        let generation = self.generations.now(HASH);
        self.ask_the_store(slot, generation)
    }

    pub(crate) fn ask_the_store(&self, slot: &mut Option<Slot>, generation: u64) -> Option<u64> {
        let entry = self.memory.lock().unwrap().clone()?;
        let epoch = self.freshness.epoch();
        if !entry.is_live_at(epoch) {
            return None;
        }
        let value = entry.value;
        *slot = Some(Slot { entry, stamp: Stamp::new(generation, epoch), generation: Cell::new(generation) });
        Some(value)
    }

    /// A call, checked.
    pub(crate) fn read_near(&self, slot: &mut Option<Slot>) {
        let due = (self.invalidated.load(Ordering::SeqCst), self.primed.load(Ordering::SeqCst));
        if let Some(value) = self.ask(slot) {
            assert!(value >= due.0, "an entry from before an invalidation is served after it");
            assert!(value >= due.1, "an entry is served after another one took its place");
        }
    }

    /// A run that learns its tag at its end.
    pub(crate) fn run(&self) {
        let guard = self.freshness.begin();
        let held = self.freshness.epoch();
        let value = self.data.load(Ordering::SeqCst);
        let cell = self.freshness.intern(TAG);
        self.insert(Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() }));
        drop(guard);
    }

    /// A run whose tag is its function's: other entries may hold it already, or let go of it meanwhile.
    pub(crate) fn run_in(&self, scope: &Scope) {
        let guard = self.freshness.begin();
        let held = self.freshness.epoch();
        let base = self.base.get(0, scope, || BaseTags::new(1, &self.freshness, [TAG]));
        let value = self.data.load(Ordering::SeqCst);
        let cell = base.cells[0].clone();
        let entry = Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() });
        let old = self.memory.lock().unwrap().replace(entry);
        drop((old, guard, base));
    }

    pub(crate) fn write(&self, value: u64) {
        self.data.fetch_max(value, Ordering::SeqCst);
        self.freshness.invalidate(&[TAG]);
        self.invalidated.fetch_max(value, Ordering::SeqCst);
    }

    pub(crate) fn read(&self) {
        let due = self.invalidated.load(Ordering::SeqCst);
        let entry = self.memory.lock().unwrap().clone();
        if let Some(entry) = entry.filter(|entry| entry.is_usable(&self.freshness)) {
            assert!(entry.value >= due, "an entry from before an invalidation is served after it");
        }
    }
}
