//! What listeners hear.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::futures::cut_after;
use super::harness::{Outcome, Probe, Side, key, tag};
use super::{Broken, Verdict};
use crate::backend::{BootInstant, Listener, ListenerHandle, TagId};

/// Futures are dropped before the first poll, and after each of the next.
const POLLS: usize = 4;

#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<TagId>>,
    doubt: AtomicBool,
}

impl Listener for Ear {
    fn invalidated(&self, tags: &[TagId]) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(tags);
    }

    fn doubt(&self) {
        self.doubt.store(true, Ordering::Release);
    }

    fn trusted_until(&self, _: BootInstant) {}
}

impl Ear {
    fn attached(side: &Side<'_>) -> Arc<Self> {
        let ear = Arc::new(Self::default());
        let weak: Weak<Self> = Arc::downgrade(&ear);
        side.backend.attach(ListenerHandle::new(weak));
        ear
    }

    /// A doubt covers every tag.
    fn knows(&self, tags: &[TagId]) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.doubt.load(Ordering::Acquire) || tags.iter().all(|tag| heard.contains(tag))
    }
}

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let ears = [Ear::attached(&second), Ear::attached(&second)];
    let own = Ear::attached(&first);
    for round in 0..5 {
        let tags = [tag(round * 2), tag(round * 2 + 1)];
        first.invalidate(&tags).await?;
        for ear in &ears {
            hears(probe, &second, ear, &tags).await?;
        }
        second.invalidate(&tags[..1]).await?;
        hears(probe, &first, &own, &tags[..1]).await?;
    }
    // Of the caches that share a handle, those that didn't ask hear of it too, also if it was dropped on the way.
    let others = Ear::attached(&first);
    for polls in 0..POLLS {
        let (key, tags) = (key(&format!("shared {polls}")), [tag(200 + polls as u64)]);
        first.put(&key, b"doomed", &tags).await?;
        let work = cut_after(polls, Box::pin(async { first.backend.invalidate(&tags).await }));
        drop(probe.within(probe.suite.limit, "`invalidate`", work).await?);
        if second.read(&key).await?.live.is_none() {
            hears(probe, &first, &others, &tags).await?;
        }
    }
    // A cache that is gone is no trouble, and is not kept alive.
    let [ear, gone] = ears;
    let gone_weakly = Arc::downgrade(&gone);
    drop(gone);
    first.invalidate(&[tag(100)]).await?;
    hears(probe, &second, &ear, &[tag(100)]).await?;
    probe.ensure(gone_weakly.upgrade().is_none(), || "the backend keeps a listener alive".to_owned())?;
    Ok(Verdict::Passed)
}

async fn hears(probe: &Probe<'_>, side: &Side<'_>, ear: &Ear, tags: &[TagId]) -> Result<(), Broken> {
    let staleness = side.backend.max_staleness();
    let Some(staleness) = staleness else {
        return probe.ensure(ear.knows(tags), || {
            format!(
                "`invalidate` returned before a listener in {} heard of it, but `max_staleness` is `None`",
                side.name
            )
        });
    };
    let heard = async {
        while !ear.knows(tags) {
            probe.sleep(Duration::from_millis(2)).await;
        }
    };
    let limit = staleness.saturating_add(probe.suite.patience);
    probe.timed(limit, heard).await?.ok_or_else(|| {
        probe.broken(format!(
            "a listener in {} heard nothing within {limit:?} of an invalidation that its own cache didn't ask for; those of \
             other caches that are attached to the same handle are such as well",
            side.name
        ))
    })
}
