//! [`Redis`] as a [`Backend`]: which commands each method takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, HeldTag, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading,
    Seen, Stamp, StoreAnswer, TagId,
};
use cache_core::codec::Codec;
use cache_core::{Error, ErrorKind};
use tokio::time::Instant;

use crate::clock::END;
use crate::connection::{Command, Reply};
use crate::core::Core;
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::{KeyHash, hash, hash_text};
use crate::lease::{OF_ANOTHER_TYPE, RedisLease, milliseconds};
use crate::log::Judgement;
use crate::order::Recorded;
use crate::pulse::Bound;
use crate::reads::{Batch, Wanted};
use crate::wake::{Woken, pace};
use crate::{Redis, entry, lease, random, reads, scripts};

impl Backend for Redis {
    fn name(&self) -> &str {
        "redis"
    }

    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        Box::pin(async move { Ok(read(self.usable(Operation::Read)?, key).await?) })
    }

    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(async move { Ok(lease(self.usable(Operation::Lease)?, key, request).await?) })
    }

    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { Ok(wait(self.usable(Operation::Wait)?, key, busy).await?) })
    }

    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        Box::pin(async move {
            let foreign = || {
                Error::new(
                    ErrorKind::Refused,
                    "a lease was given to `store` that this backend did not grant for this key",
                )
            };
            let lease = lease.into_any().downcast::<RedisLease>().map_err(|_| foreign())?;
            if !lease.is_of(self.core(), hash(key)) {
                return Err(foreign());
            }
            Ok(store(self.usable(Operation::Store)?, key, *lease, entry).await?)
        })
    }

    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let (ours, deadline) = (tags.to_vec(), self.core().deadline());
            let own = self.core().bus.own(tags);
            let author = Bytes::from(own.author.clone());
            let work = |core: Arc<Core>| async move { core.invalidate(&ours, &author, deadline).await };
            let work = self.core().run_within(Bound::Eventually, Operation::Invalidate, work);
            if work.await? == Recorded::Once {
                own.recorded();
            }
            Ok(())
        })
    }

    fn known_stamp(&self) -> Option<Stamp> {
        Some(self.core().bus.known.told()).filter(|known| *known > 0).map(Stamp)
    }

    fn attach(&self, listener: ListenerHandle) {
        self.core().bus.attach(listener);
    }

    fn max_staleness(&self) -> Option<Duration> {
        Some(self.core().options.max_staleness)
    }

    fn codec(&self) -> Option<Arc<dyn Codec>> {
        self.core().options.codec.clone()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shut_down())
    }
}

/// One round trip: GET, GET of the clock, and TIME. What the log can't tell of the entry's tags is asked in a second one;
/// where the log is of no use, along with the first, if the tags are those that the key had last.
async fn read(core: &Arc<Core>, key: &EntryKey) -> Result<Reading, Fault> {
    let (hash, deadline) = (hash(key), core.deadline());
    let tags = if core.bus.is_informed() { None } else { core.memo.get(hash) };
    let name = core.names.entry(hash);
    let queue = core.servers.reads(&name);
    let wanted = Wanted { entry: Some(name), tags: tags.map_or_else(Vec::new, |tags| tags.to_vec()) };
    let found = reads::read(core, &queue, wanted, deadline).await?;
    let Some(blob) = found.entry else { return Ok(Reading { live: None, seen: Seen::default() }) };
    let seen = entry::seen(&blob);
    let live = match entry::decode(&blob, key, found.batch.time) {
        Some(live) if is_live(core, hash, &live.entry.tags, &found.batch, deadline).await? => Some(live),
        _ => None,
    };
    Ok(Reading { live, seen })
}

/// Whether no tag was invalidated after the stamp held for it.
async fn is_live(
    core: &Arc<Core>,
    hash: KeyHash,
    tags: &[HeldTag],
    batch: &Batch,
    deadline: Instant,
) -> Result<bool, Fault> {
    let newest = tags.iter().map(|held| held.stamp.0).max().unwrap_or(0);
    if newest >= END {
        return Ok(false);
    }
    let is_beyond = |batch: &Batch| batch.moment.is_some_and(|moment| moment.clock < newest);
    let mut unknown = if is_beyond(batch) {
        // It was stored after the clock had been read, or in an order that was lost: which of them, the clock says now.
        tags.to_vec()
    } else {
        let mut unknown = match core.bus.judge(tags, batch.moment) {
            Judgement::Live => return Ok(true),
            Judgement::Dead => return Ok(false),
            Judgement::Ask(unknown) => unknown,
        };
        // What was asked on suspicion may have failed: then it is asked for again.
        if !heed(core, batch, &mut unknown) {
            return Ok(false);
        }
        if unknown.is_empty() {
            return Ok(true);
        }
        unknown
    };
    core.memo.put(hash, tags);
    let wanted = Wanted { entry: None, tags: unknown.iter().map(|held| held.tag).collect() };
    let more = reads::read(core, &core.servers.reads(&core.names.clock), wanted, deadline).await?;
    if is_beyond(&more.batch) {
        core.bus.suspect(newest);
        return Ok(false);
    }
    Ok(heed(core, &more.batch, &mut unknown) && unknown.is_empty())
}

/// Takes away the tags that the buckets have told of. Whether none of them was invalidated after the stamp held for it; a
/// tag whose record was lost may have been.
fn heed(core: &Core, batch: &Batch, unknown: &mut Vec<HeldTag>) -> bool {
    let (mut known, mut allowed) = (Vec::new(), !batch.went_back);
    unknown.retain(|held| match batch.invalidated.last(held.tag) {
        Ok(last) => {
            known.extend(last.map(|last| (held.tag, last)));
            allowed &= last.is_some_and(|last| last <= held.stamp.0);
            false
        }
        Err(_) => true,
    });
    if let Some(moment) = batch.moment.filter(|_| !known.is_empty()) {
        core.bus.remember(moment, known);
    }
    allowed
}

/// One round trip: the lease script, and the stamp script for the clock and the buckets of the tags. In a cluster they
/// run on different servers and the stamp may be older than the grant; it is never older than the request.
async fn lease(core: &Arc<Core>, key: &EntryKey, request: LeaseRequest<'_>) -> Result<LeaseAnswer, Fault> {
    let (hash, deadline) = (hash(key), core.deadline());
    let tags = sorted(request.tags.iter().copied());
    let duration = request.duration.unwrap_or(core.options.lease);
    let (seen, take_over) = (Bytes::copy_from_slice(&request.seen.0.to_le_bytes()), request.take_over);
    let work = move |core: Arc<Core>| async move {
        // From here on, what the server may have granted is given back unless someone takes it over.
        let attempt = RedisLease::attempt(&core, hash, duration);
        let name = core.names.lease(hash);
        let wants_message = !core.servers.has_keyspace_events(&name);
        let args = [
            seen,
            attempt.token(),
            milliseconds(duration).to_string().into(),
            Bytes::from_static(if wants_message { b"1" } else { b"0" }),
            Bytes::from_static(if take_over { b"1" } else { b"0" }),
            core.names.wake.clone().into(),
            Bytes::copy_from_slice(&hash_text(hash)),
        ];
        let mut request = core.stamp_request(&tags);
        let mut commands = vec![Command::script(&scripts::LEASE, vec![core.names.entry(hash), name], args)];
        commands.append(&mut request.commands);
        let mut answers = core.servers.call(commands, deadline).await.into_iter();
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
                    core.lease_was_of_another_type(Operation::Lease);
                }
                let position = match core.stamped(Operation::Lease, &request, answers)? {
                    Ok(position) => position,
                    Err(why) => {
                        core.make_usable(why, deadline).await?;
                        core.stamp(Operation::Lease, &tags, deadline).await?
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
    core.run(Operation::Lease, work).await
}

fn busy(reply: Reply) -> Option<Busy> {
    let [token, left, unstored] = <[Reply; 3]>::try_from(reply.list()?).ok()?;
    // A millisecond more: Redis rounds down.
    let remaining = Duration::from_millis(u64::try_from(left.number()?).ok()?.saturating_add(1));
    Some(Busy { remaining, holder: token.text()?.to_vec(), follows_unstored: unstored.number()? == 1 })
}

/// Registers, looks once, and then waits for whatever comes first: the push, or the end of the life that the lease had left
/// when it was asked for. Then the lease is to be asked for again, which gives one without an end an end. Looks again when a
/// push may have been missed, and now and then where none will come.
async fn wait(core: &Arc<Core>, key: &EntryKey, busy: Busy) -> Result<(), Fault> {
    let hash = hash(key);
    // It has no end: it must not outlive whoever waits.
    let (tell, mut gone) = tokio::sync::oneshot::channel::<()>();
    let work = move |core: Arc<Core>| async move {
        let (began, name) = (Instant::now(), core.names.lease(hash));
        loop {
            let mut waiter = core.bus.waiters.register(hash);
            let Some(asked) = look(&core, &name, &busy.holder).await? else { return Ok(()) };
            let left = busy.remaining.saturating_sub(began.elapsed());
            let soon = || left.min(pace(began.elapsed(), core.options.lease));
            let rest = if core.servers.hears_of(&name, asked) { left } else { soon() };
            tokio::select! {
                woken = waiter.woken() => if woken == Woken::Ended { return Ok(()) },
                () = tokio::time::sleep(rest) => if rest == left { return Ok(()) },
                _ = &mut gone => return Ok(()),
            }
        }
    };
    let result = core.run_within(Bound::Eventually, Operation::Wait, work).await;
    drop(tell);
    result
}

/// Whether that holder's lease is held, and whoever ends it was asked for a message; `None` if it has ended.
async fn look(core: &Core, name: &Bytes, holder: &[u8]) -> Result<Option<bool>, Fault> {
    match core.servers.call_one(Command::new("GET", vec![name.clone()]), core.deadline()).await {
        Ok(reply) => {
            let held = reply.text();
            Ok(held.as_deref().and_then(lease::holder).and_then(|(token, asked)| (token == holder).then_some(asked)))
        }
        // Whoever asks for the lease removes it.
        Err(fault) if fault.is_of_type() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// One round trip: the store script, and the stamp script for tags that the run has added.
async fn store(core: &Arc<Core>, key: &EntryKey, lease: RedisLease, entry: Entry) -> Result<StoreAnswer, Fault> {
    if !lease.is_of_this_order() {
        return Ok(StoreAnswer::LeaseLost);
    }
    let (hash, deadline) = (hash(key), core.deadline());
    let added = sorted(entry.tags.iter().map(|held| held.tag).filter(|tag| !lease.has_tag(*tag)));
    let lifetime = match entry.lifetimes.keep {
        None => core.options.ttl.map_or(Bytes::new(), |ttl| milliseconds(ttl).to_string().into()),
        Some(Duration::ZERO) => Bytes::from_static(b"0"),
        Some(keep) => milliseconds(keep).to_string().into(),
    };
    core.memo.put(hash, &entry.tags);
    let id = (random::wide() >> 64) as u64;
    let blob = entry::encode(id, key, entry, core.options.compress_above);
    let work = move |core: Arc<Core>| async move {
        let args =
            [lease.token(), core.names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(hash)), lifetime, blob];
        let mut request = (!added.is_empty()).then(|| core.stamp_request(&added));
        let mut commands = request.as_mut().map(|request| std::mem::take(&mut request.commands)).unwrap_or_default();
        commands.push(Command::script(&scripts::STORE, vec![core.names.entry(hash), core.names.lease(hash)], args));
        let mut answers = core.servers.call(commands, deadline).await;
        let answer = answers.pop();
        if let Some(request) = request {
            // A bucket that could not be made costs a miss.
            let _ = core.stamped(Operation::Store, &request, answers);
        }
        match answer.unwrap_or(Err(Fault::Unexpected("the store script")))?.number() {
            Some(1) => {
                // Otherwise it is given back as after any other end: it may be remembered that its run goes on.
                lease.disarm();
                Ok(StoreAnswer::Stored)
            }
            Some(0) => Ok(StoreAnswer::LeaseLost),
            Some(OF_ANOTHER_TYPE) => {
                core.lease_was_of_another_type(Operation::Store);
                Ok(StoreAnswer::LeaseLost)
            }
            _ => Err(Fault::Unexpected("the store script")),
        }
    };
    core.run(Operation::Store, work).await
}

fn sorted(tags: impl Iterator<Item = TagId>) -> Vec<TagId> {
    let mut tags: Vec<_> = tags.collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
