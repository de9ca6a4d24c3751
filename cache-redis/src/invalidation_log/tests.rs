//! The log by itself. Random schedules, with the bus that feeds it, are in [`bus`](crate::bus).

use cache_core::backend::Stamp;

use super::*;

const HERE: ConnectionId = 7;

fn held(tag: u64, stamp: u64) -> HeldTag {
    HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
}

fn at(sequence: u64) -> Option<Moment> {
    Some(Moment { sequence, by: HERE })
}

/// Has heard 11 (tag 1), 12 (tags 1 and 2) and 13 (tag 3).
fn log() -> InvalidationLog {
    let mut log = InvalidationLog::default();
    log.introduce(HERE);
    log.restart(10);
    log.hear(11, [TagId(1)]);
    log.hear(12, [TagId(1), TagId(2)]);
    log.hear(13, [TagId(3)]);
    log
}

#[test]
fn what_was_heard_decides() {
    let log = log();
    assert_eq!(log.judge(&[held(1, 12), held(2, 13), held(3, 13), held(4, 10)], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[held(4, 10), held(1, 11)], at(13)), Judgement::Dead);
    assert_eq!(log.judge(&[held(1, 12)], at(11)), Judgement::Live, "more was heard than has to be");
}

#[test]
fn what_it_cannot_tell_is_asked() {
    let all = |tags: &[HeldTag]| Judgement::Ask(tags.to_vec());
    let tags = [held(1, 12), held(4, 10)];
    assert_eq!(log().judge(&tags, at(14)), all(&tags), "14 is under way");
    assert_eq!(log().judge(&tags, None), all(&tags), "no sequence");
    assert_eq!(log().judge(&tags, Some(Moment { sequence: 13, by: 8 })), all(&tags), "a stranger's reading");
    assert_eq!(InvalidationLog::default().judge(&tags, at(13)), all(&tags), "nobody listens");
    assert_eq!(log().judge(&[held(1, 12), held(4, 9)], at(13)), all(&[held(4, 9)]), "older than what was heard");
    // But what was heard has happened.
    assert_eq!(log().judge(&[held(1, 11), held(4, 9)], at(14)), Judgement::Dead);
    assert_eq!(log().judge(&[held(1, 11)], None), Judgement::Dead);
    let mut stopped = log();
    stopped.stop();
    assert_eq!(stopped.judge(&tags, at(13)), all(&tags));
    assert!(!stopped.is_of_use() && !stopped.is_stranger(HERE));
    let mut restarted = log();
    restarted.restart(20);
    assert_eq!(restarted.judge(&[held(1, 19)], at(20)), all(&[held(1, 19)]));
    assert_eq!(restarted.judge(&[held(1, 20)], at(20)), Judgement::Live);
}

#[test]
fn a_gap_ends_the_span() {
    let mut log = log();
    log.remember(Moment { sequence: 13, by: HERE }, [(TagId(4), 3)]);
    log.hear(15, [TagId(9)]);
    for tag in [held(4, 14), held(9, 15)] {
        assert_eq!(log.judge(&[tag], at(15)), Judgement::Ask(vec![tag]), "only the server knows what the sequence is");
    }
    log.restart(16);
    assert_eq!(log.judge(&[held(4, 15)], at(16)), Judgement::Ask(vec![held(4, 15)]), "15 may have been its own");
    assert_eq!(log.judge(&[held(9, 16)], at(16)), Judgement::Live, "the connections are the same");
}

#[test]
fn facts() {
    let mut log = log();
    let moment = Moment { sequence: 13, by: HERE };
    log.remember(moment, [(TagId(4), 3), (TagId(1), 12)]);
    assert_eq!(log.judge(&[held(4, 3), held(1, 12)], at(13)), Judgement::Live);
    assert_eq!(log.judge(&[held(4, 2)], at(13)), Judgement::Dead);
    log.hear(14, [TagId(4)]);
    assert_eq!(log.judge(&[held(4, 13)], at(14)), Judgement::Dead, "since then it was invalidated");
    // What is beyond the sequence that was read isn't kept: it may be damage that is mended.
    log.remember(Moment { sequence: 14, by: HERE }, [(TagId(5), 15)]);
    assert_eq!(log.judge(&[held(5, 3)], at(14)), Judgement::Ask(vec![held(5, 3)]));
    // What was said before the span, or by another server, says nothing now.
    log.restart(20);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    log.remember(moment, [(TagId(4), 3)]);
    log.remember(Moment { sequence: 20, by: 8 }, [(TagId(4), 3)]);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    // A place that another tag has taken.
    log.remember(Moment { sequence: 20, by: HERE }, [(TagId(4), 3), (TagId(4 + FACTS as u64), 3)]);
    assert_eq!(log.judge(&[held(4, 15)], at(20)), Judgement::Ask(vec![held(4, 15)]));
    assert_eq!(log.judge(&[held(4 + FACTS as u64, 15)], at(20)), Judgement::Live);
}

#[test]
fn it_is_bounded_and_forgets_the_oldest() {
    let mut log = InvalidationLog::default();
    log.introduce(HERE);
    log.restart(10);
    let last = 10 + 3 * MOST as u64;
    for number in 11..=last {
        log.hear(number, [TagId(number)]);
        assert!(log.last.len() <= MOST);
    }
    assert!(log.last.len() >= MOST / 2 - 1);
    let since = log.span.unwrap().since;
    assert!(since > 10);
    assert_eq!(log.judge(&[held(1, since)], at(last)), Judgement::Live);
    assert_eq!(log.judge(&[held(1, since - 1)], at(last)), Judgement::Ask(vec![held(1, since - 1)]));
    assert_eq!(log.judge(&[held(last, last - 1)], at(last)), Judgement::Dead);
    log.hear(last + 1, (0..2 * MOST as u64).map(TagId));
    assert!(log.last.len() <= MOST, "also in one stroke");
    assert_eq!(log.judge(&[held(1, last)], at(last + 1)), Judgement::Ask(vec![held(1, last)]));
    log.remember(Moment { sequence: last + 1, by: HERE }, (0..10 * FACTS as u64).map(|tag| (TagId(tag), 1)));
    assert_eq!(log.facts.len(), FACTS);
}

#[test]
fn introductions() {
    let mut log = log();
    assert_eq!(log.strangers(&[HERE, 8]), [8]);
    assert!(log.is_stranger(8) && !log.is_stranger(HERE) && log.is_of_use());
    log.restart(20);
    assert!(!log.is_stranger(HERE), "the same servers");
    assert_eq!(log.strangers(&[8]), [8]);
    assert!(log.introduced.is_empty(), "those that are gone are forgotten");
    log.introduce(8);
    log.stop();
    assert_eq!(log.strangers(&[8]), [8], "whoever listens now may listen to another server");
}
