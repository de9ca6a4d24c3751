//! The bus and its log in random schedules, against the whole truth.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::backend::{BootInstant, HeldTag, Listener, ListenerHandle, Stamp, TagId};

use crate::bus::{Bus, Compared};
use crate::connection::{ConnectionId, MessageHandler as _};
use crate::health::{Hooks, Monitor};
use crate::invalidation_log::{Judgement, Moment};
use crate::keys::Names;
use crate::sequence::{END, LEAP};

fn held(tag: u64, stamp: u64) -> HeldTag {
    HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
}

/// A sequence that was read, an entry's tags, and what the buckets said right after.
type Read = (Moment, Vec<HeldTag>, Vec<(TagId, u64)>);

/// One server, one process that listens to it, and whatever may happen to both.
struct World {
    random: u64,
    bus: Bus,
    sequence: u64,
    /// The truth: each invalidation of each tag.
    invalidated: HashMap<u64, Vec<u64>>,
    /// What the buckets forgot: tags count as invalidated then.
    floor: u64,
    /// Messages under way, while someone listens.
    inbox: VecDeque<Vec<u8>>,
    listens: bool,
    connection: ConnectionId,
    /// A sequence, and what was expected before it was read.
    sequence_read: Option<(u64, u64)>,
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
            sequence: 100,
            invalidated: HashMap::new(),
            floor: 100,
            inbox: VecDeque::new(),
            listens: false,
            connection: 1,
            sequence_read: None,
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
        self.sequence += 1;
        let (number, tag) = (self.sequence, self.draw(TAGS));
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

    /// A look at the sequence and then at the buckets, whose answers arrive later.
    fn read(&mut self) {
        let moment = Moment { sequence: self.sequence, by: self.connection };
        let mut said = Vec::new();
        if self.draw(3) == 0 {
            if self.draw(2) == 0 {
                self.invalidate();
            }
            said = (0..TAGS).map(|tag| (TagId(tag), self.last(tag, self.sequence).max(self.floor))).collect();
        }
        let first = self.sequence.saturating_sub(12);
        let tags = (0..self.draw(4)).map(|_| held(self.draw(TAGS), first + self.draw(13))).collect();
        self.reads.push_back((moment, tags, said));
    }

    /// Anything but the next number: that can't be told from the true message.
    fn forge(&mut self) {
        let number = match self.draw(6) {
            0 => self.sequence + 10_000 + self.draw(1000),
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
                    assert!(self.last(held.tag.0, moment.sequence) <= held.stamp.0, "{held:?} is stale at {moment:?}");
                }
            }
            Judgement::Dead => {
                self.dead += 1;
                let dead = |held: &HeldTag| self.last(held.tag.0, self.sequence).max(self.floor) > held.stamp.0;
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
        let Some((sequence, expected)) = self.sequence_read.take() else { return };
        let moment = Duration::from_millis(1);
        // What the heartbeat does first: a sequence that is behind what was heard is made anew.
        if sequence < expected {
            self.floor = self.sequence;
            self.sequence += 2 * LEAP;
            self.bus.restart(self.sequence);
            return;
        }
        self.bus.known.learn(sequence);
        let compared = self.bus.compare(sequence, BootInstant::now(), moment, moment).await;
        if matches!(compared, Compared::Trusted | Compared::Missed) {
            for (tag, stamp) in self.memory.0.lock().unwrap().iter() {
                assert!(self.last(*tag, sequence) <= *stamp, "memory has {tag} of {stamp} after a look at {sequence}");
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
                self.sequence_read = Some((self.sequence, self.bus.known.expected()));
                let tag = self.draw(TAGS);
                self.memory.0.lock().unwrap().insert(tag, self.sequence);
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
                0 => self.floor = self.sequence,
                1 => self.sequence += 1 + self.draw(50),
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
