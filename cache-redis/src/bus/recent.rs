//! Recent messages, to drop the copies: in a cluster each message comes once from every node.

use std::collections::{HashMap, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

/// How many messages are remembered.
const RECENT: usize = 4096;

/// The latest messages, by hash, each with the servers that have sent it.
#[derive(Debug, Default)]
pub(crate) struct RecentMessages {
    tellers: HashMap<u64, Vec<u64>>,
    by_age: VecDeque<u64>,
}

impl RecentMessages {
    /// Returns whether the message is new, not a copy of what another server has sent. If the same server sends the same bytes
    /// again, it is another message, because anyone may publish the bytes of a message that is yet to come.
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
    use super::*;

    #[test]
    fn the_recent_are_bounded_and_forgotten_by_age() {
        let mut recent = RecentMessages::default();
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
        let mut recent = RecentMessages::default();
        let new = [("a", true), ("b", false), ("a", true), ("b", false), ("b", true), ("b", true), ("a", false)];
        assert_eq!(new.map(|(server, _)| (server, recent.insert(server, b"m"))), new);
        assert_eq!(recent.by_age.len(), 1);
    }
}
