//! Waiting for another's lease, and when to give up.
//!
//! Whoever holds the lease may wait for the very call that waits for it, round a circle. Within this process the [graph]
//! shows that. What a holder in another process waits for isn't known; but a circle goes through a run that holds a lease
//! while it waits. So a wait that holds up such a run is given up, after a time in which most runs have ended: the life
//! that the lease had left has been over, and it had been renewed, [`LIVES`] times. Any other wait goes on.
//!
//! [graph]: crate::flight::wait_graph

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Busy, EntryKey};
use crate::error::Error;
use crate::flight::single::FlightId;
use crate::flight::wait_graph::{Node, WaitGraph};
use crate::rt::timer::with_timeout;

/// So many lives of a lease are two to three of its whole durations: it is renewed every third, and how much of it was left
/// when it was first met is a matter of chance.
const LIVES: usize = 3;

/// Of one call that waits for a lease, perhaps several times, as a wait may end early.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Since when, and for how long, the life is waited for that the lease had left.
    life: Option<(Instant, Duration)>,
    /// How many lives are over.
    outlived: usize,
}

impl Patience {
    /// Waits until the lease may be had, or until its life is over. `false` if it is of no use to wait any longer.
    ///
    /// # Errors
    /// A fault of the backend.
    pub(crate) async fn wait(
        &mut self,
        graph: &Arc<WaitGraph>,
        waiting: Vec<FlightId>,
        backend: &dyn Backend,
        key: &EntryKey,
        busy: Busy,
    ) -> Result<bool, Error> {
        let Some(waits) = graph.wait_for(waiting, Node::Lease(busy.holder.clone())) else { return Ok(false) };
        let remaining = busy.remaining;
        let mut ended = backend.wait(key, busy);
        loop {
            let (since, life) =
                *self.life.get_or_insert_with(|| (Instant::now(), remaining.max(Duration::from_millis(1))));
            if let Some(ended) = with_timeout(&mut ended, life.saturating_sub(since.elapsed())).await {
                return ended.map(|()| true);
            }
            if waits.holds_up_a_lease() {
                self.outlived += 1;
                self.life = None;
                return Ok(self.outlived < LIVES);
            }
            // Who holds a lease may come later. There is no hurry.
            self.life = Some((since, life.saturating_mul(2)));
        }
    }
}
