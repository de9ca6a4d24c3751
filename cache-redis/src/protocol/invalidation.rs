//! Changes of the data, and the invalidations that follow them.

use std::rc::Rc;

use cache_core::backend::TagId;

use super::application::Tag;
use super::mistakes::Mistake;
use super::order;
use super::process::Process;
use super::world::{Unavailable, World};
use crate::bus::OwnInvalidation;

/// Changes the data that the tag covers.
pub(super) fn commit(world: &World, tag: Tag) {
    let mut data = world.data.get();
    tag.data().for_each(|datum| data[datum] += 1);
    world.data.set(data);
    world.note(|| format!("{tag:?} changes: {data:?}"));
}

/// A caller that invalidates a tag and ignores the error.
pub(super) async fn invalidates(world: Rc<World>, p: Rc<Process>, tag: Tag) {
    records(&world, &p, tag, None, true).await;
}

/// The same, which may end a hold. `own`: what it covers was changed before, so it is demanded.
pub(super) async fn records(world: &Rc<World>, p: &Rc<Process>, tag: Tag, end_of: Option<u64>, own: bool) {
    let data = world.data.get();
    let result = invalidate(world, p, &[tag.id()], end_of).await;
    if result.is_err() {
        p.remembered.borrow_mut().remember(world, tag);
        if own {
            world.checks.borrow_mut().remembered(world, p, tag, data);
        }
    }
    world.checks.borrow_mut().count(if result.is_ok() { "invalidations" } else { "invalidations that failed" });
    world.note(|| format!("process {} has invalidated {tag:?}: {result:?}", p.place));
}

/// Records what is remembered, before this process reads from Redis.
pub(super) async fn flush(world: &Rc<World>, p: &Rc<Process>) -> Result<(), Unavailable> {
    loop {
        let tags = p.remembered.borrow().tags();
        if tags.is_empty() {
            return Ok(());
        }
        let ids: Vec<TagId> = tags.iter().map(|(tag, _)| tag.id()).collect();
        invalidate(world, p, &ids, None).await?;
        p.remembered.borrow_mut().recorded(&tags);
    }
}

/// Invalidates in Redis first and then in the process's own memory. Memory is marked however the first part ends, also if
/// the caller drops the future.
async fn invalidate(
    world: &Rc<World>,
    p: &Rc<Process>,
    tags: &[TagId],
    end_of: Option<u64>,
) -> Result<(), Unavailable> {
    let mut marks = MarkAtEnd { world, p, tags, id: world.number(), recorded: false };
    world.checks.borrow_mut().invalidation_begins(marks.id, p);
    if world.has(Mistake::MarksMemoryFirst) {
        p.memory.mark(tags);
    }
    let own = p.bus.own(tags);
    let author = own.author.clone();
    let mut own = Own { own: Some(own), counts_as_recorded: world.has(Mistake::FailedInvalidationsAreForgotten) };
    order::invalidate(world, p, tags, &author, marks.id, end_of).await?;
    own.counts_as_recorded = true;
    marks.recorded = true;
    Ok(())
}

/// Ends an own invalidation when dropped.
struct Own<'a> {
    own: Option<OwnInvalidation<'a>>,
    counts_as_recorded: bool,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.own.take().filter(|_| self.counts_as_recorded) {
            own.recorded();
        }
    }
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

/// What the process couldn't record, with the order in which it came. Beyond [`MOST`] it is everything.
#[derive(Default)]
pub(super) struct Remembered {
    tags: Vec<(Tag, u64)>,
}

/// The most remembered tags.
const MOST: usize = 1;

impl Remembered {
    fn remember(&mut self, world: &World, tag: Tag) {
        self.tags.retain(|(other, _)| *other != tag);
        self.tags.push((tag, world.number()));
        if self.tags.len() > MOST {
            if world.has(Mistake::FullQueuesForget) {
                self.tags.remove(0);
            } else {
                self.tags = vec![(Tag::Everything, world.number())];
            }
        }
    }

    fn tags(&self) -> Vec<(Tag, u64)> {
        self.tags.clone()
    }

    fn recorded(&mut self, tags: &[(Tag, u64)]) {
        self.tags.retain(|tag| !tags.contains(tag));
    }
}
