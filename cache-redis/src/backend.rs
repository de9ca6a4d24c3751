//! [`Redis`] as a [`Backend`]: each method runs one of the [`operations`] or asks the bus.

use std::sync::Arc;
use std::time::Duration;

use cache_core::backend::{
    Backend, BackendHold, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading,
    Stamp, StoreAnswer, TagId,
};
use cache_core::codec::Codec;
use cache_core::{Error, ErrorKind};

use crate::handle::Redis;
use crate::health::Operation;
use crate::hold::RedisHold;
use crate::keys::hash;
use crate::lease::RedisLease;
use crate::operations;

impl Backend for Redis {
    fn name(&self) -> &str {
        "redis"
    }

    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        Box::pin(async move { Ok(operations::read(self.usable(Operation::Read)?, key).await?) })
    }

    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(async move { Ok(operations::lease(self.usable(Operation::Lease)?, key, request).await?) })
    }

    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { Ok(operations::wait(self.usable(Operation::Wait)?, key, busy).await?) })
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
            if !lease.is_of(self.shared(), hash(key)) {
                return Err(foreign());
            }
            Ok(operations::store(self.usable(Operation::Store)?, key, *lease, entry).await?)
        })
    }

    fn prolongs(&self) -> bool {
        true
    }

    fn touch(&self, key: &EntryKey, idle: Duration) {
        if let Ok(shared) = self.usable(Operation::Touch) {
            operations::touch(shared, key, idle);
        }
    }

    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        Box::pin(async move { self.shared().invalidate_for(tags.to_vec(), Vec::new(), std::future::ready(())).await })
    }

    fn hold(&self, tags: &[TagId]) -> Option<Box<dyn BackendHold>> {
        Some(Box::new(RedisHold::begin(self.shared(), tags)))
    }

    fn known_stamp(&self) -> Option<Stamp> {
        Some(self.shared().bus.known.told()).filter(|known| *known > 0).map(Stamp)
    }

    fn identity(&self) -> String {
        self.shared().names.identity.clone()
    }

    fn catch_up(&self, stamp: Stamp) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move { Ok(operations::catch_up(self.usable(Operation::Read)?, stamp.0).await?) })
    }

    fn attach(&self, listener: ListenerHandle) {
        self.shared().bus.attach(listener);
    }

    fn max_staleness(&self) -> Option<Duration> {
        Some(self.shared().options.max_staleness)
    }

    fn codec(&self) -> Option<Arc<dyn Codec>> {
        self.shared().options.codec.clone()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shut_down())
    }
}
