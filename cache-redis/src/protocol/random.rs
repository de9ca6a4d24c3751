//! Random schedules of three processes with any number of calls, invalidations and faults.
//!
//! Each seed draws a profile first: the kinds of faults, how often they occur, how fast time passes, how many messages are
//! lost. The test runs `LARDER_PROTOCOL_SCHEDULES` seeds (default: 500) from `LARDER_PROTOCOL_SEED` (default: 1) on: so many, and not
//! for so long, so that it comes to the same on every machine.
//!
//! Not explained yet: seed 6479, where the sequence is set back and a bucket is lost before anybody who knows of the lost
//! numbers has asked, and seeds 111048 and 304664.

use std::cell::RefCell;
use std::rc::Rc;

use super::application::{Key, LEAVES, Tag};
use super::checks::Violation;
use super::faults::{Fault, Replica, inject};
use super::heartbeat::heartbeat;
use super::mistakes::Mistake;
use super::process::Process;
use super::settle::settle;
use super::world::{Choices, Wait, World};
use super::writes::{Outcome, writes};
use super::{calls, invalidation};

/// Steps in a schedule.
const TURNS: usize = 1_500;
/// Calls and invalidations in progress at a time.
const MOST_CALLERS: usize = 8;

/// A random number generator that the schedule and its choices share.
#[derive(Clone)]
pub(super) struct Rng(Rc<RefCell<u64>>);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)))
    }

    pub(super) fn below(&self, limit: usize) -> usize {
        let mut state = self.0.borrow_mut();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as usize % limit.max(1)
    }

    pub(super) fn one_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn one_of<T: Copy>(&self, options: &[T]) -> T {
        options[self.below(options.len())]
    }
}

/// Messages are lost or duplicated once in so many times.
struct Chance {
    rng: Rng,
    messages: usize,
}

impl Choices for Chance {
    fn choose(&mut self, what: &'static str, options: usize) -> usize {
        if what.starts_with("messages") && !self.rng.one_in(self.messages) {
            return 0;
        }
        self.rng.below(options)
    }
}

struct Profile {
    faults: Vec<Fault>,
    fault_every: usize,
    tick_every: usize,
    invalidations_in_100: usize,
    writes_in_100: usize,
    leaves: usize,
    broad: bool,
    reorders: bool,
}

impl Profile {
    fn new(rng: &Rng) -> Self {
        let mut faults = [&Fault::OF_REDIS[..], &Fault::OF_PROCESSES[..]].concat();
        let kinds = rng.one_of(&[1, 2, 3, faults.len()]);
        while faults.len() > kinds {
            faults.remove(rng.below(faults.len()));
        }
        Self {
            faults,
            fault_every: rng.one_of(&[40, 100, 300]),
            tick_every: rng.one_of(&[10, 30, 100]),
            invalidations_in_100: rng.one_of(&[2, 10, 25]),
            writes_in_100: rng.one_of(&[0, 5, 15]),
            leaves: rng.one_of(&[1, LEAVES]),
            broad: rng.one_in(2),
            reorders: rng.one_in(3),
        }
    }

    fn tag(&self, rng: &Rng) -> Tag {
        let datum = rng.below(self.leaves);
        match rng.below(if self.broad { 6 } else { 2 }) {
            0 => Tag::Datum(datum),
            1 => Tag::Key(Key::Leaf(datum)),
            2 => Tag::AllData,
            3 => Tag::Leaves,
            4 => Tag::Pages,
            _ => Tag::Everything,
        }
    }
}

pub(super) fn run(seed: u64, mistake: Option<Mistake>, keep_trace: bool) -> (Rc<World>, Option<Violation>) {
    let rng = Rng::new(seed);
    let profile = Profile::new(&rng);
    let messages = rng.one_of(&[5, 20, usize::MAX]);
    let world = Rc::new(World::new(mistake, Chance { rng: rng.clone(), messages }));
    if keep_trace {
        world.keep_trace();
    }
    for place in 0..3 {
        start(&world, place);
    }
    let mut replica = Replica::of(&world);
    for _ in 0..TURNS {
        turn(&world, &rng, &profile, &mut replica);
        if world.checks.borrow().violation.is_some() {
            break;
        }
    }
    if world.checks.borrow().violation.is_none() {
        settle(&world, &[Key::Leaf(0), Key::Page]);
    }
    let violation = world.checks.borrow_mut().violation.take();
    world.end();
    (world, violation)
}

fn start(world: &Rc<World>, place: usize) {
    let p = Process::new(world, place);
    p.listen(world);
    world.processes.borrow_mut().push(Rc::clone(&p));
    world.spawn_daemon(&p, "heartbeat", Wait::default(), heartbeat(Rc::clone(world), Rc::clone(&p)));
}

fn turn(world: &Rc<World>, rng: &Rng, profile: &Profile, replica: &mut Replica) {
    if rng.one_in(profile.tick_every) {
        world.pass_time(1);
    }
    if rng.one_in(profile.fault_every) {
        let (fault, place) = (rng.one_of(&profile.faults), rng.below(3));
        inject(world, fault, place, replica);
        if fault == Fault::Kill {
            let p = world.process(place);
            world.spawn_daemon(&p, "heartbeat", Wait::default(), heartbeat(Rc::clone(world), Rc::clone(&p)));
        }
        *replica = Replica::of(world);
    }
    // The replica lags behind by up to this many steps.
    if rng.one_in(50) {
        *replica = Replica::of(world);
    }
    if world.callers().len() < MOST_CALLERS && rng.one_in(4) {
        begin(world, rng, profile);
    }
    let p = world.process(rng.below(3));
    if rng.one_in(4) {
        let waiting = p.inbox.borrow().len();
        let place = if profile.reorders && rng.one_in(5) { rng.below(waiting) } else { 0 };
        let message = p.inbox.borrow_mut().remove(place);
        message.iter().for_each(|message| p.hear(message));
    }
    let ready = world.ready();
    if !ready.is_empty() {
        world.step(rng.one_of(&ready));
    }
}

fn begin(world: &Rc<World>, rng: &Rng, profile: &Profile) {
    let p = world.process(rng.below(3));
    if rng.below(100) < profile.invalidations_in_100 {
        let tag = profile.tag(rng);
        invalidation::commit(world, tag);
        world.spawn(Some(&p), invalidation::invalidates(Rc::clone(world), Rc::clone(&p), tag));
    } else if rng.below(100) < profile.writes_in_100 {
        let outcomes =
            [Outcome::Committed, Outcome::AnswerLost, Outcome::Dropped, Outcome::Dropped, Outcome::RolledBack];
        world.spawn(Some(&p), writes(Rc::clone(world), Rc::clone(&p), profile.tag(rng), rng.one_of(&outcomes)));
    } else {
        let leaf = Key::Leaf(rng.below(profile.leaves));
        let key = rng.one_of(&[leaf, leaf, Key::Page, Key::Top]);
        let (of, by) = (Rc::clone(world), Rc::clone(&p));
        if rng.one_in(20) {
            world.spawn(Some(&p), calls::refreshed(of, by, key));
        } else {
            world.spawn(Some(&p), calls::checked(of, by, key));
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_schedules_are_fresh() {
    let count = from_environment("LARDER_PROTOCOL_SCHEDULES").unwrap_or(500);
    let first = from_environment("LARDER_PROTOCOL_SEED").unwrap_or(1);
    let mut totals = std::collections::BTreeMap::new();
    for seed in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let (world, violation) = run(seed, None, false);
        if let Some(violation) = violation {
            let (world, _) = run(seed, None, true);
            panic!("seed {seed}: {violation}\n{}", world.trace());
        }
        for (what, count) in &world.checks.borrow().counts {
            *totals.entry(*what).or_insert(0) += count;
        }
    }
    println!("{count} schedules: {totals:?}");
}

/// Prints the first seed that catches each planted mistake. Some are too rare for that; all have a timeline.
#[test]
#[ignore = "takes minutes; for whoever changes the model"]
fn what_chance_finds() {
    for mistake in Mistake::ALL {
        let found = (1..=200).find_map(|seed| Some((seed, run(seed, Some(*mistake), false).1?)));
        match found {
            Some((seed, violation)) => println!("{mistake:?}: seed {seed}, {violation}"),
            None => println!("{mistake:?}: not found"),
        }
    }
}
