//! What entries take, and what calls allocate.

use std::hint::black_box;

use larder_benches::{Peer, hits, misses};

use crate::table::{Cells, Table};

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

pub(crate) fn memory_lines(table: &Table) {
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
pub(crate) fn allocation_lines(table: &Table) {
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
