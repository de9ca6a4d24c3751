//! How a call waits for others' runs: which it joins, what it makes of how they end, and when it has waited enough and runs
//! the body itself.
//!
//! # Invariants
//!
//! 1. A call that has waited for a run that failed, without an error it could be given, waits for no other one. After a
//!    run that panicked it waits once more.
//! 2. A call waits for [`max_wait`](Call::max_wait) in all, whatever it waits for.
//! 3. A run beside others (see [`Call::run_beside`]) has neither flight nor lease: nobody waits for it, and its result
//!    isn't stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::Mode;
use crate::context::observer::Source;
use crate::engine::outcome::{CallFlight, CallLeader, Outcome, RunResult};
use crate::engine::progress::Progress;
use crate::error::{Error, ErrorKind};
use crate::flight::per_key::{Latest, Role};
use crate::flight::single::{End, FlightId, first_to_end};
use crate::key::call_key::CallKey;
use crate::rt::timer::with_timeout;
use crate::run::call::{Answer, Call, Origin};
use crate::run::one_run::Run;
use crate::stats::kinds::{CallResult, WaitFor};

/// What a call waits for.
#[derive(Clone)]
pub(crate) enum Awaited {
    /// The outcome of this run.
    Run(Arc<CallFlight>),
    /// The end of one of these: none of them answers the call, and more may not run at once.
    Room(Vec<Arc<CallFlight>>),
}

impl Awaited {
    fn flights(&self) -> &[Arc<CallFlight>] {
        match self {
            Self::Run(flight) => std::slice::from_ref(flight),
            Self::Room(flights) => flights,
        }
    }
}

/// A run that a call found under way.
pub(crate) struct Joined {
    pub(crate) awaited: Awaited,
    /// It is nobody's but the cache's: an old value answers as well.
    pub(crate) in_background: bool,
}

/// What a call has waited for so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    since: Option<Instant>,
    panicked: bool,
    /// It has waited for a run that failed, or for two that panicked.
    pub(crate) failed: bool,
}

impl Waits {
    fn note<O>(&mut self, end: &End<O>) {
        match end {
            End::Landed(_) | End::Abandoned | End::Dead => {}
            End::Failed => self.failed = true,
            End::Panicked => {
                self.failed |= self.panicked;
                self.panicked = true;
            }
        }
    }
}

/// How one wait ends.
pub(crate) enum Waited {
    Answered(RunResult),
    /// The call has to see for itself.
    Unanswered,
    /// It would wait for itself.
    Circle,
}

impl Call {
    /// Becomes the leader of a flight, or finds one to wait for; see [`answer_after`](Self::answer_after).
    pub(crate) fn join(&self) -> Result<Answer, Joined> {
        let counters = self.counters();
        let Some(key) = self.target.key.as_ref().filter(|_| self.request.mode != Mode::Bypassed) else {
            if self.request.mode == Mode::Bypassed {
                counters.bypassed.one();
            }
            return Ok(Answer::Lead(Box::new(Run::new(self, None))));
        };
        if matches!(self.request.mode, Mode::Refreshed | Mode::PastMemory) {
            let leader = self.lead_anew(key);
            if leader.is_none() {
                counters.recursions.one();
            }
            return Ok(Answer::Lead(Box::new(Run::new(self, leader))));
        }
        match self.enter(key, Progress::default, true) {
            Ok(leader) => {
                let run = Run::new(self, Some(leader));
                // Another flight may have landed between the look into memory and this one's start.
                if let Some(entry) = self.recheck_memory(key, &run) {
                    run.yield_to(self, &entry);
                    return Ok(Answer::Value(entry));
                }
                Ok(Answer::Lead(Box::new(run)))
            }
            Err(_) if self.waits.failed => Ok(self.run_beside()),
            Err(joined) => Err(joined),
        }
    }

    /// Leads a flight, or finds one to wait for. `claims_unstarted`: takes a run in the background from who isn't at it yet.
    pub(crate) fn enter(
        &self,
        key: &CallKey,
        progress: fn() -> Progress,
        claims_unstarted: bool,
    ) -> Result<CallLeader, Joined> {
        if self.request.mode == Mode::PastMemory
            && let Some(leader) = self.lead_anew(key)
        {
            // Another call's run may be answered from memory.
            return Ok(leader);
        }
        let mut stale = None;
        loop {
            let mut in_background = false;
            let judge = |latest: FlightId, progress: &mut Progress| {
                if stale == Some(latest) {
                    return Latest::Stale;
                }
                if claims_unstarted && progress.claim_unstarted() {
                    return Latest::Claimed;
                }
                in_background = progress.in_background;
                Latest::Joined
            };
            let flight = match self.target.function.flights.join_or_lead(key, progress(), judge) {
                Role::Lead(leader) => return Ok(leader),
                Role::Full(flights) => {
                    return Err(Joined { awaited: Awaited::Room(flights), in_background: false });
                }
                Role::Join(flight) => flight,
            };
            // A run that began after the call answers it, whatever was invalidated since. One from before that is known to
            // be stale is nobody's business but its own callers'. Looked at outside of the locks: a run may have used much.
            let is_live = || flight.with_progress(|progress| progress.run()).is_none_or(|run| run.is_live());
            if flight.answers(self.request.min_flight) || is_live() {
                return Err(Joined { awaited: Awaited::Run(flight), in_background });
            }
            stale = Some(flight.id());
        }
    }

    /// Leads a flight, whoever runs. `None` if the call is made by a run of its own key.
    fn lead_anew(&self, key: &CallKey) -> Option<CallLeader> {
        self.target.function.flights.lead(key, Progress::default(), &self.flights())
    }

    /// Leads a flight for a value that is there already.
    pub(crate) fn lead_to_prime(&self) -> Result<CallLeader, Error> {
        let name = self.target.function.descriptor.name();
        let Some(key) = &self.target.key else {
            let message = format!("the arguments of `{name}` can't be a key, so nothing is cached for them");
            return Err(Error::new(ErrorKind::Key, message));
        };
        self.lead_anew(key).ok_or_else(|| {
            let message = format!("`{name}` can't be primed by its own run: return the value instead");
            Error::new(ErrorKind::Refused, message)
        })
    }

    /// The flights of the runs that call.
    fn flights(&self) -> Vec<FlightId> {
        self.parent().map(|parent| parent.flights()).unwrap_or_default()
    }

    /// Runs the body beside others, unless memory has an answer by now.
    pub(crate) fn run_beside(&self) -> Answer {
        let run = Run::new(self, None);
        if let Some(entry) = self.target.key.as_ref().and_then(|key| self.recheck_memory(key, &run)) {
            run.yield_to(self, &entry);
            return Answer::Value(entry);
        }
        self.counters().unshared.one();
        Answer::Lead(Box::new(run))
    }

    /// Waits for the run, and for further ones as long as they don't answer the call.
    pub(crate) async fn answer_after(&mut self, awaited: Awaited) -> Answer {
        let wait_guard = self.guard_wait();
        let left = self.wait_left();
        let began = Instant::now();
        let answer = with_timeout(self.wait_in_turn(awaited), left).await;
        self.waited(WaitFor::Run, began.elapsed());
        wait_guard.disarm();
        answer.unwrap_or_else(|| self.run_beside())
    }

    async fn wait_in_turn(&mut self, mut awaited: Awaited) -> Answer {
        let asked = self.engine().validity.clock.nanos();
        loop {
            match self.wait_once(&awaited, asked).await {
                Waited::Answered(result) => return result.into(),
                Waited::Circle => {
                    self.counters().recursions.one();
                    return Answer::Lead(Box::new(Run::new(self, None)));
                }
                Waited::Unanswered => {}
            }
            match self.join() {
                Ok(answer) => return answer,
                Err(next) => awaited = next.awaited,
            }
        }
    }

    /// Waits for the run, and no further.
    pub(crate) async fn wait_for_run(&mut self, awaited: &Awaited) -> Waited {
        let asked = self.engine().validity.clock.nanos();
        let wait_guard = self.guard_wait();
        let began = Instant::now();
        let waited = self.wait_once(awaited, asked).await;
        self.waited(WaitFor::Run, began.elapsed());
        wait_guard.disarm();
        waited
    }

    /// `asked` is when the call began to wait, in nanoseconds of the cache's clock.
    async fn wait_once(&mut self, awaited: &Awaited, asked: u64) -> Waited {
        if self.span.is_on() {
            for flight in awaited.flights() {
                // After the flight's lock: subscribers are code of the user's.
                let lead = flight.with_progress(|progress| progress.lead.clone());
                self.span.follows(&lead);
            }
        }
        let (graph, calling) = (&self.engine().graph, self.flights());
        let mut edges = Vec::new();
        let mut ends = Vec::new();
        for flight in awaited.flights() {
            if !calling.is_empty() {
                let Some(edge) = graph.wait_for(calling.clone(), flight.id()) else { continue };
                edges.push(edge);
            }
            ends.push(Arc::clone(flight));
        }
        if ends.is_empty() {
            return Waited::Circle;
        }
        let end = match awaited {
            Awaited::Run(flight) => flight.wait_for_answer(self.request.min_flight).await,
            Awaited::Room(_) => first_to_end(&ends).await,
        };
        drop(edges);
        self.waits.note(&end);
        match (awaited, end) {
            (Awaited::Run(_), End::Landed(outcome)) if self.is_answered_by(&outcome, asked) => {
                Waited::Answered(self.take(outcome))
            }
            _ => Waited::Unanswered,
        }
    }

    fn is_answered_by(&self, outcome: &Outcome, asked: u64) -> bool {
        // A run that began before the call does if nothing it depends on was invalidated meanwhile. Whoever goes round
        // joins a run that began after its call, so nobody goes round twice.
        // And a call that asks when memory may no longer be used, as nobody vouches for it, doesn't get what began long
        // before it either.
        let vouched = self.engine().validity.vouched();
        let live = outcome.result.dependencies().0.is_live();
        let trust_deadline = if live { outcome.trust_deadline.vouched(vouched) } else { outcome.trust_deadline };
        (outcome.stamp >= self.request.epoch_at_start || live) && asked < trust_deadline.until()
    }

    /// Takes the outcome of another's run; counted.
    fn take(&self, outcome: Outcome) -> RunResult {
        if self.request.origin.counts() {
            self.counters().coalesced.one();
        }
        self.answered(match &outcome.result {
            RunResult::Value(_) => CallResult::Waited,
            RunResult::Failure { .. } => CallResult::Failed,
        });
        let (dependencies, uncached) = outcome.result.dependencies();
        match &outcome.result {
            RunResult::Value(entry) => self.note(Source::Waited, &entry.meta),
            RunResult::Failure { .. } => self.note_unkept(Source::Waited, dependencies),
        }
        self.report(dependencies, uncached, outcome.trust_deadline.vouched(self.engine().validity.vouched()));
        outcome.result
    }

    /// How long it waits for others' runs in all, if that is limited.
    fn max_wait(&self) -> Option<Duration> {
        // A run in the background that nobody waits for has time.
        self.options.policy.max_wait.or(self.engine().max_wait).filter(|_| self.request.origin != Origin::Background)
    }

    /// How much longer it waits for others' runs. It begins to with the first time this is asked.
    pub(crate) fn wait_left(&mut self) -> Duration {
        let Some(max_wait) = self.max_wait() else { return Duration::MAX };
        let since = *self.waits.since.get_or_insert_with(Instant::now);
        max_wait.saturating_sub(since.elapsed())
    }
}

impl From<RunResult> for Answer {
    fn from(result: RunResult) -> Self {
        match result {
            RunResult::Value(entry) => Self::Value(entry),
            RunResult::Failure { shared, .. } => Self::Failure(shared),
        }
    }
}
