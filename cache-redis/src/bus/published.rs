//! What comes in: messages and keyspace notifications of a [subscriber](crate::connection::Subscriber).

use cache_core::backend::TagId;
use tokio::sync::watch;

use super::message::Message;
use super::{Bus, EARLY, tell};
use crate::connection::MessageHandler;
use crate::health::{Operation, TroubleKind};
use crate::keys::{HOLDS, parse_hash};
use crate::sequence::LEAP;

impl MessageHandler for Bus {
    fn begins(&self) {
        self.lock().subscribers += 1;
        self.lose_track();
        self.waiters.wake_all();
    }

    fn ends(&self) {
        let mut state = self.lock();
        state.subscribers = state.subscribers.saturating_sub(1);
        self.forget(&mut state);
        drop(state);
        self.due.notify_one();
        self.waiters.wake_all();
    }

    fn awaited(&self) -> watch::Receiver<bool> {
        self.waiters.any()
    }

    fn look_again(&self) {
        self.waiters.wake_all();
    }

    fn missed(&self) {
        self.monitor.trouble(
            Operation::Heartbeat,
            TroubleKind::MissedMessages,
            "too many messages came at once; some were lost".to_owned(),
        );
        self.lose_track();
        self.waiters.wake_all();
    }

    fn message(&self, server: &str, channel: &str, payload: &[u8]) {
        if channel == self.names.bus {
            self.published(payload, server);
        } else if let Some(hash) = parse_hash(payload).filter(|_| channel == self.names.wake) {
            self.waiters.wake(hash);
        }
    }

    fn event(&self, key: &[u8], what: &str) {
        // `expire` comes from taking or renewing a lease, `append` from marking it for a message. Neither ends it.
        if !matches!(what, "expire" | "append")
            && let Some(hash) = self.names.hash_of_lease(key)
        {
            self.waiters.wake(hash);
        }
    }
}

impl Bus {
    fn published(&self, payload: &[u8], heard_from: &str) {
        match Message::parse(payload) {
            Some(Message::Here { origin, connection, server }) => {
                let mut state = self.lock();
                let is_ours = origin == self.origin.as_bytes() && state.awaited.contains(&connection);
                if is_ours && server == heard_from.as_bytes() {
                    state.log.introduce(connection);
                }
            }
            Some(Message::Invalidated { author, number, tags }) => {
                if number != 0 && !self.lock().recent.insert(heard_from, payload) {
                    return;
                }
                // Nobody carries the tag of holds: those who listen need not look at their entries for it.
                if author != self.author().as_bytes() && tags != [HOLDS] {
                    tell(&self.listeners(), &tags);
                }
                if self.known.hear(number) {
                    self.witness(number, &tags);
                }
                // After the delivery, for invariant 1.
                self.advance(number, &tags);
            }
            None => {}
        }
    }

    fn advance(&self, number: u64, tags: &[TagId]) {
        let mut state = self.lock();
        let Some(heard) = state.heard else {
            if number != 0 {
                state.early.insert(number);
            }
            if state.early.len() > EARLY {
                state.early.pop_last();
            }
            return;
        };
        if number == heard + 1 {
            state.heard = Some(number);
            state.log.hear(number, tags.iter().copied());
            self.progress.send_replace(state.heard);
            return;
        }
        if number != 0 && number <= state.read && state.read - number < LEAP {
            // A late message.
            return;
        }
        // There is a gap, or the sequence went back or was deleted, or somebody made the number up. The next comparison asks
        // the server.
        state.heard = None;
        state.log.pause();
        self.progress.send_replace(None);
        drop(state);
        if let Some(missed) = number.checked_sub(heard + 1).filter(|missed| *missed < LEAP) {
            let message = format!("{missed} invalidations were not heard of");
            self.monitor.trouble(Operation::Heartbeat, TroubleKind::MissedMessages, message);
        }
        self.doubt();
        self.due.notify_one();
    }
}
