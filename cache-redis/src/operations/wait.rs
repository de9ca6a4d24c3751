//! Waits for the end of a lease that another process holds.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::backend::{Busy, EntryKey};
use tokio::time::Instant;

use crate::connection::Command;
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::hash;
use crate::lease;
use crate::lease_waiters::{Woken, pace};
use crate::runtime::Bound;
use crate::shared::Shared;

/// Registers as a waiter, reads the lease once, and waits until a message announces its end or its remaining time is over. Then
/// the caller asks for the lease again. Reads the lease again when a message may have been missed, and regularly where none
/// will come.
pub(crate) async fn wait(shared: &Arc<Shared>, key: &EntryKey, busy: Busy) -> Result<(), Fault> {
    let hash = hash(key);
    // The work has no deadline, so it must end when the caller drops the future.
    let (tell, mut gone) = tokio::sync::oneshot::channel::<()>();
    let work = move |shared: Arc<Shared>| async move {
        let (began, name) = (Instant::now(), shared.names.lease(hash));
        loop {
            let mut waiter = shared.bus.waiters.register(hash);
            let Some(asked) = look(&shared, &name, &busy.holder).await? else { return Ok(()) };
            let left = busy.remaining.saturating_sub(began.elapsed());
            let soon = || left.min(pace(began.elapsed(), shared.options.lease));
            let rest = if shared.topology.hears_of(&name, asked) { left } else { soon() };
            tokio::select! {
                woken = waiter.woken() => if woken == Woken::Ended { return Ok(()) },
                () = tokio::time::sleep(rest) => if rest == left { return Ok(()) },
                _ = &mut gone => return Ok(()),
            }
        }
    };
    let result = shared.run_within(Bound::Eventually, Operation::Wait, work).await;
    drop(tell);
    result
}

/// Reads the lease: `None` if this holder's has ended, otherwise whether it is marked for a message at its end.
async fn look(shared: &Shared, name: &Bytes, holder: &[u8]) -> Result<Option<bool>, Fault> {
    match shared.topology.call_one(Command::new("GET", vec![name.clone()]), shared.deadline()).await {
        Ok(reply) => {
            let held = reply.text();
            Ok(held.as_deref().and_then(lease::holder).and_then(|(token, asked)| (token == holder).then_some(asked)))
        }
        // The next request for the lease removes the key.
        Err(fault) if fault.is_of_type() => Ok(None),
        Err(fault) => Err(fault),
    }
}
