//! What `explain_f` returns: what a call would be answered with, or why it would run the body.

use std::fmt;
use std::time::Duration;

use super::call::Call;
use super::one_run::Run;
use crate::context::{Mode, SeenTags, Source};
use crate::entry::CachedEntry;
use crate::entry::policy::Staleness;
use crate::rt::clock::NEVER;

/// What a call would be answered with now, or why it would run the body. Made by `explain_f`, which `helpers = [explain]`
/// generates. `Display` says it in a sentence or two.
#[non_exhaustive]
pub struct Explanation {
    /// The function's name, as in statistics.
    pub function: String,
    /// What was found.
    pub finding: Finding,
    /// What the stored value depends on. Of a value that was invalidated, the tags that did it.
    pub tags: SeenTags,
}

/// What was found for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A stored value answers it.
    Stored {
        /// Where it is.
        source: Source,
        /// How long ago it was computed.
        age: Duration,
        /// What is left of the function's `ttl`; `None` without one.
        expires_in: Option<Duration>,
        /// Whether it is past its `ttl`, and a call starts a run in the background.
        stale: bool,
    },
    /// Nothing is stored: it never was, it was evicted, or it was dropped since.
    Absent,
    /// What is stored is past its `ttl`.
    Expired {
        /// How long ago it was computed.
        age: Duration,
        /// Whether it is still there for runs that fail or take too long.
        fallback: bool,
    },
    /// Something was invalidated that the stored value depends on: see [`tags`](Explanation::tags).
    Invalidated,
    /// No backend vouches any more for what memory has: messages are lost, or the backend can't be reached.
    Unvouched,
    /// Caching is off here.
    Off,
    /// The cache requires a scope, and the call has none.
    Unscoped,
    /// The arguments can't be a key.
    NoKey,
}

impl Call {
    /// Says what the call would be answered with. It counts for no run, and runs nothing.
    pub(crate) async fn explain(mut self: Box<Self>) -> Explanation {
        self.request.made_by_nobody();
        let (finding, tags) = self.find().await;
        Explanation { function: self.target.function.descriptor.name().to_owned(), finding, tags }
    }

    async fn find(&self) -> (Finding, SeenTags) {
        let nothing = || SeenTags::of_ids(Vec::new());
        if self.request.mode == Mode::Bypassed {
            let unscoped = self.request.unscoped && self.engine().requires_scope;
            return (if unscoped { Finding::Unscoped } else { Finding::Off }, nothing());
        }
        let Some(key) = &self.target.key else { return (Finding::NoKey, nothing()) };
        let in_memory = self.target.function.store().and_then(|store| store.get_owned(key));
        let in_memory = in_memory.map(|entry| self.judge(&entry));
        if let Some((Finding::Stored { .. }, _)) = in_memory {
            return in_memory.unwrap_or_else(|| (Finding::Absent, nothing()));
        }
        let mut run = Box::new(Run::new(self, None));
        let Some(found) = run.read_backends(self, true).await else {
            return in_memory.unwrap_or_else(|| (Finding::Absent, nothing()));
        };
        let age = found.live.age;
        let finding = if found.staleness == Staleness::StaleOnly {
            Finding::Expired { age, fallback: true }
        } else {
            let expires_in = found.lifetimes_left().fresh;
            let stale = expires_in.is_some_and(|left| left.is_zero());
            Finding::Stored { source: Source::Backend, age, expires_in, stale }
        };
        (finding, SeenTags::of_ids(found.live.entry.tags.iter().map(|held| held.tag).collect()))
    }

    /// What becomes of a call that finds this entry in memory.
    fn judge(&self, entry: &CachedEntry) -> (Finding, SeenTags) {
        let validity = &self.engine().validity;
        let (meta, now) = (&entry.meta, validity.clock.nanos());
        let staleness = entry.staleness(validity);
        let age = Duration::from_nanos(meta.born().age(now));
        if !meta.dependencies().is_live() {
            let mut newer = Vec::new();
            meta.dependencies().list_newer(&mut newer);
            return (Finding::Invalidated, SeenTags::of_ids(newer));
        }
        let finding = match staleness {
            Some(Staleness::Fresh | Staleness::RefreshDue) => {
                let end = meta.own_end();
                let expires_in = (end != NEVER).then(|| Duration::from_nanos(end.saturating_sub(now)));
                Finding::Stored { source: Source::Memory, age, expires_in, stale: end <= now }
            }
            Some(Staleness::StaleOnly) => Finding::Expired { age, fallback: true },
            None if now >= meta.lifespan().keep_until => Finding::Expired { age, fallback: false },
            None => Finding::Unvouched,
        };
        (finding, SeenTags::of(meta.dependencies()))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.function)?;
        match &self.finding {
            Finding::Stored { source, age, expires_in, stale } => {
                let place = if *source == Source::Memory { "memory" } else { "a backend" };
                write!(f, "a call is answered from {place}; the value is {} old", readable(*age))?;
                match expires_in {
                    _ if *stale => write!(f, " and past its ttl, so the call also starts a run in the background")?,
                    Some(left) => write!(f, " and expires in {}", readable(*left))?,
                    None => write!(f, " and has no ttl")?,
                }
                write!(f, "; it depends on ")?;
                self.write_tags(f)
            }
            Finding::Absent => write!(f, "a call runs the body: nothing is stored, or it was evicted"),
            Finding::Expired { age, fallback } => {
                write!(f, "a call runs the body: the stored value is past its ttl, {} old", readable(*age))?;
                f.write_str(if *fallback { "; it serves if the run fails or is slow" } else { "" })
            }
            Finding::Invalidated => {
                f.write_str("a call runs the body: the stored value was invalidated by ")?;
                self.write_tags(f)
            }
            Finding::Unvouched => {
                f.write_str("a call asks the backend: no backend has confirmed lately what memory has")
            }
            Finding::Off => f.write_str("a call runs the body: caching is off here"),
            Finding::Unscoped => f.write_str("a call runs the body: it has no scope, and the cache requires one"),
            Finding::NoKey => f.write_str("a call runs the body: its arguments can't be a key"),
        }
    }
}

impl Explanation {
    /// Those with names, and how many have none.
    fn write_tags(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unnamed = 0_usize;
        let mut between = "";
        for tag in self.tags.iter() {
            match tag.name {
                Some(name) => {
                    write!(f, "{between}{name}")?;
                    between = ", ";
                }
                None => unnamed += 1,
            }
        }
        match unnamed {
            0 if between.is_empty() => f.write_str("what is below it"),
            0 => Ok(()),
            1 => write!(f, "{between}1 without a name"),
            _ => write!(f, "{between}{unnamed} without a name"),
        }
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("function", &self.function)
            .field("finding", &self.finding)
            .finish_non_exhaustive()
    }
}

/// In seconds, or in the unit below them.
fn readable(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { format!("{} s", time.as_secs()) }
}
