//! Stage: asks the backends one after the other for an entry, and takes their leases and stamps if there is none.

use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use super::one_run::Run;
use crate::backend::{Backend, EntryKey, LeaseAnswer, LeaseRequest, Seen};
use crate::context::Mode;
use crate::engine::outcome::CallLeader;
use crate::entry::policy::Staleness;
use crate::error::Error;
use crate::rt::timer::with_timeout;
use crate::run::backend_hit::Found;
use crate::run::lease_wait::Patience;
use crate::run::leases::Granted;
use crate::stats::kinds::{MissReason, WaitFor};

/// How often an entry may change under our hands before the body runs without the right to store.
const PATIENCE: usize = 3;

/// How often a call may have waited for another's lease in vain before its body runs without the right to store. In vain: what the
/// holder left was of no use when the call came to it (it failed, wasn't stored, was invalidated, or its lifetime was over
/// by then), and somebody else has the lease already. So where results are short-lived, or waiters slow, the runs of
/// several processes can overlap; the alternative is that a call waits for one run after the other, without end.
const WAITS_IN_VAIN: usize = 2;

impl Run {
    /// Asks the backends one after the other. An entry that is found is handed out, and if the caller can't read it,
    /// the next call goes on from there. `None`: nobody knows, and what leases there are to be had are taken.
    pub(crate) async fn ask_backends(&mut self, call: &mut Call) -> Option<Found> {
        let wait_guard = call.guard_wait();
        let found = self.ask_in_turn(call).await;
        wait_guard.disarm();
        found
    }

    async fn ask_in_turn(&mut self, call: &mut Call) -> Option<Found> {
        let key = self.key()?;
        let function = Arc::clone(&call.target.function);
        while let Some(backend) = function.engine.backends.get(self.leases.len()) {
            let asked = match call.request.mode {
                Mode::Refreshed => self.seize(call, &**backend, &key).await,
                // A nearer one is told of invalidations by this process, which hasn't heard yet.
                Mode::PastMemory if self.leases.len() + 1 < function.engine.backends.len() => Ok(Asked::Impatient),
                Mode::Cached | Mode::Bypassed | Mode::PastMemory => self.ask(call, &**backend, &key).await,
            };
            match asked {
                Ok(Asked::Found(found)) => {
                    call.target.touch_in_backends(call.options.policy.idle_ttl);
                    return Some(found);
                }
                Ok(Asked::Granted(granted)) => {
                    self.leased(call, Some(granted), &**backend);
                }
                Ok(Asked::Impatient) => self.leased(call, None, &**backend),
                Ok(Asked::Overdue) => {
                    self.leave(call);
                    let rest = function.engine.backends.iter().skip(self.leases.len());
                    rest.for_each(|backend| self.leased(call, None, &**backend));
                }
                Err(error) => {
                    function.counters.backend_errors.one();
                    call.missed_because(MissReason::Unavailable);
                    self.fault.get_or_insert(error);
                    self.leased(call, None, &**backend);
                }
            }
        }
        None
    }

    fn leased(&mut self, call: &Call, granted: Option<Granted>, backend: &dyn Backend) {
        let lease = granted.as_ref().map(|granted| &granted.lease);
        let begun = self.begun(call);
        begun.stamps.push(lease.map(|lease| lease.stamp()).or_else(|| backend.known_stamp()));
        begun.rejected = None;
        let guard = lease.zip(self.frame.flight).map(|(lease, own)| call.engine().graph.hold(own, lease.holder()));
        self.leases.push(granted, guard);
    }

    /// The lease of a run that is to replace what is there: whoever holds it loses it.
    async fn seize(&mut self, call: &mut Call, backend: &dyn Backend, key: &EntryKey) -> Result<Asked, Error> {
        let tags = self.own_ids(call);
        let mut seen = Seen::default();
        for _ in 0..=PATIENCE {
            // From a later run it isn't taken.
            let take_over = self.leader.as_ref().is_some_and(CallLeader::may_take_over);
            let request = LeaseRequest { duration: call.options.policy.lease, seen, tags: &tags, take_over };
            match backend.lease(key, request).await? {
                LeaseAnswer::Granted(lease) => return Ok(Asked::Granted(Granted { lease, seen: None })),
                LeaseAnswer::Busy(_) => break,
                LeaseAnswer::Changed => seen = backend.read(key).await?.seen,
            }
        }
        Ok(Asked::Impatient)
    }

    async fn ask(&mut self, call: &mut Call, backend: &dyn Backend, key: &EntryKey) -> Result<Asked, Error> {
        let layer = self.leases.len();
        let (mut changes, mut waited_in_vain) = (0, 0);
        let (mut last_holder, mut patience) = (None, Patience::default());
        loop {
            // Before the read: what is invalidated meanwhile kills what is taken over.
            let local = call.engine().validity.freshness.epoch();
            let asked = call.engine().validity.clock.nanos();
            let Some(view) = call.engine().validity.layers.view(layer, asked) else {
                call.missed_because(MissReason::Unavailable);
                return Ok(Asked::Impatient);
            };
            let mut reading = backend.read(key).await?;
            let seen = reading.seen;
            if self.begun(call).rejected != Some(seen) {
                view.restrict(&mut reading);
                let is_live = reading.live.is_some();
                let found = Found::new(call, reading, layer, local, asked, &view);
                if found.is_none() && seen != Seen::default() {
                    call.missed_because(if is_live { MissReason::Expired } else { MissReason::Invalidated });
                }
                // Past its lifetime it may still be of use, unless this very run is to replace it.
                if let Some(found) =
                    found.filter(|found| found.staleness == Staleness::Fresh || !call.request.origin.in_background())
                {
                    return Ok(Asked::Found(found));
                }
            }
            let tags = self.own_ids(call);
            let request = LeaseRequest { duration: call.options.policy.lease, seen, tags: &tags, take_over: false };
            match backend.lease(key, request).await? {
                LeaseAnswer::Granted(lease) => {
                    if last_holder.is_some() && lease.follows_unstored() {
                        self.waited_in_vain(call);
                    }
                    return Ok(Asked::Granted(Granted { lease, seen: Some(seen) }));
                }
                LeaseAnswer::Changed => {
                    changes += 1;
                    if changes > PATIENCE {
                        return Ok(Asked::Impatient);
                    }
                }
                LeaseAnswer::Busy(busy) => {
                    // Waking up early is no wake: the same holder is still at work.
                    if last_holder.as_ref().is_some_and(|last| *last != busy.holder) {
                        waited_in_vain += 1;
                        if busy.follows_unstored {
                            self.waited_in_vain(call);
                        }
                    }
                    if waited_in_vain >= WAITS_IN_VAIN || call.waits.failed {
                        return Ok(Asked::Impatient);
                    }
                    last_holder = Some(busy.holder.clone());
                    let left = call.wait_left();
                    let (graph, waiting) = (&call.engine().graph, self.frame.flights());
                    let waited = patience.wait(graph, waiting, backend, key, busy);
                    let began = Instant::now();
                    let waited = with_timeout(waited, left).await;
                    call.waited(WaitFor::Lease, began.elapsed());
                    let Some(waited) = waited else { return Ok(Asked::Overdue) };
                    if !waited? {
                        call.counters().recursions.one();
                        return Ok(Asked::Impatient);
                    }
                }
            }
        }
    }

    /// The holder whose lease was waited for has ended its run and stored nothing. So did those wait who wait for this run; if
    /// it may fail as well, and they couldn't be given its error, they wait no longer.
    fn waited_in_vain(&self, call: &mut Call) {
        call.waits.failed = true;
        if let Some(leader) = self.leader.as_ref().filter(|_| !call.options.shares_errors) {
            leader.let_go();
        }
    }

    /// Looks into the backends, and goes no further. `also_stale_only`: also for what is good only where a run takes too long.
    pub(crate) async fn read_backends(&mut self, call: &Call, also_stale_only: bool) -> Option<Found> {
        self.begin(call);
        if !(call.target.function.shared && call.target.is_encodable()) {
            return None;
        }
        let key = call.target.entry_key()?;
        let wait_guard = call.guard_wait();
        let found = self.read_in_turn(call, &key, also_stale_only).await;
        wait_guard.disarm();
        found
    }

    async fn read_in_turn(&self, call: &Call, key: &EntryKey, also_stale_only: bool) -> Option<Found> {
        let skipped = match call.request.mode {
            Mode::PastMemory => call.engine().backends.len() - 1,
            _ => 0,
        };
        for (layer, backend) in call.engine().backends.iter().enumerate().skip(skipped) {
            let local = call.engine().validity.freshness.epoch();
            let asked = call.engine().validity.clock.nanos();
            let Some(view) = call.engine().validity.layers.view(layer, asked) else { continue };
            match backend.read(key).await {
                Ok(mut reading) => {
                    view.restrict(&mut reading);
                    let found = Found::new(call, reading, layer, local, asked, &view);
                    if let Some(found) =
                        found.filter(|found| also_stale_only || found.staleness != Staleness::StaleOnly)
                    {
                        call.target.touch_in_backends(call.options.policy.idle_ttl);
                        return Some(found);
                    }
                }
                Err(_) => call.counters().backend_errors.one(),
            }
        }
        None
    }

    /// Keeps what was found for the case that the run fails, and has the next call go on without it.
    pub(crate) fn pass_over(&mut self, call: &Call, found: &Found) {
        self.begun(call).rejected = Some(found.seen);
    }

    /// What was found can't be understood: it is a miss, and the next store replaces it.
    pub(crate) fn reject(&mut self, call: &Call, found: &Found) {
        call.counters().damaged.one();
        call.missed_because(MissReason::Damaged);
        self.begun(call).rejected = Some(found.seen);
    }
}

enum Asked {
    Found(Found),
    Granted(Granted),
    /// Run, but without the right to store.
    Impatient,
    /// It has waited for as long as it waits.
    Overdue,
}
