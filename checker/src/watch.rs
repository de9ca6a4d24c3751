//! How long callers wait, and whether that is longer than they may (promises 2 and 3).
//!
//! A call takes at most as long as its bodies do, the configured timeout for each, and a second. Where the owner of a
//! lease was killed or doesn't go on, it may take a lease longer; and where a process could make no connection, as much longer
//! as that lasted. What the machine had no time for isn't counted: a thread
//! of each process sleeps for a moment again and again, and how much later it wakes is what its process is behind by. That
//! includes the time in which a process is stopped.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::board::{Board, Notice};
use crate::faults;
use crate::overlaps::SECOND;
use crate::runs::{self, Record, What};
use crate::truth::{Nanos, now};

/// How long the thread sleeps.
const PULSE: Nanos = SECOND / 200;

/// What takes less is of no interest.
const QUICK: Nanos = SECOND / 50;

/// How far back circumstances are remembered.
const MEMORY: Nanos = 60 * SECOND;

/// After a fault its effects count as its own for so long.
const EFFECT: Nanos = SECOND;

/// How much longer than its bodies and timeouts a call may take.
const ALLOWANCE: Nanos = SECOND;

pub(crate) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A call that took its time.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) call: String,
    pub(crate) asked: Nanos,
    pub(crate) answered: Nanos,
    /// How long all its bodies and timeouts may take.
    pub(crate) bodies: Nanos,
}

/// A worker's view of its calls and its circumstances.
pub(crate) struct Watch {
    column: usize,
    board: Board,
    lease: Nanos,
    slow: Mutex<Vec<Slow>>,
    /// The longest wait: without any fault, then of each.
    longest: Mutex<Vec<Nanos>>,
}

/// What the thread remembers.
struct Pulse {
    behind: Nanos,
    unanswered: u64,
    history: VecDeque<Notice>,
}

impl Watch {
    pub(crate) fn new(column: usize, board: Board, lease: Duration) -> Self {
        let longest = Mutex::new(vec![0; faults::count() + 1]);
        Self { column, board, lease: nanos(lease), slow: Mutex::default(), longest }
    }

    /// A call has its answer.
    pub(crate) fn answered(&self, asked: Nanos, bodies: Nanos, call: impl FnOnce() -> String) {
        let answered = now();
        if answered.saturating_sub(asked) > QUICK {
            let slow = Slow { call: call(), asked, answered, bodies };
            self.slow.lock().unwrap_or_else(PoisonError::into_inner).push(slow);
        }
    }

    /// The longest waits, in microseconds, as a line of text.
    pub(crate) fn longest(&self) -> String {
        let longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        longest.iter().map(|nanos| format!(" {}", nanos / 1000)).collect()
    }

    /// The fault in force, or the last one.
    pub(crate) fn fault(&self) -> &'static str {
        let notice = self.board.read().unwrap_or_default();
        notice.fault.or(notice.last.map(|(fault, _)| fault)).map_or("none", faults::name)
    }

    /// What a thread does, until it `ends`. `unanswered` counts what Redis didn't answer; `violation` hears of calls that took
    /// too long.
    pub(crate) fn pulse(
        &self,
        ends: impl Fn() -> bool,
        unanswered: impl Fn() -> u64,
        violation: impl Fn(&str),
    ) -> io::Result<()> {
        let mut pulse = Pulse { behind: self.board.behind(self.column)?, unanswered: 0, history: VecDeque::new() };
        let mut over = false;
        while !over {
            over = ends();
            let began = now();
            std::thread::sleep(Duration::from_nanos(PULSE));
            self.note_delay(&mut pulse, began)?;
            let unanswered = unanswered();
            if pulse.unanswered != unanswered {
                pulse.unanswered = unanswered;
                runs::note(Record { what: What::Unanswered, id: self.column, asked: began, from: began, to: now() });
            }
            pulse.remember(self.board.read()?);
            for slow in std::mem::take(&mut *self.slow.lock().unwrap_or_else(PoisonError::into_inner)) {
                if let Some(what) = self.judge(&pulse, &slow) {
                    violation(&what);
                }
            }
            runs::write()?;
        }
        Ok(())
    }

    fn note_delay(&self, pulse: &mut Pulse, began: Nanos) -> io::Result<()> {
        let woken = now();
        let late = woken.saturating_sub(began + PULSE);
        if late < PULSE / 2 {
            return Ok(());
        }
        pulse.behind += late;
        let from = woken - late;
        runs::note(Record { what: What::Behind, id: self.column, asked: from, from, to: woken });
        self.board.falls_behind(self.column, pulse.behind)
    }

    /// What is wrong with it, if anything is.
    fn judge(&self, pulse: &Pulse, slow: &Slow) -> Option<String> {
        let Slow { call, asked, answered, bodies } = slow;
        let circumstances = pulse.between(*asked, *answered, self.lease);
        let took = (answered - asked).saturating_sub(circumstances.behind);
        let allowed = bodies + ALLOWANCE + circumstances.orphaned + circumstances.cut_off;
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = &circumstances.faults;
        for place in if faults.is_empty() { vec![0] } else { faults.iter().map(|fault| fault + 1).collect() } {
            if let Some(longest) = longest.get_mut(place) {
                *longest = took.max(*longest);
            }
        }
        drop(longest);
        let milliseconds = |nanos: Nanos| nanos / 1_000_000;
        (took > allowed).then(|| {
            let names: Vec<_> = faults.iter().map(|fault| faults::name(*fault)).collect();
            format!(
                "{asked} {answered} process {}, {call} took {} ms, of which the machine took {}; it may take {} ms; faults: {names:?}",
                self.column,
                milliseconds(answered - asked),
                milliseconds(circumstances.behind),
                milliseconds(allowed)
            )
        })
    }
}

/// What was going on during a call.
struct Circumstances {
    /// In force, or over for a moment.
    faults: Vec<usize>,
    /// By how much the processes fell behind.
    behind: Nanos,
    /// For how long a lease may have been without its owner.
    orphaned: Nanos,
    /// For how long a process could make no connection.
    cut_off: Nanos,
}

impl Pulse {
    fn remember(&mut self, notice: Notice) {
        while self.history.front().is_some_and(|oldest| oldest.at + MEMORY < notice.at) {
            self.history.pop_front();
        }
        self.history.push_back(notice);
    }

    /// The last notice is from after the answer.
    fn between(&self, asked: Nanos, answered: Nanos, lease: Nanos) -> Circumstances {
        let upto = self.history.partition_point(|notice| notice.at < answered);
        let since = |time: Nanos| self.history.partition_point(|notice| notice.at < time).saturating_sub(1);
        let range = |from: Nanos| self.history.range(since(from)..(upto + 1).min(self.history.len()));
        let mut faults: Vec<_> = range(asked.saturating_sub(EFFECT))
            .flat_map(|notice| {
                let last = notice.last.filter(|(_, ended)| ended + EFFECT > asked).map(|(fault, _)| fault);
                notice.fault.into_iter().chain(last)
            })
            .collect();
        faults.sort_unstable();
        faults.dedup();
        let behind = |notices: Option<&Notice>| notices.map_or(0, |notice| notice.behind);
        let (first, last) = (behind(self.history.get(since(asked))), behind(range(asked).last()));
        let cut_off = |notices: Option<&Notice>| notices.map_or(0, |notice| notice.cut_off);
        let cut_off = cut_off(range(asked).last()).saturating_sub(cut_off(self.history.get(since(asked))));
        let stood = |notice: &Notice| lease + notice.prolonged;
        let orphaned = range(asked).filter(|notice| notice.orphaned != 0 && notice.orphaned + stood(notice) > asked);
        let orphaned = orphaned.map(stood).max().unwrap_or(0);
        Circumstances { faults, behind: last.saturating_sub(first), orphaned, cut_off }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn at(seconds: u64) -> Notice {
        Notice { at: seconds * SECOND, ..Notice::default() }
    }

    fn watch() -> Watch {
        let directory = tempfile::tempdir().unwrap();
        Watch::new(0, Board::create(&directory.path().join("board"), 1).unwrap(), Duration::from_secs(4))
    }

    fn judge(history: Vec<Notice>, took: f64) -> (Option<String>, Vec<Nanos>) {
        let watch = watch();
        let pulse = Pulse { behind: 0, unanswered: 0, history: history.into() };
        let answered = 100 * SECOND + (took * SECOND as f64) as u64;
        let slow = Slow { call: "call".to_owned(), asked: 100 * SECOND, answered, bodies: SECOND };
        let verdict = watch.judge(&pulse, &slow);
        let longest = watch.longest.lock().unwrap().clone();
        (verdict, longest)
    }

    #[test]
    fn who_waits_too_long_is_found() {
        let calm = || vec![at(99), at(101), at(110)];
        assert_eq!(
            judge(calm(), 1.9),
            (None, {
                let mut all = vec![0; faults::count() + 1];
                all[0] = 1_900_000_000;
                all
            })
        );
        assert!(judge(calm(), 2.1).0.is_some());
    }

    #[test]
    fn what_the_machine_had_no_time_for_is_not_counted() {
        let behind = |from: u64, to: u64| {
            vec![Notice { behind: from * SECOND, ..at(99) }, Notice { behind: to * SECOND, ..at(110) }]
        };
        assert!(judge(behind(7, 10), 4.9).0.is_none() && judge(behind(7, 10), 5.1).0.is_some());
        assert!(judge(behind(7, 7), 2.1).0.is_some(), "it was behind before");
    }

    #[test]
    fn a_process_without_a_connection_may_hold_others_up() {
        let cut_off = |from: u64, to: u64| {
            vec![Notice { cut_off: from * SECOND, ..at(99) }, Notice { cut_off: to * SECOND, ..at(110) }]
        };
        assert!(judge(cut_off(7, 8), 2.9).0.is_none() && judge(cut_off(7, 8), 3.1).0.is_some());
        assert!(judge(cut_off(7, 7), 2.1).0.is_some(), "that was before");
    }

    #[test]
    fn a_lease_without_its_owner_may_take_longer() {
        let orphaned = |time: u64| vec![at(90), Notice { orphaned: time * SECOND, ..at(99) }, at(110)];
        assert!(judge(orphaned(97), 5.9).0.is_none() && judge(orphaned(97), 6.1).0.is_some());
        assert!(judge(orphaned(95), 2.1).0.is_some(), "it has run out");
        let prolonged = || {
            let notice = Notice { orphaned: 95 * SECOND, prolonged: 3 * SECOND, ..at(99) };
            vec![at(90), notice, at(110)]
        };
        assert!(judge(prolonged(), 8.9).0.is_none() && judge(prolonged(), 9.1).0.is_some());
    }

    #[test]
    fn waits_are_counted_with_the_faults_of_their_time() {
        let faults = vec![
            Notice { fault: Some(1), ..at(98) },
            Notice { last: Some((1, 99 * SECOND + 1)), ..at(99) },
            Notice { fault: Some(3), ..at(101) },
            Notice { fault: Some(4), ..at(110) },
            Notice { fault: Some(5), ..at(120) },
        ];
        let (_, longest) = judge(faults, 1.5);
        let counted: Vec<_> =
            longest.iter().enumerate().filter(|(_, wait)| **wait > 0).map(|(place, _)| place).collect();
        assert_eq!(counted, [2, 4, 5]);
    }
}
