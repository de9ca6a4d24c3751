//! The leases of a run, and when they are given up before its end.
//!
//! A run under way is *dead* once something that it depends on so far was invalidated: its result is of use to nobody but
//! its own callers, and is stored nowhere. From then on others may run the body, in this process and elsewhere, so its
//! leases are given up at once. Whoever invalidates doesn't look for such runs, of which there may be many: a thread of
//! this module does.
//!
//! # Invariants
//!
//! 1. A run is watched first and then found to be live or dead; an invalidation marks its tags first and then asks for
//!    the look. With a fence between the two on both sides, at least one of them sees the other.
//! 2. What a run comes to depend on later, and is dead already, asks for a look as well: see [`Frame`].
//! 3. No lock of this module is held while a lease is given up or dropped: a backend may do anything then.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Lease, Seen, TagId};
use crate::deadlock::WaitGuard;
use crate::frame::Frame;
use crate::freshness::Freshness;
use crate::sync::lock;

/// A lease, and what the backend had when it granted it.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) lease: Box<dyn Lease>,
    /// `None` if it was taken over.
    pub(crate) seen: Option<Seen>,
}

/// What a run was granted by the backends that it has asked, the nearest first. Dropping it gives everything back.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// Once a backend was asked.
    held: Option<Arc<Held>>,
    /// From when its body begins.
    watched: Option<Watch>,
}

#[derive(Debug, Default)]
struct Held(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// One per backend.
    granted: Vec<Option<Granted>>,
    /// So that circles of waiting calls are seen.
    guards: Vec<WaitGuard>,
    /// Their backends want to know when the run is over.
    given_up: Vec<Box<dyn Lease>>,
    is_over: bool,
}

impl Leases {
    /// Of how many backends.
    pub(crate) fn len(&self) -> usize {
        self.held.as_ref().map_or(0, |held| lock(&held.0).granted.len())
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.held.as_ref().is_some_and(|held| lock(&held.0).granted.iter().any(Option::is_some))
    }

    /// What the next backend has granted. `guard` says who waits for whom because of it.
    pub(crate) fn push(&mut self, granted: Option<Granted>, guard: Option<WaitGuard>) {
        let mut state = lock(&self.held.get_or_insert_default().0);
        state.granted.push(granted);
        state.guards.extend(guard);
    }

    /// What the farthest backend has granted.
    pub(crate) fn pop(&mut self) -> Option<Option<Granted>> {
        lock(&self.held.as_ref()?.0).granted.pop()
    }

    /// The body begins: from now on they are given up once the run is dead.
    pub(crate) fn watch(&mut self, run: &Arc<Frame>) {
        let Some(held) = self.held.as_ref().filter(|_| self.any()) else { return };
        run.set_watched();
        self.watched = Some(Watch::new(run, held));
        fence(Ordering::SeqCst);
        if !run.is_live() {
            held.give_up();
        }
    }

    /// Gives them back, at the end of the run. `unstored`: others find nothing that it has left.
    pub(crate) fn give_back(&mut self, unstored: bool) {
        self.watched = None;
        let Some(held) = &self.held else { return };
        for granted in held.take() {
            if unstored {
                granted.lease.ended_unstored();
            }
        }
        held.end();
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.give_back(false);
    }
}

impl Held {
    fn take(&self) -> Vec<Granted> {
        let mut state = lock(&self.0);
        let granted = state.granted.iter_mut().filter_map(Option::take).collect();
        let guards = std::mem::take(&mut state.guards);
        drop(state);
        drop(guards);
        granted
    }

    /// Others may run. What is given up is dropped at the end of the run, where the backend wants to know of that.
    fn give_up(&self) {
        let given_up: Vec<_> =
            self.take().into_iter().map(|granted| granted.lease).filter(|lease| lease.give_up()).collect();
        let mut state = lock(&self.0);
        if !state.is_over {
            state.given_up.extend(given_up);
            return;
        }
        drop(state);
        drop(given_up);
    }

    /// The run is over.
    fn end(&self) {
        let mut state = lock(&self.0);
        state.is_over = true;
        let given_up = std::mem::take(&mut state.given_up);
        drop(state);
        drop(given_up);
    }
}

/// A run under way that holds leases.
#[derive(Debug)]
struct Watched {
    run: Arc<Frame>,
    held: Arc<Held>,
}

/// All of the process, by the numbers of the runs: what a run depends on may be of another cache.
static WATCHED: Mutex<BTreeMap<u64, Arc<Watched>>> = Mutex::new(BTreeMap::new());
/// How many.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Has a run watched while it lives.
#[derive(Debug)]
struct Watch(u64);

impl Watch {
    fn new(run: &Arc<Frame>, held: &Arc<Held>) -> Self {
        let watched = Arc::new(Watched { run: Arc::clone(run), held: Arc::clone(held) });
        COUNT.fetch_add(1, Ordering::Relaxed);
        let before = lock(&WATCHED).insert(run.number, watched);
        drop(before);
        Self(run.number)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watched = lock(&WATCHED).remove(&self.0);
        COUNT.fetch_sub(1, Ordering::Relaxed);
        drop(watched); // after the lock
    }
}

/// Invalidates in memory, and has runs under way that depend on one of the tags give their leases up.
pub(crate) fn invalidate(freshness: &Freshness, ids: &[TagId]) {
    freshness.invalidate(ids);
    look_soon();
}

/// Something was invalidated, or a run has come to depend on what was: has the runs under way looked at. Takes constant
/// time.
pub(crate) fn look_soon() {
    fence(Ordering::SeqCst);
    if COUNT.load(Ordering::Relaxed) > 0 && !LOOKER.ask() {
        look();
    }
}

/// Gives up the leases of all runs that are dead.
fn look() {
    let watched: Vec<_> = lock(&WATCHED).values().cloned().collect();
    for watched in &watched {
        // A backend that panics is its own runs' trouble.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if !watched.run.is_live() {
                watched.held.give_up();
            }
        }));
    }
}

/// The thread that looks, and whoever asks it to. It ends when it wasn't asked for a while.
struct Looker {
    state: Mutex<Asked>,
    asked: Condvar,
}

struct Asked {
    is_due: bool,
    /// The process whose thread it is: a fork has none.
    thread: Option<u32>,
}

static LOOKER: Looker = Looker { state: Mutex::new(Asked { is_due: false, thread: None }), asked: Condvar::new() };

/// How long the thread stays when nobody asks.
const IDLE: Duration = Duration::from_secs(5);

/// After a look it rests for so many times as long as that took, but not for longer than that: so invalidations in a row
/// don't keep the processor busy, however many runs there are.
const REST: (u32, Duration) = (8, Duration::from_millis(50));

impl Looker {
    /// `false` if there can be no thread.
    fn ask(&'static self) -> bool {
        let process = std::process::id();
        let mut state = lock(&self.state);
        state.is_due = true;
        if state.thread == Some(process) {
            self.asked.notify_one();
            return true;
        }
        let spawned = std::thread::Builder::new().name("larder-leases".into()).spawn(|| self.work()).is_ok();
        state.thread = spawned.then_some(process);
        spawned
    }

    fn work(&self) {
        while self.is_asked() {
            let began = Instant::now();
            look();
            let (times, longest) = REST;
            std::thread::sleep(began.elapsed().saturating_mul(times).min(longest));
        }
    }

    /// Waits until it is asked. `false` once the thread is to end.
    fn is_asked(&self) -> bool {
        let idle = |state: &mut Asked| !state.is_due;
        let state = lock(&self.state);
        let waited = self.asked.wait_timeout_while(state, IDLE, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut state.is_due) {
            state.thread = None;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

    use super::*;
    use crate::backend::{Stamp, TagId};
    use crate::base_tags::BaseTags;
    use crate::cache::EPOCH;
    use crate::freshness::{Freshness, RunGuard};
    use crate::lineage::Lineage;
    use crate::stored::Assured;
    use crate::tag::TagSet;

    /// Says what is done with it.
    #[derive(Debug)]
    struct Told(Sender<&'static str>);

    impl Lease for Told {
        fn stamp(&self) -> Stamp {
            Stamp(1)
        }
        fn give_up(&self) -> bool {
            let _ = self.0.send("given up");
            true
        }
        fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
            self
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    /// A run whose body has begun, with a lease.
    struct Scene {
        freshness: Arc<Freshness>,
        /// Nothing that was invalidated since is forgotten.
        _guard: RunGuard,
        run: Arc<Frame>,
        leases: Leases,
        told: Receiver<&'static str>,
    }

    impl Scene {
        fn new() -> Self {
            let freshness = Arc::new(Freshness::new(&EPOCH));
            let run = Arc::new(Frame::new(1, None, None, None));
            let (tell, told) = channel();
            let mut leases = Leases::default();
            leases.push(Some(Granted { lease: Box::new(Told(tell)), seen: None }), None);
            begin(&run, &freshness, 1);
            Self { _guard: freshness.begin(), freshness, run, leases, told }
        }

        fn watched() -> Self {
            let mut scene = Self::new();
            scene.leases.watch(&scene.run);
            assert_eq!(scene.told.try_recv().ok(), None);
            scene
        }

        fn next(&self) -> Result<&'static str, RecvTimeoutError> {
            self.told.recv_timeout(Duration::from_secs(20))
        }
    }

    fn lineage(freshness: &Freshness, tag: u64) -> Lineage {
        let base = Arc::new(BaseTags::new(1, freshness, [TagId(tag)]));
        Lineage::own(base, None, Vec::new(), freshness.epoch(), &[])
    }

    fn begin(run: &Arc<Frame>, freshness: &Arc<Freshness>, tag: u64) {
        run.begin_body(lineage(freshness, tag), freshness.epoch(), Arc::clone(freshness));
    }

    #[test]
    fn a_run_that_is_dead_when_it_begins_gives_them_up() {
        let mut scene = Scene::new();
        scene.freshness.invalidate(&[TagId(1)]);
        scene.leases.watch(&scene.run);
        assert_eq!(scene.told.try_recv(), Ok("given up"));
        assert!(!scene.leases.any());
        drop(scene.leases);
        assert_eq!(scene.told.try_recv(), Ok("dropped"));
    }

    /// The look that an invalidation asks for may be over before the run depends on what was invalidated.
    #[test]
    fn what_is_dead_already_is_noticed_when_a_run_comes_to_depend_on_it() {
        let used: [fn(&Scene); 4] = [
            |scene| {
                let dead = lineage(&scene.freshness, 2);
                scene.freshness.invalidate(&[TagId(2)]);
                scene.run.inherit(&dead, false, Assured::default());
            },
            |scene| {
                let beside = Frame::new(1, None, None, None);
                beside.inherit(&lineage(&scene.freshness, 2), false, Assured::default());
                scene.freshness.invalidate(&[TagId(2)]);
                scene.run.take_in(1, &beside.close());
            },
            |scene| {
                // One that it calls, and one that that one calls.
                let child = Arc::new(Frame::new(1, None, Some(&scene.run), None));
                begin(&child, &scene.freshness, 3);
                let dead = lineage(&scene.freshness, 2);
                scene.freshness.invalidate(&[TagId(2)]);
                let grandchild = Arc::new(Frame::new(1, None, Some(&child), None));
                grandchild.begin_body(dead, scene.freshness.epoch(), Arc::clone(&scene.freshness));
                assert_eq!(scene.next(), Ok("given up"));
            },
            |scene| {
                let mut tags = TagSet::default();
                tags.add("late");
                let ids = tags.clone().into_ids("");
                scene.freshness.invalidate(&ids);
                scene.run.add_tags(tags);
            },
        ];
        for (number, uses) in used.into_iter().enumerate() {
            let mut scene = Scene::watched();
            uses(&scene);
            if number != 2 {
                assert_eq!(scene.next(), Ok("given up"), "{number}");
            }
            drop(std::mem::take(&mut scene.leases));
            // Perhaps by the thread that is still about to keep it.
            assert_eq!(scene.next(), Ok("dropped"));
        }
    }

    #[test]
    fn a_run_that_is_over_meanwhile_keeps_nothing() {
        /// Ends the run before it is given up.
        #[derive(Debug)]
        struct Slow(Told, Mutex<Option<Leases>>);
        impl Lease for Slow {
            fn stamp(&self) -> Stamp {
                self.0.stamp()
            }
            fn give_up(&self) -> bool {
                drop(lock(&self.1).take());
                self.0.give_up()
            }
            fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
                self
            }
        }
        let held = Arc::new(Held::default());
        let leases = Leases { held: Some(Arc::clone(&held)), watched: None };
        let (tell, told) = channel();
        let lease = Box::new(Slow(Told(tell), Mutex::new(Some(leases))));
        lock(&held.0).granted.push(Some(Granted { lease, seen: None }));
        held.give_up();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["given up", "dropped"]);
    }

    #[test]
    fn nobody_is_watched_who_holds_nothing() {
        let run = Arc::new(Frame::new(1, None, None, None));
        let mut leases = Leases::default();
        leases.watch(&run);
        leases.push(None, None);
        leases.watch(&run);
        assert!(leases.watched.is_none() && leases.len() == 1);
        let scene = Scene::watched();
        let number = scene.run.number;
        assert!(lock(&WATCHED).contains_key(&number));
        drop(scene);
        assert!(!lock(&WATCHED).contains_key(&number));
    }
}
