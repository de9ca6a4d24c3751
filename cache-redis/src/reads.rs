//! Reads, gathered: what waits at one moment goes out together, with one look at the clock and one at the server's time
//! for all of it. Every call in a batch began before the batch was sent, so one clock serves them all.
//!
//! A read is sent at once if nothing is under way. While a batch is, a second one is sent as soon as it is worth a packet:
//! when as many reads wait as are under way. Otherwise what waits goes when the first has come back. So a read waits for
//! company for one round trip at most, few callers don't wait at all, and many don't split into packets of one. Each
//! server has a queue of its own, so that a slow one delays nobody else's.
//!
//! Invariants:
//!
//! 1. While anyone waits, there is a [`Turn`] that will take what waits, or end it when its runtime ends: the last one
//!    under way takes all there is.
//! 2. What waits is bounded by those who wait: reads that nobody waits for any more are dropped before they are twice as
//!    many.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::backend::TagId;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::buckets::{Invalidated, Question};
use crate::clock;
use crate::connection::{Answer, Command, Reply};
use crate::core::Core;
use crate::error::Fault;
use crate::health::Operation;
use crate::log::Moment;
use crate::pulse::Bound;

/// So many batches are under way to a server at most. With one, the server would be idle while its answers are handed
/// out.
const UNDER_WAY: usize = 2;
/// So many reads are in a batch at most, so that none waits for too many others' bytes.
const MOST: usize = 256;

/// What is to be read.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// An entry's name.
    pub(crate) entry: Option<Bytes>,
    /// Tags that the buckets are to be asked for.
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
    /// The clock, read after all of them had begun and before the buckets; `None` if it is lost or went back.
    pub(crate) moment: Option<Moment>,
    /// It did, and so did the buckets: they have lost invalidations.
    pub(crate) went_back: bool,
    /// The time of the server that has the entries, in microseconds, when they had been read.
    pub(crate) time: u64,
    pub(crate) invalidated: Invalidated,
}

#[derive(Debug)]
struct Request {
    wanted: Wanted,
    deadline: Instant,
    /// `None` once it has been answered.
    sender: Option<oneshot::Sender<Result<Found, Fault>>>,
}

impl Request {
    fn is_waited_for(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    fn answer(&mut self, core: &Core, result: Result<Found, Fault>) {
        let Some(sender) = self.sender.take() else { return };
        match &result {
            Ok(_) => core.monitor.success(Operation::Read),
            Err(fault) => core.monitor.fault(Operation::Read, fault),
        }
        // Whoever asked may have gone away.
        let _ = sender.send(result);
    }
}

/// The reads of what is at one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The server has refused to read entries of several slots by one command.
    by_slot: AtomicBool,
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

/// Reads it. `queue` is that of the server that has it.
///
/// Dropping the future takes nothing away from others.
pub(crate) async fn read(
    core: &Arc<Core>,
    queue: &Arc<Queue>,
    wanted: Wanted,
    deadline: Instant,
) -> Result<Found, Fault> {
    core.is_of_use(Operation::Read)?;
    let (sender, answer) = oneshot::channel();
    let asked = core.pulse.ask();
    if let Some(turn) = queue.push(Request { wanted, deadline, sender: Some(sender) }) {
        core.runtime.spawn(turn.work(Arc::clone(core)));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    core.answer(Operation::Read, Bound::Within(left), asked, answer).await
}

impl Queue {
    /// A turn to be worked, if there is room for one more.
    fn push(self: &Arc<Self>, request: Request) -> Option<Turn> {
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

/// The right to have one batch under way. Dropping it on the way (its runtime ends) ends everyone's waiting.
struct Turn {
    queue: Arc<Queue>,
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
    async fn work(mut self, core: Arc<Core>) {
        while let Some(requests) = self.next() {
            core.pulse.beat(&core.monitor);
            send(&core, &self.queue, requests).await;
        }
    }

    /// What waits, if it is worth a packet; `None` ends the turn.
    fn next(&mut self) -> Option<Vec<Request>> {
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

async fn send(core: &Arc<Core>, queue: &Queue, mut requests: Vec<Request>) {
    requests.retain(Request::is_waited_for);
    let Some(latest) = requests.iter().map(|request| request.deadline).max() else { return };
    let question = Question::about(requests.iter().flat_map(|request| request.wanted.tags.iter().copied()));
    let names: Vec<Bytes> = requests.iter().filter_map(|request| request.wanted.entry.clone()).collect();
    let at = names.first().unwrap_or(&core.names.clock);
    // Known before the clock is read: one that is behind it went back.
    let least = core.bus.known.expected();
    let (together, by, answers) = loop {
        let together = names.len() > 1 && core.servers.is_one() && !queue.by_slot.load(Ordering::Relaxed);
        let call = core.servers.call_by(commands(core, &question, &names, together), latest);
        let (by, answers) = in_time(core, at, &mut requests, call).await;
        let by_slot = |answer: &Answer| matches!(answer, Err(fault) if fault.is_of_slots());
        if !(together && answers.iter().any(by_slot)) {
            break (together, by, answers);
        }
        queue.by_slot.store(true, Ordering::Relaxed);
    };
    let mut answers = answers.into_iter();
    let clock = answers.next();
    let invalidated = question.understand(answers.by_ref());
    let entries =
        if together { several(answers.next(), names.len()) } else { answers.by_ref().take(names.len()).collect() };
    let time = answers.next().map_or(Err(Fault::Unexpected("TIME")), |answer| microseconds(answer?));
    let clock = clock.and_then(Result::ok).and_then(|clock| clock::number(&clock));
    let went_back = clock.is_some_and(|clock| clock < least);
    if went_back {
        // The next comparison pushes it forward.
        core.bus.due.notify_one();
    }
    let moment = clock.filter(|_| !went_back).and_then(|clock| {
        core.bus.known.learn(clock);
        Some(Moment { clock, by: by? })
    });
    let batch = Arc::new(Batch { moment, went_back, time: time.clone().unwrap_or_default(), invalidated });
    let mut entries = entries.into_iter();
    for request in &mut requests {
        let mut entry = || match entries.next() {
            Some(Ok(reply)) => reply.text().map_or(Ok(None), |entry| time.clone().map(|_| Some(entry))),
            // The next run replaces it. An MGET answers that there is none.
            Some(Err(fault)) if fault.is_of_type() => Ok(None),
            Some(Err(fault)) => Err(fault),
            None => Err(Fault::Unexpected("a read")),
        };
        let result = match request.wanted.entry {
            Some(_) => entry(),
            None => {
                request.wanted.tags.iter().try_for_each(|tag| batch.invalidated.last(*tag).map(drop)).map(|()| None)
            }
        };
        request.answer(core, result.map(|entry| Found { entry, batch: Arc::clone(&batch) }));
    }
}

/// The clock first, and what is the same server's in this order: an answer of the buckets counts for the clock's value
/// or later, and an age is never too young.
fn commands(core: &Core, question: &Question, names: &[Bytes], together: bool) -> Vec<Command> {
    let mut commands = vec![Command::new("GET", vec![core.names.clock.clone()])];
    commands.extend(question.commands(&core.names));
    if together {
        commands.push(Command::new("MGET", names.to_vec()));
    } else {
        commands.extend(names.iter().map(|name| Command::new("GET", vec![name.clone()])));
    }
    if let Some(name) = names.first() {
        commands.push(Command { name: "TIME", args: Vec::new(), script: None, key: name.clone() });
    }
    commands
}

/// What is answered to the call. Whose time is over before is told so.
async fn in_time<T>(core: &Core, at: &[u8], requests: &mut [Request], call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        let waiting = requests.iter().filter(|request| request.sender.is_some());
        let Some(next) = waiting.map(|request| request.deadline).min() else { return call.await };
        if let Ok(answered) = timeout_at(next, &mut call).await {
            return answered;
        }
        let now = Instant::now();
        let late = Fault::TimedOut(Some(core.servers.name_of(at)));
        for request in requests.iter_mut().filter(|request| request.deadline <= now) {
            request.answer(core, Err(late.clone()));
        }
    }
}

/// The answers to an MGET, one by one.
fn several(answer: Option<Answer>, count: usize) -> Vec<Answer> {
    match answer {
        Some(Ok(Reply::List(answers))) => answers,
        Some(Err(fault)) => vec![Err(fault); count],
        _ => vec![Err(Fault::Unexpected("MGET")); count],
    }
}

/// `(seconds, microseconds)` as microseconds.
fn microseconds(time: Reply) -> Result<u64, Fault> {
    let number = |reply: Reply| reply.number().and_then(|number| u64::try_from(number).ok());
    let parts = time.list().and_then(|parts| <[Reply; 2]>::try_from(parts).ok());
    parts
        .and_then(|[seconds, micros]| number(seconds)?.checked_mul(1_000_000)?.checked_add(number(micros)?))
        .ok_or(Fault::Unexpected("TIME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answered = oneshot::Receiver<Result<Found, Fault>>;

    fn push(queue: &Arc<Queue>, count: usize) -> (Vec<Turn>, Vec<Answered>) {
        let (mut turns, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (sender, answer) = oneshot::channel();
            let request = Request { wanted: Wanted::default(), deadline: Instant::now(), sender: Some(sender) };
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
        let queue = Arc::new(Queue::default());
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
            let queue = Arc::new(Queue::default());
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
