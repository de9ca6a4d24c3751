//! The tags that all entries of a function in one scope carry, interned once and held together.

use std::collections::HashMap;

use crate::events::residents::Residents;
use crate::freshness::epoch::{Epoch, Groups};
use crate::freshness::invalidation::Freshness;
use crate::freshness::tags_in_use::TagRef;
use crate::scope::Scope;
use crate::tag::TagId;
use crate::util::sync::{Arc, Mutex, Weak, lock};

/// The tags that all entries of a function in one scope carry: the whole cache, the scope, the function.
#[derive(Debug)]
pub(crate) struct BaseTags {
    /// The cache they are tags of.
    pub(crate) cache: u64,
    /// Sorted by id.
    pub(crate) cells: Box<[TagRef]>,
    /// Of the function and the scope: that of their keys' tags.
    pub(crate) head: Option<TagId>,
    /// Of all of them.
    pub(crate) groups: Groups,
    pub(crate) order: &'static Epoch,
    /// Where the function's entries are counted.
    #[allow(dead_code, reason = "used by the store")]
    pub(crate) residents: Option<Arc<Residents>>,
}

impl BaseTags {
    /// The last one of the ids is the head of the keys' tags.
    pub(crate) fn new(cache: u64, freshness: &Freshness, ids: impl IntoIterator<Item = TagId>) -> Self {
        let mut head = None;
        let intern = |id| {
            head = Some(id);
            freshness.intern_below(id, head)
        };
        let mut cells: Box<[_]> = ids.into_iter().map(intern).collect();
        cells.sort_by_key(|cell| cell.id());
        let groups = cells.iter().map(|cell| cell.group()).fold(Groups::default(), Groups::and);
        Self { cache, cells, head, groups, order: freshness.order(), residents: None }
    }
}

/// Those of one function that are in use, so that its entries share them. Held by the entries alone: tags that no entry
/// carries any more are freed.
#[derive(Debug, Default)]
pub(crate) struct KnownBaseTags {
    /// Of the function's first instantiation in the default scope, found without hashing.
    usual: Mutex<Weak<BaseTags>>,
    others: Mutex<Others>,
}

#[derive(Debug, Default)]
struct Others {
    /// By instantiation and scope.
    known: HashMap<(u32, Scope), Weak<BaseTags>>,
    /// How often it was asked since `known` was last searched for those that nobody holds any more.
    asked: usize,
}

impl KnownBaseTags {
    /// Those of this instantiation in this scope; `make` makes them if nobody holds them.
    pub(crate) fn get(&self, instance: u32, scope: &Scope, make: impl FnOnce() -> BaseTags) -> Arc<BaseTags> {
        if instance == 0 && scope.is_global() {
            return held_or_made(&mut lock(&self.usual), make);
        }
        let mut others = lock(&self.others);
        others.asked += 1;
        // So it costs each call the look at one of them.
        if others.asked >= others.known.len().max(64) {
            others.asked = 0;
            others.known.retain(|_, base| base.strong_count() > 0);
            others.known.shrink_to(64);
        }
        held_or_made(others.known.entry((instance, scope.clone())).or_default(), make)
    }

    /// Of how many instantiations and scopes something is remembered.
    #[allow(dead_code, reason = "used by tests")]
    pub(crate) fn len(&self) -> usize {
        lock(&self.others).known.len()
    }
}

fn held_or_made(place: &mut Weak<BaseTags>, make: impl FnOnce() -> BaseTags) -> Arc<BaseTags> {
    place.upgrade().unwrap_or_else(|| {
        let made = Arc::new(make());
        *place = Arc::downgrade(&made);
        made
    })
}
