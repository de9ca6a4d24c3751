//! Whether two runs of a key overlapped without any cause (promise 2).
//!
//! A cause is:
//!
//! - a fault, in force or over for less than [`SETTLES`];
//! - an invalidation of something that the key depends on, since one of the two calls came. A run that began before it is
//!   known to be dead: who asks afterwards doesn't wait for it. And a call that has waited for two runs that were of no use
//!   runs by itself. A process hears of an invalidation up to [`NO_MATTER`] after it has ended, and takes the runs that have
//!   begun meanwhile for dead. If the function calls others, their answers may be as old as [`MAX_STALENESS`];
//! - a run of the key that failed, as those who waited for it run at the same time;
//! - a server that didn't answer a process in time, as that runs without a lease then;
//! - a machine that had no time for one of the processes.

use std::collections::BTreeMap;
use std::fmt;

use crate::runs::{Function, Record, What};
use crate::truth::{GROUP, GROUPS, ITEMS, Nanos};
use crate::watch::nanos;
use crate::worker::MAX_STALENESS;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// How long the processes may need to be themselves again after a fault: connections are made anew, and leases run out.
pub(crate) const SETTLES: Nanos = SECOND;

/// Less than this doesn't make an operation take too long. What happens within it on another process isn't noticed as a delay.
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
    let mut runs = BTreeMap::<Key, Vec<Span>>::new();
    for Record { what, id, asked, from, to } in records {
        if let What::Run(function) | What::Failure(function) = what {
            runs.entry((*function, *id)).or_default().push(Span { from: *from, to: *to, asked: *asked });
        }
    }
    let mut found = Overlaps::default();
    for (key, mut runs) in runs {
        runs.sort_unstable();
        found.runs += runs.len();
        found.calm += runs.iter().filter(|run| causes.is_calm(run.from, run.from)).count();
        // The one that ends last of those that began before.
        let mut longest: Option<Span> = None;
        for run in runs {
            if let Some(before) = longest.filter(|before| run.from < before.to) {
                match causes.explain(key, before, run) {
                    Some(cause) => *found.explained.entry(cause).or_default() += 1,
                    None => {
                        let (after, since) = (last_fault(run.from), causes.last_invalidation(key, before.from) / 1000);
                        let what = Unexplained { key, before, run };
                        found.unexplained.push(format!("{what}, {since} µs after an invalidation; {after}"));
                    }
                }
            }
            longest = longest.filter(|before| before.to >= run.to).or(Some(run));
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
        for Record { what, id, from, to, .. } in records {
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

    /// Why a run may begin while another one is under way.
    fn explain(&self, key: Key, first: Span, second: Span) -> Option<&'static str> {
        let asked = first.asked.min(second.asked);
        let (first, second) = (first.from, second.from);
        if !self.is_calm(first, second) {
            return Some("a fault");
        }
        let mut depends_on = items_of(key);
        let made_of_others = matches!(key.0, Function::Group | Function::Pair);
        let earlier = if made_of_others { nanos(MAX_STALENESS) } else { NO_MATTER };
        let from = asked.saturating_sub(earlier);
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

/// A run, and when its call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from: Nanos,
    to: Nanos,
    asked: Nanos,
}

struct Unexplained {
    key: Key,
    before: Span,
    run: Span,
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: (function, id), before, run } = self;
        let micros = |from: Nanos, to: Nanos| to.saturating_sub(from) / 1000;
        write!(
            f,
            "a run of {function:?}({id}) of {} µs, asked for {} µs before, began {} µs after one of {} µs, asked for {} µs \
             before, in calm",
            micros(run.from, run.to),
            micros(run.asked, run.from),
            micros(before.from, run.from),
            micros(before.from, before.to),
            micros(before.asked, before.from),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Calm = Calm { from: 100 * SECOND, to: 200 * SECOND };

    fn record(what: What, id: usize, from: Nanos, to: Nanos) -> Record {
        let ms = SECOND / 1000;
        let from = 150 * SECOND + from * ms;
        Record { what, id, asked: from, from, to: 150 * SECOND + to * ms }
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
        assert_eq!(with(Function::Item, GROUP, earlier(NO_MATTER - 1)), 0, "heard of late");
        assert_eq!(with(Function::Item, GROUP, earlier(NO_MATTER + 1)), 1);
        let both_asked = |asked: [Nanos; 2]| {
            let calls = both(Function::Item, GROUP).into_iter().zip(asked);
            let runs = calls.map(|(run, asked)| Record { asked: run.from - asked, ..run });
            unexplained(&[runs.collect(), vec![earlier(3 * NO_MATTER)]].concat())
        };
        assert_eq!(both_asked([0, 0]), 1);
        assert_eq!(both_asked([0, 3 * NO_MATTER]), 0, "while the second one waited");
        assert_eq!(both_asked([3 * NO_MATTER, 0]), 0, "while the first one waited");
        assert_eq!(both_asked([NO_MATTER, NO_MATTER]), 1);
        assert_eq!(with(Function::Pair, GROUPS - 1, invalidated(0, 2, 3)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Behind, 0, 0, 100)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Behind, 0, 0, 1)), 1);
        assert_eq!(with(Function::Item, 3, record(What::Unanswered, 0, 3, 4)), 0);
        assert_eq!(with(Function::Item, 3, record(What::Unanswered, 0, 6, 7)), 1, "too late");
        let failed = record(What::Failure(Function::Fallible), 3, 0, 0);
        assert_eq!(with(Function::Fallible, 3, failed), 0);
    }
}
