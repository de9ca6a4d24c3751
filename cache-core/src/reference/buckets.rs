//! The clock and the record of invalidations: a fixed number of buckets, each bounded.

use std::collections::HashMap;

use crate::backend::{HeldTag, TagId};

const BUCKETS: usize = 64;
/// A fuller bucket is trimmed to half of this.
const TAGS_PER_BUCKET: usize = 128;

/// The invalidation order.
///
/// Invariants: `clock` is at least every stamp handed out or recorded; `floor` is at least the stamp of every
/// invalidation the bucket has forgotten. So what is answered for a tag is never older than its last invalidation.
pub(super) struct Order {
    /// `None` after a loss, until it is next needed.
    clock: Option<u64>,
    /// What a real backend has its server's time for: greater than any clock value before a loss.
    time: u64,
    buckets: Vec<Option<Bucket>>,
}

struct Bucket {
    /// When every tag without a stamp counts as last invalidated.
    floor: u64,
    stamps: HashMap<TagId, u64>,
}

impl Order {
    pub(super) fn new() -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(BUCKETS, || None);
        Self { clock: None, time: 0, buckets }
    }

    /// The clock, re-created ahead of every earlier value if it was lost.
    pub(super) fn now(&mut self) -> u64 {
        let Self { clock, time, .. } = self;
        let now = *clock.get_or_insert_with(|| time.saturating_add(1));
        *time = now;
        now
    }

    /// Moves the clock; the new value is the invalidation's stamp.
    pub(super) fn invalidate(&mut self, tags: &[TagId]) -> u64 {
        let stamp = self.now().saturating_add(1);
        self.clock = Some(stamp);
        self.time = stamp;
        for tag in tags {
            let bucket = self.bucket(*tag);
            bucket.stamps.insert(*tag, stamp);
            bucket.trim();
        }
        stamp
    }

    /// Makes sure these tags have buckets, so that an entry with a stamp from now on can be live.
    pub(super) fn ensure(&mut self, tags: impl IntoIterator<Item = TagId>) {
        for tag in tags {
            self.bucket(tag);
        }
    }

    /// Whether each tag is known not to have been invalidated after the stamp held for it. Without a record: no.
    pub(super) fn live(&self, tags: &[HeldTag]) -> bool {
        tags.iter().all(|held| {
            let bucket = self.buckets.get(index(held.tag)).and_then(Option::as_ref);
            bucket.is_some_and(|bucket| bucket.last(held.tag) <= held.stamp.0)
        })
    }

    pub(super) fn lose_clock(&mut self) {
        self.clock = None;
    }

    pub(super) fn lose_buckets(&mut self) {
        self.buckets.fill_with(|| None);
    }

    pub(super) fn records(&self) -> usize {
        self.buckets.iter().flatten().map(|bucket| bucket.stamps.len()).sum()
    }

    fn bucket(&mut self, tag: TagId) -> &mut Bucket {
        let floor = self.now();
        self.buckets[index(tag)].get_or_insert_with(|| Bucket { floor, stamps: HashMap::new() })
    }
}

fn index(tag: TagId) -> usize {
    (tag.0 % BUCKETS as u64) as usize
}

impl Bucket {
    fn last(&self, tag: TagId) -> u64 {
        self.stamps.get(&tag).copied().unwrap_or(self.floor)
    }

    /// Forgets the older half and raises the floor over it.
    fn trim(&mut self) {
        if self.stamps.len() <= TAGS_PER_BUCKET {
            return;
        }
        let mut stamps: Vec<u64> = self.stamps.values().copied().collect();
        stamps.sort_unstable();
        let floor = stamps.get(stamps.len() / 2).copied().unwrap_or_default();
        self.floor = self.floor.max(floor);
        self.stamps.retain(|_, stamp| *stamp > floor);
    }
}
