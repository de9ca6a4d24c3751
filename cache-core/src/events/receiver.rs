//! The end of the events that users hold.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use super::Event;
use super::hub::{Found, Hub, Queue};

/// Events of a cache from the moment it was made; see [`Cache::events`](crate::Cache::events).
///
/// It keeps as many events as it has room for. If they aren't received in time, the oldest are dropped, and
/// [`RecvError::Lagged`] says how many: a slow listener slows nothing down.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
    hub: Weak<Hub>,
}

impl Events {
    /// How many events a receiver has room for.
    pub const CAPACITY: usize = 4_096;

    pub(crate) fn of(hub: &Arc<Hub>) -> Self {
        let queue = Arc::new(Queue::new(Self::CAPACITY));
        hub.add(&queue);
        Self { queue, hub: Arc::downgrade(hub) }
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] if events were dropped; the next call goes on with the oldest that is left.
    /// [`RecvError::Closed`] once the cache is gone and all its events were received.
    ///
    /// # Cancel safety
    /// If the future is dropped, no event is lost.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        poll_fn(|task| match received(self.queue.take_or_wait(task.waker())) {
            Some(received) => Poll::Ready(received),
            None => Poll::Pending,
        })
        .await
    }

    /// [`recv`](Self::recv) on the calling thread, which waits.
    ///
    /// # Errors
    /// The same.
    pub fn blocking_recv(&mut self) -> Result<Event, RecvError> {
        loop {
            if let Some(received) = received(self.queue.block()) {
                return received;
            }
        }
    }

    /// The next event if there is one already; `Ok(None)` if there isn't.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event>, RecvError> {
        received(self.queue.take()).transpose()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.remove(&self.queue);
        }
    }
}

fn received(found: Found) -> Option<Result<Event, RecvError>> {
    match found {
        Found::Event(event) => Some(Ok(event)),
        Found::Dropped(dropped) => Some(Err(RecvError::Lagged(dropped))),
        Found::Closed => Some(Err(RecvError::Closed)),
        Found::Nothing => None,
    }
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// So many events were dropped, as they weren't received in time.
    Lagged(u64),
    /// The cache is gone.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(dropped) => write!(f, "{dropped} events were dropped, as they weren't received in time"),
            Self::Closed => f.write_str("the cache is gone"),
        }
    }
}

impl std::error::Error for RecvError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventKind;

    fn gaps(hub: &Hub, count: usize) {
        (0..count).for_each(|_| hub.tell(EventKind::Gap));
    }

    #[test]
    fn what_is_too_much_is_dropped_and_said() {
        let hub = Arc::<Hub>::default();
        let mut events = Events::of(&hub);
        gaps(&hub, Events::CAPACITY + 3);
        assert_eq!(events.try_recv(), Err(RecvError::Lagged(3)));
        for _ in 0..Events::CAPACITY {
            assert!(events.blocking_recv().is_ok());
        }
        assert_eq!(events.try_recv(), Ok(None));
    }

    #[test]
    fn each_listener_has_its_own_and_the_last_to_leave_ends_it() {
        let hub = Arc::<Hub>::default();
        assert!(!hub.is_heard());
        let (mut one, mut other) = (Events::of(&hub), Events::of(&hub));
        gaps(&hub, 1);
        assert!(one.blocking_recv().is_ok() && other.blocking_recv().is_ok());
        drop(one);
        assert!(hub.is_heard());
        drop(other);
        assert!(!hub.is_heard());
    }

    #[test]
    fn it_ends_with_the_cache_and_loses_nothing_then() {
        let hub = Arc::<Hub>::default();
        let mut events = Events::of(&hub);
        gaps(&hub, 1);
        let waits = std::thread::spawn(move || (events.blocking_recv().is_ok(), events.blocking_recv()));
        hub.close();
        assert_eq!(waits.join().unwrap(), (true, Err(RecvError::Closed)));
    }

    #[test]
    fn who_waits_is_woken_and_what_was_dropped_on_the_way_loses_nothing() {
        let hub = Arc::<Hub>::default();
        let mut events = Events::of(&hub);
        let task = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(events.recv()).poll(task).is_pending());
        let waits = std::thread::spawn(move || pollster::block_on(events.recv()));
        gaps(&hub, 1);
        assert!(waits.join().unwrap().is_ok());
    }
}
