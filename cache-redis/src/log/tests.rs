//! The log by itself; and, with the bus that feeds it, in random schedules against the whole truth.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::backend::{BootInstant, Listener, ListenerHandle, Stamp};

use super::*;
use crate::bus::{Bus, Compared};
use crate::clock::{END, LEAP};
use crate::connection::ear::Hear as _;
use crate::health::{Hooks, Monitor};
use crate::keys::Names;

const HERE: ConnectionId = 7;

fn held(tag: u64, stamp: u64) -> HeldTag {
    HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
}

fn at(clock: u64) -> Option<Moment> {
    Some(Moment { clock, by: HERE })
}

/// Has heard 11 (tag 1), 12 (tags 1 and 2) and 13 (tag 3).
fn log() -> Log {
    let mut log = Log::default();
    log.introduce(HERE);
    log.restart(10);
    log.hear(11, [TagId(1)]);
    log.hear(12, [TagId(1), TagId(2)]);
    log.hear(13, [TagId(3)]);
    log
}

#[test]
fn what_was_heard_decides() {
    let log = log();
    assert_eq!(log.judge(&[held(1, 12), held(2, 13), held(3, 13), held(4, 10)], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[held(4, 10), held(1, 11)], at(13)), Judgement::Dead);
    assert_eq!(log.judge(&[held(1, 12)], at(11)), Judgement::Live, "more was heard than has to be");
}

#[test]
fn what_it_cannot_tell_is_asked() {
    let all = |tags: &[HeldTag]| Judgement::Ask(tags.to_vec());
    let tags = [held(1, 12), held(4, 10)];
    assert_eq!(log().judge(&tags, at(14)), all(&tags), "14 is under way");
    assert_eq!(log().judge(&tags, None), all(&tags), "no clock");
    assert_eq!(log().judge(&tags, Some(Moment { clock: 13, by: 8 })), all(&tags), "a stranger's clock");
    assert_eq!(Log::default().judge(&tags, at(13)), all(&tags), "nobody listens");
    assert_eq!(log().judge(&[held(1, 12), held(4, 9)], at(13)), all(&[held(4, 9)]), "older than what was heard");
    // But what was heard has happened.
    assert_eq!(log().judge(&[held(1, 11), held(4, 9)], at(14)), Judgement::Dead);
    assert_eq!(log().judge(&[held(1, 11)], None), Judgement::Dead);
    let mut stopped = log();
    stopped.stop();
    assert_eq!(stopped.judge(&tags, at(13)), all(&tags));
    assert!(!stopped.is_of_use() && !stopped.is_stranger(HERE));
    let mut restarted = log();
    restarted.restart(20);
    assert_eq!(restarted.judge(&[held(1, 19)], at(20)), all(&[held(1, 19)]));
    assert_eq!(restarted.judge(&[held(1, 20)], at(20)), Judgement::Live);
}

#[test]
fn a_gap_ends_the_span() {
    let mut log = log();
    log.remember(Moment { clock: 13, by: HERE }, [(TagId(4), 3)]);
    log.hear(15, [TagId(9)]);
    for tag in [held(4, 14), held(9, 15)] {
        assert_eq!(log.judge(&[tag], at(15)), Judgement::Ask(vec![tag]), "only the server knows what the clock is");
    }
    log.restart(16);
    assert_eq!(log.judge(&[held(4, 15)], at(16)), Judgement::Ask(vec![held(4, 15)]), "15 may have been its own");
    assert_eq!(log.judge(&[held(9, 16)], at(16)), Judgement::Live, "the connections are the same");
}

#[test]
fn facts() {
    let mut log = log();
    let moment = Moment { clock: 13, by: HERE };
    log.remember(moment, [(TagId(4), 3), (TagId(1), 12)]);
    assert_eq!(log.judge(&[held(4, 3), held(1, 12)], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[held(4, 2)], at(13)), Judgement::Dead);
    log.hear(14, [TagId(4)]);
    assert_eq!(log.judge(&[held(4, 13)], at(14)), Judgement::Dead, "since then it was invalidated");
    // What is beyond the clock that was read isn't kept: it may be damage that is mended.
    log.remember(Moment { clock: 14, by: HERE }, [(TagId(5), 15)]);
    assert_eq!(log.judge(&[held(5, 3)], at(14)), Judgement::Ask(vec![held(5, 3)]));
    // What was said before the span, or by another server, says nothing now.
    log.restart(20);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    log.remember(moment, [(TagId(4), 3)]);
    log.remember(Moment { clock: 20, by: 8 }, [(TagId(4), 3)]);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    // A place that another tag has taken.
    log.remember(Moment { clock: 20, by: HERE }, [(TagId(4), 3), (TagId(4 + FACTS as u64), 3)]);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    assert_eq!(log.judge(&[held(4 + FACTS as u64, 15)], at(20)), Judgement::Live);
}

#[test]
fn it_is_bounded_and_forgets_the_oldest() {
    let mut log = Log::default();
    log.introduce(HERE);
    log.restart(10);
    let last = 10 + 3 * MOST as u64;
    for number in 11..=last {
        log.hear(number, [TagId(number)]);
        assert!(log.last.len() <= MOST);
    }
    assert!(log.last.len() >= MOST / 2 - 1);
    let since = log.span.unwrap().since;
    assert!(since > 10);
    assert_eq!(log.judge(&[held(1, since)], at(last)), Judgement::Live);
    assert_eq!(log.judge(&[held(1, since - 1)], at(last)), Judgement::Ask(vec![held(1, since - 1)]));
    assert_eq!(log.judge(&[held(last, last - 1)], at(last)), Judgement::Dead);
    log.hear(last + 1, (0..2 * MOST as u64).map(TagId));
    assert!(log.last.len() <= MOST, "also in one stroke");
    assert_eq!(log.judge(&[held(1, last)], at(last + 1)), Judgement::Ask(vec![held(1, last)]));
    log.remember(Moment { clock: last + 1, by: HERE }, (0..10 * FACTS as u64).map(|tag| (TagId(tag), 1)));
    assert_eq!(log.facts.len(), FACTS);
}

#[test]
fn introductions() {
    let mut log = log();
    assert_eq!(log.strangers(&[HERE, 8]), [8]);
    assert!(log.is_stranger(8) && !log.is_stranger(HERE) && log.is_of_use());
    log.restart(20);
    assert!(!log.is_stranger(HERE), "the same servers");
    assert_eq!(log.strangers(&[8]), [8]);
    assert!(log.introduced.is_empty(), "those that are gone are forgotten");
    log.introduce(8);
    log.stop();
    assert_eq!(log.strangers(&[8]), [8], "whoever listens now may listen to another server");
}

/// A clock that was read, an entry's tags, and what the buckets said right after.
type Read = (Moment, Vec<HeldTag>, Vec<(TagId, u64)>);

/// One server, one process that listens to it, and whatever may happen to both.
struct World {
    random: u64,
    bus: Bus,
    clock: u64,
    /// The truth: each invalidation of each tag.
    invalidated: HashMap<u64, Vec<u64>>,
    /// What the buckets forgot: tags count as invalidated then.
    floor: u64,
    /// Messages under way, while someone listens.
    inbox: VecDeque<Vec<u8>>,
    listens: bool,
    connection: ConnectionId,
    /// A clock, and what was expected before it was read.
    clock_read: Option<(u64, u64)>,
    /// The last message that was delivered.
    delivered: Vec<u8>,
    /// What a memory layer has of each tag: stamps.
    memory: Arc<Memory>,
    reads: VecDeque<Read>,
    /// Whether somebody else publishes, too.
    hostile: bool,
    live: usize,
    dead: usize,
    asked: usize,
}

const TAGS: u64 = 10;

/// A memory layer that was told.
#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<u64, u64>>);

impl Listener for Memory {
    fn invalidated(&self, tags: &[TagId]) {
        self.0.lock().unwrap().retain(|tag, _| !tags.contains(&TagId(*tag)));
    }

    fn doubt(&self) {
        self.0.lock().unwrap().clear();
    }

    fn trusted_until(&self, _: BootInstant) {}
}

impl World {
    fn new(seed: u64) -> Self {
        let monitor = Arc::new(Monitor::new(Hooks::default()));
        let bus = Bus::new(Arc::new(Names::new("p", 0)), "me".to_owned(), monitor);
        let memory: Arc<Memory> = Arc::default();
        let listener: std::sync::Weak<Memory> = Arc::downgrade(&memory);
        bus.attach(ListenerHandle::new(listener));
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            bus,
            clock: 100,
            invalidated: HashMap::new(),
            floor: 100,
            inbox: VecDeque::new(),
            listens: false,
            connection: 1,
            clock_read: None,
            delivered: Vec::new(),
            memory,
            reads: VecDeque::new(),
            hostile: false,
            live: 0,
            dead: 0,
            asked: 0,
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn last(&self, tag: u64, until: u64) -> u64 {
        let numbers = self.invalidated.get(&tag).into_iter().flatten();
        numbers.copied().filter(|number| *number <= until).max().unwrap_or(0)
    }

    fn publish(&mut self, message: Vec<u8>) {
        if self.listens {
            self.inbox.push_back(message);
        }
    }

    fn invalidate(&mut self) {
        self.clock += 1;
        let (number, tag) = (self.clock, self.draw(TAGS));
        self.invalidated.entry(tag).or_default().push(number);
        let author = if self.draw(2) == 0 {
            // Its own memory knows.
            self.memory.invalidated(&[TagId(tag)]);
            self.bus.author()
        } else {
            "other".to_owned()
        };
        let message = [format!("{author} {number} ").as_bytes(), &tag.to_le_bytes()].concat();
        self.publish(message);
    }

    /// A look at the clock and then at the buckets, whose answers arrive later.
    fn read(&mut self) {
        let moment = Moment { clock: self.clock, by: self.connection };
        let mut said = Vec::new();
        if self.draw(3) == 0 {
            if self.draw(2) == 0 {
                self.invalidate();
            }
            said = (0..TAGS).map(|tag| (TagId(tag), self.last(tag, self.clock).max(self.floor))).collect();
        }
        let first = self.clock.saturating_sub(12);
        let tags = (0..self.draw(4)).map(|_| held(self.draw(TAGS), first + self.draw(13))).collect();
        self.reads.push_back((moment, tags, said));
    }

    /// Anything but the next number: that can't be told from the true message.
    fn forge(&mut self) {
        let number = match self.draw(6) {
            0 => self.clock + 10_000 + self.draw(1000),
            1 => END - 1 - self.draw(10),
            2 => 1 << 60,
            3 => 1 + self.draw(50),
            4 => 0,
            _ => {
                // Once more what has come; perhaps under another name.
                let mut again = self.delivered.clone();
                if let Some(first) = again.first_mut() {
                    *first ^= (self.draw(2) as u8) << 1;
                }
                return self.publish(again);
            }
        };
        let (author, tag) = (if self.draw(2) == 0 { self.bus.author() } else { "x".to_owned() }, self.draw(TAGS + 5));
        let mut message = [format!("{author} {number} ").as_bytes(), &tag.to_le_bytes()].concat();
        if self.draw(5) == 0 {
            message.truncate(message.len() - 1 - self.draw(10) as usize);
        }
        self.publish(message);
    }

    fn judge(&mut self) {
        let Some((moment, tags, said)) = self.reads.pop_front() else { return };
        match self.bus.judge(&tags, Some(moment)) {
            Judgement::Live => {
                self.live += 1;
                for held in tags {
                    assert!(self.last(held.tag.0, moment.clock) <= held.stamp.0, "{held:?} is stale at {moment:?}");
                }
            }
            Judgement::Dead => {
                self.dead += 1;
                let dead = |held: &HeldTag| self.last(held.tag.0, self.clock).max(self.floor) > held.stamp.0;
                assert!(tags.iter().any(dead), "{tags:?} were never invalidated");
            }
            Judgement::Ask(_) => self.asked += 1,
        }
        self.bus.remember(moment, said);
    }

    fn deliver(&mut self) {
        if let Some(message) = self.inbox.pop_front() {
            self.bus.message("here", "p:bus:0", &message);
            self.delivered = message;
        }
    }

    async fn compare(&mut self) {
        let Some((clock, expected)) = self.clock_read.take() else { return };
        let moment = Duration::from_millis(1);
        // What the heartbeat does first: a clock that is behind what was heard is made anew.
        if clock < expected {
            self.floor = self.clock;
            self.clock += 2 * LEAP;
            self.bus.restart(self.clock);
            return;
        }
        self.bus.known.learn(clock);
        let compared = self.bus.compare(clock, BootInstant::now(), moment, moment).await;
        if matches!(compared, Compared::Trusted | Compared::Missed) {
            for (tag, stamp) in self.memory.0.lock().unwrap().iter() {
                assert!(self.last(*tag, clock) <= *stamp, "memory has {tag} of {stamp} after a look at {clock}");
            }
        }
        for connection in self.bus.strangers(&[self.connection]) {
            let message = self.bus.introduction(connection, "here").to_vec();
            self.publish(message);
        }
    }

    async fn step(&mut self) {
        match self.draw(if self.hostile { 103 } else { 100 }) {
            0..25 => self.read(),
            25..50 => self.judge(),
            50..55 => self.invalidate(),
            55..87 => self.deliver(),
            87..91 => {
                self.clock_read = Some((self.clock, self.bus.known.expected()));
                let tag = self.draw(TAGS);
                self.memory.0.lock().unwrap().insert(tag, self.clock);
            }
            91..96 => self.compare().await,
            96 if self.draw(3) == 0 => {
                // A message is lost on the way.
                self.inbox.pop_front();
            }
            97 if self.draw(3) == 0 => {
                self.inbox.clear();
                match std::mem::replace(&mut self.listens, false) {
                    true => self.bus.ends(),
                    false => {
                        self.listens = true;
                        self.bus.begins();
                    }
                }
            }
            98 => match self.draw(4) {
                0 => self.floor = self.clock,
                1 => self.clock += 1 + self.draw(50),
                2 => self.connection += 1,
                _ => self.bus.missed(),
            },
            100.. => self.forge(),
            99 if !self.listens => {
                self.listens = true;
                self.bus.begins();
            }
            _ => {}
        }
    }
}

async fn never_live_what_is_not(hostile: bool) -> (usize, usize, usize) {
    let (mut live, mut dead, mut asked) = (0, 0, 0);
    for seed in 1..=60 {
        let mut world = World::new(seed);
        world.hostile = hostile;
        for _ in 0..2000 {
            world.step().await;
        }
        live += world.live;
        dead += world.dead;
        asked += world.asked;
    }
    (live, dead, asked)
}

#[tokio::test]
async fn never_live_what_is_not_in_random_schedules() {
    let (live, dead, asked) = never_live_what_is_not(false).await;
    assert!(live > 2_000 && dead > 2_000 && asked > 2_000, "{live} live, {dead} dead, {asked} asked");
}

#[tokio::test]
async fn never_live_what_is_not_whatever_somebody_else_publishes() {
    let (live, dead, asked) = never_live_what_is_not(true).await;
    assert!(live > 500 && dead > 1_000 && asked > 2_000, "{live} live, {dead} dead, {asked} asked");
}
