//! Changes of the data, and the invalidations that follow them.

use std::rc::Rc;

use cache_core::backend::TagId;

use super::application::Tag;
use super::mistakes::Mistake;
use super::order;
use super::process::Process;
use super::world::{Unavailable, World};

/// Changes the data that the tag covers.
pub(super) fn commit(world: &World, tag: Tag) {
    let mut data = world.data.get();
    tag.data().for_each(|datum| data[datum] += 1);
    world.data.set(data);
    world.note(|| format!("{tag:?} changes: {data:?}"));
}

/// A caller that invalidates a tag and ignores the error.
pub(super) async fn invalidates(world: Rc<World>, p: Rc<Process>, tag: Tag) {
    let result = invalidate(&world, &p, &[tag.id()]).await;
    world.checks.borrow_mut().count(if result.is_ok() { "invalidations" } else { "invalidations that failed" });
    world.note(|| format!("process {} has invalidated {tag:?}: {result:?}", p.place));
}

/// Invalidates in Redis first and then in the process's own memory. Memory is marked however the first part ends, also if
/// the caller drops the future.
async fn invalidate(world: &Rc<World>, p: &Rc<Process>, tags: &[TagId]) -> Result<(), Unavailable> {
    let mut marks = MarkAtEnd { world, p, tags, id: world.number(), recorded: false };
    world.checks.borrow_mut().invalidation_begins(marks.id, p);
    if world.has(Mistake::MarksMemoryFirst) {
        p.memory.mark(tags);
    }
    let own = p.bus.own(tags);
    let author = own.author.clone();
    let result = order::invalidate(world, p, tags, &author, marks.id).await;
    if result.is_err() {
        if world.has(Mistake::FailedInvalidationsAreForgotten) {
            own.recorded();
        }
        return result;
    }
    own.recorded();
    marks.recorded = true;
    Ok(())
}

/// Marks the tags in memory when dropped.
struct MarkAtEnd<'a> {
    world: &'a World,
    p: &'a Process,
    tags: &'a [TagId],
    id: u64,
    recorded: bool,
}

impl Drop for MarkAtEnd<'_> {
    fn drop(&mut self) {
        let unmarked = match self.world.mistake {
            Some(Mistake::MarksMemoryFirst) => true,
            Some(Mistake::FailureMarksNothing) => !self.recorded,
            _ => false,
        };
        if !unmarked {
            self.p.memory.mark(self.tags);
        }
        self.world.checks.borrow_mut().invalidation_ends(self.world, self.id, self.recorded);
    }
}
