//! What misses, memory and the slower hits are to cost, and what they do now. Memoized recursion has a table of its own
//! (`benches/recursion.rs`).

use std::collections::HashMap;
use std::process::Command;

use larder_benches::Peer;
use larder_benches::dependencies::DEPENDENCIES;

use crate::dependency_lines::{AFTER_A_FUNCTION, AFTER_A_TAG, AFTER_ITS_OWN, HIT};
use crate::table::short;
use crate::{CELLS, LINE};

/// How a number follows from the cells.
enum Now {
    /// Larder's time over this peer's.
    Over(Peer),
    /// Larder's time over the best peer's.
    OverTheBest,
    /// How much less than the best peer's.
    BelowTheBest,
    /// Larder's number.
    Number,
    /// Larder's number over its number in this row.
    OverRow(&'static str),
    /// What it is more than in this row, per dependency.
    PerDependency(&'static str),
}

struct Goal {
    /// What a process prints.
    line: &'static str,
    /// The row of it.
    row: &'static str,
    now: Now,
    /// At most.
    goal: f64,
    unit: &'static str,
}

const fn goal(line: &'static str, now: Now, goal: f64, unit: &'static str) -> Goal {
    Goal { line, row: line, now, goal, unit }
}

const GOALS: &[Goal] = &[
    goal("miss, room left", Now::Over(Peer::Quick), 2.0, "x"),
    goal("miss, a full cache", Now::Over(Peer::Quick), 4.0, "x"),
    goal("miss with two shared tags", Now::Over(Peer::Quick), 5.0, "x"),
    goal("miss with a tag of its own", Now::Over(Peer::Quick), 9.0, "x"),
    goal("miss, async", Now::Over(Peer::Cached), 1.5, "x"),
    goal("zipf, 1M keys, room for 100k", Now::OverTheBest, 3.0, "x"),
    Goal { row: "  hits in 100 calls", ..goal("zipf, 1M keys, room for 100k", Now::BelowTheBest, 0.3, "%") },
    goal("zipf, a body of 10 us", Now::OverTheBest, 1.05, "x"),
    goal("two threads, each misses its own keys", Now::Over(Peer::Quick), 2.5, "x"),
    goal("memory per entry", Now::Number, 160.0, "B"),
    goal("  with a tag each", Now::Number, 240.0, "B"),
    goal("  with a tag they share", Now::Number, 180.0, "B"),
    // Of numbers: key and value own nothing.
    goal("allocations: miss, room left", Now::Number, 2.0, ""),
    goal("allocations: miss, a full cache", Now::Number, 2.0, ""),
    goal("u64 inside a cached run", Now::Over(Peer::Cached), 2.0, "x"),
    goal("u64 within Cache::with", Now::Over(Peer::Cached), 1.0, "x"),
    goal("u64 in a scope", Now::Over(Peer::Cached), 1.0, "x"),
    goal("&str of 36 letters, ttl", Now::Over(Peer::Quick), 1.5, "x"),
    Goal { row: AFTER_A_FUNCTION, ..goal(HIT, Now::OverRow(HIT), 2.0, "x") },
    Goal { row: AFTER_A_TAG, ..goal(HIT, Now::OverRow(HIT), 2.0, "x") },
    Goal { row: AFTER_ITS_OWN, ..goal(HIT, Now::PerDependency(HIT), 10.0, "ns") },
];

impl Now {
    fn what(&self) -> String {
        match self {
            Self::Over(peer) => format!("over {peer}"),
            Self::OverTheBest => "over the best peer".to_owned(),
            Self::BelowTheBest => "below the best peer".to_owned(),
            Self::Number => "larder's own".to_owned(),
            Self::OverRow(_) => "over a hit".to_owned(),
            Self::PerDependency(_) => "more per dependency".to_owned(),
        }
    }
}

/// The cells of a line's rows: number, and larder's ratio to it.
type Rows = HashMap<(String, String), (f64, f64)>;

/// Prints all goals whose line contains the pattern.
pub(crate) fn print(pattern: &str) {
    println!("{:<42} {:<22} {:>9} {:>9}", "line", "", "goal", "now");
    let mut measured: HashMap<&str, Rows> = HashMap::new();
    for goal in GOALS.iter().filter(|goal| goal.line.contains(pattern)) {
        let rows = measured.entry(goal.line).or_insert_with(|| measure(goal.line));
        let now = goal.now(rows);
        let missed = match now {
            now if now.is_nan() => "  not measured",
            now if now <= goal.goal => "",
            _ => "  missed",
        };
        let (unit, at_most) = (goal.unit, short(goal.goal));
        let now = format!("{} {unit}", short(now));
        println!("{:<42} {:<22} {:>9} {:>9}{missed}", goal.row, goal.now.what(), format!("≤ {at_most} {unit}"), now);
    }
}

impl Goal {
    fn now(&self, rows: &Rows) -> f64 {
        let cell = |row: &str, peer: Peer| {
            rows.get(&(row.to_owned(), peer.name().to_owned())).copied().unwrap_or((f64::NAN, f64::NAN))
        };
        let ours = |row| cell(row, Peer::Larder).0;
        let peers = || Peer::ALL.into_iter().filter(|peer| *peer != Peer::Larder).map(|peer| cell(self.row, peer));
        match self.now {
            Now::Over(peer) => cell(self.row, peer).1,
            Now::OverTheBest => peers().map(|(_, ratio)| ratio).fold(f64::NAN, f64::max),
            Now::BelowTheBest => peers().map(|(number, _)| number).fold(f64::NAN, f64::max) - ours(self.row),
            Now::Number => ours(self.row),
            Now::OverRow(row) => ours(self.row) / ours(row),
            Now::PerDependency(row) => (ours(self.row) - ours(row)) / DEPENDENCIES as f64,
        }
    }
}

/// Has a process of its own measure this line.
fn measure(line: &str) -> Rows {
    let exe = std::env::current_exe().expect("this program");
    let done = Command::new(&exe).args([LINE, CELLS, line]).output().expect("this program runs again");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8(done.stdout).expect("text");
    let row = |row: &str| {
        let mut cells = row.split('\t');
        let (name, peer) = (cells.next()?, cells.next()?);
        let mut number = || cells.next()?.parse().ok();
        Some(((name.to_owned(), peer.to_owned()), (number()?, number()?)))
    };
    printed.lines().filter_map(row).collect()
}
