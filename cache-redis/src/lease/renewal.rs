//! Renews a lease while its run goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::commands::OF_ANOTHER_TYPE;
use crate::connection::{Answer, Command, Reconnection};
use crate::error::Fault;
use crate::health::Operation;
use crate::shared::Shared;

/// Renews the lease every third of its duration, and after a failure as soon as there is a connection again. It ends when the
/// guard is dropped or the lease is lost. A lost lease isn't taken again: the run goes on, but its result will be refused.
pub(super) async fn keep(shared: Arc<Shared>, command: Command, duration: Duration, mut ended: watch::Receiver<()>) {
    let mut reconnection = Reconnection::never();
    loop {
        tokio::select! {
            _ = ended.changed() => return,
            () = tokio::time::sleep(duration / 3) => {}
            () = reconnection.happens() => {}
        }
        reconnection = shared.topology.reconnection(&command.key);
        let answer: Answer = shared.topology.call_one(command.clone(), shared.deadline()).await;
        match answer {
            Ok(reply) => {
                shared.monitor.success(Operation::Renew);
                reconnection = Reconnection::never();
                match reply.number() {
                    Some(0) => return,
                    Some(OF_ANOTHER_TYPE) => return shared.lease_was_of_another_type(Operation::Renew),
                    _ => {}
                }
            }
            Err(Fault::Closed) => return,
            Err(fault) => shared.monitor.fault(Operation::Renew, &fault),
        }
    }
}
