//! A call of a cached function, from the lookup in memory to the store in Redis. Models the read path of `cache-core`.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use cache_core::backend::TagId;

use super::MAX_STALENESS;
use super::application::{Key, Tag, Value};
use super::checks::{self, CallStart, Kind};
use super::flights::{End, Leader, Outcome, Role, first_end, join_or_lead, lead_anew};
use super::frame::Frame;
use super::leases::{self, Answered, Lease, Leased, Right};
use super::memory::{Entry, Held, Lineage};
use super::mistakes::Mistake;
use super::process::Process;
use super::reads;
use super::server::Stored;
use super::world::{Unavailable, Wait, World};

/// How often a call retries after another process stored an entry. Then it runs without a lease.
const CHANGES: usize = 3;
/// How often a call waits for another process's run in vain. Then it runs without a lease.
const WAITS_IN_VAIN: usize = 2;

/// One call.
struct Call<'a> {
    world: &'a Rc<World>,
    p: &'a Rc<Process>,
    key: Key,
    parent: Option<&'a Frame>,
    /// Set if memory, or the flight of another call, contributed to the answer.
    memory: &'a Cell<bool>,
    /// The process's epoch, and the id of its next flight, when the call began.
    began: u64,
    upcoming: u64,
    /// It has waited for a run that failed, and waits for no other one.
    failed: Cell<bool>,
}

/// The body has failed.
struct Failed;

type Answer = Result<Value, Failed>;

/// A call made by the program. Its answer is checked.
pub(super) async fn checked(world: Rc<World>, p: Rc<Process>, key: Key) {
    let (began, memory) = (CallStart::now(&world), Cell::new(false));
    let answer = call(&world, &p, key, None, &memory).await;
    check(&world, &p, key, began, memory.get(), answer);
}

/// The same for a call that runs the body in any case, and replaces the entry.
pub(super) async fn refreshed(world: Rc<World>, p: Rc<Process>, key: Key) {
    let (began, memory) = (CallStart::now(&world), Cell::new(false));
    let answer = refresh(&world, &p, key, &memory).await;
    check(&world, &p, key, began, memory.get(), answer);
}

fn check(world: &World, p: &Process, key: Key, began: CallStart, memory: bool, answer: Answer) {
    match answer {
        Ok(value) => {
            world.note(|| format!("process {} answers {key:?}: {value:?}, memory had a part: {memory}", p.place));
            world.checks.borrow_mut().check_answer(world, p, began, memory, &value);
        }
        Err(Failed) => world.note(|| format!("process {}: {key:?} fails", p.place)),
    }
}

fn call<'a>(
    world: &'a Rc<World>,
    p: &'a Rc<Process>,
    key: Key,
    parent: Option<&'a Frame>,
    memory: &'a Cell<bool>,
) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
    Box::pin(async move {
        let call = Call::new(world, p, key, parent, memory);
        if let Some(entry) = call.look_into_memory() {
            return Ok(call.use_of_memory(&entry));
        }
        let asked = world.now();
        loop {
            let (flights, for_room) = match join_or_lead(p, key, call.upcoming) {
                Role::Lead(leader) => return call.lead(leader).await,
                // One failure is enough: the body runs beside the others.
                Role::Join(_) | Role::Full(_) if call.failed.get() => return call.run_beside().await,
                Role::Join(flight) => (vec![flight], false),
                Role::Full(flights) => (flights, true),
            };
            match first_end(world, &flights).await {
                End::Landed(outcome) if !for_room && call.is_answered_by(&outcome, asked) => {
                    world.checks.borrow_mut().count("flights joined");
                    return Ok(call.use_of_memory(&outcome.entry));
                }
                End::Failed => call.failed.set(true),
                End::Landed(_) | End::Abandoned => {}
            }
        }
    })
}

async fn refresh(world: &Rc<World>, p: &Rc<Process>, key: Key, memory: &Cell<bool>) -> Answer {
    let call = Call::new(world, p, key, None, memory);
    let leader = lead_anew(p, key);
    let lease = call.seize(&leader).await.unwrap_or(None);
    call.run(Some(leader), lease).await
}

impl<'a> Call<'a> {
    fn new(
        world: &'a Rc<World>,
        p: &'a Rc<Process>,
        key: Key,
        parent: Option<&'a Frame>,
        memory: &'a Cell<bool>,
    ) -> Self {
        let (began, upcoming) = (p.memory.epoch(), p.upcoming.get());
        Self { world, p, key, parent, memory, began, upcoming, failed: Cell::new(false) }
    }

    fn look_into_memory(&self) -> Option<Arc<Entry>> {
        let found = self.p.memory.usable(self.key, self.world.now())?;
        self.world.checks.borrow_mut().count("memory hits");
        Some(found)
    }

    fn is_answered_by(&self, outcome: &Outcome, asked: u64) -> bool {
        let (memory, entry) = (&self.p.memory, &outcome.entry);
        let live = memory.is_live(&entry.lineage);
        let assured = if live { memory.vouched(entry.assured) } else { entry.assured };
        let any = self.world.has(Mistake::AnyFlightAnswers);
        any || (outcome.stamp >= self.began || live) && asked < assured
    }

    fn use_of_memory(&self, entry: &Entry) -> Value {
        self.memory.set(true);
        if !self.world.has(Mistake::HitsAreNotReported) {
            self.report(&entry.lineage, self.p.memory.vouched(entry.assured));
        }
        entry.value.clone()
    }

    /// Makes the calling run depend on what this call used.
    fn report(&self, lineage: &Lineage, assured: u64) {
        if let Some(parent) = self.parent {
            parent.inherited.borrow_mut().inherit(lineage);
            if !self.world.has(Mistake::EachLevelIsAssuredAnew) {
                parent.assured.set(parent.assured.get().min(assured));
            }
        }
    }

    async fn run_beside(&self) -> Answer {
        match self.look_into_memory() {
            Some(entry) => Ok(self.use_of_memory(&entry)),
            None => self.run(None, None).await,
        }
    }

    async fn lead(&self, leader: Leader) -> Answer {
        // Another flight may have ended since the first look.
        if let Some(entry) = self.look_into_memory() {
            leader.land(&Outcome { entry: Arc::clone(&entry), stamp: self.p.memory.epoch() });
            return Ok(self.use_of_memory(&entry));
        }
        match self.ask(&leader).await {
            Ok(Asked::Found(found)) => Ok(self.take_over(leader, &found).value.clone()),
            Ok(Asked::Granted(lease)) => self.run(Some(leader), Some(lease)).await,
            Ok(Asked::Impatient) | Err(Unavailable) => self.run(Some(leader), None).await,
        }
    }

    /// Takes the lease from whoever holds it, unless a later run has begun in this process.
    async fn seize(&self, leader: &Leader) -> Result<Option<Lease>, Unavailable> {
        let (world, p, key, mut seen) = (self.world, self.p, self.key, 0);
        for _ in 0..=CHANGES {
            let takes_over = leader.may_take_over() && !world.has(Mistake::RefreshesWaitForTheLease);
            match leases::lease(world, p, key, seen, &key.declared_tags(), takes_over).await? {
                Leased::Granted(lease) => return Ok(Some(lease)),
                Leased::Busy(_) => break,
                Leased::Changed => seen = reads::read(world, p, key).await?.seen,
            }
        }
        Ok(None)
    }

    /// Reads the entry from Redis, or acquires the lease.
    async fn ask(&self, leader: &Leader) -> Result<Asked, Unavailable> {
        let (world, p, key) = (self.world, self.p, self.key);
        let (mut changes, mut waited_in_vain, mut last_holder) = (0, 0, None);
        loop {
            // Taken before the read, so that an invalidation during the read kills the entry in memory.
            let (mut local, mut asked) = (p.memory.epoch(), world.now());
            let reading = reads::read(world, p, key).await?;
            if world.has(Mistake::EpochAfterTheRead) {
                local = p.memory.epoch();
            }
            if world.has(Mistake::AssuredFromTheAnswer) {
                asked = world.now();
            }
            if let Some(entry) = reading.live {
                world.checks.borrow_mut().count("Redis hits");
                return Ok(Asked::Found(Found { entry, local, assured: asked + MAX_STALENESS }));
            }
            match leases::lease(world, p, key, reading.seen, &key.declared_tags(), false).await? {
                Leased::Granted(mut lease) => {
                    lease.seen = Some(reading.seen);
                    if last_holder.is_some() && lease.follows_unstored {
                        self.waited_in_vain(leader);
                    }
                    return Ok(Asked::Granted(lease));
                }
                Leased::Changed => {
                    changes += 1;
                    if changes > CHANGES {
                        return Ok(Asked::Impatient);
                    }
                }
                Leased::Busy(busy) => {
                    let in_vain = last_holder.is_some_and(|last| last != busy.holder);
                    waited_in_vain += usize::from(in_vain);
                    last_holder = Some(busy.holder);
                    if in_vain && busy.follows_unstored {
                        self.waited_in_vain(leader);
                    }
                    if waited_in_vain >= WAITS_IN_VAIN || self.failed.get() {
                        return Ok(Asked::Impatient);
                    }
                    leases::wait(world, p, key, busy).await?;
                }
            }
        }
    }

    /// The run that was waited for has left nothing. This call and those who wait for it wait for no other one.
    fn waited_in_vain(&self, leader: &Leader) {
        self.failed.set(true);
        if !self.world.has(Mistake::WaitersAreNotLetGo) {
            leader.let_go();
        }
    }

    /// Puts an entry from Redis into memory.
    fn take_over(&self, leader: Leader, found: &Found) -> Arc<Entry> {
        let mut lineage = Lineage::default();
        for held in &found.entry.tags {
            lineage.add(held.tag, Held { local: found.local, remote: Some(held.stamp.0) });
        }
        let entry = Arc::new(Entry { value: found.entry.value.clone(), lineage, assured: found.assured, flight: None });
        self.report(&entry.lineage, entry.assured);
        if self.p.memory.is_live(&entry.lineage) {
            leader.place(|| drop(self.p.memory.insert(self.key, Arc::clone(&entry))));
        }
        leader.land(&Outcome { entry: Arc::clone(&entry), stamp: found.local });
        entry
    }

    async fn run(&self, leader: Option<Leader>, lease: Option<Lease>) -> Answer {
        let (world, p, key) = (self.world, self.p, self.key);
        let known = || Some(p.bus.known.told()).filter(|known| *known > 0);
        let mut own = Held {
            local: p.memory.epoch(),
            remote: lease.as_ref().map_or_else(known, |lease| Some(lease.position.sequence)),
        };
        let (began, flight) = (world.now(), leader.as_ref().map(Leader::number));
        let mut declared = Lineage::default();
        key.declared_tags().into_iter().for_each(|tag| declared.add(tag, own));
        let frame = Frame::new(declared, began + MAX_STALENESS, self.parent);
        leader.iter().for_each(|leader| leader.begins_body(&frame));
        world.checks.borrow_mut().ran(key, own.remote);
        if let Some(lease) = &lease {
            watch(&lease.right, p, &frame);
        }
        let Ok((value, added)) = self.body(&frame).await else {
            lease.into_iter().for_each(Lease::ended_unstored);
            leader.into_iter().for_each(Leader::fail);
            return Err(Failed);
        };

        if world.has(Mistake::EpochAfterTheBody) {
            own.local = p.memory.epoch();
        }
        if world.has(Mistake::StampAfterTheBody) {
            own.remote = world.redis.borrow().sequence;
        }
        if world.has(Mistake::KnownAfterTheBody) && lease.is_none() {
            own.remote = known();
        }
        let mut lineage = Lineage::default();
        key.declared_tags().into_iter().chain(added).for_each(|tag| lineage.add(tag, own));
        lineage.inherit(&frame.inherited.borrow());
        if world.has(Mistake::ParentsStampWhatTheyInherit) {
            lineage.0.values_mut().for_each(|held| *held = own);
        }
        let entry = Arc::new(Entry { value, lineage, assured: frame.assured.get(), flight });
        self.report(&entry.lineage, entry.assured);
        // Memory and the waiters come first, without an await in between; then Redis.
        let live = p.memory.is_live(&entry.lineage);
        let placed = live && leader.as_ref().is_some_and(|leader| leader.place(|| self.put(&entry)));
        let outcome = Outcome { entry: Arc::clone(&entry), stamp: own.local };
        leader.into_iter().for_each(|leader| leader.land(&outcome));
        match lease.filter(|lease| !lease.is_given_up()) {
            // A failure costs nothing but the entry.
            Some(lease) if placed => drop(self.store(lease, &entry).await),
            Some(lease) if live => lease.ended_unstored(),
            _ => {}
        }
        Ok(entry.value.clone())
    }

    /// Puts the result of a run into memory. Between a commit and its invalidation, a later flight may have read before an earlier
    /// one.
    fn put(&self, entry: &Arc<Entry>) {
        let before = self.p.memory.insert(self.key, Arc::clone(entry));
        let is_later = |before: &Arc<Entry>| before.flight.is_none_or(|before| Some(before) > entry.flight);
        let is_older = |before: &Arc<Entry>| checks::is_older(self.key, &entry.value, &before.value);
        if let Some(before) = before.filter(|before| is_later(before) && is_older(before)) {
            let what = || format!("memory of process {}: {:?} replaces {:?}", self.p.place, entry.value, before.value);
            self.world.checks.borrow_mut().violated(Kind::Replaced, what);
        }
    }

    /// Stores the result of a run in Redis.
    async fn store(&self, lease: Lease, entry: &Arc<Entry>) -> Result<(), Unavailable> {
        let (world, p, key, seen) = (self.world, self.p, self.key, lease.seen);
        let Some(tags) = entry.lineage.for_backend() else { return Ok(()) };
        let is_lost = leases::store(lease, &entry.value, tags).await? == Answered::LeaseLost;
        if let Some(seen) = seen.filter(|_| is_lost && !world.has(Mistake::LostLeasesLeaveTheirResults)) {
            // Another process has taken the lease over, and may have stored something newer.
            let now = reads::read(world, p, key).await?;
            if now.live.is_some() && now.seen != seen {
                p.memory.withdraw(key, entry);
            }
        }
        Ok(())
    }

    /// Returns the value and the tags added by the body.
    async fn body(&self, frame: &Frame) -> Result<(Value, Vec<TagId>), Failed> {
        self.world.pause("body").await;
        let mut value = Value::new();
        let mut added = Vec::new();
        if let Key::Leaf(k) = self.key {
            value.insert(k, self.world.data.get()[k]);
            added = vec![Tag::Datum(k).id(), Tag::AllData.id()];
        }
        for child in self.key.children() {
            value.extend(call(self.world, self.p, child, Some(frame), self.memory).await?);
        }
        self.world.pause("end of the body").await;
        if self.p.fails.take() {
            return Err(Failed);
        }
        Ok((value, added))
    }
}

/// Gives the lease up once something is invalidated that the run depends on so far.
fn watch(right: &Rc<Right>, p: &Rc<Process>, frame: &Rc<Frame>) {
    let (of, frame, memory) = (Rc::clone(right), Rc::clone(frame), Arc::clone(&p.memory));
    let is_dead = Wait::when(move |_| !frame.is_live(&memory) || !of.is_held());
    let right = Rc::clone(right);
    Rc::clone(&right.world).spawn_daemon(p, "watch the run", is_dead, async move { right.give_up() });
}

enum Asked {
    Found(Found),
    Granted(Lease),
    /// Run without a lease: the result isn't stored in Redis.
    Impatient,
}

/// A live entry from Redis.
struct Found {
    entry: Rc<Stored>,
    /// The process's epoch from before the read.
    local: u64,
    assured: u64,
}
