//! Holds: the contract of [`BackendHold`]. That a hold ends by itself isn't checked here, as it takes as long as one lasts.

use super::futures::yield_now;
use super::harness::{Outcome, Probe, Side, entry, key, tag};
use super::{Broken, Verdict};
use crate::backend::BackendHold;

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let (held, meanwhile, other) = (key("held"), key("meanwhile"), key("other"));
    let stamp = first.put(&held, b"old", &[tag(1), tag(2)]).await?;
    let Some(hold) = placed(&first).await? else { return Ok(Verdict::Skipped { needs: "Backend::hold" }) };

    // While it lives nothing changes for readers, and what is made meanwhile dies with the rest.
    let other_stamp = first.put(&other, b"other", &[tag(3)]).await?;
    second.put(&meanwhile, b"old", &[tag(1)]).await?;
    let late = second.granted(&key("late"), &[tag(1)]).await?;
    let late_stamp = late.stamp();
    for side in probe.both() {
        side.expect_live(&held, &entry(b"old", &[tag(1), tag(2)], stamp), "the hold on its tag still lives").await?;
    }
    first.op("the end of a hold", hold.end()).await?;
    second.store(&key("late"), late, entry(b"old", &[tag(1)], late_stamp)).await?;
    for side in probe.both() {
        for (key, what) in [(&held, "before"), (&meanwhile, "while"), (&key("late"), "by a run that began while")] {
            side.expect_dead(key, &format!("it was made {what} the hold lived, which has ended")).await?;
        }
        side.expect_live(&other, &entry(b"other", &[tag(3)], other_stamp), "its tag wasn't held").await?;
    }

    // Nobody knows what has become of the write.
    first.put(&held, b"old", &[tag(1)]).await?;
    let hold = again(&first).await?;
    first.op("leaving a hold", hold.leave()).await?;
    second.expect_dead(&held, "the hold on its tag was left").await?;
    for how in ["dropped", "dropped with the future of its end"] {
        first.put(&held, b"old", &[tag(1)]).await?;
        let hold = again(&first).await?;
        if how == "dropped" {
            drop(hold);
        } else {
            drop(hold.end());
        }
        let dead = async {
            while second.read(&held).await?.live.is_some() {
                yield_now().await;
            }
            Ok(())
        };
        probe.soon(&format!("the invalidation of a hold that was {how}"), dead).await??;
    }
    Ok(Verdict::Passed)
}

/// `None` if the backend has no holds.
async fn placed(side: &Side<'_>) -> Result<Option<Box<dyn BackendHold>>, Broken> {
    let Some(hold) = side.backend.hold(&[tag(1), tag(7)]) else { return Ok(None) };
    side.op("a hold", hold.placed()).await?;
    Ok(Some(hold))
}

async fn again(side: &Side<'_>) -> Result<Box<dyn BackendHold>, Broken> {
    placed(side).await?.ok_or_else(|| side.probe.broken("a backend that had holds has none any more"))
}
