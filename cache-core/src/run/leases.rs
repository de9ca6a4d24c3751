//! The leases of a run, and when they are given up before its end.
//!
//! A run that is dead, as something that it depends on was invalidated, gives them up at once: see
//! [`watch`](crate::freshness::watch). No lock of this module is held while a lease is given up or dropped: a backend may
//! do anything then.

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex};

use crate::backend::{Lease, Seen};
use crate::context::run_frame::Frame;
use crate::engine::outcome::CallFlight;
use crate::flight::wait_graph::WaitGuard;
use crate::freshness::watch::{Watch, Watched};
use crate::util::sync::lock;

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

    /// The body begins: from now on they are given up once the run is dead, and those who wait for its flight learn of it.
    pub(crate) fn watch(&mut self, run: &Arc<Frame>, flight: Option<&Arc<CallFlight>>) {
        let Some(held) = self.held.as_ref().filter(|_| self.any()) else { return };
        run.set_watched();
        let flight = flight.map(Arc::clone);
        let watching = Arc::new(Watching { run: Arc::clone(run), held: Arc::clone(held), flight });
        self.watched = Some(Watch::new(run.number, Arc::clone(&watching) as Arc<dyn Watched>));
        fence(Ordering::SeqCst);
        watching.look();
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

/// A run that holds leases, these, and its flight.
#[derive(Debug)]
struct Watching {
    run: Arc<Frame>,
    held: Arc<Held>,
    flight: Option<Arc<CallFlight>>,
}

impl Watched for Watching {
    fn look(&self) {
        if !self.run.is_live() {
            self.held.give_up();
            // After the leases: who comes back for one finds it given up.
            if let Some(flight) = &self.flight {
                flight.note_dead();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::backend::{Stamp, TagId};
    use crate::freshness::dependencies::Dependencies;
    use crate::freshness::epoch::EPOCH;
    use crate::freshness::function_tags::BaseTags;
    use crate::freshness::invalidation::{Freshness, RunGuard};
    use crate::tag::TagSet;
    use crate::trust::deadline::TrustDeadline;

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
            scene.leases.watch(&scene.run, None);
            assert_eq!(scene.told.try_recv().ok(), None);
            scene
        }

        fn next(&self) -> Result<&'static str, RecvTimeoutError> {
            self.told.recv_timeout(Duration::from_secs(20))
        }
    }

    fn dependencies(freshness: &Freshness, tag: u64) -> Dependencies {
        let base = Arc::new(BaseTags::new(1, freshness, [TagId(tag)]));
        Dependencies::own(base, None, Vec::new(), freshness.epoch(), &[])
    }

    fn begin(run: &Arc<Frame>, freshness: &Arc<Freshness>, tag: u64) {
        run.begin_body(dependencies(freshness, tag), freshness.epoch(), Arc::clone(freshness));
    }

    #[test]
    fn a_run_that_is_dead_when_it_begins_gives_them_up() {
        let mut scene = Scene::new();
        scene.freshness.invalidate(&[TagId(1)]);
        scene.leases.watch(&scene.run, None);
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
                let dead = dependencies(&scene.freshness, 2);
                scene.freshness.invalidate(&[TagId(2)]);
                scene.run.inherit(&dead, false, TrustDeadline::default());
            },
            |scene| {
                let beside = Frame::new(1, None, None, None);
                beside.inherit(&dependencies(&scene.freshness, 2), false, TrustDeadline::default());
                scene.freshness.invalidate(&[TagId(2)]);
                scene.run.take_in(1, &beside.close());
            },
            |scene| {
                // One that it calls, and one that that one calls.
                let child = Arc::new(Frame::new(1, None, Some(&scene.run), None));
                begin(&child, &scene.freshness, 3);
                let dead = dependencies(&scene.freshness, 2);
                scene.freshness.invalidate(&[TagId(2)]);
                let grandchild = Arc::new(Frame::new(1, None, Some(&child), None));
                grandchild.begin_body(dead, scene.freshness.epoch(), Arc::clone(&scene.freshness));
                assert_eq!(scene.next(), Ok("given up"));
            },
            |scene| {
                let mut tags = TagSet::default();
                tags.add("late");
                let ids: Vec<_> = tags.clone().carried_in("").into_iter().map(|tag| tag.id).collect();
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
        leases.watch(&run, None);
        leases.push(None, None);
        leases.watch(&run, None);
        assert!(leases.watched.is_none() && leases.len() == 1);
        let scene = Scene::watched();
        let number = scene.run.number;
        assert!(Watch::is_there(number));
        drop(scene);
        assert!(!Watch::is_there(number));
    }
}
