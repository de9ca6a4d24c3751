//! What an entry depends on: its tags, each with the stamp the entry holds for it, and the entries that it was made of.

mod graph;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::slice;
use std::sync::Arc;

use self::graph::Made;
use crate::backend::{HeldTag, Stamp, TagId};
use crate::freshness::epoch::Groups;
use crate::freshness::function_tags::BaseTags;
use crate::freshness::invalidation::Freshness;
use crate::freshness::tags_in_use::TagRef;
use crate::util::id_hasher::IdHasher;

/// A tag an entry carries, with the stamp in the order of this process.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) cell: TagRef,
    pub(crate) local: u64,
}

/// Everything whose invalidation kills an entry: its own tags with the run's stamps, and what the entries depend on that it
/// was made of, with *their* stamps: see [`graph`].
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
        local: Local,
    },
    Others(Arc<Others>),
    /// It was made of other entries.
    Made(Arc<Made>),
}

/// A stamp in the order of this process, in a byte less, by whose values the compiler tells apart what takes the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Local {
    stamp: [u8; 7],
    is_something_else: bool,
}

impl Local {
    fn new(stamp: u64) -> Self {
        // An order that goes on for so long is beyond any process's life.
        let [stamp @ .., _] = stamp.to_le_bytes();
        Self { stamp, is_something_else: false }
    }

    fn get(self) -> u64 {
        let [a, b, c, d, e, f, g] = self.stamp;
        u64::from_le_bytes([a, b, c, d, e, f, g, 0])
    }
}

/// What there is to tell apart of them.
enum Kind<'a> {
    Own(Own<'a>),
    Rows(&'a Rows),
    Made(&'a Arc<Made>),
}

#[derive(Debug)]
enum Others {
    /// The base tags and these, the key's among them, all with one stamp; in a cache without backends.
    Two { cells: [TagRef; 2], local: u64 },
    /// The same with more, or fewer.
    Own { cells: Box<[TagRef]>, local: u64 },
    /// All of them, each with its own: of an entry that a backend has given, or in a cache with backends.
    Rows(Box<Rows>),
}

/// So many tags are written into an entry in a backend: 160 kB of them. What depends on more is kept in memory alone.
const MOST_TAGS: usize = 10_000;

/// Tags with their stamps in the order of a backend.
type TagMap = HashMap<TagId, Stamp, BuildHasherDefault<IdHasher>>;

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
                return Self { base, tags: Tags::Own { key, local: Local::new(local) } };
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

    fn tags(&self) -> Kind<'_> {
        match &self.tags {
            Tags::Own { key, local } => Kind::Own(Own { cells: slice::from_ref(key), local: local.get() }),
            Tags::Others(others) => match &**others {
                Others::Two { cells, local } => Kind::Own(Own { cells, local: *local }),
                Others::Own { cells, local } => Kind::Own(Own { cells, local: *local }),
                Others::Rows(rows) => Kind::Rows(rows),
            },
            Tags::Made(made) => Kind::Made(made),
        }
    }

    /// Where the function's entries are counted.
    #[cfg(feature = "memory")]
    pub(crate) fn residents(&self) -> Option<&crate::events::residents::Residents> {
        self.base.residents.as_deref()
    }

    /// Whether it depends on more than what its entries were made of, as that was too much to be kept apart.
    pub(crate) fn has_collapsed(&self) -> bool {
        matches!(&self.tags, Tags::Made(made) if made.has_let_go())
    }

    /// The cache of the entry.
    pub(crate) fn cache(&self) -> u64 {
        self.base.cache
    }

    /// The same number for clones, and hardly for others.
    pub(crate) fn place(&self) -> u64 {
        match &self.tags {
            Tags::Own { key, local } => key.place() as u64 ^ local.get().rotate_left(48),
            Tags::Others(others) => Arc::as_ptr(others) as u64,
            Tags::Made(made) => Arc::as_ptr(made) as u64,
        }
    }

    /// Whether it is a clone, or as good as one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = match (&self.tags, &other.tags) {
            (Tags::Own { key, local }, Tags::Own { key: others, local: other }) => key.is(others) && local == other,
            (Tags::Others(others), Tags::Others(other)) => Arc::ptr_eq(others, other),
            (Tags::Made(made), Tags::Made(other)) => Arc::ptr_eq(made, other),
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

    /// The same for an entry that was made of others, which keep what they depend on. Beyond the depth `deepest` it depends
    /// on all that is in the groups of what is below.
    pub(crate) fn made_of(self, inherited: Vec<Self>, deepest: u32) -> Self {
        let base = Arc::clone(&self.base);
        Self { base, tags: Tags::Made(Arc::new(Made::new(self, inherited, deepest))) }
    }

    /// Whether nothing of it was invalidated since.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live_at(self.base.order.now())
    }

    /// Whether nothing of it was invalidated until this epoch, which was read before.
    pub(crate) fn is_live_at(&self, epoch: u64) -> bool {
        match self.tags() {
            Kind::Own(own) => own.is_live(&self.base),
            Kind::Rows(rows) => rows.is_live(),
            Kind::Made(made) => made.is_live_at(epoch),
        }
    }

    /// Those of all tags that it holds, and what is below.
    fn groups(&self) -> Groups {
        let of = |groups: Groups, cell: &TagRef| groups.and(cell.group());
        match self.tags() {
            Kind::Own(Own { cells, .. }) => cells.iter().fold(self.base.groups, of),
            Kind::Rows(rows) => rows.held.iter().fold(Groups::default(), |groups, held| of(groups, &held.cell)),
            Kind::Made(made) => made.groups(),
        }
    }

    /// The same with more own tags. Not for what was made of others.
    pub(crate) fn with(&self, more: Vec<TagRef>, local: u64, remote: &[Option<Stamp>]) -> Self {
        let mut named = more;
        self.for_each_own(|cell, _| named.push(cell.clone()));
        named.retain(|cell| !self.base.cells.iter().any(|base| base.is(cell)));
        Self::own(Arc::clone(&self.base), None, named, local, remote)
    }

    /// As backend number `backend` keeps it; `None` if a stamp in its order isn't known, so that nobody could ever
    /// tell whether the entry is live, or if that is more than [`MOST_TAGS`].
    pub(crate) fn for_backend(&self, backend: usize) -> Option<Vec<HeldTag>> {
        let mut tags = HashMap::default();
        match self.tags() {
            Kind::Made(made) => made.for_each_below(&mut |below| {
                let is_of_this_order = below.base.cache == self.base.cache;
                is_of_this_order && below.add_for_backend(backend, &mut tags) && tags.len() <= MOST_TAGS
            })?,
            _ => self.add_for_backend(backend, &mut tags).then_some(())?,
        }
        let mut tags: Vec<_> = tags.into_iter().map(|(tag, stamp)| HeldTag { tag, stamp }).collect();
        tags.sort_unstable_by_key(|held| held.tag);
        Some(tags)
    }

    /// Each with its oldest stamp. `false` if there is one that isn't known.
    fn add_for_backend(&self, backend: usize, tags: &mut TagMap) -> bool {
        let Kind::Rows(rows) = self.tags() else { return false };
        let Some(stamps) = rows.of_backend(backend) else { return false };
        for (held, stamp) in rows.held.iter().zip(stamps) {
            let stamp = Stamp(*stamp);
            tags.entry(held.cell.id()).and_modify(|oldest| *oldest = stamp.min(*oldest)).or_insert(stamp);
        }
        !stamps.contains(&0)
    }

    /// The ids of all that it depends on, directly and through others; not many more than `most`.
    pub(crate) fn list_ids(&self, most: usize, ids: &mut Vec<TagId>) {
        let mut list = |below: &Self| {
            if let Kind::Own(_) = below.tags() {
                ids.extend(below.base.cells.iter().map(|cell| cell.id()));
            }
            match below.tags() {
                Kind::Own(Own { cells, .. }) => ids.extend(cells.iter().map(|cell| cell.id())),
                Kind::Rows(rows) => ids.extend(rows.held.iter().map(|held| held.cell.id())),
                Kind::Made(_) => {}
            }
            ids.len() < most
        };
        match self.tags() {
            Kind::Made(made) => made.for_each_held(&mut list),
            _ => {
                list(self);
            }
        }
    }

    /// The ids of all that was invalidated since of what it depends on, as far as it still holds that.
    pub(crate) fn list_newer(&self, ids: &mut Vec<TagId>) {
        let mut list = |below: &Self| {
            let mut note = |cell: &TagRef, held| ids.extend(cell.is_newer_than(held).then(|| cell.id()));
            match below.tags() {
                Kind::Own(Own { cells, local }) => {
                    below.base.cells.iter().chain(cells).for_each(|cell| note(cell, local));
                }
                Kind::Rows(rows) => rows.held.iter().for_each(|held| note(&held.cell, held.local)),
                Kind::Made(_) => {}
            }
            true
        };
        match self.tags() {
            Kind::Made(made) => made.for_each_held(&mut list),
            _ => {
                list(self);
            }
        }
    }

    /// Those that it has not from others.
    fn for_each_own<'a>(&'a self, mut with: impl FnMut(&'a TagRef, u64)) {
        match self.tags() {
            Kind::Own(Own { cells, local }) => self.base.cells.iter().chain(cells).for_each(|cell| with(cell, local)),
            Kind::Rows(rows) => rows.held.iter().for_each(|held| with(&held.cell, held.local)),
            Kind::Made(made) => made.own().for_each_own(with),
        }
    }
}

impl Own<'_> {
    fn is_live(&self, base: &BaseTags) -> bool {
        base.cells.iter().chain(self.cells).all(|cell| !cell.is_newer_than(self.local))
    }
}

impl Rows {
    fn is_live(&self) -> bool {
        self.held.iter().all(|held| !held.cell.is_newer_than(held.local))
    }

    fn of_backend(&self, backend: usize) -> Option<&[u64]> {
        let tags = self.held.len();
        self.remote.get(backend * tags..(backend + 1) * tags).filter(|stamps| !stamps.is_empty())
    }
}

#[cfg(test)]
mod tests;
