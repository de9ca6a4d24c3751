//! The bytes of messages on the bus. Anyone may publish there. What isn't a message of larder's is ignored; if it was a damaged
//! one, its number is missing, which the bus notices.
//!
//! ```text
//! <author> <number> <tags, 8 bytes each>       an invalidation; number 0: the buckets and the sequence were deleted
//! <origin> here:<connection> <server>          an introduction: this connection of that process leads to that server
//! ```
//!
//! Versions that don't know introductions ignore them, because there is no number where they expect one.

use bytes::Bytes;
use cache_core::backend::TagId;

use crate::connection::ConnectionId;
use crate::sequence;

/// The size of a tag in bytes.
const TAG: usize = 8;
/// More tags than larder ever publishes in one message.
const MOST_TAGS: usize = 4096;
const LONGEST: usize = MOST_TAGS * TAG + 256;

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
        let number = if number == b"0" { 0 } else { sequence::parse(number)? };
        let (tags, cut) = rest.as_chunks::<TAG>();
        let tags = cut.is_empty().then(|| tags.iter().map(|tag| TagId(u64::from_le_bytes(*tag))).collect())?;
        Some(Self::Invalidated { author, number, tags })
    }
}

pub(crate) fn introduction(origin: &str, connection: ConnectionId, server: &str) -> Bytes {
    format!("{origin} here:{connection:016x} {server}").into()
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

    proptest! {
        #![proptest_config(crate::proptest_config::config())]

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
