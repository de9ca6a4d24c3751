//! The messages on the bus. Anyone may publish there: what isn't a message of larder's counts for nothing, and if it was one,
//! its number is missed.
//!
//! ```text
//! <author> <number> <tags, 8 bytes each>       an invalidation; number 0: everything was forgotten
//! <origin> here:<connection> <server>          a connection of that process leads to that server
//! ```
//!
//! Whoever doesn't know of the second form ignores it: where a number is expected, there is none.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use cache_core::backend::TagId;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock;
use crate::log::ConnectionId;

/// Bytes of a tag.
const TAG: usize = 8;
/// No invalidation that larder publishes has more tags, by far.
const MOST_TAGS: usize = 4096;
const LONGEST: usize = MOST_TAGS * TAG + 256;

/// In a cluster each message comes once from every node: so many are remembered to tell.
const RECENT: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'m> {
    Invalidated { author: &'m [u8], number: u64, tags: Vec<TagId> },
    Here { origin: &'m [u8], connection: ConnectionId, server: &'m [u8] },
}

impl<'m> Message<'m> {
    pub(crate) fn parse(payload: &'m [u8]) -> Option<Self> {
        if payload.len() > LONGEST {
            return None;
        }
        let mut parts = payload.splitn(3, |byte| *byte == b' ');
        let (author, number, rest) = (parts.next()?, parts.next()?, parts.next()?);
        if let Some(connection) = number.strip_prefix(b"here:") {
            let connection = ConnectionId::from_str_radix(std::str::from_utf8(connection).ok()?, 16).ok()?;
            return Some(Self::Here { origin: author, connection, server: rest });
        }
        let number = if number == b"0" { 0 } else { clock::parse(number)? };
        let (tags, cut) = rest.as_chunks::<TAG>();
        let tags = cut.is_empty().then(|| tags.iter().map(|tag| TagId(u64::from_le_bytes(*tag))).collect())?;
        Some(Self::Invalidated { author, number, tags })
    }
}

pub(crate) fn introduction(origin: &str, connection: ConnectionId, server: &str) -> Bytes {
    format!("{origin} here:{connection:016x} {server}").into()
}

/// The last messages, by hash, each with the servers that have told it.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    tellers: HashMap<u64, Vec<u64>>,
    by_age: VecDeque<u64>,
}

impl Recent {
    /// Whether it is new: no copy of what another server has told. A server that tells the same once more tells of another
    /// message: anyone may publish the words of one that is still to come.
    pub(crate) fn insert(&mut self, server: &str, payload: &[u8]) -> bool {
        let (hash, server) = (xxh3_64(payload), xxh3_64(server.as_bytes()));
        let tellers = self.tellers.entry(hash).or_default();
        let (is_first, is_copy) = (tellers.is_empty(), !tellers.is_empty() && !tellers.contains(&server));
        if is_copy {
            tellers.push(server);
            return false;
        }
        *tellers = vec![server];
        if is_first {
            self.by_age.push_back(hash);
        }
        if self.by_age.len() > RECENT
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.tellers.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn invalidated<'m>(author: &'m [u8], number: u64, tags: &[u64]) -> Option<Message<'m>> {
        Some(Message::Invalidated { author, number, tags: tags.iter().copied().map(TagId).collect() })
    }

    fn bytes(author: &[u8], number: &str, tags: &[u64]) -> Vec<u8> {
        let tags: Vec<u8> = tags.iter().flat_map(|tag| tag.to_le_bytes()).collect();
        [author, b" ", number.as_bytes(), b" ", &tags].concat()
    }

    #[test]
    fn what_is_a_message() {
        assert_eq!(Message::parse(&bytes(b"me", "17", &[1, 32])), invalidated(b"me", 17, &[1, 32]));
        assert_eq!(Message::parse(&bytes(b"me", "0", &[])), invalidated(b"me", 0, &[]));
        let here = introduction("me", 7, "host:1");
        assert_eq!(Message::parse(&here), Some(Message::Here { origin: b"me", connection: 7, server: b"host:1" }));
        let huge = vec![0; MOST_TAGS + 64];
        for (number, tags) in [("", &[][..]), ("-1", &[]), ("007", &[]), ("9007199254740991", &[1]), ("17", &huge)] {
            assert_eq!(Message::parse(&bytes(b"me", number, tags)), None, "{number}");
        }
        // A message that was cut: its last tag isn't known.
        for length in 0..16 {
            let whole = bytes(b"me", "17", &[1, 2]);
            let cut = Message::parse(&whole[..whole.len() - length]);
            assert_eq!(cut.is_some(), length % 8 == 0, "{length}");
        }
    }

    #[test]
    fn the_recent_are_bounded_and_forgotten_by_age() {
        let mut recent = Recent::default();
        for number in 0..3 * RECENT {
            assert!(recent.insert("a", &number.to_le_bytes()));
            assert!(!recent.insert("b", &number.to_le_bytes()));
            assert!(recent.tellers.len() <= RECENT && recent.by_age.len() == recent.tellers.len());
        }
        assert!(!recent.insert("c", &(2 * RECENT).to_le_bytes()));
        assert!(recent.insert("c", &0_usize.to_le_bytes()));
    }

    #[test]
    fn each_server_tells_a_message_once() {
        let mut recent = Recent::default();
        let new = [("a", true), ("b", false), ("a", true), ("b", false), ("b", true), ("b", true), ("a", false)];
        assert_eq!(new.map(|(server, _)| (server, recent.insert(server, b"m"))), new);
        assert_eq!(recent.by_age.len(), 1);
    }

    proptest! {
        #![proptest_config(crate::hostile::config())]

        #[test]
        fn any_bytes_are_a_message_of_theirs_or_none(payload in vec(any::<u8>(), 0..200), cut in vec("[0-9 a-z:]{0,20}", 0..4)) {
            for payload in [payload, cut.join(" ").into_bytes()] {
                if let Some(Message::Invalidated { author, number, tags }) = Message::parse(&payload) {
                    let tags: Vec<u64> = tags.iter().map(|tag| tag.0).collect();
                    prop_assert_eq!(bytes(author, &number.to_string(), &tags), payload);
                }
            }
        }
    }
}
