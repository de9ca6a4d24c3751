//! Places a hold, and renews it while its guard lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{BootInstant, TagId};
use tokio::sync::watch;

use crate::connection::Reconnection;
use crate::error::Fault;
use crate::health::Operation;
use crate::lease::milliseconds;
use crate::shared::Shared;

/// A part of a hold: as many tags as go into one script, under a token of their own.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) token: Bytes,
    pub(super) tags: Vec<TagId>,
}

/// What a keeper tells its guard.
#[derive(Debug)]
pub(super) struct Told {
    /// How the first attempt went.
    pub(super) placed: watch::Sender<Option<Result<(), Fault>>>,
    /// It isn't certain that the hold lives.
    pub(super) lost: watch::Sender<bool>,
}

/// Places the hold and renews it every third of its duration; after a failure sooner, and as soon as there is a connection again.
/// Ends when the guard is gone, and never while a command is under way: one that overtakes the end of the hold would leave a hold
/// behind.
pub(super) async fn keep(
    shared: Arc<Shared>,
    parts: Arc<[Part]>,
    duration: Duration,
    told: Told,
    mut ended: watch::Receiver<()>,
) {
    // Until then it is certain that the hold lives for a third of its duration more.
    let mut certain_until = BootInstant::now();
    let mut renews = false;
    loop {
        let since = BootInstant::now();
        let reconnection = shared.topology.reconnection(&shared.names.sequence);
        let placed = place(&shared, &parts, duration).await;
        let pause = match &placed {
            Ok(were_there) => {
                shared.monitor.success(Operation::Hold);
                // It ended before it was renewed; or Redis has lost it, and a hold on everything stands for it.
                if renews && !were_there {
                    told.lost.send_replace(true);
                }
                certain_until = since + duration * 2 / 3;
                renews = true;
                duration / 3
            }
            Err(Fault::Closed) => Duration::MAX,
            Err(fault) => {
                shared.monitor.fault(Operation::Hold, fault);
                duration / 10
            }
        };
        if placed.is_err() && certain_until.saturating_duration_since(BootInstant::now()).is_zero() {
            told.lost.send_replace(true);
        }
        let failed = placed.is_err();
        told.placed.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(placed.map(drop));
            }
            is_first
        });
        let mut reconnection = if failed { reconnection } else { Reconnection::never() };
        tokio::select! {
            _ = ended.changed() => return,
            () = tokio::time::sleep(pause) => {}
            () = reconnection.happens() => {}
        }
    }
}

/// Whether all parts were there.
async fn place(shared: &Shared, parts: &[Part], duration: Duration) -> Result<bool, Fault> {
    let mut were_there = true;
    for part in parts {
        let deadline = shared.deadline();
        were_there &= shared.place_hold(&part.token, &part.tags, milliseconds(duration), deadline).await?;
    }
    Ok(were_there)
}
