//! Whether two runs of a key overlapped without any cause (promise 2).
//!
//! A cause is: a fault, in force or over for less than [`SETTLES`]; an invalidation of something that the key depends on,
//! since the first of the two began, as who asks afterwards doesn't wait for it, or shortly before, if the function calls
//! others, whose answers may be so old that the run is known to be dead later; a run of the key that failed, as those who
//! waited for it run at the same time; a server that didn't answer a process in time, as that runs without a lease then;
//! and a machine that had no time for one of the processes.

use std::collections::BTreeMap;
use std::fmt;

use crate::runs::{Function, Record, What};
use crate::truth::{GROUP, GROUPS, ITEMS, Nanos};
use crate::watch::nanos;
use crate::worker::MAX_STALENESS;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// How long the processes may need to be themselves again after a fault: connections are made anew, and leases run out.
pub(crate) const SETTLES: Nanos = SECOND;

/// Less than this doesn't make an operation take too long.
const NO_MATTER: Nanos = SECOND / 50;

/// A period in which no fault was in force, nor shortly before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calm {
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Overlaps {
    pub(crate) runs: usize,
    /// Of which so many were in calm periods.
    pub(crate) calm: usize,
    pub(crate) explained: BTreeMap<&'static str, usize>,
    pub(crate) unexplained: Vec<String>,
}

type Key = (Function, usize);

/// What can be the cause of an overlap, sorted.
struct Causes<'a> {
    calm: &'a [Calm],
    invalidated: Vec<Vec<(Nanos, Nanos)>>,
    failed: BTreeMap<Key, Vec<(Nanos, Nanos)>>,
    behind: Vec<(Nanos, Nanos)>,
    unanswered: Vec<(Nanos, Nanos)>,
}

/// `last_fault` names the last one before a moment.
pub(crate) fn find(records: &[Record], calm: &[Calm], last_fault: impl Fn(Nanos) -> String) -> Overlaps {
    let causes = Causes::of(records, calm);
    let mut runs = BTreeMap::<Key, Vec<(Nanos, Nanos)>>::new();
    for Record { what, id, from, to } in records {
        if let What::Run(function) | What::Failure(function) = what {
            runs.entry((*function, *id)).or_default().push((*from, *to));
        }
    }
    let mut found = Overlaps::default();
    for (key, mut runs) in runs {
        runs.sort_unstable();
        found.runs += runs.len();
        found.calm += runs.iter().filter(|(from, _)| causes.is_calm(*from, *from)).count();
        // The one that ends last of those that began before.
        let mut longest: Option<(Nanos, Nanos)> = None;
        for run in runs {
            if let Some(before) = longest.filter(|before| run.0 < before.1) {
                match causes.explain(key, before.0, run.0) {
                    Some(cause) => *found.explained.entry(cause).or_default() += 1,
                    None => {
                        let (after, since) = (last_fault(run.0), causes.last_invalidation(key, before.0) / 1000);
                        let what = Unexplained { key, before, run };
                        found.unexplained.push(format!("{what}, {since} µs after an invalidation; {after}"));
                    }
                }
            }
            longest = longest.filter(|before| before.1 >= run.1).or(Some(run));
        }
    }
    found
}

impl<'a> Causes<'a> {
    fn of(records: &[Record], calm: &'a [Calm]) -> Self {
        let mut causes = Self {
            calm,
            invalidated: vec![Vec::new(); ITEMS],
            failed: BTreeMap::new(),
            behind: Vec::new(),
            unanswered: Vec::new(),
        };
        for Record { what, id, from, to } in records {
            match what {
                What::Run(_) => {}
                What::Failure(function) => causes.failed.entry((*function, *id)).or_default().push((*from, *to)),
                What::Invalidation => causes.invalidated[id % ITEMS].push((*from, *to)),
                What::InvalidationOfAll => causes.invalidated.iter_mut().for_each(|item| item.push((*from, *to))),
                What::Behind if to - from > NO_MATTER => causes.behind.push((*from, *to)),
                What::Behind => {}
                What::Unanswered => causes.unanswered.push((*from, *to)),
            }
        }
        causes.invalidated.iter_mut().chain(causes.failed.values_mut()).for_each(|all| all.sort_unstable());
        causes.behind.sort_unstable();
        causes.unanswered.sort_unstable();
        causes
    }

    fn is_calm(&self, from: Nanos, to: Nanos) -> bool {
        let at = self.calm.partition_point(|calm| calm.from <= from);
        at.checked_sub(1).and_then(|at| self.calm.get(at)).is_some_and(|calm| to <= calm.to)
    }

    /// How long before this moment the last one of what the key depends on ended.
    fn last_invalidation(&self, key: Key, time: Nanos) -> Nanos {
        let ends = items_of(key).flat_map(|item| self.invalidated[item].iter().map(|(_, ended)| *ended));
        time - ends.filter(|ended| *ended <= time).max().unwrap_or(0)
    }

    /// Why a run may begin while one is under way that began at `first`.
    fn explain(&self, key: Key, first: Nanos, second: Nanos) -> Option<&'static str> {
        if !self.is_calm(first, second) {
            return Some("a fault");
        }
        let mut depends_on = items_of(key);
        let made_of_others = matches!(key.0, Function::Group | Function::Pair);
        let from = if made_of_others { first.saturating_sub(nanos(MAX_STALENESS)) } else { first };
        if depends_on.any(|item| any_within(&self.invalidated[item], from, second)) {
            return Some("an invalidation");
        }
        let since = first.saturating_sub(SETTLES);
        if self.failed.get(&key).is_some_and(|failed| any_within(failed, since, second)) {
            return Some("a failure");
        }
        if any_within(&self.unanswered, since, second) {
            return Some("a server that didn't answer in time");
        }
        any_within(&self.behind, since, second).then_some("a machine without time")
    }
}

/// Whether one of these overlaps with it. Sorted; none lasts longer than a minute.
fn any_within(sorted: &[(Nanos, Nanos)], from: Nanos, to: Nanos) -> bool {
    let end = sorted.partition_point(|(began, _)| *began <= to);
    let earlier = sorted[..end].iter().rev().take_while(|(began, _)| *began + 60 * SECOND >= from);
    earlier.into_iter().any(|(_, ended)| *ended >= from)
}

fn items_of((function, id): Key) -> impl Iterator<Item = usize> {
    let of_group = |group: usize| group % GROUPS * GROUP..(group % GROUPS + 1) * GROUP;
    let (first, second) = match function {
        Function::Group => (of_group(id), 0..0),
        Function::Pair => (of_group(id), of_group(id + 1)),
        _ => (id..id + 1, 0..0),
    };
    first.chain(second)
}

struct Unexplained {
    key: Key,
    before: (Nanos, Nanos),
    run: (Nanos, Nanos),
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: (function, id), before, run } = self;
        let micros = |from: Nanos, to: Nanos| to.saturating_sub(from) / 1000;
        write!(
            f,
            "a run of {function:?}({id}) of {} µs began {} µs after one of {} µs, in calm",
            micros(run.0, run.1),
            micros(before.0, run.0),
            micros(before.0, before.1)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Calm = Calm { from: 100 * SECOND, to: 200 * SECOND };

    fn record(what: What, id: usize, from: Nanos, to: Nanos) -> Record {
        let ms = SECOND / 1000;
        Record { what, id, from: 150 * SECOND + from * ms, to: 150 * SECOND + to * ms }
    }

    fn run(function: Function, id: usize, from: Nanos, to: Nanos) -> Record {
        record(What::Run(function), id, from, to)
    }

    fn no_fault(_: Nanos) -> String {
        String::new()
    }

    fn unexplained(records: &[Record]) -> usize {
        let found = find(records, &[CALM], no_fault);
        assert!(found.runs >= found.calm && found.explained.values().sum::<usize>() + found.unexplained.len() <= 1);
        found.unexplained.len()
    }

    #[test]
    fn what_has_no_cause_is_found() {
        let (first, second) = (run(Function::Item, 3, 0, 10), run(Function::Item, 3, 5, 6));
        assert_eq!(unexplained(&[second, first]), 1);
        assert_eq!(unexplained(&[first, run(Function::Item, 3, 10, 11)]), 0, "one after the other");
        assert_eq!(unexplained(&[first, run(Function::Item, 4, 5, 6)]), 0, "another key");
        assert_eq!(unexplained(&[first, run(Function::Late, 3, 5, 6)]), 0, "another function");
        let between = run(Function::Item, 3, 1, 2);
        assert_eq!(
            find(&[first, between, second], &[CALM], no_fault).unexplained.len(),
            2,
            "the first one is still under way"
        );
        assert_eq!(find(&[first, second], &[], no_fault).unexplained.len(), 0);
        assert_eq!(find(&[first, second], &[], no_fault).explained["a fault"], 1);
    }

    #[test]
    fn what_has_one_is_not() {
        let both = |function, id| [run(function, id, 0, 10), run(function, id, 5, 6)];
        let with = |function, id, cause| unexplained(&[&both(function, id)[..], &[cause]].concat());
        let invalidated = |id, from, to| record(What::Invalidation, id, from, to);
        assert_eq!(with(Function::Item, 3, invalidated(3, 2, 3)), 0);
        assert_eq!(with(Function::Item, 3, invalidated(4, 2, 3)), 1);
        assert_eq!(with(Function::Item, 3, invalidated(3, 6, 7)), 1, "too late");
        assert_eq!(with(Function::Item, 3, record(What::InvalidationOfAll, 0, 4, 9)), 0);
        assert_eq!(with(Function::Group, 1, invalidated(GROUP, 2, 3)), 0);
        assert_eq!(with(Function::Group, 1, invalidated(2 * GROUP, 2, 3)), 1);
        let earlier = |age: Nanos| Record { from: 149 * SECOND, to: 150 * SECOND - age, ..invalidated(GROUP, 0, 0) };
        let staleness = nanos(MAX_STALENESS);
        assert_eq!(with(Function::Group, 1, earlier(staleness - 1)), 0, "an old child");
        assert_eq!(with(Function::Group, 1, earlier(staleness + 1)), 1);
        assert_eq!(with(Function::Item, GROUP, earlier(1)), 1);
        assert_eq!(with(Function::Pair, GROUPS - 1, invalidated(0, 2, 3)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Behind, 0, 0, 100)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Behind, 0, 0, 1)), 1);
        assert_eq!(with(Function::Item, 3, record(What::Unanswered, 0, 3, 4)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Unanswered, 0, 6, 7)), 1, "too late");
        let failed = record(What::Failure(Function::Fallible), 3, 0, 0);
        assert_eq!(with(Function::Fallible, 3, failed), 0);
    }
}
