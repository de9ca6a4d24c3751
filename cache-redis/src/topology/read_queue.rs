//! Reads that wait for each other, so that they go to the server in batches.
//!
//! A read is sent at once if nothing is under way. While one batch is under way, a second one is sent as soon as as many reads
//! wait as are under way. Otherwise the waiting reads are sent when the first batch has come back. So a read waits for one
//! round trip at most, few callers don't wait at all, and many don't split into packets of one. Each server has its own
//! queue, so a slow server delays only its own reads.
//!
//! Invariants:
//!
//! 1. While anyone waits, there is a [`Turn`] that will take the waiting reads, or end them when its runtime ends: the last
//!    turn under way takes everything.
//! 2. The queue is bounded by the callers who wait: reads that nobody waits for any longer are dropped before they are twice
//!    as many.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::backend::TagId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::Fault;
use crate::health::{Monitor, Operation};
use crate::invalidation_log::Moment;
use crate::tag_buckets::Invalidated;

/// The most batches under way to a server. With one, the server would be idle while its answers are handed out.
const UNDER_WAY: usize = 2;
/// The most reads in a batch, so that no read waits for too many others' bytes.
const MOST: usize = 256;

/// What is to be read.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// An entry's name.
    pub(crate) entry: Option<Bytes>,
    /// Tags to ask the buckets for.
    pub(crate) tags: Vec<TagId>,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Option<Bytes>,
    pub(crate) batch: Arc<Batch>,
}

/// What is the same for all reads of a batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The sequence, read after all of them had begun and before the buckets; `None` if it is lost or went back.
    pub(crate) moment: Option<Moment>,
    /// The sequence went back. So the buckets have lost invalidations too.
    pub(crate) went_back: bool,
    /// The time of the server that has the entries, in microseconds, when they had been read.
    pub(crate) time: u64,
    pub(crate) invalidated: Invalidated,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) wanted: Wanted,
    pub(crate) deadline: Instant,
    /// `None` once it has been answered.
    sender: Option<oneshot::Sender<Result<Found, Fault>>>,
}

impl Request {
    pub(crate) fn new(wanted: Wanted, deadline: Instant) -> (Self, oneshot::Receiver<Result<Found, Fault>>) {
        let (sender, answer) = oneshot::channel();
        (Self { wanted, deadline, sender: Some(sender) }, answer)
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.sender.is_none()
    }

    pub(crate) fn answer(&mut self, monitor: &Monitor, result: Result<Found, Fault>) {
        let Some(sender) = self.sender.take() else { return };
        match &result {
            Ok(_) => monitor.success(Operation::Read),
            Err(fault) => monitor.fault(Operation::Read, fault),
        }
        // Whoever asked may have gone away.
        let _ = sender.send(result);
    }
}

/// The reads of what is at one server.
#[derive(Debug, Default)]
pub(crate) struct ReadQueue {
    state: Mutex<State>,
    /// The server has refused to read entries of several slots by one command.
    pub(crate) by_slot: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    turns: usize,
    /// One of the turns has yet to take its first batch.
    comes: bool,
    /// Reads that have been taken and not been answered.
    under_way: usize,
    /// When there are more, those that nobody waits for are dropped.
    most: usize,
}

impl ReadQueue {
    /// A turn to be worked, if there is room for one more.
    pub(crate) fn push(self: &Arc<Self>, request: Request) -> Option<Turn> {
        let mut state = self.lock();
        state.waiting.push_back(request);
        if state.waiting.len() > state.most.max(MOST) {
            state.waiting.retain(Request::is_waited_for);
            state.most = state.waiting.len() * 2;
        }
        (!state.comes && state.turns < UNDER_WAY && state.is_worth_a_packet()).then(|| {
            state.turns += 1;
            state.comes = true;
            Turn { queue: Arc::clone(self), stage: Stage::Comes }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave(&mut self, stage: Stage) {
        match stage {
            Stage::Comes => self.comes = false,
            Stage::UnderWay(count) => self.under_way -= count,
            Stage::Over => {}
        }
    }

    fn is_worth_a_packet(&self) -> bool {
        !self.waiting.is_empty() && self.waiting.len() >= self.under_way
    }
}

/// The right to have one batch under way. If it is dropped before it is over, because its runtime ends, all waiting ends.
pub(crate) struct Turn {
    pub(crate) queue: Arc<ReadQueue>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Comes,
    /// So many reads are under way in it.
    UnderWay(usize),
    Over,
}

impl Turn {
    /// What waits, if it is worth a packet; `None` ends the turn.
    pub(crate) fn next(&mut self) -> Option<Vec<Request>> {
        let mut state = self.queue.lock();
        state.leave(std::mem::replace(&mut self.stage, Stage::Over));
        if !state.is_worth_a_packet() {
            state.turns -= 1;
            return None;
        }
        let count = state.waiting.len().min(MOST);
        state.under_way += count;
        self.stage = Stage::UnderWay(count);
        Some(state.waiting.drain(..count).collect())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if !matches!(stage, Stage::Over) {
            let mut state = self.queue.lock();
            state.leave(stage);
            state.turns -= 1;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            drop(waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answered = oneshot::Receiver<Result<Found, Fault>>;

    fn push(queue: &Arc<ReadQueue>, count: usize) -> (Vec<Turn>, Vec<Answered>) {
        let (mut turns, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (request, answer) = Request::new(Wanted::default(), Instant::now());
            turns.extend(queue.push(request));
            answers.push(answer);
        }
        (turns, answers)
    }

    fn one(mut turns: Vec<Turn>) -> Turn {
        assert_eq!(turns.len(), 1);
        turns.remove(0)
    }

    fn taken(turn: &mut Turn) -> usize {
        turn.next().map_or(0, |requests| requests.len())
    }

    #[test]
    fn reads_go_at_once_or_when_they_are_worth_a_packet() {
        let queue = Arc::new(ReadQueue::default());
        let (turns, _answers) = push(&queue, 10);
        let mut first = one(turns);
        assert_eq!(taken(&mut first), 10);
        let (turns, _answers) = push(&queue, 9);
        assert!(turns.is_empty(), "fewer than are under way");
        let (turns, _answers) = push(&queue, 3);
        let mut second = one(turns);
        assert_eq!(taken(&mut second), 12);
        let (turns, _answers) = push(&queue, 100);
        assert!(turns.is_empty(), "two are under way");
        assert_eq!(taken(&mut second), 100, "it comes back and takes what there is");
        let (_turns, _answers) = push(&queue, 3);
        assert_eq!(taken(&mut first), 0, "not worth a packet beside the other");
        assert_eq!(taken(&mut second), 3, "the last takes all");
        assert_eq!(taken(&mut second), 0);
        let state = queue.lock();
        assert_eq!((state.turns, state.under_way, state.comes), (0, 0, false));
    }

    #[test]
    fn a_turn_that_ends_on_the_way_ends_the_waiting() {
        for begins in [false, true] {
            let queue = Arc::new(ReadQueue::default());
            let (turns, mut before) = push(&queue, 1);
            let mut turn = one(turns);
            let under_way = begins.then(|| turn.next());
            let (_, after) = push(&queue, if begins { 0 } else { 2 });
            drop((turn, under_way));
            before.extend(after);
            for mut answer in before {
                assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
            }
            assert_eq!(push(&queue, 1).0.len(), 1, "there is room again");
        }
    }
}
