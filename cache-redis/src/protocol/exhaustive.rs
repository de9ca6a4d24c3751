//! All schedules of the smallest configurations, up to a bounded number of delays.
//!
//! The scheduler is deterministic: it runs a task until it ends or waits, then the next one in a circle. A *delay* passes the
//! turn on early. Without delays there is one schedule; with as many delays as steps there is every interleaving. Other
//! choices that deviate from the normal course, such as a lost message, cost a delay as well. Each schedule is executed from
//! its beginning, so no state has to be copied.
//!
//! `LARDER_PROTOCOL_DELAYS` adds to the number of delays.

use std::cell::RefCell;
use std::rc::Rc;

use super::application::{Key, Tag};
use super::checks::Violation;
use super::faults::{Fault, Replica, inject};
use super::heartbeat::heartbeat_once;
use super::mistakes::Mistake;
use super::process::Process;
use super::timeline::Timeline;
use super::world::{Choices, TaskId, Wait, World};
use super::writes::{Outcome, writes};
use super::{HEARTBEAT, HOLD, MAX_STALENESS, calls, invalidation};

const LEAF: Key = Key::Leaf(0);

#[derive(Clone, Copy, Debug)]
enum Action {
    Call(usize, Key),
    Refresh(usize, Key),
    Invalidate(usize, Tag),
    /// A write with a hold, whose process may be killed.
    Write(usize, Tag, Outcome),
    Heartbeat(usize),
    /// Delivers messages to a process, one a turn.
    Hear(usize),
    Fault(Fault, usize),
    /// Lets time pass.
    Pass(u64),
}

/// What is done in a schedule.
#[derive(Clone, Debug)]
struct Configuration {
    /// Done one after the other at first.
    before: Vec<Action>,
    /// Done concurrently.
    actions: Vec<Action>,
    /// `None` for every interleaving; then other choices don't deviate.
    delays: Option<usize>,
}

/// The decisions of one schedule. Beyond the scripted ones, the first option is taken.
#[derive(Debug, Default)]
struct Script {
    scripted: Vec<usize>,
    /// The options taken, and the last option that there was.
    taken: Vec<(usize, usize)>,
    delays: usize,
}

impl Script {
    fn decide(&mut self, options: usize) -> usize {
        let last = self.delays.min(options.saturating_sub(1));
        let taken = self.scripted.get(self.taken.len()).copied().unwrap_or(0).min(last);
        self.taken.push((taken, last));
        self.delays -= taken;
        taken
    }

    /// The next schedule in depth-first order.
    fn next(mut self, delays: usize) -> Option<Self> {
        while self.taken.pop_if(|(taken, last)| taken == last).is_some() {}
        let (last, _) = self.taken.last_mut()?;
        *last += 1;
        let scripted = self.taken.into_iter().map(|(taken, _)| taken).collect();
        Some(Self { scripted, taken: Vec::new(), delays })
    }
}

struct Scripted(Rc<RefCell<Script>>);

impl Choices for Scripted {
    fn choose(&mut self, _: &'static str, options: usize) -> usize {
        let mut script = self.0.borrow_mut();
        if script.delays > MOST { 0 } else { script.decide(options) }
    }
}

/// More delays than this stand for every interleaving.
const MOST: usize = 100;

impl Configuration {
    /// Returns the number of schedules, and the first violation with its trace.
    fn explore(&self, mistake: Option<Mistake>) -> (usize, Option<(Violation, String)>) {
        let delays = self.delays.map_or(usize::MAX, |delays| delays + more_delays());
        let mut script = Script { delays, ..Script::default() };
        for count in 1.. {
            let scripted = script.scripted.clone();
            let (done, violation, _) = self.run(script, mistake, false);
            if violation.is_some() {
                let again = Script { scripted, delays, ..Script::default() };
                let (_, violation, trace) = self.run(again, mistake, true);
                return (count, violation.map(|violation| (violation, trace)));
            }
            match done.next(delays) {
                Some(next) => script = next,
                None => return (count, None),
            }
        }
        unreachable!("every script has an end")
    }

    fn run(&self, script: Script, mistake: Option<Mistake>, keep_trace: bool) -> (Script, Option<Violation>, String) {
        let timeline = Timeline::new(mistake, 2);
        let world = Rc::clone(&timeline.world);
        if keep_trace {
            world.keep_trace();
        }
        for action in &self.before {
            timeline.run_to_end(action.begin(&world));
            timeline.synchronize();
        }
        let script = Rc::new(RefCell::new(script));
        *world.choices.borrow_mut() = Box::new(Scripted(Rc::clone(&script)));
        for action in &self.actions {
            action.begin(&world);
        }
        take_turns(&world, &script);
        *world.choices.borrow_mut() = Box::new(super::world::Defaults);
        let keys = if self.actions.iter().any(|action| matches!(action, Action::Call(_, Key::Page))) {
            &[LEAF, Key::Page]
        } else {
            &[LEAF][..]
        };
        let (violation, trace) = timeline.settles_on(keys);
        (script.take(), violation, trace)
    }
}

/// Runs until no task can go on.
fn take_turns(world: &Rc<World>, script: &RefCell<Script>) {
    let mut current: Option<TaskId> = None;
    while world.checks.borrow().violation.is_none() {
        let ready = world.ready();
        let Some(first) = ready.first() else { return };
        // If the current task can't go on, the next one in the circle.
        let place = current.and_then(|current| ready.iter().position(|task| *task == current));
        let place = place.or_else(|| ready.iter().position(|task| Some(*task) > current)).unwrap_or(0);
        let delays = script.borrow_mut().decide(ready.len());
        let task = ready.get((place + delays) % ready.len()).unwrap_or(first);
        current = Some(*task);
        world.step(*task);
    }
}

impl Action {
    fn begin(self, world: &Rc<World>) -> TaskId {
        let of = Rc::clone(world);
        match self {
            Self::Call(place, key) => {
                let p = world.process(place);
                world.spawn(Some(&p), calls::checked(of, Rc::clone(&p), key))
            }
            Self::Refresh(place, key) => {
                let p = world.process(place);
                world.spawn(Some(&p), calls::refreshed(of, Rc::clone(&p), key))
            }
            Self::Invalidate(place, tag) => {
                let p = world.process(place);
                let by = Rc::clone(&p);
                world.spawn(Some(&p), async move {
                    invalidation::commit(&of, tag);
                    invalidation::invalidates(of, by, tag).await;
                })
            }
            Self::Write(place, tag, outcome) => {
                let p = world.process(place);
                world.spawn(Some(&p), writes(of, Rc::clone(&p), tag, outcome))
            }
            Self::Heartbeat(place) => {
                let p = world.process(place);
                let by = Rc::clone(&p);
                world.spawn(Some(&p), async move { heartbeat_once(&of, &by).await })
            }
            Self::Hear(place) => {
                let p = world.process(place);
                let by = Rc::clone(&p);
                world.spawn_daemon(&p, "hear", hears(&p), async move {
                    loop {
                        let message = by.inbox.borrow_mut().pop_front();
                        message.iter().for_each(|message| by.hear(message));
                        of.wait("hear", hears(&by)).await;
                    }
                })
            }
            Self::Fault(fault, place) => {
                let replica = Replica::of(world);
                world.spawn(None, async move { inject(&of, fault, place, &replica) })
            }
            Self::Pass(ticks) => world.spawn(None, async move { of.pass_time(ticks) }),
        }
    }
}

fn hears(p: &Rc<Process>) -> Wait {
    let to = Rc::clone(p);
    Wait::when(move |_| !to.inbox.borrow().is_empty())
}

/// Delays beyond the default, from the environment.
fn more_delays() -> usize {
    std::env::var("LARDER_PROTOCOL_DELAYS").ok().and_then(|delays| delays.parse().ok()).unwrap_or(0)
}

const INVALIDATE: Action = Action::Invalidate(0, Tag::Datum(0));
const CALL: Action = Action::Call(1, LEAF);
const HEAR: Action = Action::Hear(1);

/// Explores these actions after each beginning: the entry is nowhere, in Redis, or also in the memory of process 1.
fn check(actions: &[Action], delays: Option<usize>) {
    for before in [None, Some(Action::Call(0, LEAF)), Some(CALL)] {
        let configuration = Configuration { before: Vec::from_iter(before), actions: actions.to_vec(), delays };
        let (count, violation) = configuration.explore(None);
        println!("{count} schedules of {configuration:?}");
        if let Some((violation, trace)) = violation {
            panic!("{configuration:?}: {violation}\n{trace}");
        }
    }
}

#[test]
fn every_interleaving_of_an_invalidation_and_a_call() {
    check(&[INVALIDATE, CALL], None);
}

#[test]
fn an_invalidation_and_calls_in_both_processes() {
    check(&[INVALIDATE, CALL, Action::Call(0, LEAF), Action::Hear(0), HEAR], Some(2));
}

#[test]
fn an_invalidation_a_call_and_a_refresh() {
    check(&[INVALIDATE, CALL, Action::Refresh(0, LEAF), HEAR], Some(2));
}

#[test]
fn an_invalidation_and_a_call_that_calls_others() {
    check(&[Action::Call(1, Key::Page), INVALIDATE, HEAR], Some(2));
}

#[test]
fn an_invalidation_a_call_and_a_heartbeat_while_time_passes() {
    let time = [Action::Pass(HEARTBEAT), Action::Pass(MAX_STALENESS)];
    check(&[INVALIDATE, Action::Heartbeat(1), CALL, HEAR, time[0], time[1]], Some(2));
}

#[test]
fn an_invalidation_a_call_and_a_fault_of_redis() {
    for fault in Fault::OF_REDIS {
        check(&[INVALIDATE, CALL, Action::Fault(fault, 1), HEAR], Some(2));
    }
}

#[test]
fn an_invalidation_a_call_and_a_fault_of_a_process() {
    for fault in Fault::OF_PROCESSES {
        check(&[INVALIDATE, CALL, Action::Fault(fault, 1), HEAR], Some(2));
    }
}

/// The process is killed, the hold is over, and both processes are asked.
#[test]
fn a_write_whose_process_is_killed_while_time_passes() {
    let write = Action::Write(0, Tag::Datum(0), Outcome::Dropped);
    let time = [Action::Pass(HOLD - 1), Action::Pass(2)];
    check(&[write, CALL, Action::Fault(Fault::Kill, 0), HEAR, time[0], time[1], CALL], Some(2));
}

#[test]
fn a_write_a_call_and_a_loss_of_holds() {
    for outcome in [Outcome::Committed, Outcome::AnswerLost, Outcome::Dropped] {
        for fault in [Fault::LosesHolds, Fault::LosesHeld, Fault::LosesAll, Fault::TimeSetBack, Fault::Failover] {
            let write = Action::Write(0, Tag::Datum(0), outcome);
            check(&[write, CALL, Action::Fault(fault, 1), Action::Pass(HOLD + 1), CALL], Some(1));
        }
    }
}
