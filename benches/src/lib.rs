//! What is measured: the same work done by larder and by its peers.
//!
//! `cargo bench -p larder-benches` prints the table of ratios (`benches/peers`), `benches/instructions.sh` the
//! instructions per hit, which don't depend on what else the machine does. What is shared by processes has a table of its
//! own (`benches/redis.rs`): [`redis`]. So has memoized recursion (`benches/recursion.rs`): [`recursion`].

#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up may stop")]

pub mod dependencies;
pub mod harness;
pub mod hits;
pub mod misses;
pub mod recursion;
pub mod redis;
pub mod zipf;

use std::fmt;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// This library.
    Larder,
    /// `cached::macros::concurrent_cached`: shards behind locks.
    Concurrent,
    /// `cached::macros::cached`: one lock.
    Cached,
    /// moka, called by hand.
    Moka,
    /// `quick_cache`, called by hand.
    Quick,
}

impl Peer {
    /// In the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Larder, Self::Concurrent, Self::Cached, Self::Moka, Self::Quick];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Concurrent => "concurrent_cached",
            Self::Cached => "cached",
            Self::Moka => "moka",
            Self::Quick => "quick_cache",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Does the work this many times.
pub type Work = Box<dyn FnMut(usize)>;

/// One way of doing a case's work.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Who.
    pub peer: Peer,
    /// Sets it up, entries included.
    pub prepare: fn() -> Work,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Case {
    /// As in the table.
    pub name: &'static str,
    /// Who takes part; the first is larder.
    pub subjects: Vec<Subject>,
}

impl Case {
    /// A case of these subjects.
    pub fn new<const N: usize>(name: &'static str, subjects: [(Peer, fn() -> Work); N]) -> Self {
        let subjects = subjects.into_iter().map(|(peer, prepare)| Subject { peer, prepare }).collect();
        Self { name, subjects }
    }
}

/// A small generator of random numbers, the same in each run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number (xorshift64*).
    pub fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Between 0 and 1.
    pub fn share(&mut self) -> f64 {
        (self.next_number() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
