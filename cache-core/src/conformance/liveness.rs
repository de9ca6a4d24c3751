//! Contract point 2.

use super::harness::{Outcome, Probe, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::{Entry, HeldTag, Lifetimes, TagId};

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    dies_with_any_of_its_tags(probe).await?;
    stored_too_late(probe).await?;
    stamps_are_per_tag(probe).await?;
    many(probe).await?;
    Ok(Verdict::Passed)
}

async fn dies_with_any_of_its_tags(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let (dying, other, untagged) = (key("dying"), key("other"), key("untagged"));
    for (number, invalidated) in [1, 2, 3].into_iter().enumerate() {
        let stamp = first.put(&dying, b"dying", &[tag(1), tag(2), tag(3)]).await?;
        let other_stamp = second.put(&other, b"other", &[tag(4)]).await?;
        let untagged_stamp = first.put(&untagged, b"untagged", &[]).await?;
        let expected = entry(b"dying", &[tag(1), tag(2), tag(3)], stamp);
        for side in probe.both() {
            let reading = side.expect_live(&dying, &expected, "it was just stored").await?;
            probe.ensure(reading.live.is_some_and(|live| live.remaining.is_none()), || {
                "an entry without lifetimes has a remaining life".to_owned()
            })?;
        }
        let invalidator = if number % 2 == 0 { &second } else { &first };
        invalidator.invalidate(&[tag(invalidated)]).await?;
        for side in probe.both() {
            side.expect_dead(&dying, &format!("tag {number} of three was invalidated")).await?;
            side.expect_live(&other, &entry(b"other", &[tag(4)], other_stamp), "another tag was invalidated").await?;
            side.expect_live(&untagged, &entry(b"untagged", &[], untagged_stamp), "it has no tags").await?;
        }
        // So that the next round finds nothing.
        first.invalidate(&[tag(4)]).await?;
    }
    Ok(())
}

/// The classic hole: the run began before the invalidation, the store comes after it.
async fn stored_too_late(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let late = key("late");
    let lease = first.granted(&late, &[tag(10)]).await?;
    let stamp = lease.stamp();
    second.invalidate(&[tag(10)]).await?;
    first.store(&late, lease, entry(b"old", &[tag(10)], stamp)).await?;
    for side in probe.both() {
        side.expect_dead(&late, "it was computed before the invalidation and stored after it").await?;
    }
    let stamp = second.put(&late, b"new", &[tag(10)]).await?;
    for side in probe.both() {
        side.expect_live(&late, &entry(b"new", &[tag(10)], stamp), "its run began after the invalidation").await?;
    }

    // A tag that only became known at the end of the run.
    let added = key("added");
    let lease = first.granted(&added, &[]).await?;
    let stamp = lease.stamp();
    second.invalidate(&[tag(11)]).await?;
    first.store(&added, lease, entry(b"old", &[tag(11)], stamp)).await?;
    for side in probe.both() {
        side.expect_dead(&added, "a tag added at the end of the run was invalidated during it").await?;
    }
    let lease = first.granted(&added, &[]).await?;
    let stamp = lease.stamp();
    first.stored(&added, lease, entry(b"new", &[tag(11)], stamp)).await?;
    for side in probe.both() {
        side.expect_live(&added, &entry(b"new", &[tag(11)], stamp), "nothing was invalidated since its run").await?;
    }

    // One that nobody has ever used: the backend may need the first store to learn of it.
    let unheard = key("unheard of");
    for attempt in 0..2 {
        let lease = first.granted(&unheard, &[]).await?;
        let stamp = lease.stamp();
        first.stored(&unheard, lease, entry(b"new", &[tag(12)], stamp)).await?;
        if attempt > 0 {
            let why = "it has a tag that was never invalidated and that only its store named, for the second time";
            second.expect_live(&unheard, &entry(b"new", &[tag(12)], stamp), why).await?;
        }
    }
    Ok(())
}

/// An inherited tag keeps the child's stamp.
async fn stamps_are_per_tag(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let (own, inherited) = (tag(20), tag(21));
    let parent = key("parent");
    let tags = sorted([own, inherited]);
    let child_stamp = first.put(&key("child"), b"child", &[inherited]).await?;
    second.invalidate(&[own]).await?;
    let lease = first.granted(&parent, &[own]).await?;
    let held = |stamps: [HeldTag; 2]| {
        let mut tags = stamps.to_vec();
        tags.sort_unstable_by_key(|held| held.tag);
        Entry { payload: b"parent".to_vec(), tags, lifetimes: Lifetimes::default() }
    };
    let expected = held([HeldTag { tag: own, stamp: lease.stamp() }, HeldTag { tag: inherited, stamp: child_stamp }]);
    first.stored(&parent, lease, expected.clone()).await?;
    for side in probe.both() {
        side.expect_live(&parent, &expected, "its own tag was invalidated before its run, its child's never").await?;
    }

    second.invalidate(&[inherited]).await?;
    let lease = first.granted(&parent, &tags).await?;
    let too_old = held([HeldTag { tag: own, stamp: lease.stamp() }, HeldTag { tag: inherited, stamp: child_stamp }]);
    first.store(&parent, lease, too_old).await?;
    for side in probe.both() {
        side.expect_dead(&parent, "its own stamp is new, but that of the child it was built on is too old").await?;
    }
    Ok(())
}

fn sorted(mut tags: [TagId; 2]) -> [TagId; 2] {
    tags.sort_unstable();
    tags
}

/// More entries and tags than any record can list one by one.
async fn many(probe: &Probe<'_>) -> Result<(), Broken> {
    let [first, second] = probe.both();
    let keys: Vec<_> = (0..50).map(|number| key(&format!("many {number}"))).collect();
    for (number, key) in (1000..).zip(&keys) {
        first.put(key, b"many", &[tag(30), tag(number)]).await?;
    }
    second.invalidate(&[tag(30)]).await?;
    for round in 0..80u64 {
        let tags: Vec<_> = (0..64).map(|number| tag(10_000 + round * 64 + number)).collect();
        first.invalidate(&tags).await?;
    }
    for key in &keys {
        for side in probe.both() {
            side.expect_dead(key, "its tag was invalidated before 5,120 others were").await?;
        }
    }
    let stamp = first.put(&keys[0], b"again", &[tag(30)]).await?;
    second.expect_live(&keys[0], &entry(b"again", &[tag(30)], stamp), "its run began after all invalidations").await?;
    Ok(())
}
