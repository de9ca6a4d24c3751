//! What invalidations take, and the calls after them.

use std::hint::black_box;
use std::time::Instant;

use larder_benches::Peer;
use larder_benches::harness::median;

use crate::table::Table;

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

pub(crate) fn invalidation_lines(table: &Table) {
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
