//! Contract points 4 and 5.

use std::time::Duration;

use super::futures::together;
use super::harness::{LONG_LEASE, Outcome, Probe, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::{BoxFuture, LeaseAnswer, Reading, Seen};

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let (one, other) = (key("one"), key("other"));

    let lease = first.granted_now(&one, &[tag(1)]).await?;
    for side in probe.both() {
        let busy = side.busy(&one, "it is held, and the key is the same").await?;
        probe.ensure(busy.remaining <= LONG_LEASE + Duration::from_secs(1) && !busy.remaining.is_zero(), || {
            format!("a lease of {LONG_LEASE:?} that was just granted has {:?} left", busy.remaining)
        })?;
        probe.ensure(lease.holder().is_none_or(|holder| holder == busy.holder), || {
            format!("a lease says that its holder is {:?}, and others are told {:?}", lease.holder(), busy.holder)
        })?;
    }
    drop(second.granted_now(&other, &[tag(1)]).await?);

    drop(lease);
    let lease = second.soon_granted(&one, "its lease was dropped").await?;
    first.busy(&one, "it was granted to the second process").await?;
    let stamp = lease.stamp();
    second.stored(&one, lease, entry(b"stored", &[], stamp)).await?;
    first.expect_live(&one, &entry(b"stored", &[], stamp), "it was just stored").await?;
    // `store` releases in the same step: no patience.
    drop(first.granted_now(&one, &[]).await?);
    drop(second.soon_granted(&one, "its lease was dropped").await?);

    given_up(probe).await?;
    race(probe).await?;
    Ok(Verdict::Passed)
}

/// The run goes on, and another one begins: neither has the other's lease.
async fn given_up(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key("given up");
    let dead = first.granted_now(&key, &[]).await?;
    let dead = Some(dead).filter(|dead| dead.give_up());
    let next = second.soon_granted(&key, "its lease was given up").await?;
    first.busy(&key, "it was granted to the second process").await?;
    drop(dead);
    probe.sleep(Duration::from_millis(50)).await;
    first.busy(&key, "it was granted to the second process, and only the one given up before was dropped").await?;
    let stamp = next.stamp();
    second.stored(&key, next, entry(b"new", &[], stamp)).await?;
    first.expect_live(&key, &entry(b"new", &[], stamp), "it was just stored").await.map(drop)
}

/// Many ask at once: one gets it.
async fn race(probe: &Probe<'_>) -> Result<(), Broken> {
    for round in 0..5 {
        let contested = &key(&format!("contested {round}"));
        let attempts = (0..16).map(|number| {
            let side = probe.both()[number % 2];
            let attempt: BoxFuture<'_, _> =
                Box::pin(async move { side.lease(contested, Seen::default(), &[tag(2)]).await });
            attempt
        });
        let answers = together(attempts.collect()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let granted = answers.iter().filter(|answer| matches!(answer, LeaseAnswer::Granted(_))).count();
        probe.ensure(granted == 1, || format!("of 16 who asked at once, {granted} were granted the lease"))?;
        probe.ensure(!answers.iter().any(|answer| matches!(answer, LeaseAnswer::Changed)), || {
            "`lease` answered `Changed` for a key that was never stored".to_owned()
        })?;
    }
    Ok(())
}

pub(super) async fn renewal(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let long = key("long run");
    let duration = probe.suite.lease;
    let lease = match first.lease_for(&long, Seen::default(), &[], duration).await? {
        LeaseAnswer::Granted(lease) => lease,
        other => return Err(probe.broken(format!("`lease` for a new key was answered with {other:?}"))),
    };
    for _ in 0..6 {
        probe.pass(duration / 2).await;
        second.busy(&long, "it was not renewed while its holder ran").await?;
    }
    let stamp = lease.stamp();
    first.stored(&long, lease, entry(b"late", &[], stamp)).await?;
    second.expect_live(&long, &entry(b"late", &[], stamp), "its lease was held for three times its duration").await?;
    Ok(Verdict::Passed)
}

pub(super) async fn changed(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let key = key("changed");

    let Reading { live, seen: nothing } = first.read(&key).await?;
    probe.ensure(live.is_none() && nothing == Seen::default(), || {
        format!("`read` of a key that was never stored saw {nothing:?}")
    })?;
    let mut before = nothing;
    for round in 0..3 {
        // The same bytes each time: it is another entry all the same.
        let stamp = second.put(&key, b"same", &[tag(1)]).await?;
        for side in probe.both() {
            match side.lease(&key, before, &[]).await? {
                LeaseAnswer::Changed => {}
                other => {
                    return Err(probe.broken(format!(
                        "`lease` was answered with {other:?}, though entry {round} was stored since the read"
                    )));
                }
            }
        }
        let reading = first.expect_live(&key, &entry(b"same", &[tag(1)], stamp), "it was just stored").await?;
        let again = second.expect_live(&key, &entry(b"same", &[tag(1)], stamp), "it was just stored").await?;
        probe.ensure(reading.seen == again.seen, || "two reads of one entry saw different numbers".to_owned())?;
        probe.ensure(reading.seen != before, || "another entry has the same number".to_owned())?;
        before = reading.seen;
        // For those who have seen it, it is not changed.
        drop(first.granted(&key, &[]).await?);
        drop(second.granted(&key, &[]).await?);
    }

    // A dead entry isn't "changed" for ever: who has seen it may run.
    first.invalidate(&[tag(1)]).await?;
    drop(second.granted(&key, &[]).await?);
    Ok(Verdict::Passed)
}
