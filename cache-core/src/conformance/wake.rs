//! Contract point 6.

use std::time::Duration;

use super::futures::{together, yield_now};
use super::harness::{Outcome, Probe, Side, entry, key};
use super::{Broken, Verdict};
use crate::backend::{BoxFuture, EntryKey};

/// How often `wait` may return early in the time below.
const EARLY_RETURNS: usize = 30;
const WATCHED_FOR: Duration = Duration::from_millis(300);

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();

    // However the lease ends, both other and own process's waiters wake.
    for (number, by_store) in [(0, false), (1, true), (2, false), (3, true)] {
        let key = &key(&format!("wake {number}"));
        let lease = first.granted(key, &[]).await?;
        let waiters: Vec<BoxFuture<'_, _>> = vec![
            Box::pin(waiting(second, key)),
            Box::pin(waiting(first, key)),
            Box::pin(async move {
                // Until they wait.
                probe.sleep(Duration::from_millis(50)).await;
                if by_store {
                    let stamp = lease.stamp();
                    first.stored(key, lease, entry(b"", &[], stamp)).await?;
                }
                Ok(())
            }),
        ];
        let what = if by_store { "`wait` for a lease that was stored with" } else { "`wait` for a dropped lease" };
        probe.soon(what, together(waiters)).await?.into_iter().collect::<Result<(), _>>()?;
    }

    // It ended between `lease` and `wait`.
    let ended = key("ended");
    let lease = first.granted(&ended, &[]).await?;
    let busy = second.busy(&ended, "the first process holds it").await?;
    drop(lease);
    let lease = first.soon_granted(&ended, "its lease was dropped").await?;
    let successor = second.busy(&ended, "the first process holds it again").await?;
    probe.soon("`wait` for a lease that another has followed", second.wait(&ended, busy)).await??;
    let again = successor.clone();
    drop(lease);
    drop(first.soon_granted(&ended, "its lease was dropped").await?);
    probe.soon("`wait` for a lease that had ended before", second.wait(&ended, again)).await??;

    doesnt_spin(probe).await?;
    Ok(Verdict::Passed)
}

/// Waits until the key is free or stored.
async fn waiting(side: Side<'_>, key: &EntryKey) -> Result<(), Broken> {
    let busy = side.busy(key, "it is held").await?;
    side.wait(key, busy).await
}

/// "It may return early" is no licence to poll.
async fn doesnt_spin(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let held = key("held");
    let lease = first.granted(&held, &[]).await?;
    let busy = second.busy(&held, "it is held").await?;
    let mut returns = 0;
    let spinning = async {
        loop {
            let busy = busy.clone();
            second.wait(&held, busy).await?;
            returns += 1;
            if returns > EARLY_RETURNS {
                return Ok(());
            }
            yield_now().await;
        }
    };
    let ended: Option<Result<(), Broken>> = probe.timed(WATCHED_FOR, spinning).await?;
    drop(lease);
    match ended {
        None => Ok(()),
        Some(Err(broken)) => Err(broken),
        Some(Ok(())) => Err(probe.broken(format!(
            "`wait` returned more than {EARLY_RETURNS} times within {WATCHED_FOR:?} while the lease was held"
        ))),
    }
}
