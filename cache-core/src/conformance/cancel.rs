//! Contract point 8.

use super::futures::cut_after;
use super::harness::{LONG_LEASE, Outcome, Probe, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::{LeaseRequest, Seen};

/// Futures are dropped before the first poll, and after each of the next.
const POLLS: usize = 6;

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    for polls in 0..POLLS {
        lease(probe, polls).await?;
        store(probe, polls).await?;
        invalidate(probe, polls).await?;
        wait(probe, polls).await?;
    }
    Ok(Verdict::Passed)
}

async fn lease(probe: &Probe<'_>, polls: usize) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key(&format!("lease {polls}"));
    drop(cut(probe, "read", polls, async { first.backend.read(&key).await }).await?);
    let request = LeaseRequest { duration: Some(LONG_LEASE), seen: Seen::default(), tags: &[tag(1)], take_over: false };
    drop(cut(probe, "lease", polls, async { first.backend.lease(&key, request).await }).await?);
    let why = format!("`lease` was dropped after {polls} polls, or its answer was");
    second.soon_granted(&key, &why).await.map(drop)
}

async fn store(probe: &Probe<'_>, polls: usize) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key(&format!("store {polls}"));
    let lease = first.granted(&key, &[tag(2)]).await?;
    let expected = entry(b"maybe", &[tag(2)], lease.stamp());
    let stored = expected.clone();
    let answer = cut(probe, "store", polls, async { first.backend.store(&key, lease, stored).await }).await?;
    let why = format!("`store` was dropped after {polls} polls");
    let lease = second.soon_granted(&key, &why).await?;
    match second.read(&key).await?.live {
        Some(live) if live.entry != expected => Err(probe.broken(format!("a part of the entry was written: {why}"))),
        None if answer.is_some() => Err(probe.broken("`store` was answered and the entry isn't there")),
        _ => Ok(()),
    }?;
    let stamp = lease.stamp();
    second.stored(&key, lease, entry(b"next", &[tag(2)], stamp)).await?;
    first.expect_live(&key, &entry(b"next", &[tag(2)], stamp), "it was stored after a dropped `store`").await.map(drop)
}

async fn invalidate(probe: &Probe<'_>, polls: usize) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key(&format!("invalidate {polls}"));
    let tags = [tag(3), tag(4)];
    first.put(&key, b"doomed", &tags).await?;
    drop(cut(probe, "invalidate", polls, async { first.backend.invalidate(&tags).await }).await?);
    let gone = second.read(&key).await?.live.is_none();
    if gone {
        first.expect_dead(&key, "it was dead in the other process already").await?;
    }
    second.invalidate(&tags[..1]).await?;
    for side in probe.both() {
        side.expect_dead(&key, &format!("it was invalidated after an `invalidate` dropped after {polls} polls"))
            .await?;
    }
    let stamp = first.put(&key, b"new", &tags).await?;
    // A dropped invalidation may still happen, and kill this one too; but then the next lives.
    if second.read(&key).await?.live.is_some() {
        return Ok(());
    }
    let again = second.put(&key, b"new", &tags).await?;
    probe.ensure(again > stamp, || "an entry died without an invalidation".to_owned())?;
    first.expect_live(&key, &entry(b"new", &tags, again), "nothing was invalidated since").await.map(drop)
}

async fn wait(probe: &Probe<'_>, polls: usize) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key(&format!("wait {polls}"));
    let lease = first.granted(&key, &[]).await?;
    let busy = second.busy(&key, "it is held").await?;
    // Nothing wakes it, so it can only be polled once.
    drop(cut(probe, "wait", polls.min(1), async { second.backend.wait(&key, busy).await }).await?);
    let busy = second.busy(&key, "it is held, though a `wait` for it was dropped").await?;
    drop(lease);
    probe.soon("`wait` after another was dropped", second.wait(&key, busy)).await??;
    first.soon_granted(&key, "its lease was dropped").await.map(drop)
}

/// Errors count as answers here: a backend may well notice that it was cut.
async fn cut<T>(
    probe: &Probe<'_>,
    what: &str,
    polls: usize,
    work: impl Future<Output = T> + Send,
) -> Result<Option<T>, Broken> {
    let what = format!("`{what}`, to be dropped after {polls} polls,");
    probe.within(probe.suite.limit, &what, cut_after(polls, Box::pin(work))).await
}
