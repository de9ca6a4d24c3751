//! Measures peers in turns and compares what they took in the same turn, so that a slow moment of the machine meets all.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::{Case, Peer, Work};

/// How long a peer works before it is the next one's turn.
const TURN: Duration = Duration::from_millis(4);

/// Nanoseconds on a core per piece of work, one number per turn.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Whose.
    pub peer: Peer,
    /// In the order of the turns.
    pub nanos: Vec<f64>,
}

impl Measured {
    /// The median turn.
    pub fn median(&self) -> f64 {
        median(self.nanos.iter().copied())
    }

    /// The median of the ratios turn by turn: this over the other.
    pub fn over(&self, other: &Self) -> f64 {
        median(self.nanos.iter().zip(&other.nanos).map(|(a, b)| a / b))
    }
}

/// The middle one of these numbers.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Lets all subjects of a case take turns.
pub fn measure(case: &Case, turns: usize) -> Vec<Measured> {
    let mut works: Vec<(Measured, Work, usize)> = case
        .subjects
        .iter()
        .map(|subject| {
            let mut work = (subject.prepare)();
            let batch = batch(&mut work);
            let measured = Measured { peer: subject.peer, nanos: Vec::with_capacity(turns) };
            (measured, work, batch)
        })
        .collect();
    for turn in 0..turns {
        // Who goes first changes, so that nobody always comes right after the same neighbour.
        let count = works.len();
        for place in 0..count {
            if let Some((measured, work, batch)) = works.get_mut((turn + place) % count) {
                let began = ThreadTime::now();
                work(*batch);
                measured.nanos.push(began.elapsed().as_nanos() as f64 / *batch as f64);
            }
        }
    }
    works.into_iter().map(|(measured, _, _)| measured).collect()
}

/// How many pieces of work fill a turn.
fn batch(work: &mut Work) -> usize {
    let mut batch = 256;
    loop {
        let began = ThreadTime::now();
        work(batch);
        let took = began.elapsed();
        if took * 4 >= TURN || batch >= 1 << 24 {
            let nanos = took.as_nanos().max(1) as f64 / batch as f64;
            return ((TURN.as_nanos() as f64 / nanos) as usize).max(1);
        }
        batch *= 2;
    }
}

/// Nanoseconds per piece of work by the wall clock.
pub fn wall(count: usize, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_nanos() as f64 / count as f64
}
