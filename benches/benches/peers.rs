//! Prints one table: what a call costs with larder and with its peers, measured in turns in one run.
//!
//! ```text
//! cargo bench -p larder-benches                 everything
//! cargo bench -p larder-benches -- PATTERN      the lines whose name contains PATTERN
//! ```
//!
//! Each line is measured in a process of its own: the entries of one leave nothing behind that weighs on the next.
//!
//! A cell is the peer's median and, in brackets, larder's time over the peer's: below 1, larder is faster. Ratios are
//! taken turn by turn, then their median. Times are of this thread on a core (of the wall clock where several threads work).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a benchmark prints, and stops where it can't be set up")]

use std::cell::RefCell;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use larder_benches::harness::{Measured, measure, median};
use larder_benches::{Case, Peer, hits, misses, zipf};

const TURNS: usize = 41;

/// Before the name of the one line that a process is to print.
const LINE: &str = "--line";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let pattern = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    if args.iter().any(|arg| arg == LINE) {
        return print(&Table { wanted: Wanted::Line(pattern) });
    }
    // Says what there is to be measured.
    let names = Table { wanted: Wanted::Names(RefCell::default()) };
    print(&names);
    let Wanted::Names(names) = names.wanted else { return };
    head();
    let exe = std::env::current_exe().expect("this program");
    for name in names.into_inner().iter().filter(|name| name.contains(&pattern)) {
        let done = Command::new(&exe).args([LINE, name]).status().expect("this program runs again");
        assert!(done.success(), "{name}: {done}");
    }
}

fn print(table: &Table) {
    for case in hits::cases().into_iter().chain(misses::cases()) {
        table.line(case.name, "ns", || times(&case));
    }
    two_thread_lines(table);
    zipf_lines(table);
    memory_lines(table);
    allocation_lines(table);
    invalidation_lines(table);
}

/// A column's number; the first is larder's.
type Cells = Vec<(Peer, f64, Option<f64>)>;

struct Table {
    wanted: Wanted,
}

enum Wanted {
    /// The names of all lines, and nothing measured.
    Names(RefCell<Vec<String>>),
    /// This line.
    Line(String),
}

const NAME: usize = 42;

fn head() {
    print!("{:<NAME$} {:>4}", "", "");
    for peer in Peer::ALL {
        print!(" {:>18}", peer.name());
    }
    println!();
}

impl Table {
    fn wants(&self, name: &str) -> bool {
        match &self.wanted {
            Wanted::Names(names) => {
                names.borrow_mut().push(name.to_owned());
                false
            }
            Wanted::Line(line) => line == name,
        }
    }

    /// Prints a line, if it is wanted.
    fn line(&self, name: &str, unit: &str, cells: impl FnOnce() -> Cells) {
        if self.wants(name) {
            self.print(name, unit, &cells());
        }
    }

    fn print(&self, name: &str, unit: &str, cells: &Cells) {
        print!("{name:<NAME$} {unit:>4}");
        for peer in Peer::ALL {
            match cells.iter().find(|(found, number, _)| *found == peer && number.is_finite()) {
                Some((_, number, Some(ratio))) => {
                    print!(" {:>18}", format!("{} ({ratio:.2})", short(*number)));
                }
                Some((_, number, None)) => print!(" {:>18}", short(*number)),
                None => print!(" {:>18}", "-"),
            }
        }
        println!();
    }
}

fn short(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Each peer's number, and larder's over it.
fn against(measured: &[Measured]) -> Cells {
    let ours = measured.iter().find(|found| found.peer == Peer::Larder);
    measured
        .iter()
        .map(|found| {
            let ratio = ours.filter(|ours| ours.peer != found.peer).map(|ours| ours.over(found));
            (found.peer, found.median(), ratio)
        })
        .collect()
}

fn times(case: &Case) -> Cells {
    against(&measure(case, TURNS))
}

/// Nanoseconds per call and thread while this many threads ask for the same keys; `None` if one of them came late or had
/// to wait for a core, so that they weren't at it together all the time.
fn together(threads: usize, work: &hits::SharedWork) -> Option<f64> {
    const WINDOW: Duration = Duration::from_millis(1);
    const BEARABLE: Duration = Duration::from_micros(30);
    const CALLS: usize = 64;
    let began = Instant::now() + Duration::from_micros(300);
    let asking = || {
        let waited = waited_for_a_core();
        let on_time = Instant::now() < began;
        while Instant::now() < began {
            std::hint::spin_loop();
        }
        let mut calls = 0_usize;
        while began.elapsed() < WINDOW {
            work(CALLS);
            calls += CALLS;
        }
        let nanos = began.elapsed().as_nanos() as f64 / calls as f64;
        (on_time && waited_for_a_core() - waited < BEARABLE).then_some(nanos)
    };
    let nanos: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(asking)).collect();
        let mine = asking();
        others.into_iter().map(|other| other.join().expect("no panic")).chain([mine]).collect()
    });
    let sum = nanos.iter().copied().sum::<Option<f64>>()?;
    Some(sum / threads as f64)
}

/// How long this thread could have run, had a core been free. (On Linux; elsewhere always 0.)
fn waited_for_a_core() -> Duration {
    let numbers = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = numbers.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

fn two_thread_lines(table: &Table) {
    /// As often as it takes for so many good windows, but not for ever.
    const TRIES: usize = 1_000;
    let name = "two threads, 64 hot keys";
    if !table.wants(name) {
        return;
    }
    let peers = hits::shared();
    let mut nanos = vec![[Vec::new(), Vec::new()]; peers.len()];
    for _ in 0..TRIES {
        for ((_, work), [one, two]) in peers.iter().zip(&mut nanos) {
            for (threads, nanos) in [(1, one), (2, two)] {
                if nanos.len() < TURNS {
                    nanos.extend(together(threads, work));
                }
            }
        }
    }
    let medians = || {
        let medians = nanos.iter().map(|[one, two]| (median(one.iter().copied()), median(two.iter().copied())));
        peers.iter().map(|(peer, _)| *peer).zip(medians)
    };
    let ours = medians().find(|(peer, _)| *peer == Peer::Larder).map_or(f64::NAN, |(_, (_, two))| two);
    let two = medians().map(|(peer, (_, two))| (peer, two, (peer != Peer::Larder).then_some(ours / two)));
    table.print(name, "ns", &two.collect());
    let over = medians().map(|(peer, (one, two))| (peer, two / one, None));
    table.print("  over one thread's time", "x", &over.collect());
}

fn zipf_lines(table: &Table) {
    const WARM: usize = 1_000_000;
    let ratio = "  hits in 100 calls";
    for (name, body, part) in [
        ("zipf, 1M keys, room for 100k", Duration::ZERO, 25_000),
        ("zipf, a body of 10 us", Duration::from_micros(10), 5_000),
        ("zipf, a body of 100 us", Duration::from_micros(100), 2_500),
        ("zipf, a body of 1 ms", Duration::from_millis(1), 500),
    ] {
        if !table.wants(name) {
            continue;
        }
        let keys = zipf::keys(WARM + TURNS * part);
        let (warm, asked) = keys.split_at(WARM);
        let peers = zipf::peers();
        for (_, ask) in &peers {
            ask(warm);
        }
        zipf::bodies_take(body);
        let mut measured: Vec<_> =
            peers.iter().map(|(peer, _)| (Measured { peer: *peer, nanos: Vec::new() }, 0)).collect();
        for part in asked.chunks(part) {
            for ((_, ask), (measured, runs)) in peers.iter().zip(&mut measured) {
                zipf::take_runs();
                let began = ThreadTime::now();
                ask(part);
                measured.nanos.push(began.elapsed().as_nanos() as f64 / part.len() as f64);
                *runs += zipf::take_runs();
            }
        }
        let hits = measured.iter().map(|(measured, runs)| {
            let hits = 100.0 - *runs as f64 * 100.0 / asked.len() as f64;
            (measured.peer, hits, None)
        });
        let hits = hits.collect();
        let times: Vec<_> = measured.into_iter().map(|(measured, _)| measured).collect();
        table.print(name, "ns", &against(&times));
        table.print(ratio, "%", &hits);
    }
}

/// Caches of 100,000 entries u64 → u64, each function its own.
mod sized {
    use larder::cached;

    pub(super) const ENTRIES: u64 = 100_000;

    #[cached(max_entries = 200_000)]
    pub(super) fn ours(id: u64) -> u64 {
        id
    }
    #[cached(max_entries = 200_000, tags = ["all"])]
    pub(super) fn ours_one_tag(id: u64) -> u64 {
        id
    }
    #[cached(max_entries = 200_000, tags = [("item", id)])]
    pub(super) fn ours_tag_each(id: u64) -> u64 {
        id
    }
    #[cached::macros::concurrent_cached(max_size = 200_000)]
    pub(super) fn concurrent(id: u64) -> u64 {
        id
    }
    #[cached::macros::cached(max_size = 200_000)]
    pub(super) fn single(id: u64) -> u64 {
        id
    }
}

/// Bytes that stay allocated per entry, once what was put off is done.
fn bytes<R>(fill: impl Fn(u64) -> R, settle: impl Fn()) -> f64 {
    let measured = allocation_counter::measure(|| {
        for id in 0..sized::ENTRIES {
            black_box(fill(id));
        }
        settle();
    });
    measured.bytes_current as f64 / sized::ENTRIES as f64
}

fn memory_lines(table: &Table) {
    let moka = moka::sync::Cache::new(2 * sized::ENTRIES);
    let quick = quick_cache::sync::Cache::new(2 * sized::ENTRIES as usize);
    let mut others = None;
    for (name, ours) in [
        ("memory per entry", sized::ours as fn(u64) -> u64),
        ("  with a tag they share", sized::ours_one_tag),
        ("  with a tag each", sized::ours_tag_each),
    ] {
        if !table.wants(name) {
            continue;
        }
        // Which has the stores do what they put off, to count their entries.
        let ours = bytes(ours, || drop(larder::stats()));
        let others = others.get_or_insert_with(|| {
            [
                (Peer::Concurrent, bytes(sized::concurrent, || ())),
                (Peer::Cached, bytes(sized::single, || ())),
                (Peer::Moka, bytes(|id| moka.insert(id, id), || moka.run_pending_tasks())),
                (Peer::Quick, bytes(|id| quick.insert(id, id), || ())),
            ]
        });
        let mut cells: Cells = vec![(Peer::Larder, ours, None)];
        cells.extend(others.iter().map(|(peer, bytes)| (*peer, *bytes, Some(ours / bytes))));
        table.print(name, "B", &cells);
    }
}

/// Allocations per call: of hits, then of misses.
fn allocation_lines(table: &Table) {
    const CALLS: usize = 20_000;
    for case in hits::cases().into_iter().chain(misses::cases()) {
        let name = format!("allocations: {}", case.name);
        table.line(&name, "", || {
            case.subjects
                .iter()
                .map(|subject| {
                    let mut work = (subject.prepare)();
                    work(CALLS);
                    let measured = allocation_counter::measure(|| work(CALLS));
                    (subject.peer, measured.count_total as f64 / CALLS as f64, None)
                })
                .collect()
        });
    }
}

mod tagged {
    use larder::cached;

    /// `kind` entries share a tag.
    #[cached(max_entries = 2_000_000, tags = [("kind", kind)])]
    pub(super) fn of_kind(kind: u64, id: u64) -> u64 {
        id ^ kind
    }
}

/// Nanoseconds of one call, which happens once; the median of several.
fn once(times: usize, mut before: impl FnMut(), mut call: impl FnMut()) -> f64 {
    median((0..times).map(|_| {
        before();
        let began = Instant::now();
        call();
        began.elapsed().as_nanos() as f64
    }))
}

fn invalidation_lines(table: &Table) {
    const TIMES: usize = 301;
    let invalidate = |kind: u64| {
        larder::blocking::invalidate_tag(("kind", kind)).expect("there is no backend");
    };
    for (name, kind, entries) in [
        ("invalidate a tag: 1 entry", 1, 1_u64),
        ("invalidate a tag: 1k entries", 2, 1_000),
        ("invalidate a tag: 1M entries", 3, 1_000_000),
    ] {
        if !table.wants(name) {
            continue;
        }
        for id in 0..entries {
            tagged::of_kind(kind, id);
        }
        tagged::of_kind(9, 9);
        let time = once(TIMES, || (), || invalidate(kind));
        table.print(name, "ns", &vec![(Peer::Larder, time, None)]);
    }
    let ask = |kind: u64| {
        black_box(tagged::of_kind(kind, 9));
    };
    table.line("a hit", "ns", || {
        let time = once(TIMES, || ask(9), || ask(9));
        vec![(Peer::Larder, time, None)]
    });
    table.line("first hit after another tag went", "ns", || {
        let before = || {
            ask(9);
            invalidate(8);
        };
        vec![(Peer::Larder, once(TIMES, before, || ask(9)), None)]
    });
    table.line("first call after its tag went", "ns", || {
        let before = || {
            ask(9);
            invalidate(9);
        };
        vec![(Peer::Larder, once(TIMES, before, || ask(9)), None)]
    });
}
