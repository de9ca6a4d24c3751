//! Who listens to a cache, and what waits for them: a queue for each, of which the oldest events are dropped when it is full.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::task::Waker;
use std::time::SystemTime;

use super::{Event, EventKind};
use crate::util::caught::caught;
use crate::util::sync::lock;

/// The listeners of one cache.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Whether there may be any. Wrong for a moment at most.
    is_heard: AtomicBool,
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Hub {
    /// Whether anybody listens.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Tells everybody who listens. Not for where a lock is held: who waits asynchronously is woken, which runs code of the
    /// user's.
    #[cold]
    pub(crate) fn tell(&self, kind: EventKind) {
        self.leave_word(kind);
        self.wake();
    }

    /// The same for where a lock is held: [`wake`](Self::wake) has to follow.
    #[cold]
    pub(crate) fn leave_word(&self, kind: EventKind) {
        let event = Event { at: SystemTime::now(), kind };
        self.queues().iter().for_each(|queue| queue.push(&event));
    }

    /// Wakes those who wait for what was left for them.
    #[cold]
    pub(crate) fn wake(&self) {
        self.queues().iter().filter_map(|queue| queue.waiting_for_something()).for_each(wake);
    }

    pub(super) fn add(&self, queue: &Arc<Queue>) {
        lock(&self.queues).push(Arc::downgrade(queue));
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Who listened doesn't any more.
    pub(super) fn remove(&self, queue: &Queue) {
        let mut queues = lock(&self.queues);
        queues.retain(|other| !std::ptr::eq(other.as_ptr(), queue));
        self.is_heard.store(!queues.is_empty(), Ordering::Relaxed);
    }

    /// Nothing will be told any more.
    pub(crate) fn close(&self) {
        self.queues().iter().for_each(|queue| queue.close());
    }

    fn queues(&self) -> Vec<Arc<Queue>> {
        lock(&self.queues).iter().filter_map(Weak::upgrade).collect()
    }
}

/// A waker may run anything, and panic: that is not the business of the call that has something to tell.
fn wake(waker: Waker) {
    let _ = caught(|| waker.wake());
}

/// What one listener hasn't received yet.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something came, for a listener that waits on its thread.
    came: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// How many were dropped since the listener was last told.
    dropped: u64,
    is_closed: bool,
    waiting: Option<Waker>,
}

/// What a listener finds.
#[derive(Debug)]
pub(super) enum Found {
    Event(Event),
    Dropped(u64),
    /// There will be nothing more.
    Closed,
    /// Not yet.
    Nothing,
}

impl State {
    fn take(&mut self) -> Found {
        match std::mem::take(&mut self.dropped) {
            0 => match self.events.pop_front() {
                Some(event) => Found::Event(event),
                None if self.is_closed => Found::Closed,
                None => Found::Nothing,
            },
            dropped => Found::Dropped(dropped),
        }
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), came: Condvar::new(), most: most.max(1) }
    }

    fn push(&self, event: &Event) {
        let mut state = lock(&self.state);
        if state.events.len() >= self.most {
            state.events.pop_front();
            state.dropped += 1;
        }
        state.events.push_back(event.clone());
        drop(state);
        self.came.notify_one();
    }

    /// Who waits, if there is something to wait for no longer.
    fn waiting_for_something(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        if state.events.is_empty() && !state.is_closed { None } else { state.waiting.take() }
    }

    fn close(&self) {
        lock(&self.state).is_closed = true;
        self.came.notify_one();
        self.waiting_for_something().into_iter().for_each(wake);
    }

    pub(super) fn take(&self) -> Found {
        lock(&self.state).take()
    }

    /// The same; if there is nothing yet, the waker is woken when there is.
    pub(super) fn take_or_wait(&self, waker: &Waker) -> Found {
        // Cloned and dropped outside the lock: a waker may run anything.
        let waker = waker.clone();
        let mut state = lock(&self.state);
        let found = state.take();
        let replaced = if matches!(found, Found::Nothing) { state.waiting.replace(waker) } else { None };
        drop(state);
        drop(replaced);
        found
    }

    /// The same on this thread: there is something when it returns.
    pub(super) fn block(&self) -> Found {
        let mut state = lock(&self.state);
        loop {
            match state.take() {
                Found::Nothing => state = self.came.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
                found => return found,
            }
        }
    }
}
