//! Waiting for a while, without any runtime: one thread wakes whoever sleeps, and ends when nobody does.
//!
//! Time in which the machine is suspended doesn't count here: it only decides how long a caller waits, and never whether
//! something may be used.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::util::per_process::{GENERATIONS, PerProcess};

/// Those who sleep in one process, and what tells the thread that there is an earlier one.
#[derive(Debug)]
struct Timer {
    sleepers: Mutex<Sleepers>,
    changed: Condvar,
}

/// Who sleeps until when. The number tells apart who sleeps until the same moment.
#[derive(Debug)]
struct Sleepers {
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    watch: Watch,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// It isn't there.
    Gone,
    /// It will look by itself before it sleeps.
    Looks,
    /// It sleeps until then.
    Sleeps(Instant),
}

impl Timer {
    const fn new() -> Self {
        let sleepers = Sleepers { wakers: BTreeMap::new(), next: 0, watch: Watch::Gone };
        Self { sleepers: Mutex::new(sleepers), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static TIMER: PerProcess<Timer> = PerProcess::new([const { Timer::new() }; GENERATIONS]);

/// How long the thread stays when nobody sleeps.
const IDLE: Duration = Duration::from_secs(5);

/// Ready at this moment of the operating system's clock. Dropping it leaves no trace.
#[derive(Debug)]
pub(crate) struct Sleep {
    until: Instant,
    /// In which process's timer it sleeps, and its number there.
    place: Option<(usize, u64)>,
}

/// Sleeps for this long; for ever if that is longer than can be told.
pub(crate) async fn sleep(time: Duration) {
    match Instant::now().checked_add(time) {
        Some(until) => Sleep { until, place: None }.await,
        None => std::future::pending().await,
    }
}

/// What the future comes to; `None` once the time is over, whatever runtime it is polled on.
pub async fn with_timeout<F: Future>(future: F, time: Duration) -> Option<F::Output> {
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
        // Without a thread nobody would ever wake this one: better too early than never.
        let Some((process, timer)) = TIMER.get() else { return Poll::Ready(()) };
        // Cloned and dropped outside the lock: a waker may run anything.
        let waker = cx.waker().clone();
        let mut sleepers = timer.lock();
        let number = match self.place {
            Some((slept_in, number)) if slept_in == process => number,
            _ => {
                sleepers.next += 1;
                sleepers.next
            }
        };
        self.place = Some((process, number));
        let replaced = sleepers.wakers.insert((self.until, number), waker);
        match sleepers.watch {
            Watch::Gone => {
                let thread = std::thread::Builder::new().name("larder-timer".into()).spawn(move || watch(timer));
                if thread.is_err() {
                    return Poll::Ready(());
                }
                sleepers.watch = Watch::Looks;
            }
            Watch::Sleeps(until) if self.until < until => timer.changed.notify_one(),
            Watch::Looks | Watch::Sleeps(_) => {}
        }
        drop(sleepers);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some((slept_in, number)) = self.place else { return };
        // What was left behind in another process's timer is left there.
        if let Some((_, timer)) = TIMER.get().filter(|(process, _)| *process == slept_in) {
            let waker = timer.lock().wakers.remove(&(self.until, number));
            drop(waker); // outside the lock
        }
    }
}

/// What the thread does.
fn watch(timer: &Timer) {
    let mut sleepers = timer.lock();
    loop {
        let now = Instant::now();
        let nobody_sleeps = sleepers.wakers.is_empty();
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
                sleepers = timer.lock();
            }
            Ok(time) => {
                sleepers.watch = Watch::Sleeps(now + time);
                let (woken, timeout) =
                    timer.changed.wait_timeout(sleepers, time).unwrap_or_else(PoisonError::into_inner);
                sleepers = woken;
                sleepers.watch = Watch::Looks;
                if nobody_sleeps && timeout.timed_out() && sleepers.wakers.is_empty() {
                    sleepers.watch = Watch::Gone;
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
    fn who_sleeps_short_is_not_kept_by_who_sleeps_long() {
        let mut long = Box::pin(sleep(Duration::from_secs(3600)));
        assert!(long.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (_, timer) = TIMER.get().unwrap();
        while !matches!(timer.lock().watch, Watch::Sleeps(_)) {
            std::thread::yield_now();
        }
        let (sender, woken) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            pollster::block_on(sleep(Duration::from_millis(20)));
            sender.send(()).unwrap();
        });
        woken.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn a_dropped_sleeper_leaves_no_trace() {
        let mut sleep = Box::pin(Sleep { until: Instant::now() + Duration::from_secs(3600), place: None });
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (process, number) = sleep.place.unwrap();
        let key = (sleep.until, number);
        let (_, timer) = TIMER.at(process).unwrap();
        assert!(timer.lock().wakers.contains_key(&key));
        drop(sleep);
        assert!(!timer.lock().wakers.contains_key(&key));
    }
}
