//! The connections to one server, and the breaker in front of them.
//!
//! ```text
//! Connecting ──opened──▶ Up ──ended──────────────▶ Connecting
//!     │                   │ └─too many timeouts──▶ Down
//!     └──failed──▶ Down ◀─┘                         │
//!                   └───────────opened──▶ Up ◀──────┘      (attempts go on for ever, with a growing pause)
//! ```
//!
//! While it is `Down`, calls fail at once: that is the breaker. The attempts to connect, each of which ends with a PING,
//! are its probes, so that no caller pays for one. While it is `Connecting` (at the start, and when a good connection
//! was lost) calls wait for the one attempt, within their timeout.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::client::{Connection, Ended};
use super::target::Target;
use super::{Answer, Command, words};
use crate::error::Fault;
use crate::health::{Monitor, Operation, Source};
use crate::log::ConnectionId;
use crate::random;

/// So many timeouts without an answer in between, of all connections or of one, and they are given up: a server may have
/// stopped without closing them, or the way to it.
const TIMEOUTS: u32 = 3;

#[derive(Clone, Debug)]
pub(crate) enum State {
    Connecting,
    Up(Arc<[Connection]>),
    Down(Fault),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) target: Target,
    state: watch::Sender<State>,
    /// Tells the supervisor to give the connections up, and why.
    kick: Notify,
    kicked_for: Mutex<Option<Fault>>,
    /// In a row, on all connections together.
    timeouts: AtomicU32,
    /// A command was answered since the connections were opened.
    proved: AtomicBool,
    next: AtomicUsize,
    monitor: Arc<Monitor>,
}

impl Link {
    pub(crate) fn new(target: Target, monitor: Arc<Monitor>) -> Self {
        Self {
            target,
            state: watch::Sender::new(State::Connecting),
            kick: Notify::new(),
            kicked_for: Mutex::default(),
            timeouts: AtomicU32::new(0),
            proved: AtomicBool::new(true),
            next: AtomicUsize::new(0),
            monitor,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The connections, if there are some at this moment.
    pub(crate) fn connections(&self) -> Option<Arc<[Connection]>> {
        match &*self.state.borrow() {
            State::Up(connections) => Some(Arc::clone(connections)),
            _ => None,
        }
    }

    /// Sends the commands in this order on one connection. All of them fail if they aren't answered in time.
    pub(crate) async fn call(&self, commands: &[Command], deadline: Instant) -> Vec<Answer> {
        self.call_by(commands, deadline).await.1
    }

    /// The same, saying which connection it was.
    pub(crate) async fn call_by(&self, commands: &[Command], deadline: Instant) -> (Option<ConnectionId>, Vec<Answer>) {
        let fail = |fault: Fault| (None, commands.iter().map(|_| Err(fault.clone())).collect());
        let mut state = self.state.subscribe();
        let connections = match timeout_at(deadline, connections(&mut state)).await {
            Ok(Ok(connections)) => connections,
            Ok(Err(fault)) => return fail(fault),
            Err(_) => return fail(Fault::unreachable("still connecting").at(self.target.name())),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed) % connections.len().max(1);
        let Some(connection) = connections.get(number) else { return fail(Fault::Closed) };
        let began = Instant::now();
        tokio::select! {
            biased;
            answers = timeout_at(deadline, connection.call(commands)) => match answers {
                Ok(answers) => {
                    self.judge(connection, &answers);
                    (Some(connection.id), answers)
                }
                Err(_) => {
                    self.timed_out(connection, &connections, began, deadline);
                    fail(Fault::TimedOut(None).at(self.target.name()))
                }
            },
            // fred doesn't answer what it is given in the moment its task ends.
            () = replaced(&mut state, &connections) => fail(Fault::broken("it was given up").at(self.target.name())),
        }
    }

    fn judge(&self, connection: &Connection, answers: &[Answer]) {
        if answers.iter().any(|answer| !matches!(answer, Err(fault) if fault.is_of_connection())) {
            self.timeouts.store(0, Ordering::Relaxed);
            connection.timeouts.store(0, Ordering::Relaxed);
            self.proved.store(true, Ordering::Relaxed);
            self.monitor.answered(self.target.name());
        }
        if let Some(fault) =
            answers.iter().filter_map(|answer| answer.as_ref().err()).find(|fault| fault.is_of_no_primary())
        {
            self.give_up(fault.clone());
        }
    }

    fn give_up(&self, why: Fault) {
        *self.kicked_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.kick.notify_one();
    }

    fn timed_out(&self, on: &Connection, of: &Arc<[Connection]>, began: Instant, deadline: Instant) {
        // Whoever had little time left says little about the server, and nothing about connections made since.
        let had = deadline.saturating_duration_since(began);
        if !matches!(&*self.state.borrow(), State::Up(current) if Arc::ptr_eq(current, of)) {
            return;
        }
        if had * 2 < self.target.timeout() {
            return;
        }
        let in_a_row = [&self.timeouts, &on.timeouts].map(|timeouts| timeouts.fetch_add(1, Ordering::Relaxed) + 1);
        if in_a_row.into_iter().any(|count| count >= TIMEOUTS) {
            self.give_up(Fault::TimedOut(None).at(self.target.name()));
        }
    }

    /// Keeps connections open until the link's last user is gone. Dropping the future closes them.
    pub(crate) async fn supervise(self: Arc<Self>, connections: usize) {
        let (mut backoff, mut was_up) = (Backoff::default(), false);
        let monitor = &self.monitor;
        let source = Source::Server(Arc::clone(self.target.name()));
        let fault = |why: &Fault| monitor.fault_at(source.clone(), Operation::Connect, why);
        loop {
            let why = match self.open(connections).await {
                Ok((connections, mut ended)) => {
                    self.timeouts.store(0, Ordering::Relaxed);
                    self.proved.store(false, Ordering::Relaxed);
                    // What the last ones were given up for is no reason to give these up.
                    let _ = self.kick.notified().now_or_never();
                    self.state.send_replace(State::Up(connections));
                    monitor.over(&source);
                    monitor.reconnects.fetch_add(u64::from(was_up), Ordering::Relaxed);
                    was_up = true;
                    let (why, kicked) = tokio::select! {
                        why = first_end(&mut ended) => (Fault::broken(why).at(self.target.name()), false),
                        () = self.kick.notified() => (self.kicked_for(), true),
                    };
                    if self.proved.load(Ordering::Relaxed) {
                        backoff = Backoff::default();
                        if !kicked {
                            // A good connection was lost: chances are that a new one can be had at once.
                            self.state.send_replace(State::Connecting);
                            fault(&why);
                            continue;
                        }
                    }
                    why
                }
                Err(fault) => fault,
            };
            fault(&why);
            self.state.send_replace(State::Down(match why {
                Fault::Broken(server, why) => Fault::Unreachable(server, why),
                why => why,
            }));
            tokio::time::sleep(backoff.next()).await;
        }
    }

    fn kicked_for(&self) -> Fault {
        self.kicked_for.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Fault::TimedOut(None))
    }

    async fn open(&self, count: usize) -> Result<(Arc<[Connection]>, Vec<Ended>), Fault> {
        let mut connections = Vec::with_capacity(count);
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            let (connection, ended, _) = Connection::open(&self.target).await?;
            connections.push(connection);
            ends.push(ended);
        }
        Ok((connections.into(), ends))
    }
}

/// The connections, once there are some, or why there are none.
async fn connections(state: &mut watch::Receiver<State>) -> Result<Arc<[Connection]>, Fault> {
    loop {
        match &*state.borrow_and_update() {
            State::Up(connections) => return Ok(Arc::clone(connections)),
            State::Down(fault) => return Err(fault.clone()),
            State::Connecting => {}
        }
        if state.changed().await.is_err() {
            return Err(Fault::Closed);
        }
    }
}

/// Ready when these connections aren't in use any more.
async fn replaced(state: &mut watch::Receiver<State>, connections: &Arc<[Connection]>) {
    while state.changed().await.is_ok() {
        if !matches!(&*state.borrow_and_update(), State::Up(current) if Arc::ptr_eq(current, connections)) {
            return;
        }
    }
}

/// Waits for the first of these connections to end, and says why it did.
pub(super) async fn first_end(ended: &mut [Ended]) -> String {
    let (result, _, _) = futures_util::future::select_all(ended.iter_mut()).await;
    match result {
        Ok(Err(error)) => words::plain(error.details()),
        _ => "it was closed".to_owned(),
    }
}

/// Growing pauses between attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    // What a process has to give back holds others up as long as it has no connection.
    const LONGEST: Duration = Duration::from_millis(500);

    /// Between half and all of twice the last, so that processes don't come back all at once.
    pub(super) fn next(&mut self) -> Duration {
        let full = (Self::FIRST * 2u32.saturating_pow(self.failures.min(10))).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        full / 2 + full.mul_f64(random::unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= Backoff::FIRST && pauses.iter().all(|pause| *pause >= Backoff::FIRST / 2));
        let long = Backoff::LONGEST / 2..=Backoff::LONGEST;
        assert!(pauses[6..].iter().all(|pause| long.contains(pause)), "{pauses:?}");
        assert!(*long.end() <= Duration::from_millis(500), "who has something to give back holds others up meanwhile");
    }
}
