//! What this process has heard of the invalidation order: enough, mostly, to judge an entry without asking Redis for its
//! tags. It only ever spares a question. What it can't tell, the tag buckets are asked, and they are the truth.
//!
//! Invariants:
//!
//! 1. While there is a span, every invalidation after `since` and up to `heard` was delivered here, whoever made it, and
//!    `last` holds the last of each tag among them. What is forgotten, for there are bounds, lies at `since` or before:
//!    to forget is to raise it.
//! 2. A fact is what the buckets said of a tag after the clock had been `as_of`. With `as_of` at `since` or later, the
//!    fact and `last` together are the tag's last invalidation, as of `heard`, from the beginning of time.
//! 3. Without a span nothing is known. It ends whenever a message may have been missed, and begins anew at a clock that
//!    was read later: the number of a message that doesn't follow is no proof of anything.
//! 4. An `introduced` connection leads to the very server whose messages are heard: what was published through it came
//!    back. Only a clock that was read through one of these is compared with `heard`; after a failover that lost writes,
//!    two orders may have the same numbers.
//!
//! Why an entry that is found live here is live: the call had begun when the clock was read. What was invalidated before
//! the call has a number up to that clock; all of these were heard, and are in the log or at `since` or before. Whether
//! the entry itself was read earlier or later than the clock, or from another server, changes nothing in that.

use std::collections::HashMap;

use cache_core::backend::{HeldTag, TagId};

/// So many tags' last invalidations are remembered.
const MOST: usize = 1 << 15;
/// So many tags have a place for a fact. A power of two.
const FACTS: usize = 1 << 14;

/// Tells connections apart.
pub(crate) type ConnectionId = u64;

/// A clock that was read, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) clock: u64,
    pub(crate) by: ConnectionId,
}

/// What the log says of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Live,
    /// One of its tags was invalidated after the stamp held for it.
    Dead,
    /// These tags have to be asked for.
    Ask(Vec<HeldTag>),
}

#[derive(Clone, Copy, Debug)]
struct Span {
    since: u64,
    heard: u64,
}

/// A vacant place has zeros, which are before every span.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    tag: u64,
    last: u64,
    as_of: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Log {
    span: Option<Span>,
    last: HashMap<TagId, u64>,
    /// Each tag has one place, which others may take from it.
    facts: Vec<Fact>,
    introduced: Vec<ConnectionId>,
}

impl Log {
    /// Nothing is known any more.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Nothing is known any more, but the connections are the same as before.
    pub(crate) fn pause(&mut self) {
        *self = Self { introduced: std::mem::take(&mut self.introduced), ..Self::default() };
    }

    /// Everything up to this number was delivered or is before anyone's interest; what comes next is heard.
    pub(crate) fn restart(&mut self, at: u64) {
        *self = Self {
            span: Some(Span { since: at, heard: at }),
            introduced: std::mem::take(&mut self.introduced),
            ..Self::default()
        };
    }

    /// The next invalidation.
    pub(crate) fn hear(&mut self, number: u64, tags: impl IntoIterator<Item = TagId>) {
        let Some(span) = &mut self.span else { return };
        if number != span.heard + 1 {
            self.pause();
            return;
        }
        span.heard = number;
        self.last.extend(tags.into_iter().map(|tag| (tag, number)));
        if self.last.len() > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(span) = &mut self.span else { return };
        let mut numbers: Vec<u64> = self.last.values().copied().collect();
        let older = numbers.len().saturating_sub(MOST / 2);
        let (_, middle, _) = numbers.select_nth_unstable(older);
        span.since = *middle;
        self.last.retain(|_, number| *number > span.since);
    }

    /// What was published through this connection has come back.
    pub(crate) fn introduce(&mut self, connection: ConnectionId) {
        if !self.introduced.contains(&connection) {
            self.introduced.push(connection);
        }
    }

    /// Forgets all connections but these; returns those of them that haven't been introduced.
    pub(crate) fn strangers(&mut self, connections: &[ConnectionId]) -> Vec<ConnectionId> {
        self.introduced.retain(|connection| connections.contains(connection));
        connections.iter().copied().filter(|connection| !self.introduced.contains(connection)).collect()
    }

    /// Whether this connection must be introduced for the log to be of use.
    pub(crate) fn is_stranger(&self, connection: ConnectionId) -> bool {
        self.span.is_some() && !self.introduced.contains(&connection)
    }

    /// Whether it can be expected to know.
    pub(crate) fn is_of_use(&self) -> bool {
        self.span.is_some() && !self.introduced.is_empty()
    }

    /// Judges an entry that was read, like the clock, after the call had begun.
    pub(crate) fn judge(&self, tags: &[HeldTag], moment: Option<Moment>) -> Judgement {
        let ask = |tags: &mut dyn Iterator<Item = &HeldTag>| Judgement::Ask(tags.copied().collect());
        let Some(span) = self.span else { return ask(&mut tags.iter()) };
        // What was heard has happened, whatever wasn't heard.
        if tags.iter().any(|held| self.newest(span, held.tag).0 > held.stamp.0) {
            return Judgement::Dead;
        }
        if !moment.is_some_and(|moment| moment.clock <= span.heard && self.introduced.contains(&moment.by)) {
            return ask(&mut tags.iter());
        }
        let mut unknown = tags.iter().filter(|held| held.stamp.0 < span.since && !self.newest(span, held.tag).1);
        match unknown.next() {
            None => Judgement::Live,
            Some(first) => ask(&mut std::iter::once(first).chain(unknown)),
        }
    }

    /// A tag's last invalidation that is known, and whether none before `since` can be later.
    fn newest(&self, span: Span, tag: TagId) -> (u64, bool) {
        let logged = self.last.get(&tag).copied().unwrap_or(0);
        let fact = self.facts.get(place(tag)).filter(|fact| fact.tag == tag.0 && fact.as_of >= span.since);
        (fact.map_or(0, |fact| fact.last).max(logged), fact.is_some())
    }

    /// What the buckets said, after the clock had been read.
    pub(crate) fn remember(&mut self, moment: Moment, said: impl IntoIterator<Item = (TagId, u64)>) {
        let Some(span) = self.span else { return };
        if moment.clock < span.since || !self.introduced.contains(&moment.by) {
            return;
        }
        if self.facts.is_empty() {
            self.facts = vec![Fact::default(); FACTS];
        }
        // What is beyond the clock was invalidated in between, and will be heard; or it is damage, and will be mended.
        for (tag, last) in said.into_iter().filter(|(_, last)| *last <= moment.clock) {
            if let Some(fact) = self.facts.get_mut(place(tag)) {
                *fact = Fact { tag: tag.0, last, as_of: moment.clock };
            }
        }
    }
}

fn place(tag: TagId) -> usize {
    (tag.0 % FACTS as u64) as usize
}

#[cfg(test)]
mod tests;
