//! What all handles to one backend share.

mod held_leases;
mod pending_releases;
mod remembered;
mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::runtime::Handle;
use tokio::time::Instant;

pub(crate) use self::held_leases::HeldLeases;
pub(crate) use self::pending_releases::PendingReleases;
pub(crate) use self::remembered::Remembered;
use crate::bus::Bus;
use crate::health::Monitor;
use crate::keys::Names;
use crate::options::Options;
use crate::runtime::Watchdog;
use crate::tag_buckets::TagMemo;
use crate::topology::Topology;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) names: Arc<Names>,
    pub(crate) topology: Topology,
    pub(crate) bus: Arc<Bus>,
    pub(crate) memo: TagMemo,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) runtime: Handle,
    pub(crate) watchdog: Watchdog,
    pub(crate) closed: AtomicBool,
    pub(crate) held: HeldLeases,
    pub(crate) pending_releases: PendingReleases,
    pub(crate) remembered: Remembered,
    /// How many touches of entries are on their way to a server.
    pub(crate) touches: AtomicUsize,
}

impl Shared {
    /// When an operation that begins now must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.timeout
    }
}
