//! The sequence: the integer in Redis that numbers all invalidations (the key `clock`), and what this process knows of it.
//!
//! An invalidation increments the sequence, and the new value is its number. A run's stamp is the sequence's value before the
//! run. An entry is stale once one of its tags has been invalidated at a number greater than the stamp that the entry holds
//! for that tag. Anyone may write to Redis or lose what is in it, and a server's time may be set. These rules keep an old
//! value from coming back:
//!
//! 1. Only `repair.lua` restarts the sequence: where it is missing, holds something else, is at its end, or is behind what this
//!    process knows. In the same step it deletes all tag buckets and tells everyone, so that memory layers drop what they have.
//!    A deleted bucket comes back with its floor at the new sequence. So whatever was stored before is stale: its stamps are
//!    before that floor, or beyond the sequence (rule 2). All other scripts refuse such a sequence. There is one exception:
//!    if only the sequence is lost, as by eviction, and the server's time is later than everything known of the sequence, the
//!    buckets may stay, because they have every invalidation, at numbers before the new sequence.
//! 2. An entry with a stamp beyond the sequence, read after the entry, is stale: the stamp is from an order of invalidations
//!    that was lost. Hence a new sequence may be lower than an old one. If counting could reach the stamp soon ([`LEAP`]), the
//!    sequence is moved beyond it, by rule 1, before it does.
//! 3. An entry that is computed from others holds the least stamp that they have for a tag. If the sequence restarts lower,
//!    the least stamp isn't the oldest. So a run that began before its process met the new sequence stores nothing
//!    ([`KnownSequence::generation`]), and memory drops what came before.
//! 4. Scripts are told only what servers have answered: [`KnownSequence::told`]. The number of a message or the stamp of an
//!    entry is only a reason to look: the sequence should have reached it ([`KnownSequence::expected`]). Where it hasn't, the
//!    server has lost invalidations, or somebody made the number up. Both end in rule 1, with numbers of the server's own. A
//!    number too far ahead to be true isn't remembered at all.
//!    A script that refuses a sequence returns it. So the sequence counts as gone back even if, by the time of the repair, it
//!    has been counted up again. If no process that knows better uses the sequence before that, the same numbers are given out
//!    again, and nobody notices.
//! 5. Numbers are below [`END`], where Lua and Rust count exactly, and are written in decimal digits. Anything else in the
//!    place of a number counts as lost, never as "not invalidated".
//!
//! A new sequence starts at the server's time in microseconds, because counting never gets that far. If that isn't enough,
//! as the server's time may have been set back, it starts [`LEAP`] beyond the old sequence and what this process was told.
//! What this process was told is ignored and forgotten if it is [`FAR`] beyond the server's time and sequence: then it comes
//! from a sequence that somebody overwrote.
//!
//! | what happens | what becomes of the sequence |
//! |---|---|
//! | the server's time is set, forward or back | it goes on counting; time has no part in that |
//! | it is deleted, alone or with everything | restarted by time or by what is known, whichever is later; by time, the buckets stay |
//! | the same, and the time was set back by up to a year | restarted beyond what is known |
//! | the same, by more, or nobody knows anything | restarted at the server's time; rule 2 covers stamps beyond it |
//! | the same, and the time is beyond [`END`] (the year 2112) | the time isn't used: restarted at what is known |
//! | it is overwritten by what is no number below [`END`], or by another type | restarted |
//! | it is overwritten by a lower number | restarted, by the first process that was told a higher one |
//! | it is overwritten by a higher number | goes on counting there; at the end it is restarted |
//! | a failover loses the last writes | restarted, by the first process that knows of them |

use std::sync::atomic::{AtomicU64, Ordering};

use crate::connection::Reply;

/// The sequence and all numbers of invalidations are below this. Microseconds get here in the year 2112, and Lua's numbers are
/// exact up to twice as much. The same constant stands in `clock.lua`.
pub(crate) const END: u64 = 1 << 52;

/// Invalidations never move the sequence this far between two reads of it. A longer jump means that it was restarted.
pub(crate) const LEAP: u64 = 1 << 20;

/// More than a year in microseconds. What a process knows is ignored if it is this far beyond a server's time and sequence.
pub(crate) const FAR: u64 = 1 << 45;

/// What this process knows of the sequence.
#[derive(Debug, Default)]
pub(crate) struct KnownSequence {
    told: AtomicU64,
    heard: AtomicU64,
    generation: AtomicU64,
}

impl KnownSequence {
    /// The greatest value that a server has answered. Every script that uses the sequence gets it, and refuses a sequence that
    /// went back.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// The value that the sequence should have reached, as far as this process knows. Ask for it before reading the sequence.
    pub(crate) fn expected(&self) -> u64 {
        self.told().max(self.heard.load(Ordering::Acquire))
    }

    /// A server's answer.
    pub(crate) fn learn(&self, sequence: u64) {
        if is_number(sequence) {
            self.told.fetch_max(sequence, Ordering::AcqRel);
        }
    }

    /// A number from a message or from an entry. Returns whether it can be true.
    pub(crate) fn hear(&self, number: u64) -> bool {
        let plausible = is_number(number) && number <= self.told() + LEAP;
        if plausible {
            self.heard.fetch_max(number, Ordering::AcqRel);
        }
        plausible
    }

    /// Grows when the sequence restarts lower than it was. Stamps of two generations can't be compared: the least of them isn't
    /// the oldest.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The sequence was restarted. Everything else is forgotten.
    pub(crate) fn restart(&self, sequence: u64) {
        // In this order: no stamp of the new sequence has the old generation, and in between less is expected, not more.
        if sequence < self.told() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        self.heard.store(0, Ordering::Release);
        self.told.store(sequence, Ordering::Release);
    }
}

fn is_number(number: u64) -> bool {
    (1..END).contains(&number)
}

/// A number as it stands in Redis and in messages: decimal digits and nothing else.
pub(crate) fn parse(digits: &[u8]) -> Option<u64> {
    let canonical = matches!(digits, [b'1'..=b'9', ..]) && digits.len() <= 16 && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()?;
    Some(number).filter(|number| is_number(*number))
}

/// The same in a reply.
pub(crate) fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Text(digits) => parse(digits),
        Reply::Number(number) => u64::try_from(*number).ok().filter(|number| is_number(*number)),
        Reply::Nil | Reply::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_the_order_are_numbers() {
        for (digits, number) in [("1", 1), ("1700000000000000", 1_700_000_000_000_000), ("4503599627370495", END - 1)] {
            assert_eq!(parse(digits.as_bytes()), Some(number));
        }
        for digits in [
            "",
            "0",
            "-1",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "4503599627370496",
            "99999999999999999999",
            "x",
        ] {
            assert_eq!(parse(digits.as_bytes()), None, "{digits:?}");
        }
        assert_eq!(number(&Reply::Number(0)), None);
        assert_eq!(number(&Reply::Number(-7)), None);
        assert_eq!(number(&Reply::Number(7)), Some(7));
        assert_eq!(number(&Reply::Nil), None);
    }

    #[test]
    fn what_is_heard_is_expected_but_never_told() {
        let known = KnownSequence::default();
        assert!(!known.hear(1 << 51), "nothing is known yet");
        known.learn(1000);
        known.learn(900);
        known.learn(END);
        known.learn(0);
        assert_eq!((known.told(), known.expected()), (1000, 1000));
        for number in [0, 1000 + LEAP + 1, END - 1, END, u64::MAX] {
            assert!(!known.hear(number), "{number}");
        }
        assert_eq!((known.told(), known.expected()), (1000, 1000));
        assert!(known.hear(1002) && known.hear(1001));
        assert_eq!((known.told(), known.expected()), (1000, 1002));
        known.restart(500);
        assert_eq!((known.told(), known.expected(), known.generation()), (500, 500, 1));
        known.restart(600);
        assert_eq!((known.told(), known.generation()), (600, 1), "stamps of one order");
    }
}
