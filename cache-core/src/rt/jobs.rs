//! Work that goes on when its caller has gone away, whatever runtime that caller had: one thread polls all of it.
//!
//! The thread is started by the first [`Seat`] and ends when there has been no seat and no job for a while. A job that blocks
//! the thread holds up the others, so jobs only await.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::util::caught::caught;
use crate::util::per_process::{GENERATIONS, PerProcess};
use crate::util::sync::lock;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The jobs of one process.
struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<Arc<Job>>,
    /// How many seats there are: the thread stays for them.
    seats: usize,
    /// Whether the thread is there.
    attended: bool,
}

static JOBS: PerProcess<Jobs> = PerProcess::new([const { Jobs::new() }; GENERATIONS]);

/// How long the thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);

/// The right to run one job later. The thread stays for it, so that a job can be handed over where no thread can be started.
#[derive(Debug)]
pub(crate) struct Seat {
    /// In which process's jobs. A forked child doesn't touch its parent's.
    place: usize,
}

struct Job {
    jobs: &'static Jobs,
    work: Mutex<Option<Work>>,
    /// It stands in `ready`.
    queued: AtomicBool,
    _seat: Seat,
}

impl Jobs {
    const fn new() -> Self {
        let state = State { ready: VecDeque::new(), seats: 0, attended: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What the thread does.
    fn attend(&'static self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.ready.pop_front() {
                drop(state);
                job.poll();
                drop(job); // outside the lock, which a seat's end takes
                state = self.lock();
                continue;
            }
            let nobody = state.seats == 0;
            let (woken, waited) = self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if nobody && waited.timed_out() && state.seats == 0 {
                state.attended = false;
                return;
            }
        }
    }
}

impl Seat {
    /// `None` if there can be no thread.
    pub(crate) fn reserve() -> Option<Self> {
        let (place, jobs) = JOBS.get()?;
        let mut state = jobs.lock();
        if !state.attended {
            std::thread::Builder::new().name("larder-jobs".into()).spawn(|| jobs.attend()).ok()?;
            state.attended = true;
        }
        state.seats += 1;
        Some(Self { place })
    }

    fn jobs(&self) -> Option<&'static Jobs> {
        JOBS.get().filter(|(place, _)| *place == self.place).map(|(_, jobs)| jobs)
    }

    /// Has the thread run this to its end. A forked child has no such thread, and forgets it.
    pub(crate) fn run(self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(jobs) = self.jobs() else { return };
        let work: Work = Box::pin(work);
        let job = Job { jobs, work: Mutex::new(Some(work)), queued: AtomicBool::new(false), _seat: self };
        Arc::new(job).wake();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(jobs) = self.jobs() {
            jobs.lock().seats -= 1;
        }
    }
}

impl Job {
    fn poll(self: &Arc<Self>) {
        // A wake from here on queues it once more.
        self.queued.store(false, Ordering::Release);
        let Some(mut work) = lock(&self.work).take() else { return };
        let waker = Waker::from(Arc::clone(self));
        // Others need this thread, so a panic ends the job alone.
        match caught(|| work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()) {
            Some(true) => *lock(&self.work) = Some(work),
            _ => drop(caught(|| drop(work))),
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let jobs = self.jobs;
            jobs.lock().ready.push_back(self);
            jobs.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::rt::timer::sleep;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn jobs_outlive_who_began_them_and_wait_beside_each_other() {
        let (sender, done) = channel();
        for millis in [40, 20] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                Seat::reserve().unwrap().run(async move {
                    sleep(Duration::from_millis(millis)).await;
                    sender.send(millis).unwrap();
                });
            });
        }
        let mut seen = [done.recv_timeout(LONG).unwrap(), done.recv_timeout(LONG).unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [20, 40]);
    }

    #[test]
    fn a_panic_harms_no_other_job() {
        let (sender, done) = channel();
        let seats = [Seat::reserve().unwrap(), Seat::reserve().unwrap()];
        let [first, second] = seats;
        first.run(async { panic!("as ordered") });
        second.run(async move { sender.send(()).unwrap() });
        done.recv_timeout(LONG).unwrap();
    }
}
