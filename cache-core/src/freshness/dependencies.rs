//! What an entry depends on: its tags, each with the stamp the entry holds for it.

use std::slice;
use std::sync::Arc;

use crate::backend::{HeldTag, Stamp, TagId};
use crate::freshness::function_tags::BaseTags;
use crate::freshness::invalidation::Freshness;
use crate::freshness::tags_in_use::TagRef;

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
pub(crate) struct Dependencies {
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

impl Dependencies {
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
        for dependencies in inherited.iter().chain([own]) {
            match dependencies.tags() {
                Ok(Own { cells, local }) => {
                    let mut latest = bases.iter_mut().rev().take(8);
                    match latest.find(|(base, _)| Arc::ptr_eq(base, &dependencies.base)) {
                        Some((_, oldest)) => *oldest = (*oldest).min(local),
                        None => bases.push((&dependencies.base, local)),
                    }
                    for cell in cells {
                        rows.push(Row::new(cell, local, stamps.len()));
                        stamps.extend((0..backends).map(|_| 0));
                    }
                }
                Err(held) => {
                    // Another cache's backends have another order.
                    let known = dependencies.base.cache == own.base.cache;
                    for (tag, held) in held.held.iter().enumerate() {
                        rows.push(Row::new(&held.cell, held.local, stamps.len()));
                        let stamp = |backend| if known { dependencies.remote(backend, tag) } else { 0 };
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

/// A row of a dependencies that is being merged.
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
mod tests;
