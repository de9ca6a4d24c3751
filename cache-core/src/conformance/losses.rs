//! Contract point 3, and the part of 4 about lost leases.

use super::harness::{LONG_LEASE, Outcome, Probe, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::{LeaseAnswer, Seen, StoreAnswer};

pub(super) async fn fail_closed(probe: &Probe<'_>) -> Outcome {
    let Some(lose) = &probe.subject.lose_tag_records else {
        return Ok(Verdict::Skipped { needs: "Subject::lose_tag_records" });
    };
    let [first, second] = probe.both();
    for (round, with_clock) in [false, true].into_iter().enumerate() {
        let name = |what: &str| key(&format!("{what} {round}"));
        let tags = [tag(round as u64 * 10), tag(round as u64 * 10 + 1)];
        let (dead, running) = (name("dead"), name("running"));
        first.put(&dead, b"old", &tags).await?;
        let lease = first.granted(&running, &tags).await?;
        let stamp = lease.stamp();
        second.invalidate(&tags[..1]).await?;
        probe.run(lose).await;
        if let Some(lose_clock) = probe.subject.lose_clock.as_ref().filter(|_| with_clock) {
            probe.run(lose_clock).await;
        }
        let both_dead = async |when: &str| -> Result<(), Broken> {
            for side in probe.both() {
                side.expect_dead(&dead, &format!("it was invalidated before the records were lost; {when}")).await?;
            }
            Ok(())
        };
        both_dead("right after the loss").await?;
        // Whatever makes the backend create its records anew:
        drop(second.granted(&name("other"), &tags).await?);
        both_dead("after a lease with the same tags").await?;
        first.store(&running, lease, entry(b"old", &tags, stamp)).await?;
        for side in probe.both() {
            side.expect_dead(&running, "its run began before an invalidation that was lost").await?;
        }
        second.invalidate(&tags[1..]).await?;
        both_dead("after an invalidation of its other tag").await?;
        // And it goes on.
        let stamp = first.put(&dead, b"new", &tags).await?;
        second.expect_live(&dead, &entry(b"new", &tags, stamp), "it was computed after the loss").await?;
        first.invalidate(&tags[..1]).await?;
        second.expect_dead(&dead, "it was invalidated after the loss").await?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn fencing(probe: &Probe<'_>) -> Outcome {
    let Some(lose) = &probe.subject.lose_leases else {
        return Ok(Verdict::Skipped { needs: "Subject::lose_leases" });
    };
    let [first, second] = probe.both();

    // Lost, and nobody else's yet.
    let lonely = key("lonely");
    let lease = first.granted(&lonely, &[]).await?;
    let stamp = lease.stamp();
    let busy = second.busy(&lonely, "the first process holds it").await?;
    probe.run(lose).await;
    probe.soon("`wait` for a lease that was lost", second.wait(&lonely, busy)).await??;
    let answer = first.store(&lonely, lease, entry(b"lost", &[], stamp)).await?;
    probe.ensure(answer == StoreAnswer::LeaseLost, || "a lost lease could still be stored with".to_owned())?;
    second.expect_dead(&lonely, "it was stored with a lost lease").await?;

    // Lost, and granted to another.
    let contested = key("contested");
    let lost = first.granted(&contested, &[]).await?;
    let stamp = lost.stamp();
    probe.run(lose).await;
    let held = second.soon_granted(&contested, "the lease on it was lost").await?;
    let answer = first.store(&contested, lost, entry(b"lost", &[], stamp)).await?;
    probe.ensure(answer == StoreAnswer::LeaseLost, || "two processes could store for one key".to_owned())?;
    first.expect_dead(&contested, "it was stored with a lease that another process holds by now").await?;
    first.busy(&contested, "a refused `store` released another's lease").await?;
    let stamp = held.stamp();
    second.stored(&contested, held, entry(b"held", &[], stamp)).await?;
    first.expect_live(&contested, &entry(b"held", &[], stamp), "its lease was held").await?;

    // The guard of a lost lease is dropped.
    let dropped = key("dropped");
    let lost = first.granted(&dropped, &[]).await?;
    probe.run(lose).await;
    let held = second.soon_granted(&dropped, "the lease on it was lost").await?;
    drop(lost);
    for _ in 0..5 {
        probe.sleep(probe.suite.patience / 20).await;
        first.busy(&dropped, "dropping a lost lease released another's").await?;
    }
    let stamp = held.stamp();
    second.stored(&dropped, held, entry(b"held", &[], stamp)).await?;
    match first.lease_for(&dropped, Seen::default(), &[], LONG_LEASE).await? {
        LeaseAnswer::Changed => Ok(Verdict::Passed),
        other => Err(probe.broken(format!("after a store, `lease` with an older read was answered with {other:?}"))),
    }
}
