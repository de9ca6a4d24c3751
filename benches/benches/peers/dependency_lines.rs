//! Hits of results that were computed from a thousand others, after invalidations of something else.

use cpu_time::ThreadTime;
use larder_benches::Peer;
use larder_benches::dependencies::{Invalidated, PAGES, ask, invalidate, prepare};
use larder_benches::harness::median;

use crate::TURNS;
use crate::table::Table;

/// The lines' name.
pub(crate) const HIT: &str = "a hit, 1,000 dependencies";
pub(crate) const AFTER_A_FUNCTION: &str = "  after another function's invalidation";
pub(crate) const AFTER_A_TAG: &str = "  after another tag's";
pub(crate) const AFTER_ITS_OWN: &str = "  after one of its dependencies' function";

pub(crate) fn dependency_lines(table: &Table) {
    if !table.wants(HIT) {
        return;
    }
    let lines = [
        (HIT, Invalidated::Nothing),
        (AFTER_A_FUNCTION, Invalidated::AnotherFunction),
        (AFTER_A_TAG, Invalidated::AnotherTag),
        (AFTER_ITS_OWN, Invalidated::SameFunction),
    ];
    let mut nanos = lines.map(|_| Vec::new());
    for _ in 0..TURNS * 5 {
        for ((_, invalidated), nanos) in lines.iter().zip(&mut nanos) {
            prepare();
            invalidate(*invalidated).expect("there is no backend");
            let began = ThreadTime::now();
            ask();
            nanos.push(began.elapsed().as_nanos() as f64 / PAGES as f64);
        }
    }
    for ((name, _), nanos) in lines.iter().zip(nanos) {
        table.print(name, "ns", &vec![(Peer::Larder, median(nanos.into_iter()), None)]);
    }
}
