//! Contract points 4 and 11: leases that are taken over, and those that are given back for nothing.

use super::Verdict;
use super::harness::{Outcome, Probe, entry, key, tag};

pub(super) async fn take_over(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    for older_stores in [true, false] {
        let key = key(&format!("taken over, the older one stores: {older_stores}"));
        let stamp = first.put(&key, b"old", &[tag(1)]).await?;
        let older = first.granted(&key, &[tag(1)]).await?;
        let (older_stamp, busy) = (older.stamp(), second.busy(&key, "it is held").await?);
        let later = second.taken_over(&key, &[tag(1)]).await?;
        probe.ensure(later.stamp() >= older_stamp, || "a lease that was taken over has an older stamp".to_owned())?;
        probe.soon("`wait` for a lease that was taken over", first.wait(&key, busy.clone())).await??;
        let successor = first.busy(&key, "the second process has taken it over").await?;
        probe.ensure(successor.holder != busy.holder, || "both leases have one name".to_owned())?;
        if older_stores {
            let answer = first.store(&key, older, entry(b"older", &[tag(1)], older_stamp)).await?;
            probe.ensure(answer == crate::backend::StoreAnswer::LeaseLost, || {
                "`store` with a lease that was taken over was not refused".to_owned()
            })?;
        } else {
            drop(older);
            // Until that has come where it does harm.
            probe.sleep(probe.suite.patience / 10).await;
        }
        first.busy(&key, "another lease than this one was given back").await?;
        second.expect_live(&key, &entry(b"old", &[tag(1)], stamp), "nothing was stored since").await?;
        let stamp = later.stamp();
        second.stored(&key, later, entry(b"newer", &[tag(1)], stamp)).await?;
        first.expect_live(&key, &entry(b"newer", &[tag(1)], stamp), "it was just stored").await?;
        // Where nobody holds it, too, and one's own.
        let own = first.taken_over(&key, &[]).await?;
        let again = first.taken_over(&key, &[]).await?;
        drop(own);
        let stamp = again.stamp();
        first.stored(&key, again, entry(b"last", &[], stamp)).await?;
        drop(second.soon_granted(&key, "it was stored with").await?);
    }
    Ok(Verdict::Passed)
}

pub(super) async fn unstored(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let (key, other) = (key("unstored"), key("another key"));
    let lease = first.granted(&key, &[]).await?;
    let busy = second.busy(&key, "it is held").await?;
    let (of_lease, of_busy) = (lease.follows_unstored(), busy.follows_unstored);
    probe.ensure(!of_lease && !of_busy, || "the first lease of a key follows no other".to_owned())?;
    lease.ended_unstored();
    probe.soon("`wait` for a lease whose run has left nothing", second.wait(&key, busy)).await??;
    let next = second.soon_granted(&key, "its holder's run has ended").await?;
    let busy = first.busy(&key, "it is held").await?;
    if !next.follows_unstored() && !busy.follows_unstored {
        return Ok(Verdict::Skipped { needs: "Lease::ended_unstored" });
    }
    probe.ensure(next.follows_unstored() && busy.follows_unstored, || {
        "of a lease and what others are told of it, only one says that the run before has left nothing".to_owned()
    })?;

    // Only of that key, and of the lease before.
    let unrelated = first.granted(&other, &[]).await?;
    probe.ensure(!unrelated.follows_unstored(), || "another key's run has left nothing".to_owned())?;
    let stamp = next.stamp();
    second.stored(&key, next, entry(b"", &[], stamp)).await?;
    let mut cancelled = first.granted(&key, &[]).await?;
    for why in ["was stored with", "was dropped"] {
        probe.ensure(!cancelled.follows_unstored(), || format!("the lease before {why}"))?;
        let busy = second.busy(&key, "it is held").await?;
        probe.ensure(!busy.follows_unstored, || format!("others are told so, but the lease before {why}"))?;
        drop(cancelled);
        cancelled = first.soon_granted(&key, "it was dropped").await?;
    }
    // Whoever takes it over, too.
    cancelled.ended_unstored();
    let next = second.soon_granted(&key, "its holder's run has ended").await?;
    let later = first.taken_over(&key, &[]).await?;
    let told = (next.follows_unstored(), later.follows_unstored());
    probe.ensure(told == (true, false), || format!("a lease, and the one that took it over, say {told:?}"))?;
    Ok(Verdict::Passed)
}
