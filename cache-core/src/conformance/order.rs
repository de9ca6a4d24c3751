//! Contract point 1.

use super::futures::together;
use super::harness::{Outcome, Probe, Side, key, tag};
use super::{Broken, Verdict};
use crate::backend::{BoxFuture, Stamp};

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();

    // Each invalidation lies strictly after what was handed out before it, and not after what comes later.
    let mut last = stamp(&first, 0).await?;
    for round in 1..12u64 {
        let (one, other) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let before = stamp(other, round * 10).await?;
        probe.ensure(before >= last, || format!("the clock went back from {last:?} to {before:?}"))?;
        let own = one.invalidate(&[tag(round), tag(round + 100)]).await?;
        last = stamp(other, round * 10 + 1).await?;
        probe.ensure(before < own && own <= last, || {
            format!("an invalidation returned {own:?}, which isn't between the stamp before, {before:?}, and that after, {last:?}")
        })?;
        caught_up(probe, other, own).await?;
        probe.ensure(last > before, || {
            format!("after an invalidation by {} the stamp is {last:?}, as it was before: {before:?}", one.name)
        })?;
    }
    known_stamps(probe).await?;

    // Many at once, from both.
    let tags: Vec<_> = (0..20).map(|number| [tag(number)]).collect();
    let invalidations = tags.iter().enumerate().map(|(number, tags)| {
        let side = if number % 2 == 0 { first } else { second };
        let work: BoxFuture<'_, _> = Box::pin(async move { side.invalidate(tags).await });
        work
    });
    together(invalidations.collect()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let after = stamp(&first, 1000).await?;
    probe.ensure(after > last, || format!("20 invalidations at once left the stamp at {after:?}"))?;

    if let Some(lose_clock) = &probe.subject.lose_clock {
        probe.run(lose_clock).await;
        let again = stamp(&second, 1001).await?;
        probe.ensure(again >= after, || format!("a lost clock came back at {again:?}, before {after:?}"))?;
        first.invalidate(&[tag(1)]).await?;
        let later = stamp(&second, 1002).await?;
        probe.ensure(later > again, || format!("after a lost clock an invalidation left the stamp at {later:?}"))?;
    }
    Ok(Verdict::Passed)
}

/// A process hears of an invalidation, and a stamp that nobody has given out is neither waited for nor becomes the clock.
async fn caught_up(probe: &Probe<'_>, side: &Side<'_>, own: Stamp) -> Result<(), Broken> {
    let heard = side.op("catch_up", async { side.backend.catch_up(own).await }).await?;
    let need_not_wait = side.backend.max_staleness().is_none();
    probe.ensure(heard || !need_not_wait, || {
        format!("`max_staleness` is `None`, but {} hasn't caught up with {own:?}", side.name)
    })?;
    let before = stamp(side, 700).await?;
    for made_up in [Stamp(u64::MAX), Stamp(before.0.saturating_add(1 << 30)), Stamp(0)] {
        let _ = probe.within(probe.suite.limit, "`catch_up`", async { side.backend.catch_up(made_up).await }).await?;
    }
    let after = stamp(side, 701).await?;
    probe.ensure(after == before, || format!("made-up stamps moved the clock from {before:?} to {after:?}"))
}

/// What a process knows without asking is never ahead of the clock, nor behind what it has done itself.
async fn known_stamps(probe: &Probe<'_>) -> Result<(), Broken> {
    for (number, side) in probe.both().iter().enumerate() {
        let known = side.backend.known_stamp();
        let now = stamp(side, 500 + number as u64).await?;
        probe.ensure(known.is_none_or(|known| known <= now), || {
            format!("`known_stamp` in {} is {known:?}, ahead of the clock: {now:?}", side.name)
        })?;
        side.invalidate(&[tag(500 + number as u64)]).await?;
        let known = side.backend.known_stamp();
        probe.ensure(known.is_none_or(|known| known > now), || {
            format!("`known_stamp` in {} is {known:?} after its own invalidation, which came after {now:?}", side.name)
        })?;
    }
    Ok(())
}

/// The stamp a run would get now.
async fn stamp(side: &Side<'_>, number: u64) -> Result<Stamp, Broken> {
    let lease = side.granted(&key(&format!("order {number}")), &[]).await?;
    Ok(lease.stamp())
}
