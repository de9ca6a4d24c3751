//! Contract point 9.

use std::any::Any;

use super::harness::{LONG_LEASE, Outcome, Probe, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::{Busy, Lease, LeaseRequest, Seen, Stamp, StoreAnswer};

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    foreign_lease(probe).await?;
    damaged(probe).await?;
    closed(probe).await?;
    Ok(Verdict::Passed)
}

#[derive(Debug)]
struct Foreign;

impl Lease for Foreign {
    fn stamp(&self) -> Stamp {
        Stamp(0)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

/// A lease that another backend granted.
async fn foreign_lease(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key("foreign");
    let work = async { first.backend.store(&key, Box::new(Foreign), entry(b"foreign", &[], Stamp(0))).await };
    let answer = probe.within(probe.suite.limit, "`store` with a foreign lease", work).await?;
    probe.ensure(!matches!(answer, Ok(StoreAnswer::Stored)), || {
        "`store` accepted a lease that another backend granted".to_owned()
    })?;
    second.expect_dead(&key, "it was stored with another backend's lease").await
}

/// Bytes that were changed in the store are never an answer.
async fn damaged(probe: &Probe<'_>) -> Result<(), Broken> {
    let Some(damage) = &probe.subject.damage_entries else { return Ok(()) };
    let [first, second] = probe.both();
    let key = key("damaged");
    let stamp = first.put(&key, b"some longer payload", &[tag(1), tag(2)]).await?;
    probe.run(damage).await;
    for side in probe.both() {
        let read = async { side.backend.read(&key).await };
        let answer = probe.within(probe.suite.limit, "`read` of a damaged entry", read).await?;
        probe.ensure(answer.is_ok_and(|reading| reading.live.is_none()), || {
            format!("{} doesn't treat a damaged entry as a miss", side.name)
        })?;
    }
    let again = second.put(&key, b"whole", &[tag(1)]).await?;
    probe.ensure(again >= stamp, || "the clock went back".to_owned())?;
    first.expect_live(&key, &entry(b"whole", &[tag(1)], again), "it was stored over a damaged entry").await.map(drop)
}

/// After `close`: errors, at once; and the other process goes on.
async fn closed(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let key = key("closed");
    let limit = probe.suite.limit;
    let stamp = first.put(&key, b"before", &[tag(3)]).await?;
    let held = super::harness::key("closed while held");
    let lease = first.granted(&held, &[]).await?;
    probe.within(limit, "`close`", async { first.backend.close().await }).await?;
    probe.within(limit, "a second `close`", async { first.backend.close().await }).await?;

    let request = LeaseRequest { duration: Some(LONG_LEASE), seen: Seen::default(), tags: &[], take_over: false };
    let busy = Busy { remaining: LONG_LEASE, holder: Vec::new(), follows_unstored: false };
    let lease_stamp = lease.stamp();
    let store = async { first.backend.store(&held, lease, entry(b"after", &[], lease_stamp)).await };
    let refused = [
        ("read", probe.within(limit, "`read`", async { first.backend.read(&key).await }).await?.is_err()),
        ("lease", probe.within(limit, "`lease`", async { first.backend.lease(&key, request).await }).await?.is_err()),
        ("wait", probe.within(limit, "`wait`", async { first.backend.wait(&key, busy).await }).await?.is_err()),
        ("store", probe.within(limit, "`store`", store).await?.is_err()),
        (
            "invalidate",
            probe.within(limit, "`invalidate`", async { first.backend.invalidate(&[]).await }).await?.is_err(),
        ),
    ];
    for (what, refused) in refused {
        probe.ensure(refused, || format!("`{what}` on a closed backend returned no error"))?;
    }
    second.expect_live(&key, &entry(b"before", &[tag(3)], stamp), "only the other process has closed").await?;
    second.soon_granted(&held, "its holder has closed").await.map(drop)
}
