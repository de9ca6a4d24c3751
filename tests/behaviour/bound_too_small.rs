//! A recursion that memory has too little room for is told of: `FunctionStats::recomputed` and a report.

use std::sync::{Arc, Mutex};

use larder::{Cache, Memory, Report, ReportKind, cached};

use crate::support::stats_of;

type Reports = Arc<Mutex<Vec<Report>>>;

fn listening(memory: Memory) -> (Cache, Reports) {
    let reports = Reports::default();
    let heard = Arc::clone(&reports);
    let on_report = move |report: &Report| heard.lock().unwrap().push(report.clone());
    (Cache::builder().memory(memory).on_report(on_report).build().unwrap(), reports)
}

/// On a thread with room for deep recursion.
fn deep<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(2 << 30).spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

#[test]
fn a_grid_of_which_no_row_fits() {
    #[cached(max_entries = 6)]
    fn paths(row: u64, column: u64) -> u64 {
        if row == 0 || column == 0 { 1 } else { paths(row - 1, column) + paths(row, column - 1) }
    }
    let (cache, reports) = listening(Memory::builder());
    assert_eq!(cache.with_sync(|| paths(10, 10)), 184_756);
    let stats = stats_of(&cache, "paths");
    assert!(stats.runs > 10 * 120, "each is computed again and again: {} runs", stats.runs);
    assert!(stats.recomputed > stats.runs / 8, "{} of {}", stats.recomputed, stats.runs);
    let reports = reports.lock().unwrap();
    let [report] = &**reports else { panic!("once, not {reports:?}") };
    assert_eq!((report.kind, report.function.ends_with("paths")), (ReportKind::BoundTooSmall, true));
    assert!(report.to_string().contains("evicts what it still needs: set `max_entries`"), "{report}");
    assert!(cache.stats().to_string().contains("set `max_entries`"));
}

#[test]
fn a_grid_that_fits_is_no_matter() {
    #[cached(max_entries = 200)]
    fn paths(row: u64, column: u64) -> u64 {
        if row == 0 || column == 0 { 1 } else { paths(row - 1, column) + paths(row, column - 1) }
    }
    let (cache, reports) = listening(Memory::builder());
    assert_eq!(cache.with_sync(|| paths(10, 10)), 184_756);
    let stats = stats_of(&cache, "paths");
    assert_eq!((stats.runs, stats.recomputed), (120, 0));
    assert!(reports.lock().unwrap().is_empty() && !cache.stats().to_string().contains("max_entries"));
}

/// Each row needs the one before it only: what is evicted isn't needed any more.
#[test]
fn a_grid_of_which_some_rows_fit_is_no_matter_either() {
    #[cached(max_entries = 1_000)]
    fn paths(row: u64, column: u64) -> u64 {
        if row == 0 || column == 0 { 1 } else { paths(row - 1, column).wrapping_add(paths(row, column - 1)) }
    }
    let (cache, reports) = listening(Memory::builder());
    deep(|| cache.with_sync(|| paths(60, 60)));
    assert_eq!(stats_of(&cache, "paths").runs, 61 * 61 - 1, "each once");
    assert!(reports.lock().unwrap().is_empty() && !cache.stats().to_string().contains("max_entries"));
}

/// More states than the bound that all functions share: each needs one from half way back, which is gone by then.
#[test]
fn more_states_than_the_caches_bound() {
    #[cached]
    fn f(number: u64) -> u64 {
        if number == 0 { 0 } else { f(number - 1).wrapping_mul(3) ^ f(number / 2) }
    }
    let (cache, reports) = listening(Memory::builder().max_entries(2_000));
    deep(|| cache.with_sync(|| f(6_000)));
    let stats = stats_of(&cache, "f");
    assert!(stats.runs > 6_001 + 1_000, "{} runs", stats.runs);
    assert_eq!(reports.lock().unwrap().len(), 1, "{} of {} computed again", stats.recomputed, stats.runs);
}

/// Functions that call each other in turn.
#[test]
fn a_recursion_through_another_function() {
    #[cached(max_entries = 6)]
    fn down(row: u64, column: u64) -> u64 {
        if row == 0 || column == 0 { 1 } else { across(row - 1, column) + across(row, column - 1) }
    }
    #[cached(max_entries = 6)]
    fn across(row: u64, column: u64) -> u64 {
        if row == 0 || column == 0 { 1 } else { down(row - 1, column) + down(row, column - 1) }
    }
    let (cache, reports) = listening(Memory::builder());
    cache.with_sync(|| down(11, 11));
    assert_eq!(reports.lock().unwrap().len(), 2);
}

/// However skewed and however small the bound is: many keys come back after they were evicted, and that is what a bound is for.
#[test]
fn plain_traffic_is_no_recursion() {
    #[cached(max_entries = 50)]
    fn small(key: u64) -> u64 {
        key
    }
    #[cached(max_entries = 2_000)]
    fn larger(key: u64) -> u64 {
        small(key / 2)
    }
    #[cached(max_entries = 50, evict = lru)]
    fn recent(key: u64) -> u64 {
        key
    }
    let (cache, reports) = listening(Memory::builder());
    let mut state = 1_u64;
    cache.with_sync(|| {
        for _ in 0..100_000 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // About as zipf has it: each power of two as often as the next.
            let key = (state >> 20) % (1 << (1 + (state >> 59) % 16));
            (small(key), larger(key), recent(key));
        }
    });
    for name in ["small", "larger", "recent"] {
        let stats = stats_of(&cache, name);
        assert!(stats.misses > 1_000 && stats.recomputed == 0, "{name}: {stats:?}");
    }
    assert!(reports.lock().unwrap().is_empty());
}

/// The same within one long run of another function, and as leaves of a recursion that has all the room it needs.
#[test]
fn traffic_within_a_run_is_no_recursion_either() {
    #[cached(max_entries = 50)]
    fn leaf(key: u64) -> u64 {
        key
    }
    #[cached(max_entries = 10_000)]
    fn walk(step: u64) -> u64 {
        if step == 0 { 0 } else { walk(step - 1) ^ leaf(step.wrapping_mul(0x9e37_79b9) % 211) }
    }
    let (cache, reports) = listening(Memory::builder());
    deep(|| cache.with_sync(|| walk(2_000)));
    assert!(stats_of(&cache, "leaf").misses > 500);
    assert_eq!((stats_of(&cache, "leaf").recomputed, stats_of(&cache, "walk").recomputed), (0, 0));
    assert!(reports.lock().unwrap().is_empty());
}
