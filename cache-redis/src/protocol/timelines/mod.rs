//! One timeline for each [planted mistake](super::mistakes). With the mistake it ends in the expected violation; without, it
//! passes. The rules of the real [bus] have timelines that must pass.
//!
//! Each begins with three processes that are subscribed and up to date. See [`Timeline`] for its steps.

mod bus;
mod holds;
mod leases;
mod memory;
mod reads;
mod runs;
mod scripts;

use super::application::{Key, Tag};
use super::checks::{Kind, Violation};
use super::mistakes::Mistake;
use super::timeline::Timeline;

const LEAF: Key = Key::Leaf(0);
const OTHER_LEAF: Key = Key::Leaf(1);
const DATUM: Tag = Tag::Datum(0);

/// What happens, step by step.
type Steps = fn(&Timeline);

struct Case {
    mistake: Mistake,
    /// The kind of violation that it ends in.
    shows: Kind,
    timeline: Steps,
}

const fn case(mistake: Mistake, shows: Kind, timeline: Steps) -> Case {
    Case { mistake, shows, timeline }
}

fn all() -> impl Iterator<Item = &'static Case> {
    [scripts::ALL, holds::ALL, reads::ALL, memory::ALL, runs::ALL, leases::ALL].into_iter().flatten()
}

/// Runs a timeline to its end, with the trace.
fn settled(steps: &dyn Fn(&Timeline), mistake: Option<Mistake>) -> (Option<Violation>, String) {
    let timeline = Timeline::new(mistake, 3);
    timeline.world.keep_trace();
    steps(&timeline);
    timeline.settles()
}

fn describe(violation: Option<&Violation>) -> String {
    violation.map_or_else(|| "no violation".to_owned(), ToString::to_string)
}

#[test]
fn each_mistake_is_caught_by_its_timeline() {
    for case in all() {
        let (violation, trace) = settled(&case.timeline, Some(case.mistake));
        let kind = violation.as_ref().map(|violation| violation.kind);
        assert_eq!(kind, Some(case.shows), "{:?}: {}\n{trace}", case.mistake, describe(violation.as_ref()));
    }
}

#[test]
fn without_mistakes_all_timelines_pass() {
    for case in all() {
        let (violation, trace) = settled(&case.timeline, None);
        assert!(violation.is_none(), "{:?}: {}\n{trace}", case.mistake, describe(violation.as_ref()));
    }
}

#[test]
fn each_mistake_has_a_timeline() {
    for mistake in Mistake::ALL {
        assert_eq!(all().filter(|case| case.mistake == *mistake).count(), 1, "{mistake:?}");
    }
}
