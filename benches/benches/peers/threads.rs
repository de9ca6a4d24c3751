//! Several threads at once.

use std::time::{Duration, Instant};

use larder_benches::harness::median;
use larder_benches::{Peer, hits, misses};

use crate::TURNS;
use crate::table::Table;

/// Everybody's way to do the work.
type Peers = Vec<(Peer, hits::SharedWork)>;

pub(crate) fn two_thread_lines(table: &Table) {
    two_threads(table, "two threads, 64 hot keys", hits::shared);
    two_threads(table, "two threads, each misses its own keys", misses::shared);
}

fn two_threads(table: &Table, name: &str, peers: fn() -> Peers) {
    /// As often as it takes for so many good windows, but not for ever.
    const TRIES: usize = 1_000;
    if !table.wants(name) {
        return;
    }
    let peers = peers();
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
