//! One server of the topology: its connection pool, its subscriber, and the reads that wait for it.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::read_queue::ReadQueue;
use crate::connection::{MessageHandler, Pool, Subscriber, Subscriptions, Target};
use crate::health::Monitor;

/// A server: commands and messages. Dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pool: Arc<Pool>,
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) reads: Arc<ReadQueue>,
    tasks: [AbortHandle; 2],
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Makes nodes.
pub(crate) struct NodeFactory {
    pub(crate) target: Target,
    pub(crate) pool_size: usize,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) handler: Arc<dyn MessageHandler>,
    pub(crate) monitor: Arc<Monitor>,
}

impl NodeFactory {
    /// Starts to connect. Must be called on the backend's runtime.
    pub(super) fn node(&self, target: Target) -> Node {
        let pool = Arc::new(Pool::new(target, Arc::clone(&self.monitor)));
        let (subscriptions, handler) = (self.subscriptions.clone(), Arc::clone(&self.handler));
        let subscriber =
            Arc::new(Subscriber::new(Arc::clone(&pool), subscriptions, handler, Arc::clone(&self.monitor)));
        let tasks = [
            tokio::spawn(Arc::clone(&pool).supervise(self.pool_size)).abort_handle(),
            tokio::spawn(Arc::clone(&subscriber).supervise()).abort_handle(),
        ];
        Node { pool, subscriber, reads: Arc::default(), tasks }
    }
}
