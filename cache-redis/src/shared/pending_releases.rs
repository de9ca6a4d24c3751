//! How many releases of leases are on their way to a server.

use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct PendingReleases(watch::Sender<usize>);

impl PendingReleases {
    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    pub(crate) fn one_more(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn one_less(&self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Ready when there are none.
    pub(crate) async fn none(&self) {
        let mut count = self.0.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }
}
