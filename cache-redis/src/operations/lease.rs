//! Takes the lease of a key, with the stamp of the run that will hold it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{Busy, EntryKey, LeaseAnswer, LeaseRequest};

use super::sorted;
use crate::connection::{Command, Reply};
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::{hash, hash_text};
use crate::lease::{RedisLease, milliseconds};
use crate::scripts;
use crate::shared::Shared;

/// One round trip: the lease script, and the stamp script with the tags. In a cluster they run on different servers, so the stamp
/// may be older than the grant; it is never older than the request.
pub(crate) async fn lease(
    shared: &Arc<Shared>,
    key: &EntryKey,
    request: LeaseRequest<'_>,
) -> Result<LeaseAnswer, Fault> {
    let (hash, deadline) = (hash(key), shared.deadline());
    let tags = sorted(request.tags.iter().copied());
    let duration = request.duration.unwrap_or(shared.options.lease);
    let (seen, take_over) = (Bytes::copy_from_slice(&request.seen.0.to_le_bytes()), request.take_over);
    let work = move |shared: Arc<Shared>| async move {
        // From here on, whatever the server may have granted is released, unless the attempt becomes a lease.
        let attempt = RedisLease::attempt(&shared, hash, duration);
        let name = shared.names.lease(hash);
        let wants_message = !shared.topology.has_keyspace_events(&name);
        let args = [
            seen,
            attempt.token(),
            milliseconds(duration).to_string().into(),
            Bytes::from_static(if wants_message { b"1" } else { b"0" }),
            Bytes::from_static(if take_over { b"1" } else { b"0" }),
            shared.names.wake.clone().into(),
            Bytes::copy_from_slice(&hash_text(hash)),
        ];
        let mut request = shared.stamp_request(&tags);
        let mut commands = vec![Command::script(&scripts::LEASE, vec![shared.names.entry(hash), name], args)];
        commands.append(&mut request.commands);
        let mut answers = shared.topology.call(commands, deadline).await.into_iter();
        let granted = match answers.next().unwrap_or(Err(Fault::Unexpected("a lease"))) {
            Err(fault) if fault.is_without_effect() => {
                attempt.disarm();
                return Err(fault);
            }
            granted => granted?,
        };
        match granted {
            Reply::Number(answer @ (1..=3)) => {
                if answer == 2 {
                    shared.lease_was_of_another_type(Operation::Lease);
                }
                let position = match shared.stamped(Operation::Lease, &request, answers)? {
                    Ok(position) => position,
                    Err(why) => {
                        shared.make_usable(why, deadline).await?;
                        shared.stamp(Operation::Lease, &tags, deadline).await?
                    }
                };
                Ok(LeaseAnswer::Granted(Box::new(attempt.granted(position, tags, answer == 3))))
            }
            Reply::Number(_) => {
                attempt.disarm();
                Ok(LeaseAnswer::Changed)
            }
            reply => {
                let busy = busy(reply).ok_or(Fault::Unexpected("the lease script"))?;
                attempt.disarm();
                Ok(LeaseAnswer::Busy(busy))
            }
        }
    };
    shared.run(Operation::Lease, work).await
}

fn busy(reply: Reply) -> Option<Busy> {
    let [token, left, unstored] = <[Reply; 3]>::try_from(reply.list()?).ok()?;
    // One millisecond more, because Redis rounds down.
    let remaining = Duration::from_millis(u64::try_from(left.number()?).ok()?.saturating_add(1));
    Some(Busy { remaining, holder: token.text()?.to_vec(), follows_unstored: unstored.number()? == 1 })
}
