//! A run and everyone who waits for it. Which flights a key has is told in [`per_key`](crate::flight::per_key).
//!
//! # Invariants
//!
//! 1. A flight ends exactly once: landed with an outcome, failed without one that could be shared, or abandoned. Then
//!    everyone who waits is woken.
//! 2. A call that came after the body of a run began doesn't wait for the end of that run once it is known to be dead, whether
//!    the call joined before or after that was known.
//! 3. Of two results of one key, the one whose flight began later stays: see [`Flight::place`].

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
// Of the process, whatever a model checker makes of the rest.
use std::sync::atomic::AtomicBool;
use std::task::{Poll, Waker};

use crate::flight::landing::Landing;
use crate::util::per_process::Ids;
use crate::util::sync::atomic::{AtomicU64, Ordering};
use crate::util::sync::{Arc, Mutex, in_process, lock};

/// Names a flight in the whole process. Later flights have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlightId(u64);

impl FlightId {
    /// The id of the next flight: every flight that starts from now on has at least this one, and every flight that has
    /// it sees what this thread has written before. Hence written as it is read: see the head of `freshness`.
    pub(crate) fn upcoming() -> Self {
        Self(NEXT_ID.fetch_add(0, Ordering::AcqRel))
    }

    fn next() -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::AcqRel);
        if id == 1 {
            IDS.begin();
        }
        Self(id)
    }

    /// Whether its leader is in this process: in one that was forked, what other threads led then will never end.
    pub(crate) fn has_leader(self) -> bool {
        IDS.is_ours(self.0, || NEXT_ID.load(Ordering::Acquire))
    }
}

static IDS: Ids = Ids::new();

in_process! {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
}

/// A run and everyone who waits for it. `O` is what it ends with, `P` what is known of it while it flies.
#[derive(Debug)]
pub(crate) struct Flight<O, P> {
    id: FlightId,
    state: Mutex<State<O, P>>,
    landing: Landing,
    /// A later one leads that was asked for on purpose.
    overtaken: AtomicBool,
}

#[derive(Debug)]
struct State<O, P> {
    phase: Phase<O>,
    progress: P,
    /// In the order of arrival. With the flight that was next when the call came.
    waiting: BTreeMap<u64, (FlightId, Waker)>,
    /// The number of the latest one who waits.
    last_waiter: u64,
    /// Those up to this number needn't wait any longer: see [`Flight::let_go`].
    let_go: u64,
    /// When its body began, if that is noted: see [`Flight::note_body`].
    body: Option<FlightId>,
    /// See [`Flight::note_dead`].
    dead: bool,
}

#[derive(Debug)]
enum Phase<O> {
    Flying,
    Ended(End<O>),
}

/// How a flight ends, and so the wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End<O> {
    /// With this outcome.
    Landed(O),
    /// The run failed with an error that can't be shared.
    Failed,
    /// The leader was cancelled: there is no outcome.
    Abandoned,
    /// The leader panicked: there is none either.
    Panicked,
    /// The run goes on, and its outcome won't answer the call: see [`Flight::note_dead`].
    Dead,
}

impl<O: Clone, P> Flight<O, P> {
    pub(crate) fn new(progress: P) -> Self {
        let state = State {
            phase: Phase::Flying,
            progress,
            waiting: BTreeMap::new(),
            last_waiter: 0,
            let_go: 0,
            body: None,
            dead: false,
        };
        let (landing, overtaken) = (Landing::new(), AtomicBool::new(false));
        Self { id: FlightId::next(), state: Mutex::new(state), landing, overtaken }
    }

    pub(crate) fn id(&self) -> FlightId {
        self.id
    }

    /// Looks at what is known of the run, or tells it.
    pub(crate) fn with_progress<R>(&self, with: impl FnOnce(&mut P) -> R) -> R {
        with(&mut lock(&self.state).progress)
    }

    pub(crate) fn end(&self, end: End<O>) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Flying) {
            state.phase = Phase::Ended(end);
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            wake(waiting);
        }
    }

    /// Those who wait already needn't wait any longer, as if the flight had failed: they have waited for a run that did. The
    /// flight goes on, for those who come later.
    pub(crate) fn let_go(&self) {
        let mut state = lock(&self.state);
        state.let_go = state.last_waiter;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        wake(waiting);
    }

    /// The body begins, perhaps long after the flight. Noted where [`note_dead`](Self::note_dead) may follow.
    pub(crate) fn note_body(&self) {
        lock(&self.state).body = Some(FlightId::next());
    }

    /// Something that the run depends on was invalidated. Calls from after its body began needn't wait for its end any more,
    /// also those who came when this wasn't known yet: the invalidation may be from before them.
    pub(crate) fn note_dead(&self) {
        let mut state = lock(&self.state);
        if state.dead {
            return;
        }
        state.dead = true;
        let Some(body) = state.body else { return };
        let (released, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(|(_, (min, _))| body < *min);
        state.waiting = waiting;
        drop(state);
        wake(released);
    }

    /// Whether the body of its run began after the call, which comes with the flight that was next when it came: then it
    /// answers the call, whatever is invalidated.
    pub(crate) fn answers(&self, min_flight: FlightId) -> bool {
        self.id >= min_flight || lock(&self.state).body.is_some_and(|body| body >= min_flight)
    }

    /// Waits for the end, whatever becomes of the run.
    ///
    /// Cancel safe: a dropped waiter leaves no trace.
    pub(crate) async fn wait(self: &Arc<Self>) -> End<O> {
        self.wait_for_answer(FlightId(0)).await
    }

    /// Waits for the end, as long as it may answer a call: see [`answers`](Self::answers) and
    /// [`note_dead`](Self::note_dead).
    ///
    /// Cancel safe: a dropped waiter leaves no trace.
    pub(crate) async fn wait_for_answer(self: &Arc<Self>, min_flight: FlightId) -> End<O> {
        let mut waiter = Waiter { flight: self, number: None };
        poll_fn(|cx| {
            // Cloned and dropped outside the lock: a waker may run anything.
            let waker = cx.waker().clone();
            let mut state = lock(&waiter.flight.state);
            let let_go = state.let_go;
            match &state.phase {
                Phase::Ended(end) => Poll::Ready(end.clone()),
                Phase::Flying if waiter.number.is_some_and(|number| number <= let_go) => Poll::Ready(End::Failed),
                Phase::Flying if state.dead && state.body.is_some_and(|body| body < min_flight) => {
                    Poll::Ready(End::Dead)
                }
                Phase::Flying => {
                    let number = *waiter.number.get_or_insert_with(|| {
                        state.last_waiter += 1;
                        state.last_waiter
                    });
                    let replaced = state.waiting.insert(number, (min_flight, waker));
                    drop(state);
                    drop(replaced);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether the result of a later flight has taken the place of this one's.
    pub(crate) fn is_superseded(&self) -> bool {
        self.landing.is_superseded()
    }

    /// From now on this flight's result takes no place: a later one's does. See [`Landing::supersede`].
    pub(crate) fn supersede(&self, asks_user: bool) {
        self.landing.supersede(asks_user);
    }

    /// From now on this flight takes the lease from nobody.
    pub(crate) fn overtake(&self) {
        self.overtaken.store(true, Ordering::Release);
    }

    pub(crate) fn is_overtaken(&self) -> bool {
        self.overtaken.load(Ordering::Acquire)
    }

    /// Puts the result where others find it, unless a later flight's is there. `false` if it is.
    pub(crate) fn place(&self, put: impl FnOnce(), take_out: impl FnOnce()) -> bool {
        self.landing.place(put, take_out)
    }
}

/// Outside of locks: a waker may run anything. What it does is no reason to leave the others waiting, nor to keep from the
/// caller what its run came to.
fn wake(waiting: BTreeMap<u64, (FlightId, Waker)>) {
    for (_, waker) in waiting.into_values() {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

/// Waits until one of the flights has ended, and says how.
///
/// Cancel safe, as [`Flight::wait`].
pub(crate) async fn first_to_end<O: Clone + Send, P: Send>(flights: &[Arc<Flight<O, P>>]) -> End<O> {
    type Wait<'f, O> = Pin<Box<dyn Future<Output = End<O>> + Send + 'f>>;
    let mut waits: Vec<Wait<'_, O>> = flights.iter().map(|flight| Box::pin(flight.wait()) as Wait<'_, O>).collect();
    poll_fn(|cx| {
        let ended = waits.iter_mut().find_map(|wait| match wait.as_mut().poll(cx) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

struct Waiter<'a, O, P> {
    flight: &'a Flight<O, P>,
    number: Option<u64>,
}

impl<O, P> Drop for Waiter<'_, O, P> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = lock(&self.flight.state).waiting.remove(&number);
            drop(waker); // outside the lock
        }
    }
}

/// Only here so that a `wait` is known to be `Send`.
#[allow(dead_code, reason = "checked by the compiler, never called")]
fn wait_is_send(flight: &Arc<Flight<u8, u8>>) -> impl Future<Output = End<u8>> + Send {
    flight.wait()
}
