//! The thread and the runtime of a backend. They belong to no caller, so that connections outlive every caller's runtime, and
//! sync functions need no runtime.

mod watchdog;

use std::future::Future;
use std::time::Duration;

use cache_core::{__with_timeout as with_timeout, Error, ErrorKind};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

pub(crate) use self::watchdog::{Asked, Bound, Watchdog};

/// How long the threads of name look-ups are waited for at the end.
const FAREWELL: Duration = Duration::from_millis(100);

/// Ends when it is told to, or when all of these are gone.
#[derive(Debug)]
pub(crate) struct Runtime {
    handle: Handle,
    stopper: Stopper,
}

/// Ends a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Runtime {
    /// `last` is what it does between being told to end and ending.
    pub(crate) fn start() -> Result<(Self, LastWords), Error> {
        let failed = |cause| Error::new(ErrorKind::Config, "the thread for Redis can't be started").with_source(cause);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, mut stopping) = watch::channel(false);
        let (stopped_sender, stopped) = watch::channel(false);
        let (say, last_words) = tokio::sync::oneshot::channel::<futures_util::future::BoxFuture<'static, ()>>();
        let main = move || {
            runtime.block_on(async {
                // Also when the sender is dropped.
                let _ = stopping.wait_for(|stop| *stop).await;
                if let Ok(last_words) = last_words.await {
                    last_words.await;
                }
            });
            // Drops all tasks, and with them all connections.
            runtime.shutdown_timeout(FAREWELL);
            stopped_sender.send_replace(true);
        };
        std::thread::Builder::new().name("larder-redis".to_owned()).spawn(main).map_err(failed)?;
        Ok((Self { handle, stopper: Stopper { stop, stopped } }, LastWords(say)))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn stopper(&self) -> &Stopper {
        &self.stopper
    }
}

/// What the runtime does at its end.
pub(crate) struct LastWords(tokio::sync::oneshot::Sender<futures_util::future::BoxFuture<'static, ()>>);

impl LastWords {
    pub(crate) fn are(self, work: impl Future<Output = ()> + Send + 'static) {
        // If the thread is gone there is nothing to be done.
        let _ = self.0.send(Box::pin(work));
    }
}

impl Stopper {
    /// Tells it to end.
    pub(crate) fn signal(&self) {
        self.stop.send_replace(true);
    }

    /// Tells it to end. Ready when it has ended, or after this time if it is stuck: then it ends by itself as soon as it
    /// isn't.
    pub(crate) async fn stop(self, within: Duration) {
        self.signal();
        let mut stopped = self.stopped;
        let _ = with_timeout(stopped.wait_for(|stopped| *stopped), within + FAREWELL).await;
    }
}
