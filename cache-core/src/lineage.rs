//! What an entry depends on: its tags, each with the stamp the entry holds for it.

use std::sync::Arc;

use crate::backend::{HeldTag, Stamp};
use crate::freshness::{Freshness, TagCell};

/// A tag an entry carries, with the stamp in the order of this process.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) cell: Arc<TagCell>,
    pub(crate) local: u64,
}

/// Everything whose invalidation kills an entry: its own tags with the run's stamps, and what it inherited from other
/// entries with *their* stamps.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// The cache whose backends `remote` speaks of.
    cache: u64,
    /// Sorted by id.
    held: Box<[Held]>,
    /// Per backend and tag, the stamp in that backend's order; 0 where it isn't known.
    remote: Box<[Box<[u64]>]>,
}

impl Lineage {
    /// Own tags, all with the same stamps: one in this process's order and one per backend.
    pub(crate) fn own(cache: u64, cells: Vec<Arc<TagCell>>, local: u64, remote: &[Option<Stamp>]) -> Self {
        let mut held: Vec<_> = cells.into_iter().map(|cell| Held { cell, local }).collect();
        held.sort_by_key(|held| held.cell.id());
        held.dedup_by_key(|held| held.cell.id());
        let remote = remote.iter().map(|stamp| vec![stamp.map_or(0, |stamp| stamp.0); held.len()].into()).collect();
        Self { cache, held: held.into(), remote }
    }

    /// The tags of an entry read from backend number `from`, of `backends`. `local` was taken before the read.
    pub(crate) fn read(
        cache: u64,
        freshness: &Freshness,
        tags: &[HeldTag],
        local: u64,
        from: usize,
        upper: &[Option<Stamp>],
        backends: usize,
    ) -> Self {
        let held: Box<[Held]> = tags.iter().map(|tag| Held { cell: freshness.intern(tag.tag), local }).collect();
        let remote = (0..backends)
            .map(|backend| {
                if backend == from {
                    tags.iter().map(|tag| tag.stamp.0).collect()
                } else {
                    // What stands above was read before this entry was; what stands below is unknown.
                    let stamp = upper.get(backend).copied().flatten().map_or(0, |stamp| stamp.0);
                    vec![stamp; tags.len()].into()
                }
            })
            .collect();
        Self { cache, held, remote }
    }

    /// Own and inherited tags together. A tag that several bring keeps the oldest stamp, and an unknown one stays
    /// unknown.
    pub(crate) fn merge(own: &Self, inherited: &[Arc<Self>]) -> Self {
        let backends = own.remote.len();
        let mut rows: Vec<(Held, Vec<u64>)> = Vec::new();
        for lineage in inherited.iter().map(Arc::as_ref).chain([own]) {
            // Another cache's backends have another order.
            let known = lineage.cache == own.cache;
            rows.extend(lineage.held.iter().enumerate().map(|(tag, held)| {
                let stamp = |backend: usize| lineage.remote.get(backend).and_then(|stamps| stamps.get(tag)).copied();
                let remote = (0..backends).map(|backend| stamp(backend).filter(|_| known).unwrap_or(0)).collect();
                (held.clone(), remote)
            }));
        }
        // Caches have cells of their own for the same id.
        rows.sort_by_key(|(held, _)| (held.cell.id(), Arc::as_ptr(&held.cell) as usize));
        rows.dedup_by(|(later, later_remote), (kept, kept_remote)| {
            let same = Arc::ptr_eq(&later.cell, &kept.cell);
            if same {
                kept.local = kept.local.min(later.local);
                for (kept, later) in kept_remote.iter_mut().zip(later_remote) {
                    *kept = (*kept).min(*later);
                }
            }
            same
        });
        let remote = (0..backends)
            .map(|backend| rows.iter().map(|(_, remote)| remote.get(backend).copied().unwrap_or(0)).collect())
            .collect();
        Self { cache: own.cache, held: rows.into_iter().map(|(held, _)| held).collect(), remote }
    }

    /// Whether nothing of it was invalidated since.
    pub(crate) fn is_live(&self) -> bool {
        self.held.iter().all(|held| !held.cell.is_newer_than(held.local))
    }

    /// As backend number `backend` keeps it; `None` if a stamp in its order isn't known, so that nobody could ever
    /// tell whether the entry is live.
    pub(crate) fn for_backend(&self, backend: usize) -> Option<Vec<HeldTag>> {
        let stamps = self.remote.get(backend)?;
        let mut tags: Vec<HeldTag> = self
            .held
            .iter()
            .zip(stamps)
            .map(|(held, stamp)| (*stamp != 0).then_some(HeldTag { tag: held.cell.id(), stamp: Stamp(*stamp) }))
            .collect::<Option<_>>()?;
        tags.dedup_by(|later, kept| {
            let same = later.tag == kept.tag;
            if same {
                kept.stamp = kept.stamp.min(later.stamp);
            }
            same
        });
        Some(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TagId;
    use crate::freshness::Epoch;

    #[test]
    fn inherited_tags_keep_their_stamps_and_the_oldest_counts() {
        let freshness = Freshness::new(Arc::new(Epoch::new()));
        let cells = |ids: &[u64]| ids.iter().map(|id| freshness.intern(TagId(*id))).collect::<Vec<_>>();
        let child = Arc::new(Lineage::own(1, cells(&[1, 2]), 10, &[Some(Stamp(100))]));
        let foreign = Arc::new(Lineage::own(2, cells(&[4]), 11, &[Some(Stamp(7))]));
        let own = Lineage::own(1, cells(&[2, 3]), 20, &[Some(Stamp(200))]);
        let merged = Lineage::merge(&own, &[Arc::clone(&child), child, foreign]);
        let local: Vec<_> = merged.held.iter().map(|held| (held.cell.id().0, held.local)).collect();
        assert_eq!(local, [(1, 10), (2, 10), (3, 20), (4, 11)]);
        assert_eq!(&*merged.remote[0], [100, 100, 200, 0], "another cache's backend has another order");
        assert_eq!(merged.for_backend(0), None, "what has an unknown stamp can't be stored");
    }
}
