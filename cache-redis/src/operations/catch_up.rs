//! Waits until this process has heard of an invalidation.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout_at;

use crate::error::Fault;
use crate::health::Operation;
use crate::sequence::END;
use crate::shared::Shared;

/// Whether the listeners know of everything up to this number, by the deadline.
///
/// Nobody vouches for the number: it isn't remembered, and never told to anybody. If the sequence in Redis hasn't reached it,
/// nothing is waited for: it is made up, or of an order that was lost. (Or Redis was out of memory, and the number is the
/// server's time: then the sequence is gone, and reading it restarts it beyond.)
pub(crate) async fn catch_up(shared: &Arc<Shared>, number: u64) -> Result<bool, Fault> {
    if number >= END {
        return Ok(false);
    }
    if shared.bus.has_delivered(number) {
        return Ok(true);
    }
    let work = async move |shared: Arc<Shared>| {
        let deadline = shared.deadline();
        let mut progress = shared.bus.delivered();
        let mut delivered = pin!(progress.wait_for(|heard| heard.is_some_and(|heard| heard >= number)));
        let position = tokio::select! {
            biased;
            delivered = &mut delivered => return Ok(delivered.is_ok()),
            position = shared.stamp(Operation::Read, &[], deadline) => position?,
        };
        if position.sequence < number || !shared.bus.is_listening() {
            return Ok(false);
        }
        // If the message was lost, the comparison notices.
        shared.bus.due.notify_one();
        Ok(timeout_at(deadline, delivered).await.is_ok_and(|delivered| delivered.is_ok()))
    };
    shared.run(Operation::Read, work).await
}
