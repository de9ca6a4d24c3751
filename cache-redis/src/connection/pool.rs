//! The connections for commands to one server, and the circuit breaker in front of them.
//!
//! ```text
//! Connecting ──opened──▶ Up ──ended──────────────▶ Connecting
//!     │                   │ └─too many timeouts──▶ Down
//!     └──failed──▶ Down ◀─┘                         │
//!                   └───────────opened──▶ Up ◀──────┘      (attempts go on forever, with a growing pause)
//! ```
//!
//! While the pool is `Down`, calls fail at once: the breaker is open. The attempts to connect are its probes, so no caller
//! pays for one. While it is `Connecting` (at the start, and after a working connection was lost), calls wait for the one
//! attempt, within their timeout.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use super::client::{Connection, ConnectionId, Ended, first_end};
use super::command::{Answer, Command};
use super::target::Target;
use crate::error::Fault;
use crate::health::{Monitor, Operation, Source};

/// After this many timeouts in a row, on one connection or on all together, the connections are given up: the server or the
/// network may have failed without closing them.
const TIMEOUTS: u32 = 3;

#[derive(Clone, Debug)]
enum State {
    Connecting,
    Up(Arc<[Connection]>),
    Down(Fault),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) target: Target,
    state: watch::Sender<State>,
    /// Tells the supervisor to give the connections up, and why.
    kick: Notify,
    kicked_for: Mutex<Option<Fault>>,
    /// Timeouts in a row, on all connections together.
    timeouts: AtomicU32,
    /// A command was answered since the connections were opened.
    proved: AtomicBool,
    next: AtomicUsize,
    monitor: Arc<Monitor>,
}

impl Pool {
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

    /// Watches for the next time that connections are opened.
    pub(crate) fn reconnection(&self) -> Reconnection {
        Reconnection(Some(self.state.subscribe()))
    }

    /// Waits for the first attempt to connect to come to its end.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        connections(&mut self.state.subscribe()).await.map(drop)
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
            // fred never answers commands that it gets in the moment its task ends.
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
        // A call that had little time left says little about the server, and nothing about connections opened since.
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

    /// Keeps connections open. Dropping the future closes them.
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
                    // A reason to give up the last connections is no reason to give up these.
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
                            // A working connection was lost, so a new one can probably be opened at once.
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

/// New connections of a pool, watched from before a command that may fail. So none is missed that is opened while the
/// command fails.
pub(crate) struct Reconnection(Option<watch::Receiver<State>>);

impl Reconnection {
    /// One that never happens.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// Ready once there are new connections.
    pub(crate) async fn happens(&mut self) {
        if let Some(state) = &mut self.0 {
            while state.changed().await.is_ok() {
                if matches!(*state.borrow_and_update(), State::Up(_)) {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
