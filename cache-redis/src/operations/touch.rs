//! Prolongs the life of an entry that was used.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::EntryKey;

use crate::connection::Command;
use crate::health::Operation;
use crate::keys::hash;
use crate::lease::milliseconds;
use crate::scripts;
use crate::shared::Shared;

/// So many touches may be on their way. What is beyond isn't sent, which costs a miss later at most.
const MOST: usize = 1024;

/// One round trip, for which nobody waits: the touch script.
pub(crate) fn touch(shared: &Arc<Shared>, key: &EntryKey, idle: Duration) {
    if shared.touches.fetch_add(1, Ordering::Relaxed) >= MOST {
        shared.touches.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let (hash, on_its_way) = (hash(key), OnItsWay(Arc::clone(shared)));
    shared.runtime.spawn(async move {
        let shared = &on_its_way.0;
        shared.watchdog.beat(&shared.monitor);
        let args = [Bytes::from(milliseconds(idle).to_string())];
        let command = Command::script(&scripts::TOUCH, vec![shared.names.entry(hash)], args);
        let answer = shared.topology.call(vec![command], shared.deadline()).await.pop();
        match answer {
            Some(Err(fault)) => shared.monitor.fault(Operation::Touch, &fault),
            Some(Ok(_)) => shared.monitor.success(Operation::Touch),
            None => {}
        }
    });
}

/// Also if the task is dropped with its runtime.
struct OnItsWay(Arc<Shared>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.touches.fetch_sub(1, Ordering::Relaxed);
    }
}
