//! The clock: the integer in Redis that numbers all invalidations, and what this process knows of it.
//!
//! An invalidation moves it by one and *is* that number; a run's stamp is its value before the run. An entry is dead once
//! one of its tags has been invalidated at a number greater than the stamp that the entry holds for it. Anyone may write
//! to Redis or lose what is in it, and a server's time may be set. These rules keep an old value from coming back:
//!
//! 1. `repair.lua` alone makes a clock: where there is none, where something else is in its place or it is at its end, and
//!    where it is behind what this process knows. In the same step it deletes all tag buckets and tells everyone, so that
//!    memory layers drop what they have. A bucket comes back with the floor at the new clock, so what was stored before is
//!    dead: its stamps are before that floor, or beyond the clock (rule 2). All other scripts refuse such a clock. Only where
//!    the clock alone is lost, as by eviction, and the server's time is later than all that was known of it, the buckets may
//!    stay: they have everything that was invalidated, at numbers before the new clock.
//! 2. An entry whose stamp is beyond the clock, read after the entry, is dead: it belongs to an order that was lost. Hence
//!    a new clock may be lower than an old one. If counting could get there soon ([`LEAP`]), the clock is pushed beyond it,
//!    by rule 1, before it does.
//! 3. An entry that is computed from others holds the least stamp for a tag that several of them have. If the clock restarts
//!    lower, the least isn't the oldest; so a run that began before its process met the new clock stores nothing
//!    ([`Known::generation`]), and memory drops what came before.
//! 4. What a script is told is what servers have answered: [`Known::told`]. The number of a message or the stamp of an
//!    entry is only a reason to look: the clock should have reached it ([`Known::expected`]), and where it hasn't, the
//!    server has lost invalidations, or somebody made the number up. Both end in rule 1, with numbers of the server's own;
//!    a number too far ahead to be true isn't remembered at all.
//!    A script that refuses a clock returns it. So the clock counts as gone back even if it has been counted up to what the
//!    process was told by the time of the repair. If no process that was told uses the clock before that, the same numbers are
//!    given out again, and nobody notices.
//! 5. Numbers are below [`END`], where Lua and Rust count exactly, and written in decimal digits. Anything else where a
//!    number should be counts as lost; it never counts as "not invalidated".
//!
//! What a new clock is, and why: the server's time in microseconds, as no clock has come so far by counting; or
//! [`LEAP`] beyond the old clock and what this process was told, if that is more, as the server's time may have been set back.
//! What it was told is no reason if it is [`FAR`] beyond the server's time and clock: an overwritten clock told it. Then
//! it is forgotten.
//!
//! | what happens | what becomes of the clock |
//! |---|---|
//! | the server's time is set, forward or back | it goes on counting; time has no part in that |
//! | it is deleted, alone or with everything | made anew, by time or by what is known, whichever is later; by time, the buckets stay |
//! | the same, and the time was set back by up to a year | made anew beyond what is known |
//! | the same, by more, or nobody knows anything | made anew at the server's time; rule 2 holds what is ahead of it |
//! | the same, and the time is beyond [`END`] (the year 2112) | time isn't used: made anew at what is known |
//! | it is overwritten by what is no number below [`END`], or by another type | made anew |
//! | it is overwritten by a lower number | made anew, by the first process that was told a higher one |
//! | it is overwritten by a higher number | goes on counting there; at the end it is made anew |
//! | a failover loses the last writes | made anew, by the first process that knows of them |

use std::sync::atomic::{AtomicU64, Ordering};

use crate::connection::Reply;

/// The clock, and all numbers of invalidations, are below. A clock in microseconds gets here in the year 2112; Lua's
/// numbers are exact up to twice as much. Also in `clock.lua`.
pub(crate) const END: u64 = 1 << 52;

/// The clock doesn't come so far by invalidations between two looks at it. A jump that is longer was no invalidations: the
/// clock was made anew.
pub(crate) const LEAP: u64 = 1 << 20;

/// More than a year in microseconds. So far beyond a server's time and clock, what was known of another clock isn't
/// believed.
pub(crate) const FAR: u64 = 1 << 45;

/// What this process knows of the clock.
#[derive(Debug, Default)]
pub(crate) struct Known {
    told: AtomicU64,
    heard: AtomicU64,
    generation: AtomicU64,
}

impl Known {
    /// The greatest value that a server has answered. Every script that uses the clock is told, so that a clock that went
    /// back is noticed before anything is done with it.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// What the clock should have reached, as far as anything is known of it. To be asked before it is read.
    pub(crate) fn expected(&self) -> u64 {
        self.told().max(self.heard.load(Ordering::Acquire))
    }

    /// A server's answer.
    pub(crate) fn learn(&self, clock: u64) {
        if is_number(clock) {
            self.told.fetch_max(clock, Ordering::AcqRel);
        }
    }

    /// A number that somebody published, or that an entry holds. Whether it can be true.
    pub(crate) fn hear(&self, number: u64) -> bool {
        let plausible = is_number(number) && number <= self.told() + LEAP;
        if plausible {
            self.heard.fetch_max(number, Ordering::AcqRel);
        }
        plausible
    }

    /// Grows when a new clock is lower than the old one was. Stamps of two generations can't be compared: the least of them
    /// isn't the oldest.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A clock was made anew: nothing else is known any more.
    pub(crate) fn restart(&self, clock: u64) {
        // In this order: no stamp of the new clock has the old generation, and in between less is expected, not more.
        if clock < self.told() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        self.heard.store(0, Ordering::Release);
        self.told.store(clock, Ordering::Release);
    }
}

fn is_number(number: u64) -> bool {
    (1..END).contains(&number)
}

/// A number of the order as it stands in Redis and in messages: decimal digits without anything else.
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
        let known = Known::default();
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
