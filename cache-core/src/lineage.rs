//! What an entry depends on: its tags, each with the stamp the entry holds for it.

use std::slice;
use std::sync::Arc;

use crate::backend::{HeldTag, Stamp, TagId};
use crate::base_tags::BaseTags;
use crate::freshness::Freshness;
use crate::tag_table::TagRef;

/// A tag an entry carries, with the stamp in the order of this process.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) cell: TagRef,
    pub(crate) local: u64,
}

/// Everything whose invalidation kills an entry: its own tags with the run's stamps, and what it inherited from other
/// entries with *their* stamps.
///
/// There is one of these in each entry in memory, so the usual one is small and in place; what isn't is shared by its
/// clones.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// Of the function and scope whose entry it is.
    base: Arc<BaseTags>,
    tags: Tags,
}

#[derive(Clone, Debug)]
enum Tags {
    /// The base tags and the key's, all with one stamp; in a cache without backends.
    Own {
        key: TagRef,
        local: u64,
    },
    Others(Arc<Others>),
}

#[derive(Debug)]
enum Others {
    /// The base tags and these, the key's among them, all with one stamp; in a cache without backends.
    Two { cells: [TagRef; 2], local: u64 },
    /// The same with more, or fewer.
    Own { cells: Box<[TagRef]>, local: u64 },
    /// All of them, each with its own.
    Rows(Box<Rows>),
}

/// Tags with one stamp, which the base tags have too.
struct Own<'a> {
    cells: &'a [TagRef],
    local: u64,
}

#[derive(Debug)]
struct Rows {
    /// Sorted by id.
    held: Box<[Held]>,
    /// The stamps in the backends' orders: one per tag for the first backend, then for the next; 0 where it isn't known.
    remote: Box<[u64]>,
}

impl Lineage {
    /// Own tags, all with the same stamps: one in this process's order and one per backend. `key` and `named` are those
    /// beside the base tags.
    pub(crate) fn own(
        base: Arc<BaseTags>,
        key: Option<TagRef>,
        mut named: Vec<TagRef>,
        local: u64,
        remote: &[Option<Stamp>],
    ) -> Self {
        if let Some(key) = key {
            if remote.is_empty() && named.is_empty() {
                return Self { base, tags: Tags::Own { key, local } };
            }
            named.push(key);
        }
        named.sort_by_key(|cell| cell.id());
        named.dedup_by_key(|cell| cell.id());
        if remote.is_empty() {
            let others = match <[_; 2]>::try_from(named) {
                Ok(cells) => Others::Two { cells, local },
                Err(named) => Others::Own { cells: named.into(), local },
            };
            return Self::of(base, others);
        }
        let cells = base.cells.iter().chain(&named);
        let mut held: Vec<_> = cells.map(|cell| Held { cell: cell.clone(), local }).collect();
        held.sort_by_key(|held| held.cell.id());
        held.dedup_by_key(|held| held.cell.id());
        let stamps = remote.iter().flat_map(|stamp| vec![stamp.map_or(0, |stamp| stamp.0); held.len()]);
        let rows = Rows { remote: stamps.collect(), held: held.into() };
        Self::of(base, Others::Rows(Box::new(rows)))
    }

    fn of(base: Arc<BaseTags>, others: Others) -> Self {
        Self { base, tags: Tags::Others(Arc::new(others)) }
    }

    fn tags(&self) -> Result<Own<'_>, &Rows> {
        match &self.tags {
            Tags::Own { key, local } => Ok(Own { cells: slice::from_ref(key), local: *local }),
            Tags::Others(others) => match &**others {
                Others::Two { cells, local } => Ok(Own { cells, local: *local }),
                Others::Own { cells, local } => Ok(Own { cells, local: *local }),
                Others::Rows(rows) => Err(rows),
            },
        }
    }

    /// The cache of the entry.
    pub(crate) fn cache(&self) -> u64 {
        self.base.cache
    }

    /// The same number for clones, and hardly for others.
    pub(crate) fn place(&self) -> u64 {
        match &self.tags {
            Tags::Own { key, local } => key.place() as u64 ^ local.rotate_left(48),
            Tags::Others(others) => Arc::as_ptr(others) as u64,
        }
    }

    /// Whether it is a clone, or as good as one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = match (&self.tags, &other.tags) {
            (Tags::Own { key, local }, Tags::Own { key: others, local: other }) => key.is(others) && local == other,
            (Tags::Others(others), Tags::Others(other)) => Arc::ptr_eq(others, other),
            _ => false,
        };
        same && Arc::ptr_eq(&self.base, &other.base)
    }

    /// The tags of an entry read from backend number `from`, of `backends`. `local` was taken before the read.
    pub(crate) fn read(
        base: Arc<BaseTags>,
        freshness: &Freshness,
        tags: &[HeldTag],
        local: u64,
        from: usize,
        upper: &[Option<Stamp>],
        backends: usize,
    ) -> Self {
        // Most of them are base tags, which are at hand.
        let known = |id| base.cells.iter().find(|cell| cell.id() == id).cloned();
        let cell = |id| known(id).unwrap_or_else(|| freshness.intern(id));
        let held = tags.iter().map(|tag| Held { cell: cell(tag.tag), local }).collect();
        let stamps = (0..backends).flat_map(|backend| {
            // What stands above was read before this entry was; what stands below is unknown.
            let above = upper.get(backend).copied().flatten().map_or(0, |stamp| stamp.0);
            tags.iter().map(move |tag| if backend == from { tag.stamp.0 } else { above })
        });
        Self::of(base, Others::Rows(Box::new(Rows { held, remote: stamps.collect() })))
    }

    /// Own and inherited tags together. A tag that several bring keeps the oldest stamp, and an unknown one stays
    /// unknown.
    pub(crate) fn merge(own: &Self, inherited: &[Self]) -> Self {
        let backends = own.backends();
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(inherited.len() + 8);
        // Per row, a stamp per backend.
        let mut stamps: Vec<u64> = Vec::new();
        // Entries of one function share their base tags, so these are rows once and not for each.
        let mut bases: Vec<(&Arc<BaseTags>, u64)> = Vec::new();
        for lineage in inherited.iter().chain([own]) {
            match lineage.tags() {
                Ok(Own { cells, local }) => {
                    let mut latest = bases.iter_mut().rev().take(8);
                    match latest.find(|(base, _)| Arc::ptr_eq(base, &lineage.base)) {
                        Some((_, oldest)) => *oldest = (*oldest).min(local),
                        None => bases.push((&lineage.base, local)),
                    }
                    for cell in cells {
                        rows.push(Row::new(cell, local, stamps.len()));
                        stamps.extend((0..backends).map(|_| 0));
                    }
                }
                Err(held) => {
                    // Another cache's backends have another order.
                    let known = lineage.base.cache == own.base.cache;
                    for (tag, held) in held.held.iter().enumerate() {
                        rows.push(Row::new(&held.cell, held.local, stamps.len()));
                        let stamp = |backend| if known { lineage.remote(backend, tag) } else { 0 };
                        stamps.extend((0..backends).map(stamp));
                    }
                }
            }
        }
        for (base, local) in bases {
            for cell in &base.cells {
                rows.push(Row::new(cell, local, stamps.len()));
                stamps.extend((0..backends).map(|_| 0));
            }
        }
        // Caches have cells of their own for the same id.
        rows.sort_unstable_by_key(|row| (row.id, row.cell.place()));
        rows.dedup_by(|later, kept| {
            let same = later.cell.is(kept.cell);
            if same {
                kept.local = kept.local.min(later.local);
                for backend in 0..backends {
                    let stamp = stamps.get(later.remote + backend).copied().unwrap_or(0);
                    if let Some(kept) = stamps.get_mut(kept.remote + backend) {
                        *kept = (*kept).min(stamp);
                    }
                }
            }
            same
        });
        let stamp = |row: &Row<'_>, backend| stamps.get(row.remote + backend).copied().unwrap_or(0);
        let remote = (0..backends).flat_map(|backend| rows.iter().map(move |row| stamp(row, backend))).collect();
        let held = rows.iter().map(|row| Held { cell: row.cell.clone(), local: row.local }).collect();
        Self::of(Arc::clone(&own.base), Others::Rows(Box::new(Rows { held, remote })))
    }

    /// Whether nothing of it was invalidated since.
    pub(crate) fn is_live(&self) -> bool {
        match self.tags() {
            Ok(Own { cells, local }) => self.base.cells.iter().chain(cells).all(|cell| !cell.is_newer_than(local)),
            Err(rows) => rows.held.iter().all(|held| !held.cell.is_newer_than(held.local)),
        }
    }

    /// The same with more own tags, which are all it has.
    pub(crate) fn with(&self, more: Vec<TagRef>, local: u64, remote: &[Option<Stamp>]) -> Self {
        let mut named = more;
        self.for_each(|_, cell, _| named.push(cell.clone()));
        named.retain(|cell| !self.base.cells.iter().any(|base| base.is(cell)));
        Self::own(Arc::clone(&self.base), None, named, local, remote)
    }

    /// As backend number `backend` keeps it; `None` if a stamp in its order isn't known, so that nobody could ever
    /// tell whether the entry is live.
    pub(crate) fn for_backend(&self, backend: usize) -> Option<Vec<HeldTag>> {
        let Err(rows) = self.tags() else { return None };
        let stamps = rows.of_backend(backend)?;
        let mut tags: Vec<HeldTag> = rows
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

    fn for_each<'a>(&'a self, mut with: impl FnMut(usize, &'a TagRef, u64)) {
        match self.tags() {
            Ok(Own { cells, local }) => {
                self.base.cells.iter().chain(cells).enumerate().for_each(|(tag, cell)| with(tag, cell, local));
            }
            Err(rows) => {
                rows.held.iter().enumerate().for_each(|(tag, held)| with(tag, &held.cell, held.local));
            }
        }
    }

    fn backends(&self) -> usize {
        self.tags().err().and_then(|rows| rows.remote.len().checked_div(rows.held.len())).unwrap_or(0)
    }

    /// The stamp in a backend's order; 0 if it isn't known.
    fn remote(&self, backend: usize, tag: usize) -> u64 {
        let Err(rows) = self.tags() else { return 0 };
        rows.of_backend(backend).and_then(|stamps| stamps.get(tag)).copied().unwrap_or(0)
    }
}

/// A row of a lineage that is being merged.
struct Row<'a> {
    id: TagId,
    cell: &'a TagRef,
    local: u64,
    /// Where its stamps in the backends' orders begin.
    remote: usize,
}

impl<'a> Row<'a> {
    fn new(cell: &'a TagRef, local: u64, remote: usize) -> Self {
        Self { id: cell.id(), cell, local, remote }
    }
}

impl Rows {
    fn of_backend(&self, backend: usize) -> Option<&[u64]> {
        let tags = self.held.len();
        self.remote.get(backend * tags..(backend + 1) * tags).filter(|stamps| !stamps.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_tags::KnownBaseTags;
    use crate::freshness::Epoch;
    use crate::scope::Scope;
    use crate::tag_table::TagCell;

    fn freshness() -> Freshness {
        static EPOCH: Epoch = Epoch::new();
        Freshness::new(&EPOCH)
    }

    fn held(lineage: &Lineage) -> Vec<(u64, u64)> {
        let mut held = Vec::new();
        lineage.for_each(|_, cell, local| held.push((cell.id().0, local)));
        held
    }

    #[test]
    fn inherited_tags_keep_their_stamps_and_the_oldest_counts() {
        let freshness = freshness();
        let own = |cache: u64, ids: [u64; 2], local: u64, remote: &[Option<Stamp>]| {
            let base = BaseTags::new(cache, &freshness, [TagId(ids[0])]);
            Lineage::own(Arc::new(base), Some(freshness.intern(TagId(ids[1]))), Vec::new(), local, remote)
        };
        for backends in [true, false] {
            let stamp = |stamp: u64| [Some(Stamp(stamp))].into_iter().filter(|_| backends).collect::<Vec<_>>();
            let child = own(1, [1, 2], 10, &stamp(100));
            let foreign = own(2, [4, 4], 11, &stamp(7));
            let merged = Lineage::merge(&own(1, [3, 2], 20, &stamp(200)), &[child.clone(), child, foreign]);
            assert_eq!(held(&merged), [(1, 10), (2, 10), (3, 20), (4, 11)]);
            assert_eq!(merged.for_backend(0), None, "what has an unknown stamp can't be stored");
            if backends {
                let remote: Vec<_> = (0..4).map(|tag| merged.remote(0, tag)).collect();
                assert_eq!(remote, [100, 100, 200, 0], "another cache's backend has another order");
            }
        }
    }

    #[test]
    fn scopes_that_are_gone_are_forgotten_while_others_are_used() {
        let (freshness, known) = (freshness(), KnownBaseTags::default());
        let get = |scope: usize| {
            known.get(0, &Scope::new(scope.to_string()), || BaseTags::new(1, &freshness, [TagId(scope as u64)]))
        };
        let held: Vec<_> = (0..1_000).map(get).collect();
        assert_eq!(known.len(), 1_000);
        drop(held);
        (0..1_000).for_each(|_| drop(get(0)));
        assert!(known.len() <= 1, "{} are known", known.len());
    }

    #[test]
    fn base_tags_that_many_share_keep_the_oldest_stamp() {
        let freshness = freshness();
        let base = |ids: [u64; 2]| Arc::new(BaseTags::new(1, &freshness, ids.map(TagId)));
        let bases = [base([1, 2]), base([1, 3]), base([1, 2])];
        let of = |number: u64, local: u64| {
            let key = freshness.intern(TagId(100 + number % 50));
            Lineage::own(Arc::clone(&bases[number as usize % 3]), Some(key), Vec::new(), local, &[])
        };
        let inherited: Vec<_> = (0..200).map(|number| of(number, 1000 - number)).collect();
        let own = Lineage::own(base([4, 5]), Some(freshness.intern(TagId(6))), Vec::new(), 2000, &[]);
        let merged = held(&Lineage::merge(&own, &inherited));
        let mut expected = vec![(1, 801), (2, 802), (3, 801), (4, 2000), (5, 2000), (6, 2000)];
        // Each key's last one is the oldest.
        expected.extend((0..50).map(|key| (100 + key, 850 - key)));
        assert_eq!(merged, expected);
    }

    #[test]
    fn clones_are_told_from_others() {
        let freshness = freshness();
        let base = |id| Arc::new(BaseTags::new(1, &freshness, [TagId(id)]));
        let (base, other_base) = (base(1), base(1));
        let own = |base: &Arc<BaseTags>, key, named: &[u64], local| {
            let named = named.iter().map(|id| freshness.intern(TagId(*id))).collect();
            Lineage::own(Arc::clone(base), Some(freshness.intern(TagId(key))), named, local, &[])
        };
        // Held, so that each tag has one cell.
        let all = [
            own(&base, 2, &[], 5),
            own(&base, 2, &[], 6),
            own(&base, 3, &[], 5),
            own(&other_base, 2, &[], 5),
            own(&base, 2, &[4], 5),
            own(&base, 2, &[4, 5], 5),
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(one.is_same(&other.clone()), at == other_at, "{at} and {other_at}");
                assert!(at != other_at || one.place() == other.clone().place());
            }
        }
        assert!(own(&base, 2, &[], 5).is_same(&all[0]), "made again, it is as good as a clone");
    }

    #[test]
    fn tags_that_come_late_are_added_once() {
        let freshness = freshness();
        let base = Arc::new(BaseTags::new(1, &freshness, [TagId(5), TagId(1)]));
        for remote in [&[][..], &[Some(Stamp(9)), None]] {
            let (key, now) = (Some(freshness.intern(TagId(3))), freshness.epoch());
            let own = Lineage::own(Arc::clone(&base), key, Vec::new(), now, remote);
            let late = [4, 3, 4, 1].map(|id| freshness.intern(TagId(id))).into();
            let all = own.with(late, now, remote);
            let mut all_held = held(&all);
            all_held.sort_unstable();
            assert_eq!(all_held, [1, 3, 4, 5].map(|id| (id, now)));
            assert_eq!(all.backends(), remote.len());
            if !remote.is_empty() {
                let tags = [1, 3, 4, 5].map(|id| HeldTag { tag: TagId(id), stamp: Stamp(9) });
                assert_eq!(all.for_backend(0).as_deref(), Some(&tags[..]));
                assert_eq!(all.for_backend(1), None);
            }
            freshness.invalidate(&[TagId(4)]);
            assert!(own.is_live() && !all.is_live());
        }
    }

    #[test]
    fn base_tags_are_shared_while_held_and_then_freed() {
        let freshness = freshness();
        let known = KnownBaseTags::default();
        let get = |instance: u32, scope: &str| {
            known.get(instance, &Scope::new(scope), || {
                BaseTags::new(1, &freshness, [TagId(9), TagId(u64::from(instance) + scope.len() as u64)])
            })
        };
        let (usual, named, second) = (get(0, ""), get(0, "a"), get(1, ""));
        assert!(Arc::ptr_eq(&usual, &get(0, "")) && Arc::ptr_eq(&named, &get(0, "a")));
        assert!(!Arc::ptr_eq(&usual, &named) && !Arc::ptr_eq(&usual, &second));
        assert_eq!(usual.cells.iter().map(|cell| cell.id().0).collect::<Vec<_>>(), [0, 9]);
        drop((usual, named, second));
        assert_eq!(freshness.tags_in_use(), 0);
        for tenant in 0..1_000 {
            get(0, &format!("tenant-{tenant}"));
        }
        assert!(known.len() <= 128, "scopes that came and went are forgotten");
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Lineage>() <= 24 && size_of::<TagCell>() <= 24);
    }
}
