//! How long entries live.

use std::time::Duration;

use super::harness::{Outcome, Probe, Side, entry, key};
use super::{Broken, Verdict};
use crate::backend::{Entry, EntryKey, Lifetimes};

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let keep = Duration::from_millis(500);
    let (mortal, immortal) = (key("mortal"), key("immortal"));
    let lifetimes = Lifetimes { fresh: Some(Duration::from_millis(200)), keep: Some(keep), idle: None };
    let entry = put(&first, &mortal, lifetimes).await?;
    let for_ever = put(&first, &immortal, Lifetimes::default()).await?;
    for side in probe.both() {
        let reading = side.expect_live(&mortal, &entry, "it is younger than `keep`").await?;
        let remaining = reading.live.and_then(|live| live.remaining);
        probe.ensure(remaining.is_some_and(|left| left <= keep && !left.is_zero()), || {
            format!("an entry that was just stored to be kept {keep:?} has {remaining:?} left")
        })?;
    }
    probe.pass(keep + Duration::from_millis(50)).await;
    for side in probe.both() {
        side.expect_dead(&mortal, "it is older than `keep`").await?;
        side.expect_live(&immortal, &for_ever, "it has no lifetimes").await?;
    }
    let entry = put(&second, &mortal, Lifetimes::default()).await?;
    first.expect_live(&mortal, &entry, "it was stored without lifetimes after one with").await?;
    probe.pass(keep).await;
    first.expect_live(&mortal, &entry, "it was stored without lifetimes after one with").await?;

    // Rounded to zero, these would live for ever or not be stored at all.
    for (number, keep) in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(999)].into_iter().enumerate()
    {
        let short = key(&format!("short {number}"));
        put(&first, &short, Lifetimes { keep: Some(keep), ..Lifetimes::default() }).await?;
        probe.pass(Duration::from_millis(5)).await;
        second.expect_dead(&short, &format!("it was to be kept for {keep:?}")).await?;
    }
    put(&first, &immortal, Lifetimes { fresh: Some(Duration::ZERO), keep: Some(Duration::ZERO), idle: None }).await?;
    second.expect_dead(&immortal, "one that was to be kept for no time was stored in its place").await?;
    // Longer than any counter.
    for (number, keep) in [Duration::from_secs(1 << 40), Duration::MAX].into_iter().enumerate() {
        let long = key(&format!("long {number}"));
        let entry = put(&first, &long, Lifetimes { fresh: Some(keep), keep: Some(keep), idle: None }).await?;
        probe.pass(Duration::from_millis(5)).await;
        second.expect_live(&long, &entry, &format!("it was to be kept for {keep:?}")).await?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn put(side: &Side<'_>, key: &EntryKey, lifetimes: Lifetimes) -> Result<Entry, Broken> {
    let lease = side.granted(key, &[]).await?;
    let entry = Entry { lifetimes, ..entry(b"aging", &[], lease.stamp()) };
    side.stored(key, lease, entry.clone()).await?;
    Ok(entry)
}
