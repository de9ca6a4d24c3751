//! The read path, top to bottom: memory → flight → backends → leases and stamps → the body → memory → those who
//! waited → backends.
//!
//! Nothing here knows the type of a value, and nothing knows whether the caller is sync or async: sync functions drive
//! the same futures on their own thread. `private::drive` goes down it, the typed ends are in `private::{lookup, call}`.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Entry, EntryKey, LeaseAnswer, LeaseRequest, Lifetimes, Seen, Stamp, StoreAnswer, TagId};
use crate::call_key::CallKey;
use crate::context::{self, Context, Mode};
use crate::error::Error;
use crate::flight::{Flight, FlightId};
use crate::flights::Leader;
use crate::found::Found;
use crate::frame::{Collected, Frame};
use crate::freshness::RunGuard;
use crate::function::{Function, Instance};
use crate::given_up::{GivenUp, IfGivenUp, Unfinished};
use crate::identity::{entry_identity, key_tag, with_identity};
use crate::leases::{Granted, Leases};
use crate::lineage::Lineage;
use crate::memory::Aside;
use crate::patience::Patience;
use crate::policy::{Age, Policy};
use crate::private::shape::ValueCodec;
use crate::private::verdict::Verdict;
use crate::progress::Progress;
use crate::scope::Scope;
use crate::stored::{Assured, Meta, Stored};
use crate::tag::TagSet;
use crate::timer::with_timeout;
use crate::value_bytes::seal;
use crate::waiting::Waits;

/// How a flight ends, shared by all who waited.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) result: RunResult,
    /// In this process's order, taken before the data was read.
    pub(crate) stamp: u64,
    pub(crate) assured: Assured,
}

#[derive(Clone, Debug)]
pub(crate) enum RunResult {
    Value(Arc<Stored>),
    Failure { shared: Arc<dyn Any + Send + Sync>, lineage: Lineage, uncached: bool },
}

impl RunResult {
    pub(crate) fn lineage(&self) -> (&Lineage, bool) {
        match self {
            Self::Value(entry) => (entry.meta.lineage(), entry.meta.is_uncached()),
            Self::Failure { lineage, uncached, .. } => (lineage, *uncached),
        }
    }
}

/// A flight of calls.
pub(crate) type CallFlight = Flight<Outcome, Progress>;
pub(crate) type CallLeader = Leader<CallKey, Outcome, Progress>;

/// One call that the first look into memory didn't answer.
pub(crate) struct Call {
    pub(crate) function: Arc<Function>,
    pub(crate) instance: &'static Instance,
    /// `None` if the arguments can't be a key, or the call isn't to be cached.
    pub(crate) key: Option<CallKey>,
    pub(crate) context: Option<Arc<Context>>,
    pub(crate) scope: Scope,
    pub(crate) mode: Mode,
    /// The invalidation order when the call began.
    pub(crate) began: u64,
    /// The flight that was next when the call began.
    pub(crate) upcoming: FlightId,
    pub(crate) tags: TagSet,
    /// What they were made of, if it was anything that can be invalidated.
    pub(crate) used: Option<Arc<Collected>>,
    pub(crate) codec: Option<ValueCodec>,
    /// The `ttl` and `memory_ttl` options, as far as they don't follow from the result.
    pub(crate) ttl: Option<Duration>,
    pub(crate) memory_ttl: Option<Duration>,
    pub(crate) policy: Policy,
    /// How often memory had taken in entries like this one, if it was found to have nothing for the key.
    pub(crate) insertions: Option<u64>,
    /// What memory has, or a backend had, for calls whose run fails or takes too long.
    pub(crate) old: Option<Arc<Stored>>,
    /// What was seen where it is, if that is a backend.
    pub(crate) old_seen: Option<Seen>,
    /// In which mode the body calls others.
    pub(crate) nested: Mode,
    /// Who calls can leave a run to the background.
    pub(crate) hands_over: bool,
    /// It is a background run itself: an old value is no answer.
    pub(crate) in_background: bool,
    /// Somebody called, and what becomes of it is counted.
    pub(crate) counts: bool,
    /// What it has waited for.
    pub(crate) waits: Waits,
    /// Whether those who waited for a run that fails can be given its error.
    pub(crate) shares_errors: bool,
}

/// When a value was primed: what is invalidated later makes it worthless.
pub(crate) struct Primed {
    guard: RunGuard,
    began: u64,
    known: Vec<Option<Stamp>>,
}

impl Primed {
    pub(crate) fn now(call: &Call) -> Self {
        let engine = &call.function.engine;
        Self {
            guard: engine.freshness.begin(),
            began: engine.clock.nanos(),
            known: engine.backends.iter().map(Backend::known_stamp).collect(),
        }
    }
}

/// What becomes of a call.
pub(crate) enum Answer {
    Value(Arc<Stored>),
    Failure(Arc<dyn Any + Send + Sync>),
    /// The caller runs the body, unless a backend knows the answer.
    Lead(Box<Run>),
}

impl Call {
    pub(crate) fn parent(&self) -> Option<&Arc<Frame>> {
        self.context.as_ref().and_then(|context| context.frame.as_ref())
    }

    /// Any use of an entry inside a run counts for that run's own entry.
    pub(crate) fn report(&self, lineage: &Lineage, uncached: bool, assured: Assured) {
        if let Some(parent) = self.parent() {
            parent.inherit(lineage, uncached, assured);
        }
    }

    /// The context of the function's own code: that around the call, in the function's scope.
    fn context_in(&self, frame: Arc<Frame>) -> Arc<Context> {
        let ambient = self.context.as_deref();
        Arc::new(Context {
            cache: ambient.and_then(|context| context.cache.clone()),
            scope: Some(self.scope.clone()),
            mode: self.nested,
            frame: Some(frame),
            refreshes_first: None,
        })
    }

    /// Adds tags, and keeps what they are made of: should the call come to a run, that depends on it.
    pub(crate) fn add_tags(&mut self, add: &mut dyn FnMut(&mut TagSet)) {
        let frame = Arc::new(Frame::new(self.function.engine.id, None, self.parent(), Some(self.scope.clone())));
        let context = self.context_in(Arc::clone(&frame));
        let (given_up, unfinished) = (self.if_given_up(), Unfinished(&frame));
        context::within_sync(Some(context), || add(&mut self.tags));
        let mut used = frame.close();
        drop(unfinished);
        given_up.not();
        self.tags.append(std::mem::take(&mut used.tags));
        self.used = (used.uncached || !used.inherited.is_empty()).then(|| Arc::new(used));
    }

    /// Has the run that calls depend on what the call would have carried for certain, unless the call gets its answer: the
    /// run's own may depend on how long this one took.
    pub(crate) fn if_given_up(&self) -> IfGivenUp {
        let parent = self.parent().map(|parent| {
            let engine = &self.function.engine;
            let named = self.tags.clone().into_ids(self.scope.name());
            let lineage = Lineage::own(
                self.function.base_tags(self.instance, &self.scope),
                self.key_tag().map(|id| engine.freshness.intern(id)),
                named.into_iter().map(|id| engine.freshness.intern(id)).collect(),
                self.began,
                &engine.backends.iter().map(Backend::known_stamp).collect::<Vec<_>>(),
            );
            Box::new(GivenUp {
                parent: Arc::clone(parent),
                cache: engine.id,
                lineage,
                assured: engine.assured_from(engine.began()),
                used: self.used.clone(),
            })
        });
        IfGivenUp(parent)
    }

    /// Looks into memory once the call leads a flight.
    pub(crate) fn look_again(&self, key: &CallKey, run: &Run) -> Option<Arc<Stored>> {
        if self.mode == Mode::Refreshed {
            return None;
        }
        let store = self.function.store()?;
        // A flight that landed has put its entry in before it was gone.
        if self.insertions.is_some_and(|before| before == store.insertions(key.hash_code())) {
            return None;
        }
        // What memory lets go of meanwhile must not wait for this flight.
        context::within_sync(Some(run.context(self)), || {
            let entry = store.get_owned(key)?;
            if entry.is_usable(&self.function.engine) {
                return Some(entry);
            }
            if entry.age(&self.function.engine).is_none() {
                store.remove(key);
                self.function.counters.stale.one();
            }
            None
        })
    }

    /// Whether an old value is still good for anything; counted.
    pub(crate) fn can_serve(&self, old: &Stored) -> bool {
        let engine = &self.function.engine;
        let Some(age) = old.age(engine) else { return false };
        if age == Age::Fallback || !old.is_fresh(engine) {
            self.function.counters.served_stale.one();
        }
        true
    }

    /// Any use of an entry counts; see [`report`](Self::report).
    pub(crate) fn report_old(&self, old: &Stored) {
        self.report(old.meta.lineage(), old.meta.is_uncached(), old.assured(&self.function.engine));
    }

    /// From here on the call counts for no run.
    pub(crate) fn made_by_nobody(&mut self) {
        let context = self.context.as_deref().cloned().unwrap_or_default();
        self.context = Some(Arc::new(Context { frame: None, ..context }));
    }

    /// The bytes that name this key's entry in backends.
    fn entry_key(&self) -> Option<EntryKey> {
        let (key, options) = (self.key.as_ref()?, &self.function.site.options);
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let bytes = key.with_args(|args, _| entry_identity(function, options.key, options.version, scope, args));
        Some(EntryKey::new(bytes))
    }

    fn key_tag(&self) -> Option<TagId> {
        let key = self.key.as_ref()?;
        let version = self.function.site.options.version;
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let tag =
            |args: &[u8], typed| with_identity(function, version, scope, args, |identity| key_tag(identity, typed));
        Some(key.with_args(tag))
    }

    /// The tags that the function's options name.
    fn named_tags(&mut self) -> Vec<TagId> {
        let tags = if self.hands_over { self.tags.clone() } else { std::mem::take(&mut self.tags) };
        tags.into_ids(self.scope.name())
    }

    /// See [`Function::fingerprint`].
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.function.fingerprint(self.instance, self.codec?)
    }

    /// Whether the value has a form for backends.
    fn is_encodable(&self) -> bool {
        self.fingerprint().is_some()
    }
}

/// A run: from the moment a caller leads until its result is where it belongs. Dropping it on the way hands the key
/// over: to someone who waits here, and by the leases to other processes.
pub(crate) struct Run {
    leader: Option<CallLeader>,
    /// Nothing invalidated from here on is forgotten before the run's tags are known.
    guard: RunGuard,
    stamp: u64,
    key: Option<EntryKey>,
    /// The tags it will carry for certain, beside those of all the function's entries, once they are needed.
    named: Option<Named>,
    /// From when the body can begin until everything the run depends on is reported.
    own: Option<Lineage>,
    leases: Leases,
    /// One per backend that was asked: its stamp from before the run.
    remote: Vec<Option<Stamp>>,
    /// What the backend that is being asked offered last and wasn't understood.
    rejected: Option<Seen>,
    /// Whether the backends have to be asked, once that is known.
    asks: Option<bool>,
    /// The first fault of a backend.
    pub(crate) fault: Option<Error>,
    frame: Arc<Frame>,
    /// In nanoseconds of the cache's clock, once it can begin.
    began: u64,
    /// Of what it reads, from then on.
    assured: Assured,
}

/// The tags of the key, and those that the function's options name.
struct Named {
    key: Option<TagId>,
    others: Vec<TagId>,
}

impl Named {
    fn of(call: &mut Call) -> Self {
        Self { key: call.key_tag(), others: call.named_tags() }
    }
}

/// How often an entry may change under our hands before the body runs without the right to store.
const PATIENCE: usize = 3;

/// How often a call may have waited for another's lease in vain before its body runs without the right to store. In vain: what the
/// holder left was of no use when the call came to it (it failed, wasn't stored, was invalidated, or its lifetime was over
/// by then), and somebody else has the lease already. So where results are short-lived, or waiters slow, the runs of
/// several processes can overlap; the alternative is that a call waits for one run after the other, without end.
const WAITS_IN_VAIN: usize = 2;

impl Run {
    pub(crate) fn new(call: &Call, leader: Option<CallLeader>) -> Self {
        let engine = &call.function.engine;
        let guard = engine.freshness.begin();
        let flight = leader.as_ref().map(Leader::id);
        Self {
            stamp: guard.stamp(),
            guard,
            key: None,
            named: None,
            own: None,
            leases: Leases::default(),
            remote: Vec::new(),
            rejected: None,
            asks: None,
            fault: None,
            frame: Arc::new(Frame::new(engine.id, flight, call.parent(), Some(call.scope.clone()))),
            began: 0,
            assured: Assured::default(),
            leader,
        }
    }

    /// Whether its result is for others too.
    pub(crate) fn leads(&self) -> bool {
        self.leader.is_some()
    }

    /// Somebody is at it now. `false` if another one came first, or was quicker, and this run is to end.
    pub(crate) fn set_out(&self) -> bool {
        let is_due = |leader: &CallLeader| !leader.is_superseded() && leader.set_progress(Progress::set_out);
        self.leader.as_ref().is_none_or(is_due)
    }

    /// Puts the result where others find it, unless it may not be there, or a later one is.
    fn place(&self, call: &Call, put: impl FnOnce(&Self)) -> bool {
        // Before: it runs code of the user's, which a later run here needn't wait for.
        call.function.engine.keep_up();
        self.leader.as_ref().is_some_and(|leader| leader.place(|| put(self)))
    }

    /// Gives the leases back before anybody is woken who may want them. `unstored`: the run has ended, and others find
    /// nothing that it has left.
    fn give_back(&mut self, unstored: bool) {
        self.leases.give_back(unstored);
    }

    /// The run goes on beside others: from here on nobody waits for it, and others may take the lease.
    fn leave(&mut self, call: &Call) {
        self.give_back(false);
        self.leader = None;
        call.function.counters.unshared.one();
    }

    /// Says whether the backends have to be asked.
    pub(crate) fn begin(&mut self, call: &Call) -> bool {
        if let Some(asks) = self.asks {
            return asks;
        }
        // The call may have waited before it came here.
        self.began = call.function.engine.began();
        let asks = self.leader.is_some() && call.function.shared && call.is_encodable();
        if asks {
            self.key = call.entry_key();
        } else {
            self.remote = call.function.engine.backends.iter().map(Backend::known_stamp).collect();
        }
        self.asks = Some(asks);
        asks
    }

    /// The tags it will carry for certain, all of them.
    fn own_ids(&mut self, call: &mut Call) -> Vec<TagId> {
        let base = call.function.base_ids(call.instance, call.scope.name());
        let named = self.named.get_or_insert_with(|| Named::of(call));
        base.chain(named.key).chain(named.others.iter().copied()).collect()
    }

    /// Asks the backends one after the other. An entry that is found is handed out, and if the caller can't read it,
    /// the next call goes on from there. `None`: nobody knows, and what leases there are to be had are taken.
    pub(crate) async fn ask_backends(&mut self, call: &mut Call) -> Option<Found> {
        let given_up = call.if_given_up();
        let found = self.ask_in_turn(call).await;
        given_up.not();
        found
    }

    async fn ask_in_turn(&mut self, call: &mut Call) -> Option<Found> {
        let function = Arc::clone(&call.function);
        while let Some(backend) = function.engine.backends.get(self.leases.len()) {
            let asked = match call.mode {
                Mode::Refreshed => self.seize(call, &**backend).await,
                Mode::Cached | Mode::Bypassed => self.ask(call, &**backend).await,
            };
            match asked {
                Ok(Asked::Found(found)) => return Some(found),
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
                    self.fault.get_or_insert(error);
                    self.leased(call, None, &**backend);
                }
            }
        }
        None
    }

    fn leased(&mut self, call: &Call, granted: Option<Granted>, backend: &dyn Backend) {
        let lease = granted.as_ref().map(|granted| &granted.lease);
        self.remote.push(lease.map(|lease| lease.stamp()).or_else(|| backend.known_stamp()));
        let guard =
            lease.zip(self.frame.flight).map(|(lease, own)| call.function.engine.graph.hold(own, lease.holder()));
        self.leases.push(granted, guard);
        self.rejected = None;
    }

    /// The lease of a run that is to replace what is there: whoever holds it loses it.
    async fn seize(&mut self, call: &mut Call, backend: &dyn Backend) -> Result<Asked, Error> {
        let Some(key) = self.key.clone() else {
            return Ok(Asked::Impatient);
        };
        let tags = self.own_ids(call);
        let mut seen = Seen::default();
        for _ in 0..=PATIENCE {
            // From a later run it isn't taken.
            let take_over = self.leader.as_ref().is_some_and(CallLeader::may_take_over);
            let request = LeaseRequest { duration: call.policy.lease, seen, tags: &tags, take_over };
            match backend.lease(&key, request).await? {
                LeaseAnswer::Granted(lease) => return Ok(Asked::Granted(Granted { lease, seen: None })),
                LeaseAnswer::Busy(_) => break,
                LeaseAnswer::Changed => seen = backend.read(&key).await?.seen,
            }
        }
        Ok(Asked::Impatient)
    }

    async fn ask(&mut self, call: &mut Call, backend: &dyn Backend) -> Result<Asked, Error> {
        let layer = self.leases.len();
        let Some(key) = self.key.clone() else {
            return Ok(Asked::Impatient);
        };
        let (mut changes, mut waited_in_vain) = (0, 0);
        let (mut last_holder, mut patience) = (None, Patience::default());
        loop {
            // Before the read: what is invalidated meanwhile kills what is taken over.
            let local = call.function.engine.freshness.epoch();
            let asked = call.function.engine.clock.nanos();
            let Some(view) = call.function.engine.layers.view(layer, asked) else {
                return Ok(Asked::Impatient);
            };
            let mut reading = backend.read(&key).await?;
            let seen = reading.seen;
            if self.rejected != Some(seen) {
                view.restrict(&mut reading);
                let found = Found::new(call, reading, layer, local, asked, &view);
                // Past its lifetime it may still be of use, unless this very run is to replace it.
                if let Some(found) = found.filter(|found| found.age == Age::Prompt || !call.in_background) {
                    return Ok(Asked::Found(found));
                }
            }
            let tags = self.own_ids(call);
            let request = LeaseRequest { duration: call.policy.lease, seen, tags: &tags, take_over: false };
            match backend.lease(&key, request).await? {
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
                    let (graph, waiting) = (&call.function.engine.graph, self.frame.flights());
                    let waited = patience.wait(graph, waiting, backend, &key, busy);
                    let Some(waited) = with_timeout(waited, left).await else { return Ok(Asked::Overdue) };
                    if !waited? {
                        call.function.counters.recursions.one();
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
        if let Some(leader) = self.leader.as_ref().filter(|_| !call.shares_errors) {
            leader.let_go();
        }
    }

    /// The last step before the body: the stamp, and the tags that are known so far.
    pub(crate) fn prepare(&mut self, call: &mut Call) {
        let engine = &call.function.engine;
        if call.mode == Mode::Cached && call.key.is_some() && call.counts {
            call.function.counters.misses.one();
        }
        self.stamp = engine.freshness.epoch();
        self.began = engine.began();
        self.assured = engine.assured_from(self.began);
        self.take_in_used(call);
        let own = self.own_lineage(call);
        self.frame.begin_body(own.clone(), self.stamp, Arc::clone(&call.function.engine.freshness));
        if let Some(leader) = &self.leader {
            leader.set_progress(|progress| progress.begin(&self.frame));
        }
        self.leases.watch(&self.frame);
        self.own = Some(own);
    }

    /// The same for a value that was there before the run.
    pub(crate) fn prepare_primed(&mut self, call: &mut Call, primed: &Primed) {
        self.stamp = primed.guard.stamp();
        self.began = primed.began;
        self.assured = call.function.engine.assured_from(self.began);
        // A backend that this process never spoke to before is asked as early as can be: by the lease.
        for (stamp, known) in self.remote.iter_mut().zip(&primed.known) {
            *stamp = (*stamp).min(*known).or(*stamp);
        }
        self.take_in_used(call);
        self.own = Some(self.own_lineage(call));
    }

    /// What the tags were made of counts from the beginning.
    fn take_in_used(&self, call: &Call) {
        if let Some(used) = &call.used {
            self.frame.take_in(call.function.engine.id, used);
        }
    }

    fn own_lineage(&mut self, call: &mut Call) -> Lineage {
        let base = call.function.base_tags(call.instance, &call.scope);
        let named = self.named.get_or_insert_with(|| Named::of(call));
        let intern = |id| call.function.engine.freshness.intern(id);
        // With room for the key's, which comes to them.
        let mut others = Vec::with_capacity(named.others.len() + usize::from(!named.others.is_empty()));
        others.extend(named.others.iter().copied().map(intern));
        Lineage::own(base, named.key.map(intern), others, self.stamp, &self.remote)
    }

    /// Looks into the backends, and goes no further. `any_age`: also for what is good only where a run takes too long.
    pub(crate) async fn look_into_backends(&mut self, call: &Call, any_age: bool) -> Option<Found> {
        self.begin(call);
        if !(call.function.shared && call.is_encodable()) {
            return None;
        }
        let key = call.entry_key()?;
        let given_up = call.if_given_up();
        let found = self.read_in_turn(call, &key, any_age).await;
        given_up.not();
        found
    }

    async fn read_in_turn(&self, call: &Call, key: &EntryKey, any_age: bool) -> Option<Found> {
        for (layer, backend) in call.function.engine.backends.iter().enumerate() {
            let local = call.function.engine.freshness.epoch();
            let asked = call.function.engine.clock.nanos();
            let Some(view) = call.function.engine.layers.view(layer, asked) else { continue };
            match backend.read(key).await {
                Ok(mut reading) => {
                    view.restrict(&mut reading);
                    let found = Found::new(call, reading, layer, local, asked, &view);
                    if let Some(found) = found.filter(|found| any_age || found.age != Age::Fallback) {
                        return Some(found);
                    }
                }
                Err(_) => call.function.counters.backend_errors.one(),
            }
        }
        None
    }

    /// Ends a flight with what another one left in memory a moment ago; nobody called.
    pub(crate) fn end_with(mut self: Box<Self>, call: &Call, entry: &Arc<Stored>) {
        self.end(RunResult::Value(Arc::clone(entry)), self.stamp, entry.assured(&call.function.engine));
    }

    /// The body begins: the context it runs in, which collects what it depends on.
    pub(crate) fn begin_body(&self, call: &Call) -> Arc<Context> {
        call.function.counters.runs.one();
        self.context(call)
    }

    /// Everything the run turned out to depend on, and what is to become of its result. From here on nothing counts for
    /// the run any more.
    pub(crate) fn conclude(&mut self, call: &mut Call, verdict: Verdict) -> Conclusion {
        let (lineage, collected) = self.lineage(call, verdict.tags);
        let engine = &call.function.engine;
        let ttl = collected.ttl.or(verdict.ttl).map(|ttl| call.policy.spread(ttl));
        let keep = self.leader.is_some()
            && verdict.store
            && !collected.uncached
            && ttl != Some(Duration::ZERO)
            && !context::is_disabled();
        let lifetimes = call.policy.lifetimes(ttl);
        let memory_ttl = [verdict.memory_ttl, engine.memory_ttl].into_iter().flatten().min();
        // Without any lifetime it doesn't matter what time it is.
        let ends = ttl.is_some() || memory_ttl.is_some();
        let now = if ends { engine.clock.nanos() } else { 0 };
        let lifespan = call.policy.lifespan(now, Duration::ZERO, lifetimes, memory_ttl);
        let meta =
            Meta::new(call.key.as_ref(), lineage, lifespan, collected.assured, verdict.weight, collected.uncached);
        Conclusion { meta, keep: keep.then_some(lifetimes) }
    }

    fn lineage(&mut self, call: &mut Call, judged: TagSet) -> (Lineage, Collected) {
        let mut collected = self.frame.close();
        let mut added = std::mem::take(&mut collected.tags);
        added.append(judged);
        let mut lineage = match self.own.take() {
            Some(own) => own,
            None => self.own_lineage(call),
        };
        let engine = &call.function.engine;
        if !added.is_empty() {
            let added = added.into_ids(call.scope.name()).into_iter().map(|id| engine.freshness.intern(id));
            lineage = lineage.with(added.collect(), self.stamp, &self.remote);
        }
        if !collected.inherited.is_empty() {
            lineage = Lineage::merge(&lineage, &collected.inherited);
        }
        collected.assured = collected.assured.min(self.assured);
        call.report(&lineage, collected.uncached, collected.assured);
        (lineage, collected)
    }

    /// Puts the result of a run where it belongs: first memory and those who waited here, without an await, so that a
    /// caller who goes away now takes nothing along. What is left to do for the backends is returned.
    pub(crate) fn land(
        mut self: Box<Self>,
        call: &Call,
        entry: &Arc<Stored>,
        keep: Option<Lifetimes>,
    ) -> Option<Storing> {
        let lineage = entry.meta.lineage();
        // One that was invalidated meanwhile may have been overtaken: what is there then is newer.
        let is_live = lineage.is_live();
        let (keep, replaces) = (keep.filter(|_| is_live), is_live && self.replaces(call));
        // What has to go for it must not hold up who waits for it.
        let aside = Aside::new();
        let mut in_memory = false;
        let placed = (keep.is_some() || replaces)
            && self.place(call, |run| {
                if keep.is_some() {
                    call.function.counters.stored.one();
                    in_memory = run.fill_memory(call, entry);
                }
                if replaces && !in_memory {
                    run.clear_memory(call);
                }
            });
        let stores = placed && self.leases.any();
        if !stores {
            self.give_back(is_live);
        }
        // Until the backends are told, others would put the old one into memory again.
        let ends_later = replaces && !in_memory && stores;
        let ending = ends_later.then(|| Arc::clone(entry));
        if !ends_later {
            self.end(RunResult::Value(Arc::clone(entry)), self.stamp, entry.meta.assured());
        }
        drop(aside);
        if !stores {
            return None;
        }
        let kept = keep.and_then(|lifetimes| Some((seal(call, &entry.value)?, lifetimes)));
        let Some((payload, lifetimes)) = kept.or_else(|| replaces.then(|| (Vec::new(), AT_ONCE))) else {
            self.give_back(true);
            return None;
        };
        let in_memory = in_memory.then(|| Arc::clone(entry));
        Some(Storing { run: self, payload, lineage: lineage.clone(), lifetimes, ending, in_memory })
    }

    /// Whether the result takes the place of an older one also where it isn't to be stored: nobody is to get that again.
    fn replaces(&self, call: &Call) -> bool {
        let may_be_there = call.mode == Mode::Refreshed || call.old.is_some();
        may_be_there && self.leader.is_some() && !context::is_disabled()
    }

    /// Ends a run whose result is an error that isn't stored. `shared` is a form of it for those who waited.
    pub(crate) fn fail(mut self: Box<Self>, call: &mut Call, shared: Option<Arc<dyn Any + Send + Sync>>) {
        call.function.counters.failures.one();
        let (lineage, collected) = self.lineage(call, TagSet::default());
        self.give_back(true);
        match shared {
            Some(shared) => {
                let result = RunResult::Failure { shared, lineage, uncached: collected.uncached };
                self.end(result, self.stamp, collected.assured);
            }
            None => self.leader.take().into_iter().for_each(Leader::fail),
        }
    }

    /// Ends a run whose result is for its own call alone.
    pub(crate) fn end_unshared(mut self: Box<Self>) {
        self.give_back(true);
        self.leader.take().into_iter().for_each(Leader::fail);
    }

    /// Ends a run that failed with what there was before it.
    pub(crate) fn fall_back(mut self: Box<Self>, call: &Call, old: &Arc<Stored>) {
        call.function.counters.failures.one();
        // What the failed run used doesn't count: nothing of it is in the answer.
        self.own = None;
        self.frame.close();
        call.report_old(old);
        self.give_back(true);
        self.end(RunResult::Value(Arc::clone(old)), self.stamp, old.assured(&call.function.engine));
    }

    /// Ends a run that isn't begun, as one failed a moment ago, with what there was before that.
    pub(crate) fn give_up_to_old(mut self: Box<Self>, call: &Call, old: &Arc<Stored>) {
        self.give_back(false);
        self.end(RunResult::Value(Arc::clone(old)), self.stamp, old.assured(&call.function.engine));
    }

    /// Keeps what was found for the case that the run fails, and has the next call go on without it.
    pub(crate) fn pass_over(&mut self, found: &Found) {
        self.rejected = Some(found.seen);
    }

    /// Puts an entry that a backend knew into memory. What is left to do for the layers before that backend is returned.
    pub(crate) fn take_over(mut self: Box<Self>, call: &Call, found: Found, entry: &Arc<Stored>) -> Option<Storing> {
        let counters = &call.function.counters;
        if call.counts {
            counters.backend_hits.one();
        }
        counters.bytes_read.add(found.live.entry.payload.len() as u64);
        let lineage = entry.meta.lineage().clone();
        call.report(&lineage, false, entry.meta.assured());
        let aside = Aside::new();
        if lineage.is_live() {
            self.place(call, |run| {
                run.fill_memory(call, entry);
            });
        }
        self.end(RunResult::Value(Arc::clone(entry)), found.local, entry.meta.assured());
        drop(aside);
        // A nearer layer would count its age anew.
        if found.age != Age::Prompt || !self.leases.any() {
            return None;
        }
        let lifetimes = found.lifetimes_left();
        let payload = found.live.entry.payload;
        Some(Storing { run: self, payload, lineage, lifetimes, ending: None, in_memory: None })
    }

    /// Ends a flight with what another one left in memory a moment ago.
    pub(crate) fn give_up_to(mut self, call: &Call, entry: &Arc<Stored>) {
        if call.counts {
            call.function.counters.memory_hit();
        }
        let assured = entry.assured(&call.function.engine);
        call.report(entry.meta.lineage(), entry.meta.is_uncached(), assured);
        self.end(RunResult::Value(Arc::clone(entry)), self.stamp, assured);
    }

    fn end(&mut self, result: RunResult, stamp: u64, assured: Assured) {
        if let Some(leader) = self.leader.take() {
            leader.land(Outcome { result, stamp, assured });
        }
    }

    /// `false` if memory has no room for it.
    #[allow(clippy::unused_self, reason = "a step of the run")]
    fn fill_memory(&self, call: &Call, entry: &Arc<Stored>) -> bool {
        let (Some(store), Some(key)) = (call.function.store(), &call.key) else { return true };
        store.insert(key.clone(), Arc::clone(entry))
    }

    #[allow(clippy::unused_self, reason = "a step of the run")]
    fn clear_memory(&self, call: &Call) {
        if let (Some(store), Some(key)) = (call.function.store(), &call.key) {
            store.withdraw(key);
        }
    }

    /// How an entry that a backend knew is kept in memory.
    pub(crate) fn meta_of(&self, call: &Call, found: &Found, verdict: &Verdict) -> Meta {
        found.meta(call, &self.remote, call.function.engine.assured_from(self.began), verdict)
    }

    /// The context in which the body runs, and whatever else is the function's own code.
    pub(crate) fn context(&self, call: &Call) -> Arc<Context> {
        call.context_in(Arc::clone(&self.frame))
    }

    /// What was found can't be understood: it is a miss, and the next store replaces it.
    pub(crate) fn reject(&mut self, call: &Call, found: &Found) {
        call.function.counters.damaged.one();
        self.rejected = Some(found.seen);
    }
}

/// What calls a function and goes on though the function did not return depends on what the function used until then.
impl Drop for Run {
    fn drop(&mut self) {
        self.give_back(false);
        self.frame.end();
        let Some(mut own) = self.own.take() else { return };
        let mut collected = self.frame.close();
        let Some(parent) = self.frame.parent() else { return };
        if !collected.tags.is_empty() {
            let scope = self.frame.scope.as_ref().map_or("", Scope::name);
            let added = std::mem::take(&mut collected.tags).into_ids(scope);
            own = own.with(added.into_iter().map(|id| self.guard.intern(id)).collect(), self.stamp, &self.remote);
        }
        parent.inherit(&own, false, self.assured);
        parent.take_in(self.frame.cache, &collected);
    }
}

/// Of what is gone as soon as it is stored.
const AT_ONCE: Lifetimes = Lifetimes { fresh: Some(Duration::ZERO), keep: Some(Duration::ZERO) };

/// A result on its way to the backends, or that there is none any more.
pub(crate) struct Storing {
    run: Box<Run>,
    payload: Vec<u8>,
    lineage: Lineage,
    lifetimes: Lifetimes,
    /// How the flight ends once the backends were told, if it hasn't.
    ending: Option<Arc<Stored>>,
    /// The entry that memory has been given.
    in_memory: Option<Arc<Stored>>,
}

impl Storing {
    /// Stores in every backend whose lease the run holds, the farthest first.
    ///
    /// # Errors
    /// The first fault of a backend, which is counted.
    pub(crate) async fn finish(mut self, call: &Call) -> Result<(), Error> {
        let result = self.tell_backends(call).await;
        if let Some(entry) = self.ending.take() {
            let aside = Aside::new();
            if entry.meta.lineage().is_live() {
                self.run.place(call, |run| run.clear_memory(call));
            }
            let (stamp, assured) = (self.run.stamp, entry.meta.assured());
            self.run.end(RunResult::Value(entry), stamp, assured);
            drop(aside);
        }
        result
    }

    /// What memory was given, unless something else is there by now.
    fn take_out_of_memory(&mut self, call: &Call) {
        let (Some(entry), Some(store), Some(key)) = (self.in_memory.take(), call.function.store(), &call.key) else {
            return;
        };
        let _aside = Aside::new();
        if store.get_owned(key).is_some_and(|there| Arc::ptr_eq(&there, &entry)) {
            store.withdraw(key);
        }
    }

    async fn tell_backends(&mut self, call: &Call) -> Result<(), Error> {
        let mut result = Ok(());
        let Some(key) = self.run.key.take() else { return result };
        let counters = &call.function.counters;
        while let Some(granted) = self.run.leases.pop() {
            let layer = self.run.leases.len();
            let (Some(granted), Some(backend)) = (granted, call.function.engine.backends.get(layer)) else { continue };
            let tags = if self.lifetimes == AT_ONCE { Some(Vec::new()) } else { self.lineage.for_backend(layer) };
            let Some(tags) = tags else { continue };
            let entry = Entry { payload: self.payload.clone(), tags, lifetimes: self.lifetimes };
            match backend.store(&key, granted.lease, entry).await {
                Ok(StoreAnswer::Stored) => counters.bytes_written.add(self.payload.len() as u64),
                Ok(StoreAnswer::LeaseLost) => {
                    // Another process has taken the lease over, and may have stored what is newer.
                    if let Some(seen) = granted.seen
                        && let Ok(now) = backend.read(&key).await
                        && now.live.is_some()
                        && now.seen != seen
                    {
                        self.take_out_of_memory(call);
                    }
                }
                Err(error) => {
                    counters.backend_errors.one();
                    result = result.and(Err(error));
                }
            }
        }
        result
    }
}

/// What is to become of a run's result.
pub(crate) struct Conclusion {
    pub(crate) meta: Meta,
    /// `None` if it isn't to be stored.
    pub(crate) keep: Option<Lifetimes>,
}

enum Asked {
    Found(Found),
    Granted(Granted),
    /// Run, but without the right to store.
    Impatient,
    /// It has waited for as long as it waits.
    Overdue,
}
