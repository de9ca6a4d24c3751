//! Memoized recursion: dynamic programming and puzzles as people write them, with larder and with `cached` (no bound, its
//! default store), and how both grow with the number of states, of dependencies and of threads.
//!
//! `benches/recursion.rs` runs each case of each side in processes of its own, so that all start cold.

mod functions;
mod inputs;
pub mod probe;

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use rustix::process::{Resource, Rlimit, setrlimit};

use functions::{bounded, ours, theirs};

/// The stack of the thread that recurses: a level takes more than a kilobyte with some, and chains have a million levels.
pub const STACK: usize = 8 << 30;

/// Whose functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This library's.
    Larder,
    /// Those of the crate `cached`.
    Cached,
}

impl Side {
    /// Both, the peer first.
    pub const BOTH: [Self; 2] = [Self::Cached, Self::Larder];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|side| side.name() == name)
    }

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Cached => "cached",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From now on this process may use a core for so many seconds, then it is ended by a signal. (Not the wall clock's: on a
/// busy machine that would end quick runs too.)
///
/// # Panics
///
/// If the limit can't be set.
pub fn limit_cpu(seconds: u64) {
    let limit = Rlimit { current: Some(seconds), maximum: Some(seconds + 1) };
    setrlimit(Resource::Cpu, limit).expect("a lower limit than before");
}

/// The work of a case, set up. Returns the answer.
pub type Work = Box<dyn FnOnce() -> u64 + Send>;

/// Something to compute.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As in the table.
    pub name: &'static str,
    /// How much of it.
    pub size: u64,
    /// So little of it that it takes no time.
    pub quick: u64,
    /// Measured by the wall clock, because several threads work.
    pub wall: bool,
    prepare: fn(Side, u64) -> Work,
}

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// The same for both sides.
    pub answer: u64,
    /// Without setting up.
    pub took: Duration,
}

impl Case {
    /// The one of this name, among the cases and the curves.
    pub fn named(name: &str) -> Option<Self> {
        cases().into_iter().chain(curves().into_iter().map(|curve| curve.case)).find(|case| case.name == name)
    }

    /// Does the work once, on a thread with a large stack. `before` and `after` enclose nothing but the work.
    ///
    /// # Panics
    ///
    /// If there is no such thread to be had, or the work panics.
    pub fn run(self, side: Side, size: u64, before: impl FnOnce() + Send, after: impl FnOnce() + Send) -> Ran {
        let recursing = move || {
            let work = (self.prepare)(side, size);
            before();
            let (cpu, wall) = (ThreadTime::now(), Instant::now());
            let answer = work();
            let took = if self.wall { wall.elapsed() } else { cpu.elapsed() };
            after();
            Ran { answer, took }
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, recursing);
            thread.expect("room for a stack").join().expect("the work doesn't panic")
        })
    }
}

/// Calls the function of that side.
macro_rules! ask {
    ($side:expr, $function:ident($($arg:expr),*)) => {
        match $side {
            Side::Larder => ours::$function($($arg),*),
            Side::Cached => theirs::$function($($arg),*),
        }
    };
}

/// A case: first the call that sets the cache up, then what is measured.
macro_rules! case {
    ($name:literal, $size:literal, $quick:literal, |$side:ident, $n:ident| $setup:expr => $work:expr) => {
        Case {
            name: $name,
            size: $size,
            quick: $quick,
            wall: false,
            prepare: |$side, $n| {
                black_box($setup);
                Box::new(move || $work)
            },
        }
    };
}

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![
        case!("fib chain", 5_000, 200, |side, n| ask!(side, fib(0)) => ask!(side, fib(n))),
        case!("grid paths", 300, 20, |side, n| ask!(side, grid(0, 0)) => ask!(side, grid(n, n))),
        case!("LCS", 600, 40, |side, n| ask!(side, lcs(0, 0)) => ask!(side, lcs(n as usize, n as usize))),
        case!("edit distance", 200, 20, |side, n| ask!(side, edit(String::new(), String::new())) => {
            ask!(side, edit(inputs::text(1, n as usize), inputs::text(3, n as usize)))
        }),
        case!("coin change", 20_000, 500, |side, n| ask!(side, coins(0)) => ask!(side, coins(n))),
        case!("collatz", 300_000, 500, |side, n| ask!(side, collatz(1)) => {
            (1..=n).fold(0, |sum, start| ask!(side, collatz(start)) + sum)
        }),
        Case { name: "springs x5", size: 500, quick: 5, wall: false, prepare: springs },
        case!("stones", 75, 15, |side, n| ask!(side, stones(0, 0)) => {
            inputs::STONES.iter().fold(0, |sum, stone| ask!(side, stones(*stone, n)) + sum)
        }),
        case!("dirac dice", 21, 5, |side, n| ask!(side, dirac(0, (1, 0), (1, 0))) => {
            let (first, second) = ask!(side, dirac(n, (4, 0), (8, 0)));
            first.max(second)
        }),
        case!("50 predecessors", 3_000, 200, |side, n| ask!(side, predecessors(0, 50)) => {
            ask!(side, predecessors(n, 50))
        }),
    ]
}

fn springs(side: Side, rows: u64) -> Work {
    ask!(side, springs(String::new(), Vec::new()));
    let rows = inputs::rows(rows as usize);
    Box::new(move || {
        rows.into_iter().fold(0_u64, |sum, (row, groups)| ask!(side, springs(row, groups)).wrapping_add(sum))
    })
}

/// A case at several sizes.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What is run.
    pub case: Case,
    /// In the order in which they are shown.
    pub sizes: Vec<u64>,
}

/// All of them.
pub fn curves() -> Vec<Curve> {
    vec![
        Curve {
            case: case!("chain of n", 1_000_000, 1_000, |side, n| ask!(side, chain(0)) => ask!(side, chain(n))),
            sizes: vec![1_000, 3_000, 10_000, 100_000, 1_000_000],
        },
        Curve {
            case: case!("n predecessors, 2000 states", 1_000, 10, |side, n| ask!(side, predecessors(0, n)) => {
                ask!(side, predecessors(2_000, n))
            }),
            sizes: vec![1, 3, 10, 30, 100, 300, 1_000],
        },
        Curve {
            case: Case {
                name: "chain of n, room for 1000",
                size: 1_000_000,
                quick: 5_000,
                wall: false,
                prepare: endless,
            },
            sizes: vec![1_000, 10_000, 100_000, 1_000_000],
        },
        Curve {
            case: Case { name: "n threads, 100 chains of 200 each", size: 8, quick: 2, wall: true, prepare: threads },
            sizes: vec![1, 2, 4, 8],
        },
    ]
}

/// Each step asks for the one before, which memory has if it keeps what came in last.
fn endless(side: Side, steps: u64) -> Work {
    let ask = match side {
        Side::Larder => bounded::ours::endless,
        Side::Cached => bounded::theirs::endless,
    };
    ask(0);
    Box::new(move || (1..=steps).fold(0, |_, step| ask(step)))
}

/// Each thread computes chains of its own.
fn threads(side: Side, threads: u64) -> Work {
    const CHAINS: u64 = 100;
    const LENGTH: u64 = 200;
    ask!(side, chain_apart(0, 0));
    let chains = move |thread: u64| {
        (1..=CHAINS).fold(0, |sum, chain| {
            let apart = thread * CHAINS + chain;
            ask!(side, chain_apart(apart, LENGTH)) + sum
        })
    };
    Box::new(move || {
        std::thread::scope(|scope| {
            let spawn = |thread| {
                let builder = std::thread::Builder::new().stack_size(64 << 20);
                builder.spawn_scoped(scope, move || chains(thread)).expect("room for a stack")
            };
            let threads: Vec<_> = (0..threads).map(spawn).collect();
            threads.into_iter().fold(0, |sum, thread| thread.join().expect("no panic") + sum)
        })
    })
}
