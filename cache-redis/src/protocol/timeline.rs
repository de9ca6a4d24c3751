//! Schedules written by hand: each method runs one task up to some step, injects a fault, or lets time pass.

use std::rc::Rc;

use super::application::{Key, Tag};
use super::checks::{Kind, Violation};
use super::faults::{Fault, Replica, inject};
use super::heartbeat::heartbeat_once;
use super::mistakes::Mistake;
use super::process::Process;
use super::settle::{deliver_all, heartbeat_all, settle};
use super::world::{Defaults, TaskId, World};
use super::writes::Hold;
use super::{MAX_STALENESS, calls, invalidation, writes};

/// A world whose schedule is written by hand. Heartbeats only happen when the timeline says so.
pub(super) struct Timeline {
    pub(super) world: Rc<World>,
}

impl Timeline {
    /// Starts processes that are subscribed and up to date.
    pub(super) fn new(mistake: Option<Mistake>, processes: usize) -> Self {
        let world = Rc::new(World::new(mistake, Defaults));
        for place in 0..processes {
            let process = Process::new(&world, place);
            process.listen(&world);
            world.processes.borrow_mut().push(process);
        }
        heartbeat_all(&world);
        Self { world }
    }

    fn process(&self, place: usize) -> Rc<Process> {
        self.world.process(place)
    }

    /// Changes the data that the tag covers, without an invalidation.
    pub(super) fn change(&self, tag: Tag) {
        invalidation::commit(&self.world, tag);
    }

    // --- steps of tasks -------------------------------------------------------------------------------------------------------

    /// Starts a call, without running it.
    pub(super) fn start_call(&self, place: usize, key: Key) -> TaskId {
        let p = self.process(place);
        self.world.spawn(Some(&p), calls::checked(Rc::clone(&self.world), Rc::clone(&p), key))
    }

    /// Starts a refresh, without running it.
    pub(super) fn start_refresh(&self, place: usize, key: Key) -> TaskId {
        let p = self.process(place);
        self.world.spawn(Some(&p), calls::refreshed(Rc::clone(&self.world), Rc::clone(&p), key))
    }

    /// Commits a change of the data that the tag covers and starts the invalidation, without running it.
    pub(super) fn start_invalidate(&self, place: usize, tag: Tag) -> TaskId {
        invalidation::commit(&self.world, tag);
        let p = self.process(place);
        self.world.spawn(Some(&p), invalidation::invalidates(Rc::clone(&self.world), Rc::clone(&p), tag))
    }

    /// Starts a heartbeat, without running it.
    pub(super) fn start_heartbeat(&self, place: usize) -> TaskId {
        let (world, p) = (Rc::clone(&self.world), self.process(place));
        let owner = Rc::clone(&p);
        self.world.spawn(Some(&owner), async move { heartbeat_once(&world, &p).await })
    }

    /// Runs the task and what it has sent until this step is next.
    pub(super) fn run_until(&self, task: TaskId, next: &str) {
        while !self.world.family(task).iter().any(|member| self.world.next(*member) == Some(next)) {
            let Some(member) = self.next_of(task) else {
                panic!("the task doesn't come to {next:?}, but to {:?}\n{}", self.world.next(task), self.world.trace());
            };
            self.world.step(member);
        }
    }

    /// Runs the task and what it has sent up to and including this step.
    pub(super) fn run_through(&self, task: TaskId, step: &str) {
        self.run_until(task, step);
        let family = self.world.family(task);
        let member = family.into_iter().find(|member| self.world.next(*member) == Some(step));
        member.into_iter().for_each(|member| self.world.step(member));
    }

    /// Runs one step, of what the task has sent or otherwise of the task.
    pub(super) fn run_one_step(&self, task: TaskId) {
        if let Some(member) = self.next_of(task) {
            self.world.step(member);
        }
    }

    /// What runs next: commands that the task has sent come before the task.
    fn next_of(&self, task: TaskId) -> Option<TaskId> {
        let ready = self.world.ready();
        self.world.family(task).into_iter().rev().find(|member| ready.contains(member))
    }

    /// Runs the task and what it has sent to the end. No other task runs, and no messages are delivered.
    pub(super) fn run_to_end(&self, task: TaskId) {
        self.run_while_ready(task);
        if let Some(next) = self.world.next(task) {
            panic!("the task doesn't end, but waits for {next:?}\n{}", self.world.trace());
        }
    }

    /// Runs the task and what it has sent until they wait.
    pub(super) fn run_while_ready(&self, task: TaskId) {
        while let Some(member) = self.next_of(task) {
            self.world.step(member);
        }
    }

    /// The task must have ended by now.
    pub(super) fn must_have_ended(&self, task: TaskId) {
        if let Some(next) = self.world.next(task) {
            self.world.checks.borrow_mut().violated(Kind::Stuck, || format!("{next} though it could have ended"));
        }
    }

    /// The task must be able to go on without time passing.
    pub(super) fn must_be_ready(&self, task: TaskId) {
        if self.next_of(task).is_none() {
            let what = || format!("{:?} though it could go on", self.world.next(task));
            self.world.checks.borrow_mut().violated(Kind::Stuck, what);
        }
    }

    /// Drops the task's future, and runs what that sends.
    pub(super) fn cancel(&self, task: TaskId) {
        let before = self.world.number();
        self.world.cancel(task);
        let sent = self.world.ready().into_iter().filter(|sent| *sent > before);
        sent.for_each(|sent| self.run_to_end(sent));
    }

    // --- whole tasks -----------------------------------------------------------------------------

    pub(super) fn call(&self, place: usize, key: Key) {
        self.run_to_end(self.start_call(place, key));
    }

    /// Calls once memory is trusted again and no staleness is allowed any more.
    pub(super) fn call_when_memory_counts(&self, place: usize, key: Key) {
        self.synchronize();
        self.advance(MAX_STALENESS);
        self.synchronize();
        self.call(place, key);
    }

    /// Calls, and the body must not run.
    pub(super) fn call_without_run(&self, place: usize, key: Key) {
        let runs = || self.world.checks.borrow().counts.get("runs").copied();
        let before = runs();
        self.call(place, key);
        if runs() != before {
            self.world.checks.borrow_mut().violated(Kind::NotCached, || format!("{key:?} runs"));
        }
    }

    /// Calls a leaf, and its newest version must be returned though nothing was invalidated.
    pub(super) fn call_for_newest(&self, place: usize, leaf: usize) {
        self.call(place, Key::Leaf(leaf));
        let (newest, entry) =
            (self.world.data.get()[leaf], self.process(place).memory.usable(Key::Leaf(leaf), self.world.now()));
        if entry.is_none_or(|entry| entry.value.get(&leaf) != Some(&newest)) {
            self.world
                .checks
                .borrow_mut()
                .violated(Kind::Replaced, || format!("version {newest} of {leaf} isn't there"));
        }
    }

    /// Runs these steps, in which the sequence must be made anew.
    pub(super) fn must_repair(&self, steps: impl FnOnce(&Self)) {
        let repairs = || self.world.checks.borrow().counts.get("repairs").copied();
        let before = repairs();
        steps(self);
        if repairs() == before {
            self.world.checks.borrow_mut().violated(Kind::LossUnnoticed, || "the clock wasn't made anew".to_owned());
        }
    }

    pub(super) fn refresh(&self, place: usize, key: Key) {
        self.run_to_end(self.start_refresh(place, key));
    }

    pub(super) fn invalidate(&self, place: usize, tag: Tag) {
        self.run_to_end(self.start_invalidate(place, tag));
    }

    /// Places a hold, for a write that the timeline makes step by step.
    pub(super) fn place(&self, place: usize, tag: Tag) -> Hold {
        let hold = Hold::new(&self.world, tag);
        self.send_hold(place, hold, false);
        hold
    }

    pub(super) fn renew(&self, place: usize, hold: Hold) {
        self.send_hold(place, hold, true);
    }

    fn send_hold(&self, place: usize, hold: Hold, renews: bool) {
        let p = self.process(place);
        self.run_to_end(self.world.spawn(Some(&p), writes::place(Rc::clone(&self.world), Rc::clone(&p), hold, renews)));
    }

    /// The commit of the write arrives at the database.
    pub(super) fn commit(&self, hold: Hold) {
        writes::commit(&self.world, hold);
    }

    /// The write is done.
    pub(super) fn end_well(&self, place: usize, hold: Hold) {
        self.end_hold(place, hold, true);
    }

    /// Nobody knows what has become of the write.
    pub(super) fn leave(&self, place: usize, hold: Hold) {
        self.end_hold(place, hold, false);
    }

    fn end_hold(&self, place: usize, hold: Hold, well: bool) {
        let p = self.process(place);
        self.run_to_end(self.world.spawn(Some(&p), writes::ends(Rc::clone(&self.world), Rc::clone(&p), hold, well)));
    }

    pub(super) fn heartbeat(&self, place: usize) {
        self.run_to_end(self.start_heartbeat(place));
    }

    /// A heartbeat whose script has something to settle: the process hears of it before it compares.
    pub(super) fn settle(&self, place: usize) {
        let heartbeat = self.start_heartbeat(place);
        self.run_while_ready(heartbeat);
        self.deliver(place);
        self.run_to_end(heartbeat);
    }

    /// Delivers all messages to a process.
    pub(super) fn deliver(&self, place: usize) {
        deliver_all(&self.process(place));
    }

    /// The same in the opposite order.
    pub(super) fn deliver_last_first(&self, place: usize) {
        self.process(place).inbox.borrow_mut().make_contiguous().reverse();
        self.deliver(place);
    }

    /// The same twice.
    pub(super) fn deliver_twice(&self, place: usize) {
        let messages = self.process(place).inbox.borrow().clone();
        self.deliver(place);
        self.process(place).inbox.borrow_mut().extend(messages);
        self.deliver(place);
    }

    /// Delivers all messages and runs heartbeats until every process is up to date.
    pub(super) fn synchronize(&self) {
        for _ in 0..2 {
            for place in 0..self.world.processes.borrow().len() {
                self.deliver(place);
                self.heartbeat(place);
                self.deliver(place);
            }
        }
    }

    /// Replaces a process by a new one that is subscribed, but has had no heartbeat yet.
    pub(super) fn restart(&self, place: usize) {
        self.inject(Fault::Kill, place);
    }

    /// Loses the messages that haven't been delivered to a process.
    pub(super) fn lose_messages(&self, place: usize) {
        self.process(place).inbox.borrow_mut().clear();
    }

    // --- time and faults ------------------------------------------------------------------------------------------------

    /// Lets time pass while no task runs.
    pub(super) fn advance(&self, ticks: u64) {
        self.world.pass_time(ticks);
    }

    /// Lets time pass while all tasks run, but for bodies, which don't end.
    pub(super) fn advance_running(&self, ticks: u64) {
        for _ in 0..ticks {
            self.world.pass_time(1);
            let goes_on = |task: &TaskId| self.world.next(*task) != Some("end of the body");
            while let Some(ready) = self.world.ready().into_iter().find(goes_on) {
                self.world.step(ready);
            }
        }
    }

    pub(super) fn inject(&self, fault: Fault, place: usize) {
        inject(&self.world, fault, place, &self.replica());
    }

    /// A replica that will lack all writes from now on.
    pub(super) fn replica(&self) -> Replica {
        Replica::of(&self.world)
    }

    pub(super) fn fail_over(&self, replica: &Replica, fault: Fault) {
        inject(&self.world, fault, 0, replica);
    }

    /// Subscribes a process to the current server.
    pub(super) fn reconnect_listener(&self, place: usize) {
        self.process(place).listen(&self.world);
    }

    /// Ends the schedule; see [`settle`]. Returns the violation and the trace.
    pub(super) fn settles(self) -> (Option<Violation>, String) {
        self.settles_on(&[Key::Leaf(0), Key::Page])
    }

    /// The same, with these calls at the end.
    pub(super) fn settles_on(self, keys: &[Key]) -> (Option<Violation>, String) {
        if self.world.checks.borrow().violation.is_none() {
            settle(&self.world, keys);
        }
        let violation = self.world.checks.borrow_mut().violation.take();
        self.world.end();
        (violation, self.world.trace())
    }
}
