//! Runs background work: on the caller's tokio runtime if there is one, otherwise on a few threads of our own.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::util::per_process::{GENERATIONS, PerProcess};

/// A run, with all that is left to do after it.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The most threads. A job that finds them all at work is refused rather than queued: one that waits for another one
/// could else stand before it in the queue.
const THREADS: usize = 8;

/// How long a thread stays without work.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Pool {
    threads: usize,
    /// Threads that wait for work; each takes one job at most before it is back here.
    idle: Vec<(u64, Sender<Task>)>,
    next: u64,
}

const EMPTY: Pool = Pool { threads: 0, idle: Vec::new(), next: 0 };

static POOL: PerProcess<Mutex<Pool>> = PerProcess::new([const { Mutex::new(EMPTY) }; GENERATIONS]);

struct Task {
    job: Job,
    #[cfg(feature = "tokio")]
    runtime: Option<tokio::runtime::Handle>,
}

impl Task {
    fn run(self) {
        #[cfg(feature = "tokio")]
        let _entered = self.runtime.as_ref().map(tokio::runtime::Handle::enter);
        // The thread outlives what panics on it; who waits for the job hears of it from the job.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pollster::block_on(self.job)));
    }
}

/// Starts the job; gives it back if there is nowhere to run it now. What blocks never runs on a runtime's own threads.
///
/// On a runtime, the job ends with it.
pub(crate) fn spawn(job: Job, blocks: bool) -> Result<(), Job> {
    #[cfg(feature = "tokio")]
    {
        let runtime = tokio::runtime::Handle::try_current().ok();
        match runtime {
            Some(runtime) if !blocks => {
                drop(runtime.spawn(job));
                Ok(())
            }
            runtime => spawn_on_thread(Task { job, runtime }),
        }
    }
    #[cfg(not(feature = "tokio"))]
    {
        let _ = blocks;
        spawn_on_thread(Task { job })
    }
}

fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn_on_thread(mut task: Task) -> Result<(), Job> {
    let Some((_, of_process)) = POOL.get() else { return Err(task.job) };
    let mut pool = lock(of_process);
    while let Some((_, thread)) = pool.idle.pop() {
        match thread.send(task) {
            Ok(()) => return Ok(()),
            Err(refused) => task = refused.0,
        }
    }
    if pool.threads >= THREADS {
        return Err(task.job);
    }
    let (sender, receiver) = channel();
    pool.next += 1;
    let id = pool.next;
    let own = sender.clone();
    let work = move || work(of_process, id, &own, &receiver);
    if std::thread::Builder::new().name("larder-refresh".into()).spawn(work).is_err() {
        return Err(task.job);
    }
    pool.threads += 1;
    drop(pool);
    // The thread holds a sender of its own, so it is still listening.
    sender.send(task).map_err(|refused| refused.0.job)
}

/// What a thread does: its first task comes through the channel as all others do.
fn work(of_process: &Mutex<Pool>, id: u64, own: &Sender<Task>, tasks: &Receiver<Task>) {
    let mut next = tasks.recv().ok();
    while let Some(task) = next {
        task.run();
        lock(of_process).idle.push((id, own.clone()));
        next = match tasks.recv_timeout(IDLE) {
            Ok(task) => Some(task),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let mut pool = lock(of_process);
                let before = pool.idle.len();
                pool.idle.retain(|(idle, _)| *idle != id);
                if pool.idle.len() < before {
                    None
                } else {
                    // Taken a moment ago: the task is on its way, sent under the lock.
                    drop(pool);
                    tasks.recv().ok()
                }
            }
        };
    }
    lock(of_process).threads -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_side_by_side_up_to_a_bound() {
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        let gate = std::sync::Arc::new(Mutex::new(gate));
        let job = |number: usize| -> Job {
            let (started, gate) = (started.clone(), std::sync::Arc::clone(&gate));
            Box::pin(async move {
                let _ = started.send(number);
                let _ = gate.lock().unwrap().recv();
            })
        };
        for number in 0..THREADS {
            assert!(spawn(job(number), true).is_ok());
        }
        assert!(spawn(job(THREADS), true).is_err(), "all threads are at work");
        let mut seen: Vec<_> = (0..THREADS).map(|_| starts.recv().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..THREADS).collect::<Vec<_>>());
        for _ in 0..THREADS {
            open.send(()).unwrap();
        }
    }
}
