//! Waiting for a while, without any runtime: one thread wakes whoever sleeps, and ends when nobody does.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Who sleeps until when. The number tells apart who sleeps until the same moment.
#[derive(Debug)]
struct Sleepers {
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    /// Whether the thread is there.
    watched: bool,
}

static SLEEPERS: Mutex<Sleepers> = Mutex::new(Sleepers { wakers: BTreeMap::new(), next: 0, watched: false });
static CHANGED: Condvar = Condvar::new();

/// How long the thread stays when nobody sleeps.
const IDLE: Duration = Duration::from_secs(5);

/// Ready at this moment of the operating system's clock. Dropping it leaves no trace.
#[derive(Debug)]
pub(crate) struct Sleep {
    until: Instant,
    number: Option<u64>,
}

/// Sleeps for this long; for ever if that is longer than can be told.
pub(crate) async fn sleep(time: Duration) {
    match Instant::now().checked_add(time) {
        Some(until) => Sleep { until, number: None }.await,
        None => std::future::pending().await,
    }
}

/// What the future comes to; `None` once the time is over.
pub(crate) async fn with_timeout<F: Future>(future: F, time: Duration) -> Option<F::Output> {
    let (mut future, mut end) = (pin!(future), pin!(sleep(time)));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        end.as_mut().poll(cx).map(|()| None)
    })
    .await
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        // Cloned and dropped outside the lock: a waker may run anything.
        let waker = cx.waker().clone();
        let mut sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.number.get_or_insert_with(|| {
            sleepers.next += 1;
            sleepers.next
        });
        let replaced = sleepers.wakers.insert((self.until, number), waker);
        let first = sleepers.wakers.first_key_value().is_some_and(|(key, _)| *key == (self.until, number));
        if !sleepers.watched {
            sleepers.watched = std::thread::Builder::new().name("larder-timer".into()).spawn(watch).is_ok();
            if !sleepers.watched {
                // Without threads nobody would ever wake this one: better too early than never.
                return Poll::Ready(());
            }
        } else if first {
            CHANGED.notify_one();
        }
        drop(sleepers);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner).wakers.remove(&(self.until, number));
            drop(waker); // outside the lock
        }
    }
}

/// What the thread does.
fn watch() {
    let mut sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        let due = match sleepers.wakers.first_key_value() {
            Some((key, _)) if key.0 <= now => Err(*key),
            Some(((until, _), _)) => Ok(until.saturating_duration_since(now)),
            None => Ok(IDLE),
        };
        match due {
            Err(key) => {
                let waker = sleepers.wakers.remove(&key);
                drop(sleepers);
                // It may run anything, and others need this thread.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.into_iter().for_each(Waker::wake)));
                sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
            }
            Ok(time) => {
                let (woken, timeout) = CHANGED.wait_timeout(sleepers, time).unwrap_or_else(PoisonError::into_inner);
                sleepers = woken;
                if timeout.timed_out() && sleepers.wakers.is_empty() {
                    sleepers.watched = false;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_in_their_order() {
        let began = Instant::now();
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for millis in [60, 20, 40] {
                let order = &order;
                scope.spawn(move || {
                    pollster::block_on(sleep(Duration::from_millis(millis)));
                    order.lock().unwrap().push(millis);
                });
            }
        });
        assert!(began.elapsed() >= Duration::from_millis(60));
        assert_eq!(*order.lock().unwrap(), [20, 40, 60]);
    }

    #[test]
    fn a_dropped_sleeper_leaves_no_trace() {
        let mut sleep = Box::pin(Sleep { until: Instant::now() + Duration::from_secs(3600), number: None });
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let key = (sleep.until, sleep.number.unwrap());
        assert!(SLEEPERS.lock().unwrap().wakers.contains_key(&key));
        drop(sleep);
        assert!(!SLEEPERS.lock().unwrap().wakers.contains_key(&key));
    }
}
