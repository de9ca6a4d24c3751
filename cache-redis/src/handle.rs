//! The handle that users hold: what starts with it, and what ends with it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::Error;
use tokio::time::Instant;

use crate::bus::Bus;
use crate::connection::{Subscriptions, Target};
use crate::error::Fault;
use crate::health::{Health, Monitor, Operation};
use crate::heartbeat::heartbeat;
use crate::keys::Names;
use crate::options::Options;
use crate::random;
use crate::runtime::{Bound, Runtime, Watchdog};
use crate::shared::{HeldLeases, PendingReleases, Remembered, Shared};
use crate::tag_buckets::TagMemo;
use crate::topology::{NodeFactory, Topology};

/// A [`Backend`](cache_core::backend::Backend) on Redis. Cheap to clone; clones share connections and a thread, which end
/// with [`close`](cache_core::backend::Backend::close) or with the last clone.
///
/// Works from every runtime, several, or none: its tasks run on a thread of its own.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    runtime: Runtime,
}

impl Redis {
    /// The state of the connection to Redis.
    pub fn health(&self) -> Health {
        let topology = &self.shared().topology;
        let open = !self.shared().closed.load(Ordering::Acquire) && !self.shared().watchdog.is_elsewhere();
        let mut health = self.shared().monitor.snapshot(
            open && topology.all_up(),
            open && topology.all_listening(),
            open && topology.all_have_keyspace_events(),
        );
        health.remembered_invalidations = self.shared().remembered.count();
        health
    }

    pub(crate) fn start(options: Options) -> Result<Self, Error> {
        let (runtime, last_words) = Runtime::start()?;
        let entered = runtime.handle().enter();
        let names = Arc::new(Names::new(&options.prefix, options.database));
        let monitor = Arc::new(Monitor::new(options.hooks.clone()));
        let origin = format!("{:032x}", random::wide());
        let bus = Arc::new(Bus::new(Arc::clone(&names), origin, Arc::clone(&monitor)));
        let factory = NodeFactory {
            target: Target::new(&options, names.sequence.clone()),
            pool_size: options.pool_size,
            subscriptions: Subscriptions {
                channels: vec![names.bus.clone(), names.wake.clone()],
                pattern: options.notifications.then(|| names.lease_events.clone()),
                pause: options.pause(),
                permission: names.permission_to_listen().into(),
            },
            handler: bus.clone(),
            monitor: Arc::clone(&monitor),
        };
        let shared = Arc::new(Shared {
            topology: Topology::start(&options, factory),
            options,
            names,
            bus,
            memo: TagMemo::new(),
            monitor,
            runtime: runtime.handle().clone(),
            watchdog: Watchdog::new(),
            closed: AtomicBool::new(false),
            held: HeldLeases::default(),
            pending_releases: PendingReleases::default(),
            remembered: Remembered::default(),
            touches: AtomicUsize::new(0),
        });
        tokio::spawn(heartbeat(Arc::clone(&shared)));
        last_words.are(farewell(Arc::clone(&shared)));
        drop(entered);
        Ok(Self { inner: Arc::new(Inner { shared, runtime }) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// The shared part, if an operation can use it. Must be called before the operation takes a lock, because after a `fork` a lock
    /// that another thread held stays locked.
    pub(crate) fn usable(&self, operation: Operation) -> Result<&Arc<Shared>, Fault> {
        self.shared().is_of_use(operation)?;
        Ok(self.shared())
    }

    /// Waits for the first attempt to connect, and checks that the server can be used.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        let work = |shared: Arc<Shared>| async move {
            shared.topology.first_attempt().await?;
            // Scripts must be allowed, and the sequence must be writable. If both are new to the server, this takes five round
            // trips, so it has twice the timeout.
            shared.stamp(Operation::Connect, &[], Instant::now() + shared.options.timeout * 2).await.map(drop)
        };
        let bound = Bound::Within(self.shared().topology.opening_takes() + self.shared().options.timeout * 2);
        self.shared().run_within(bound, Operation::Connect, work).await
    }

    /// Releases all leases, then ends the thread and the connections.
    pub(crate) fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(self.shared());
        let stopper = self.inner.runtime.stopper().clone();
        async move {
            shared.closed.store(true, Ordering::Release);
            if shared.watchdog.is_elsewhere() {
                // The connections are the parent's.
                return;
            }
            shared.bus.waiters.wake_all();
            stopper.stop((shared.options.timeout * 2).max(Duration::from_secs(1))).await;
        }
    }
}

/// The last work of the runtime.
async fn farewell(shared: Arc<Shared>) {
    let _ = tokio::time::timeout(shared.options.timeout, shared.give_all_back()).await;
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        if !self.shared.watchdog.is_elsewhere() {
            self.runtime.stopper().signal();
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("options", &self.shared().options).finish_non_exhaustive()
    }
}
