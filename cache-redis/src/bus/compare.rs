//! Compares the sequence with what was heard. Whatever was missed is made good by a doubt; then memory may be trusted again.

use std::time::Duration;

use cache_core::backend::{BootInstant, ListenerHandle};

use super::Bus;
use crate::sequence::LEAP;

/// What a comparison with the sequence has shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Everything was heard, or a doubt has made it good.
    Trusted,
    /// Messages were lost. A doubt has made it good, but the subscriber has to reconnect.
    Missed,
    /// No subscriber is connected.
    Deaf,
}

impl Bus {
    /// Compares the sequence, which was read after `since`, with what was heard. Waits up to `patience` for messages that are
    /// still on their way.
    pub(crate) async fn compare(
        &self,
        sequence: u64,
        since: BootInstant,
        patience: Duration,
        max_staleness: Duration,
    ) -> Compared {
        let mut progress = self.progress.subscribe();
        if self.begin_comparison(sequence) {
            let caught_up = progress.wait_for(|heard| heard.is_none_or(|heard| heard >= sequence));
            let _ = tokio::time::timeout(patience, caught_up).await;
        }
        let mut state = self.lock();
        if state.subscribers == 0 {
            return Compared::Deaf;
        }
        // It was lost while this waited. The next comparison follows at once.
        let Some(heard) = state.heard else { return Compared::Deaf };
        let behind = sequence.saturating_sub(heard);
        if behind > 0 {
            state.heard = Some(sequence);
            state.read = sequence;
            state.log.restart(sequence);
        }
        drop(state);
        if behind > 0 {
            self.doubt();
            self.announce();
        }
        let deadline = since + max_staleness;
        for listener in self.listeners().iter().filter_map(ListenerHandle::upgrade) {
            listener.trusted_until(deadline);
        }
        if (1..LEAP).contains(&behind) { Compared::Missed } else { Compared::Trusted }
    }

    /// Sets `heard` if it is `None`. Returns whether `heard` can be awaited: a subscriber is connected.
    fn begin_comparison(&self, sequence: u64) -> bool {
        let mut state = self.lock();
        if state.subscribers == 0 {
            return false;
        }
        if state.heard.is_none() {
            let mut heard = sequence;
            // Messages that follow the sequence without a gap were delivered when they came.
            for number in std::mem::take(&mut state.early) {
                if number == heard + 1 {
                    heard = number;
                }
            }
            state.heard = Some(heard);
            state.read = sequence;
            state.log.restart(heard);
            drop(state);
            self.doubt();
            self.announce();
        }
        true
    }
}
