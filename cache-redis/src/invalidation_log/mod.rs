//! The latest invalidations that this process has heard of. With them it can judge most entries without asking Redis for their
//! tags. The log only saves questions: what it can't answer, the tag buckets are asked, and they hold the truth.
//!
//! Invariants:
//!
//! 1. While there is a span, every invalidation after `since` and up to `heard` was delivered here, whoever made it, and `last`
//!    holds the latest of each tag among them. The log is bounded: to forget invalidations it raises `since`.
//! 2. A fact is what the buckets said of a tag, read after the sequence had been `as_of`. If `as_of` is `since` or later, the fact
//!    and `last` together give the tag's last invalidation, as of `heard`.
//! 3. Without a span nothing is known. The span ends whenever a message may have been missed. A new one begins at a value of
//!    the sequence that was read later; the number of a message that doesn't follow proves nothing.
//! 4. An `introduced` connection leads to the very server whose messages are heard: a message published through it came back.
//!    Only a sequence that was read through such a connection is compared with `heard`, because after a failover that lost
//!    writes, two servers may have given out the same numbers.
//!
//! Why an entry that is found live here is live: the call began before the sequence was read. So an invalidation from before
//! the call has a number up to that sequence. All of these were heard, and are in the log or at `since` or before. It doesn't
//! matter whether the entry was read before or after the sequence, or from another server.

use std::collections::HashMap;

use cache_core::backend::{HeldTag, TagId};

/// How many tags' last invalidations are remembered.
const MOST: usize = 1 << 15;
/// How many places there are for facts. A power of two.
const FACTS: usize = 1 << 14;

/// Tells connections apart.
pub(crate) type ConnectionId = u64;

/// A value of the sequence that was read, and the connection it was read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) sequence: u64,
    pub(crate) by: ConnectionId,
}

/// What the log says of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Live,
    /// One of its tags was invalidated after the stamp held for it.
    Dead,
    /// The log can't tell: the buckets have to be asked for these tags.
    Ask(Vec<HeldTag>),
}

#[derive(Clone, Copy, Debug)]
struct Span {
    since: u64,
    heard: u64,
}

/// An empty place has zeros, which are before every span.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    tag: u64,
    last: u64,
    as_of: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct InvalidationLog {
    span: Option<Span>,
    last: HashMap<TagId, u64>,
    /// Each tag has one place, which it shares with other tags; the latest fact stays.
    facts: Vec<Fact>,
    introduced: Vec<ConnectionId>,
}

impl InvalidationLog {
    /// Forgets everything.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Forgets everything but the introduced connections.
    pub(crate) fn pause(&mut self) {
        *self = Self { introduced: std::mem::take(&mut self.introduced), ..Self::default() };
    }

    /// Begins a span at this number: later invalidations will be heard.
    pub(crate) fn restart(&mut self, at: u64) {
        *self = Self {
            span: Some(Span { since: at, heard: at }),
            introduced: std::mem::take(&mut self.introduced),
            ..Self::default()
        };
    }

    /// Adds the next invalidation.
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

    /// The message published through this connection has come back.
    pub(crate) fn introduce(&mut self, connection: ConnectionId) {
        if !self.introduced.contains(&connection) {
            self.introduced.push(connection);
        }
    }

    /// Forgets all connections but these. Returns those of them that haven't been introduced.
    pub(crate) fn strangers(&mut self, connections: &[ConnectionId]) -> Vec<ConnectionId> {
        self.introduced.retain(|connection| connections.contains(connection));
        connections.iter().copied().filter(|connection| !self.introduced.contains(connection)).collect()
    }

    /// Whether the log can't be used through this connection because it hasn't been introduced.
    pub(crate) fn is_stranger(&self, connection: ConnectionId) -> bool {
        self.span.is_some() && !self.introduced.contains(&connection)
    }

    /// Whether [`judge`](Self::judge) can usually answer without asking the buckets.
    pub(crate) fn is_of_use(&self) -> bool {
        self.span.is_some() && !self.introduced.is_empty()
    }

    /// Judges an entry. The entry and the sequence must have been read after the call began.
    pub(crate) fn judge(&self, tags: &[HeldTag], moment: Option<Moment>) -> Judgement {
        let ask = |tags: &mut dyn Iterator<Item = &HeldTag>| Judgement::Ask(tags.copied().collect());
        let Some(span) = self.span else { return ask(&mut tags.iter()) };
        // An invalidation that was heard has happened, even if others were missed.
        if tags.iter().any(|held| self.newest(span, held.tag).0 > held.stamp.0) {
            return Judgement::Dead;
        }
        if !moment.is_some_and(|moment| moment.sequence <= span.heard && self.introduced.contains(&moment.by)) {
            return ask(&mut tags.iter());
        }
        let mut unknown = tags.iter().filter(|held| held.stamp.0 < span.since && !self.newest(span, held.tag).1);
        match unknown.next() {
            None => Judgement::Live,
            Some(first) => ask(&mut std::iter::once(first).chain(unknown)),
        }
    }

    /// A tag's last known invalidation, and whether that is certain: a fact covers the time before `since`.
    fn newest(&self, span: Span, tag: TagId) -> (u64, bool) {
        let logged = self.last.get(&tag).copied().unwrap_or(0);
        let fact = self.facts.get(place(tag)).filter(|fact| fact.tag == tag.0 && fact.as_of >= span.since);
        (fact.map_or(0, |fact| fact.last).max(logged), fact.is_some())
    }

    /// Remembers what the buckets said. They must have been read after the sequence.
    pub(crate) fn remember(&mut self, moment: Moment, said: impl IntoIterator<Item = (TagId, u64)>) {
        let Some(span) = self.span else { return };
        if moment.sequence < span.since || !self.introduced.contains(&moment.by) {
            return;
        }
        if self.facts.is_empty() {
            self.facts = vec![Fact::default(); FACTS];
        }
        // A number beyond the sequence was given out after the sequence was read, and will be heard; or it is damage, and a
        // later stamp repairs it.
        for (tag, last) in said.into_iter().filter(|(_, last)| *last <= moment.sequence) {
            if let Some(fact) = self.facts.get_mut(place(tag)) {
                *fact = Fact { tag: tag.0, last, as_of: moment.sequence };
            }
        }
    }
}

fn place(tag: TagId) -> usize {
    (tag.0 % FACTS as u64) as usize
}

#[cfg(test)]
mod tests;
