//! Sends the reads of a [queue](ReadQueue) in batches. The sequence and the server's time are read once for the whole batch.
//! That serves all of its calls, because each of them began before the batch was sent.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::connection::{Answer, Command, Reply};
use crate::error::Fault;
use crate::health::Operation;
use crate::invalidation_log::Moment;
use crate::runtime::Bound;
use crate::sequence;
use crate::shared::Shared;
use crate::tag_buckets::Question;
use crate::topology::{Batch, Found, ReadQueue, Request, Turn, Wanted};

/// Reads what is wanted, in a batch of this queue, which must be that of the key's server.
///
/// Dropping the future disturbs no other read.
pub(crate) async fn read(
    shared: &Arc<Shared>,
    queue: &Arc<ReadQueue>,
    wanted: Wanted,
    deadline: Instant,
) -> Result<Found, Fault> {
    shared.is_of_use(Operation::Read)?;
    let (request, answer) = Request::new(wanted, deadline);
    let asked = shared.watchdog.ask();
    if let Some(turn) = queue.push(request) {
        shared.runtime.spawn(send_batches(turn, Arc::clone(shared)));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    shared.answer(Operation::Read, Bound::Within(left), asked, answer).await
}

/// Sends one batch after the other for as long as there are reads to send.
async fn send_batches(mut turn: Turn, shared: Arc<Shared>) {
    while let Some(requests) = turn.next() {
        shared.watchdog.beat(&shared.monitor);
        send(&shared, &turn.queue, requests).await;
    }
}

async fn send(shared: &Arc<Shared>, queue: &ReadQueue, mut requests: Vec<Request>) {
    requests.retain(Request::is_waited_for);
    let Some(latest) = requests.iter().map(|request| request.deadline).max() else { return };
    let question = Question::about(requests.iter().flat_map(|request| request.wanted.tags.iter().copied()));
    let names: Vec<Bytes> = requests.iter().filter_map(|request| request.wanted.entry.clone()).collect();
    let at = names.first().unwrap_or(&shared.names.sequence);
    // Taken before the sequence is read: a sequence below this has gone back.
    let mut least = shared.bus.known.expected();
    let mut has_settled = false;
    let (together, by, answers) = loop {
        let together = names.len() > 1 && shared.topology.is_one() && !queue.by_slot.load(Ordering::Relaxed);
        let call = shared.topology.call_by(commands(shared, &question, &names, together), latest);
        let (by, answers) = in_time(shared, at, &mut requests, call).await;
        if !names.is_empty() && is_to_settle(&answers) {
            // A hold has ended, or the holds are lost. What that invalidates has to be known before anything is judged.
            let settles = shared.stamp(Operation::Read, &[], latest);
            let settled = in_time(shared, at, &mut requests, settles).await;
            let fault = settled.err().or(has_settled.then_some(Fault::Unexpected("the holds")));
            if let Some(fault) = fault {
                requests.iter_mut().for_each(|request| request.answer(&shared.monitor, Err(fault.clone())));
                return;
            }
            has_settled = true;
            least = shared.bus.known.expected();
            continue;
        }
        let by_slot = |answer: &Answer| matches!(answer, Err(fault) if fault.is_of_slots());
        if !(together && answers.iter().any(by_slot)) {
            break (together, by, answers);
        }
        queue.by_slot.store(true, Ordering::Relaxed);
    };
    let mut answers = answers.into_iter();
    if !names.is_empty()
        && let Some(Err(fault)) = answers.next()
        && !fault.is_of_type()
    {
        // Nobody knows whether a hold has ended.
        requests.iter_mut().for_each(|request| request.answer(&shared.monitor, Err(fault.clone())));
        return;
    }
    let sequence = answers.next();
    let invalidated = question.understand(answers.by_ref());
    let entries =
        if together { several(answers.next(), names.len()) } else { answers.by_ref().take(names.len()).collect() };
    let time = answers.next().map_or(Err(Fault::Unexpected("TIME")), |answer| microseconds(answer?));
    let sequence = sequence.and_then(Result::ok).and_then(|sequence| sequence::number(&sequence));
    let went_back = sequence.is_some_and(|sequence| sequence < least);
    if went_back {
        // The heartbeat repairs it.
        shared.bus.due.notify_one();
    }
    let moment = sequence.filter(|_| !went_back).and_then(|sequence| {
        shared.bus.known.learn(sequence);
        Some(Moment { sequence, by: by? })
    });
    let batch = Arc::new(Batch { moment, went_back, time: time.clone().unwrap_or_default(), invalidated });
    let mut entries = entries.into_iter();
    for request in &mut requests {
        let mut entry = || match entries.next() {
            Some(Ok(reply)) => reply.text().map_or(Ok(None), |entry| time.clone().map(|_| Some(entry))),
            // A key of another type is a miss, as it is in an MGET; the next run replaces it.
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
        request.answer(&shared.monitor, result.map(|entry| Found { entry, batch: Arc::clone(&batch) }));
    }
}

/// The order matters: the earliest end of a hold is read before the sequence, so that a hold that was settled in between is in the
/// sequence; the sequence before the buckets, so that their answers are not older; and the time last, so that no entry seems younger
/// than it is, and no hold. Reads of tags alone continue a read that has looked at the holds.
fn commands(shared: &Shared, question: &Question, names: &[Bytes], together: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    if !names.is_empty() {
        let first = |text| Bytes::from_static(text);
        let args = vec![shared.names.holds.clone(), first(b"0"), first(b"0"), first(b"WITHSCORES")];
        commands.push(Command::new("ZRANGE", args));
    }
    commands.push(Command::new("GET", vec![shared.names.sequence.clone()]));
    commands.extend(question.commands(&shared.names));
    if together {
        commands.push(Command::new("MGET", names.to_vec()));
    } else {
        commands.extend(names.iter().map(|name| Command::new("GET", vec![name.clone()])));
    }
    if let Some(name) = names.first() {
        let time = |key: &Bytes| Command { name: "TIME", args: Vec::new(), script: None, key: key.clone() };
        commands.push(time(name));
        if !shared.topology.is_one() {
            // That of the holds' server.
            commands.push(time(&shared.names.sequence));
        }
    }
    commands
}

/// Whether the earliest end of a hold is over, or the set of holds is lost: from the first answer and the last.
fn is_to_settle(answers: &[Answer]) -> bool {
    let (Some(holds), Some(Ok(time))) = (answers.first(), answers.last()) else { return false };
    let holds = match holds {
        Ok(holds) => holds.clone().list().unwrap_or_default(),
        Err(fault) if fault.is_of_type() => Vec::new(),
        Err(_) => return false,
    };
    let Ok(now) = microseconds(time.clone()) else { return false };
    match holds.as_slice() {
        // The sentinel: nothing is held.
        [Reply::Text(token), ..] if **token == *b"-" => false,
        // A score may have been written by anyone, and is a number with a fraction to Redis.
        [_, Reply::Text(end)] => {
            let end = std::str::from_utf8(end).ok().and_then(|end| end.parse::<f64>().ok());
            end.is_none_or(|end| end <= (now / 1_000) as f64)
        }
        _ => true,
    }
}

/// Awaits the call. Requests whose deadline passes before that are answered with a timeout.
async fn in_time<T>(shared: &Shared, at: &[u8], requests: &mut [Request], call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        let waiting = requests.iter().filter(|request| !request.is_answered());
        let Some(next) = waiting.map(|request| request.deadline).min() else { return call.await };
        if let Ok(answered) = timeout_at(next, &mut call).await {
            return answered;
        }
        let now = Instant::now();
        let late = Fault::TimedOut(Some(shared.topology.name_of(at)));
        for request in requests.iter_mut().filter(|request| request.deadline <= now) {
            request.answer(&shared.monitor, Err(late.clone()));
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

    #[test]
    fn when_there_is_something_to_settle() {
        let text = |text: &'static str| Reply::Text(Bytes::from_static(text.as_bytes()));
        let list = |parts: Vec<Reply>| Ok(Reply::List(parts.into_iter().map(Ok).collect()));
        // Half past the second 100.
        let is_due = |holds: Answer| is_to_settle(&[holds, list(vec![text("100"), text("500000")])]);
        for (token, end, due) in [
            ("-", "inf", false),
            ("a", "100499", true),
            ("a", "100500", true),
            ("a", "100500.5", false),
            ("a", "100501", false),
            ("a", "-7", true),
            ("a", "inf", false),
            ("a", "x", true),
        ] {
            assert_eq!(is_due(list(vec![text(token), text(end)])), due, "{token} {end}");
        }
        assert!(is_due(list(vec![])), "the set is lost");
        assert!(is_due(Err(Fault::refused("WRONGTYPE x"))), "so it is if something else is there");
        assert!(!is_due(Err(Fault::TimedOut(None))), "that is a fault, and nothing is judged");
    }
}
