//! Stores the result of a run, if it still holds its lease.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{Entry, EntryKey, StoreAnswer};

use super::sorted;
use crate::connection::Command;
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::{hash, hash_text};
use crate::lease::{OF_ANOTHER_TYPE, RedisLease, milliseconds};
use crate::shared::Shared;
use crate::{entry, random, scripts};

/// One round trip: the store script, and the stamp script for tags that were added during the run.
pub(crate) async fn store(
    shared: &Arc<Shared>,
    key: &EntryKey,
    lease: RedisLease,
    entry: Entry,
) -> Result<StoreAnswer, Fault> {
    if !lease.is_of_this_order() {
        return Ok(StoreAnswer::LeaseLost);
    }
    let (hash, deadline) = (hash(key), shared.deadline());
    let added = sorted(entry.tags.iter().map(|held| held.tag).filter(|tag| !lease.has_tag(*tag)));
    let lifetime = match entry.lifetimes.keep {
        None => shared.options.ttl.map_or(Bytes::new(), |ttl| milliseconds(ttl).to_string().into()),
        Some(Duration::ZERO) => Bytes::from_static(b"0"),
        Some(keep) => milliseconds(keep).to_string().into(),
    };
    let idle = entry.lifetimes.idle.map_or(Bytes::new(), |idle| milliseconds(idle).to_string().into());
    shared.memo.put(hash, &entry.tags);
    let id = (random::wide() >> 64) as u64;
    let blob = entry::encode(id, key, entry, shared.options.compress_above);
    let work = move |shared: Arc<Shared>| async move {
        let (channel, message) = (shared.names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(hash)));
        let args = [lease.token(), channel, message, lifetime, blob, idle];
        let mut request = (!added.is_empty()).then(|| shared.stamp_request(&added));
        let mut commands = request.as_mut().map(|request| std::mem::take(&mut request.commands)).unwrap_or_default();
        commands.push(Command::script(&scripts::STORE, vec![shared.names.entry(hash), shared.names.lease(hash)], args));
        let mut answers = shared.topology.call(commands, deadline).await;
        let answer = answers.pop();
        if let Some(request) = request {
            // If that fails, the entry is a miss.
            let _ = shared.stamped(Operation::Store, &request, answers);
        }
        match answer.unwrap_or(Err(Fault::Unexpected("the store script")))?.number() {
            Some(1) => {
                // In all other cases the lease is released, because Redis may have a mark that its run goes on.
                lease.disarm();
                Ok(StoreAnswer::Stored)
            }
            Some(0) => Ok(StoreAnswer::LeaseLost),
            Some(OF_ANOTHER_TYPE) => {
                shared.lease_was_of_another_type(Operation::Store);
                Ok(StoreAnswer::LeaseLost)
            }
            _ => Err(Fault::Unexpected("the store script")),
        }
    };
    shared.run(Operation::Store, work).await
}
