//! Entries that were made of others share what those depend on: a graph, in which each node is an entry's own tags and the
//! nodes of the entries that its run has used.
//!
//! So a run costs its direct children only, however much is below them. Whether an entry is live is looked at once an epoch
//! for each node, whoever asks, and not at all while nothing was invalidated of the groups of tags that are below it (see
//! [`Groups`]). A node lives as long as an entry above it, also where a store has let go of its own entry: its tags can still
//! be invalidated.
//!
//! Checks and drops are loops: a chain of a million nodes has to fit on the stack of a small thread.
//!
//! A chain without end, in which each entry is made of the one before, would keep all its nodes however few entries the store
//! holds. So beyond a depth the nodes below are let go of, and the node depends on *everything* in their groups instead: it was
//! live at an epoch, and is from then on while nothing in those groups is invalidated. Too much is invalidated then, never too
//! little.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Dependencies, Kind, Tags};
use crate::freshness::epoch::{Groups, LastFoundLive};

/// A check looks at so many nodes. What has more to be looked at below it at once is taken for dead.
const MOST_CHECKED: usize = 1 << 21;

/// A node.
#[derive(Debug)]
pub(super) struct Made {
    own: Dependencies,
    /// Each once.
    children: Box<[Dependencies]>,
    found_live: LastFoundLive,
    /// Of the tags that it holds, and the nodes below.
    held: Groups,
    /// Of the children that it has let go of, and what was below these.
    let_go: Groups,
    /// The same for all nodes below.
    let_go_below: Groups,
    /// Of how many nodes the longest way down is.
    depth: u32,
    /// It was found dead. It never gets live again.
    is_dead: AtomicBool,
}

impl Made {
    /// At most `deepest` nodes deep.
    pub(super) fn new(own: Dependencies, mut children: Vec<Dependencies>, deepest: u32) -> Self {
        children.sort_unstable_by_key(Dependencies::place);
        children.dedup_by(|a, b| a.is_same(b));
        // Before the look: see `freshness`, invariant 3.
        let epoch = own.base.order.now();
        let is_live = own.is_live_at(epoch) && children.iter().all(|child| child.is_live_at(epoch));
        let (mut held, mut let_go, mut let_go_below) = (own.groups(), Groups::default(), Groups::default());
        children.retain(|child| {
            let (of_child, below_child) = (child.groups(), child.let_go_below());
            let keeps = child.depth() < deepest;
            if keeps {
                held = held.and(of_child);
                let_go_below = let_go_below.and(below_child);
            } else {
                let_go = let_go.and(of_child.whoever_interns()).and(below_child);
            }
            keeps
        });
        Self {
            own,
            depth: children.iter().map(Dependencies::depth).max().unwrap_or(0).saturating_add(1),
            children: children.into(),
            found_live: LastFoundLive::at(epoch),
            held,
            let_go,
            let_go_below: let_go_below.and(let_go),
            is_dead: AtomicBool::new(!is_live),
        }
    }

    pub(super) fn own(&self) -> &Dependencies {
        &self.own
    }

    /// Whether it depends on groups instead of children.
    pub(super) fn has_let_go(&self) -> bool {
        !self.let_go.is_empty()
    }

    pub(super) fn groups(&self) -> Groups {
        self.held
    }

    /// Whether nothing at it or below was invalidated until this epoch, which was read before.
    pub(super) fn is_live_at(&self, epoch: u64) -> bool {
        self.glance(epoch).unwrap_or_else(|| self.walk(epoch))
    }

    /// The same without a look at the children. `None`: that is needed.
    fn glance(&self, epoch: u64) -> Option<bool> {
        let order = self.own.base.order;
        if self.is_dead.load(Ordering::Acquire) {
            return Some(false);
        }
        if self.found_live.is_still_live(order, epoch, self.held.and(self.let_go_below)) {
            return Some(true);
        }
        let live =
            self.own.is_live_at(epoch) && (self.let_go.is_empty() || self.found_live.is_newer_than(order, self.let_go));
        if !live {
            self.note_dead();
            return Some(false);
        }
        None
    }

    fn note_dead(&self) {
        self.is_dead.store(true, Ordering::Release);
    }

    /// From the children up, so that each is looked at once.
    #[cold]
    fn walk(&self, epoch: u64) -> bool {
        let mut path: Vec<(&Self, std::slice::Iter<'_, Dependencies>)> = vec![(self, self.children.iter())];
        let mut checked = 0;
        while let Some((node, children)) = path.last_mut() {
            let Some(child) = children.next() else {
                node.found_live.note(epoch);
                path.pop();
                continue;
            };
            let live = match child.tags() {
                Kind::Own(own) => Some(own.is_live(&child.base)),
                Kind::Rows(rows) => Some(rows.is_live()),
                Kind::Made(made) => {
                    let seen = made.glance(epoch);
                    if seen.is_none() {
                        path.push((made, made.children.iter()));
                    }
                    seen
                }
            };
            if live == Some(false) {
                path.iter().for_each(|(node, _)| node.note_dead());
                return false;
            }
            checked += 1;
            if checked > MOST_CHECKED {
                return false;
            }
        }
        true
    }

    /// Everything that isn't made of others, at it and below, each once, until one says `false`. `None` then, or if some of it
    /// was let go of.
    pub(super) fn for_each_below(&self, with: &mut dyn FnMut(&Dependencies) -> bool) -> Option<()> {
        self.walk_below(true, with)
    }

    /// The same of what is still held.
    pub(super) fn for_each_held(&self, with: &mut dyn FnMut(&Dependencies) -> bool) {
        let _ = self.walk_below(false, with);
    }

    fn walk_below(&self, whole: bool, with: &mut dyn FnMut(&Dependencies) -> bool) -> Option<()> {
        let mut seen = HashSet::new();
        let mut due = vec![self];
        while let Some(node) = due.pop() {
            if (whole && !node.let_go.is_empty()) || !with(&node.own) {
                return None;
            }
            for child in &node.children {
                match &child.tags {
                    Tags::Made(made) if seen.insert(Arc::as_ptr(made)) => due.push(made),
                    Tags::Made(_) => {}
                    Tags::Own { .. } | Tags::Others(_) => with(child).then_some(())?,
                }
            }
        }
        Some(())
    }
}

impl Dependencies {
    fn let_go_below(&self) -> Groups {
        match &self.tags {
            Tags::Made(made) => made.let_go_below,
            Tags::Own { .. } | Tags::Others(_) => Groups::default(),
        }
    }

    fn depth(&self) -> u32 {
        match &self.tags {
            Tags::Made(made) => made.depth,
            Tags::Own { .. } | Tags::Others(_) => 0,
        }
    }
}

/// One after the other: a chain of them would overflow the stack.
impl Drop for Made {
    fn drop(&mut self) {
        let mut due = Vec::from(mem::take(&mut self.children));
        while let Some(Dependencies { tags, .. }) = due.pop() {
            if let Tags::Made(made) = tags
                && let Some(mut last) = Arc::into_inner(made)
            {
                due.append(&mut Vec::from(mem::take(&mut last.children)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
