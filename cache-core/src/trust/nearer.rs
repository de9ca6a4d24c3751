//! What a backend isn't known to know yet of what farther ones have said; see [`layers`](crate::trust::layers).
//!
//! Whoever hears of it must not wait, so a thread passes it on: one for each such backend, while there is something to do.
//! It repeats what fails. Until it has succeeded, readers do without what is concerned; so whatever becomes of the thread
//! costs misses, and neither freshness nor time.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::backend::{Backend, HeldTag, Stamp, TagId};
use crate::error::{Error, ErrorKind};
use crate::rt::block_on::block_on;
use crate::tag;
use crate::util::id_hasher::IdHasher;
use crate::util::sync::lock;

/// So many tags may wait. Beyond, it is as if everything had been invalidated.
const MOST_TAGS: usize = 1 << 12;

/// The pause after a first failure. Each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the thread stays without work.
const IDLE: Duration = Duration::from_secs(5);

type Tags = HashMap<TagId, u64, BuildHasherDefault<IdHasher>>;

/// A backend with farther ones behind it.
pub(crate) struct Near {
    backend: Weak<dyn Backend>,
    /// A tag that nobody carries, and that nobody else invalidates. If a farther backend tells of it, that is the same store
    /// as this one, or is told by others what this one says: then what is passed on would come back for ever.
    probe: TagId,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Numbers what is heard.
    heard: u64,
    refused: Refused,
    /// When everything was heard of last, if that isn't recorded.
    everything: Option<u64>,
    /// It is closed, or no backend of its own.
    useless: bool,
    /// Whether the thread is there.
    attended: bool,
}

/// What a process can't use of a backend.
#[derive(Clone, Default)]
pub(crate) struct Refused {
    all: bool,
    /// What holds an older stamp.
    floor: Option<Stamp>,
    /// What carries one of these, with the numbers under which they were heard of last.
    tags: Arc<Tags>,
}

impl Refused {
    pub(crate) fn contains(&self, tags: &[HeldTag]) -> bool {
        let is_old = |held: &HeldTag| self.floor.is_some_and(|floor| held.stamp < floor);
        self.all || tags.iter().any(|held| is_old(held) || self.tags.contains_key(&held.tag))
    }
}

/// What is to be passed on.
#[derive(Debug)]
enum News {
    Everything,
    Tags(Vec<TagId>),
}

impl State {
    fn hear(&mut self, tags: &[TagId]) {
        self.heard += 1;
        let waiting = Arc::make_mut(&mut self.refused.tags);
        waiting.extend(tags.iter().map(|tag| (*tag, self.heard)));
        if waiting.len() > MOST_TAGS {
            self.hear_everything();
        }
    }

    fn hear_everything(&mut self) {
        self.heard += 1;
        self.everything = Some(self.heard);
        self.refused.all = true;
        self.refused.tags = Arc::default();
    }

    /// What is to be passed on next, and the number up to which that is everything.
    fn next(&self) -> Option<(News, u64)> {
        let tags = || self.refused.tags.keys().copied().collect();
        let news = match self.everything {
            _ if self.useless => return None,
            Some(_) => News::Everything,
            None if self.refused.tags.is_empty() => return None,
            None => News::Tags(tags()),
        };
        Some((news, self.heard))
    }

    /// It isn't to be used any more.
    fn give_up(&mut self) {
        self.useless = true;
        self.hear_everything();
    }

    /// That was recorded. What was heard of meanwhile is not.
    fn recorded(&mut self, upto: u64, floor: Option<Stamp>) {
        Arc::make_mut(&mut self.refused.tags).retain(|_, heard| *heard > upto);
        self.everything = self.everything.filter(|heard| *heard > upto);
        self.refused.floor = self.refused.floor.max(floor);
        self.refused.all = self.everything.is_some() || self.useless;
    }
}

impl Near {
    /// Nothing is known yet of what it doesn't know.
    pub(crate) fn new(backend: &Arc<dyn Backend>) -> Self {
        let mut state = State::default();
        state.hear_everything();
        let backend = Arc::downgrade(backend);
        Self { backend, probe: TagId(RandomState::new().hash_one(0)), state: Mutex::new(state), news: Condvar::new() }
    }

    /// A farther backend has told of it.
    pub(crate) fn hear(self: &Arc<Self>, tags: &[TagId]) {
        let mut state = lock(&self.state);
        if tags.contains(&self.probe) {
            return state.give_up();
        }
        state.hear(tags);
        self.attend(state);
    }

    pub(crate) fn hear_everything(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.hear_everything();
        self.attend(state);
    }

    /// What can't be used of it.
    pub(crate) fn refused(self: &Arc<Self>) -> Refused {
        let state = lock(&self.state);
        let refused = state.refused.clone();
        // At first, and where there was no thread to be had, nobody is at it.
        if !state.attended && state.next().is_some() {
            self.attend(state);
        }
        refused
    }

    /// Sees to it that somebody passes it on.
    fn attend(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.attended, true) {
            drop(state);
            self.news.notify_one();
            return;
        }
        drop(state);
        let near = Arc::clone(self);
        if std::thread::Builder::new().name("larder-pass-on".into()).spawn(move || near.pass_on()).is_err() {
            lock(&self.state).attended = false;
        }
    }

    /// What the thread does.
    fn pass_on(&self) {
        let mut pause = FIRST_PAUSE;
        while let Some((news, upto)) = self.wait() {
            let told = self.backend.upgrade().map(|backend| {
                // A backend that panics breaks its contract; it fails.
                catch_unwind(AssertUnwindSafe(|| block_on(tell(&*backend, self.probe, &news))))
            });
            match told {
                Some(Ok(Ok(floor))) => {
                    lock(&self.state).recorded(upto, floor);
                    pause = FIRST_PAUSE;
                }
                Some(Ok(Err(error))) if error.kind() == ErrorKind::Closed => return self.give_up(),
                // The cache is gone.
                None => return self.give_up(),
                Some(_) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// It can't be told any more.
    fn give_up(&self) {
        let mut state = lock(&self.state);
        state.give_up();
        state.attended = false;
    }

    /// For news. `None`: there have been none for long, and nobody is at it any more.
    fn wait(&self) -> Option<(News, u64)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(news) = state.next() {
                return Some(news);
            }
            let (woken, timeout) = self.news.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && state.next().is_none() {
                state.attended = false;
                return None;
            }
        }
    }
}

/// The stamp from which on everything is known to be newer than the news, if that is known.
async fn tell(backend: &dyn Backend, probe: TagId, news: &News) -> Result<Option<Stamp>, Error> {
    match news {
        News::Tags(tags) => backend.invalidate(tags).await.map(|_| None),
        News::Everything => {
            backend.invalidate(&[probe]).await?;
            let floor = backend.known_stamp();
            if floor.is_none() {
                // Then the others have to bear it, too.
                backend.invalidate(&[tag::EVERYTHING]).await?;
            }
            Ok(floor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp(10);

    fn held(tag: u64, stamp: u64) -> HeldTag {
        HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
    }

    fn refuses(state: &State, tag: u64) -> bool {
        state.refused.contains(&[held(99, STAMP.0), held(tag, STAMP.0)])
    }

    fn tags_to_pass_on(state: &State) -> (Vec<u64>, u64) {
        let Some((News::Tags(tags), upto)) = state.next() else { panic!("no tags, but {:?}", state.next()) };
        let mut tags: Vec<_> = tags.into_iter().map(|tag| tag.0).collect();
        tags.sort_unstable();
        (tags, upto)
    }

    #[test]
    fn what_is_heard_while_it_is_passed_on_is_passed_on_again() {
        let mut state = State::default();
        state.hear(&[TagId(1), TagId(2)]);
        let (tags, upto) = tags_to_pass_on(&state);
        assert_eq!(tags, [1, 2]);
        state.hear(&[TagId(2), TagId(3)]);
        state.recorded(upto, None);
        assert_eq!([1, 2, 3].map(|tag| refuses(&state, tag)), [false, true, true]);
        let (tags, upto) = tags_to_pass_on(&state);
        assert_eq!(tags, [2, 3]);
        state.recorded(upto, None);
        assert!(state.next().is_none() && !refuses(&state, 3));
    }

    #[test]
    fn a_view_stays_as_it_was() {
        let mut state = State::default();
        state.hear(&[TagId(1)]);
        let (before, upto) = (state.refused.clone(), state.heard);
        state.recorded(upto, None);
        assert!(before.contains(&[held(1, 5)]) && !refuses(&state, 1));
    }

    #[test]
    fn everything_is_refused_until_it_is_known_what_is_older() {
        let mut state = State::default();
        state.hear(&[TagId(1)]);
        state.hear_everything();
        assert!(refuses(&state, 7));
        let Some((News::Everything, upto)) = state.next() else { panic!("{:?}", state.next()) };
        state.hear(&[TagId(2)]);
        state.recorded(upto, Some(STAMP));
        assert_eq!([1, 2, 7].map(|tag| refuses(&state, tag)), [false, true, false]);
        assert!(state.refused.contains(&[held(7, STAMP.0), held(8, STAMP.0 - 1)]), "one of its tags is too old");
        // A doubt that comes while the last one is passed on.
        state.hear_everything();
        let upto = state.heard;
        state.hear_everything();
        state.recorded(upto, Some(STAMP));
        assert!(refuses(&state, 7));
        state.recorded(state.heard, Some(Stamp(3)));
        assert!(!refuses(&state, 7) && state.refused.floor == Some(STAMP), "it never gets lower");
    }

    #[test]
    fn too_many_tags_are_as_good_as_everything() {
        let mut state = State::default();
        for number in 0..2 * MOST_TAGS as u64 {
            state.hear(&[TagId(number), TagId(1)]);
            assert!(refuses(&state, number) && state.refused.tags.len() <= MOST_TAGS);
        }
        assert!(matches!(state.next(), Some((News::Everything, _))));
    }

    #[test]
    fn what_comes_back_is_not_passed_on() {
        let backend: Arc<dyn Backend> = Arc::new(crate::reference::SharedMemory::new());
        let near = Arc::new(Near::new(&backend));
        near.hear(&[TagId(1)]);
        near.hear(&[near.probe]);
        near.hear(&[TagId(1)]);
        assert!(near.refused().all);
        let state = lock(&near.state);
        assert!(state.useless && state.next().is_none());
    }
}
