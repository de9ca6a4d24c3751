//! What one cache keeps for one annotated function.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::codec::Codec;
use crate::codec::shape::Look;
use crate::context;
use crate::engine::Engine;
use crate::engine::descriptor::{Descriptor, Instance, SiteOptions};
use crate::engine::outcome::Outcome;
use crate::engine::progress::Progress;
use crate::engine::value_checks::Checks;
use crate::entry::refresh_backoff::BackOffs;
use crate::entry::value_codec::ValueCodec;
use crate::events::residents::Residents;
use crate::flight::per_key::Flights;
use crate::freshness::function_tags::{BaseTags, KnownBaseTags};
use crate::key::call_key::{CallKey, FunctionId};
use crate::key::name_registry::owns_its_name;
use crate::memory::{Bound, Store};
use crate::scope::Scope;
use crate::stats::report::Reported;
use crate::stats::{Counters, FunctionStats};
use crate::tag::{self, TagId};
use crate::util::caught::caught;

/// What one cache keeps for one function.
#[derive(Debug)]
pub(crate) struct Function {
    /// Of no other function in any cache, as long as the process lives.
    pub(crate) id: u64,
    pub(crate) descriptor: &'static Descriptor,
    pub(crate) engine: Arc<Engine>,
    pub(crate) flights: Arc<Flights<CallKey, Outcome, Progress>>,
    pub(crate) counters: Counters,
    /// What memory has of it.
    pub(crate) residents: Arc<Residents>,
    pub(crate) back_offs: BackOffs,
    /// Whether entries go to the backends.
    pub(crate) shared: bool,
    pub(crate) checks: Checks,
    pub(crate) reported: Reported,
    base_tags: KnownBaseTags,
    /// The usual ones, where there is no memory whose entries would hold them from one call to the next.
    kept_base_tags: OnceLock<Arc<BaseTags>>,
    /// Cached: the fingerprint of the instantiation that asked first.
    fingerprint: OnceLock<(FunctionId, Option<u64>)>,
    store: Option<Store>,
}

impl Function {
    pub(crate) fn new(descriptor: &'static Descriptor, engine: Arc<Engine>) -> Self {
        let own_store = {
            let options = &descriptor.options;
            let bound = options.max_entries.map(Bound::Entries).or(options.max_bytes.map(Bound::Weight));
            let bound = bound.filter(|_| engine.memory.is_some());
            bound.and_then(|bound| Store::open(bound, options.evict, &engine.validity.clock))
        };
        engine.add_store(own_store.as_ref());
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            descriptor,
            flights: Arc::new(Flights::new()),
            counters: Counters::default(),
            residents: Arc::new(Residents::new(|| descriptor.name(), &engine.validity.layers.ledger().hub)),
            back_offs: BackOffs::default(),
            base_tags: KnownBaseTags::default(),
            kept_base_tags: OnceLock::new(),
            fingerprint: OnceLock::new(),
            checks: Checks::default(),
            reported: Reported::default(),
            shared: !descriptor.options.local && !engine.backends.is_empty(),
            store: own_store.or_else(|| engine.memory.clone()),
            engine,
        }
    }

    /// What is counted for it.
    pub(crate) fn stats(&self) -> FunctionStats {
        let mut stats = self.counters.snapshot(self.descriptor.name());
        stats.evictions = self.residents.evictions();
        stats.memory_entries = self.residents.entries();
        stats.memory_bytes = self.descriptor.options.max_bytes.map(|_| self.residents.weight());
        stats
    }

    /// How long a chain of entries may be of which each one was made of the next, if all of them are to be told apart.
    pub(crate) fn deepest(&self) -> u32 {
        const AT_LEAST: u64 = 1024;
        let entries = self.store.as_ref().and_then(Store::most_entries).unwrap_or(0);
        u32::try_from(entries.max(AT_LEAST)).unwrap_or(u32::MAX)
    }

    /// Where its entries are in memory.
    #[inline]
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The tags that all its entries in this scope carry.
    pub(crate) fn base_tags(&self, instance: &Instance, scope: &Scope) -> Arc<BaseTags> {
        let make = || {
            let ids = self.base_ids(instance, scope.name());
            let residents = Some(Arc::clone(&self.residents));
            BaseTags { residents, ..BaseTags::new(self.engine.id, &self.engine.validity.freshness, ids) }
        };
        if self.store.is_none() && instance.id.instance() == 0 && scope.is_global() {
            return Arc::clone(self.kept_base_tags.get_or_init(|| Arc::new(make())));
        }
        self.base_tags.get(instance.id.instance(), scope, make)
    }

    /// Says in backends which type and version of a value some bytes are of. `None` for a value that has no bytes that
    /// could be told apart: a codec whose bytes don't describe themselves could mistake them for another type's. Nor has a
    /// function any that goes by the name of another one.
    pub(crate) fn fingerprint(&self, instance: &'static Instance, value: ValueCodec) -> Option<u64> {
        // Nothing is initialized while the type's own code runs: that may call anything.
        if let Some((first, known)) = self.fingerprint.get() {
            return if *first == instance.id { *known } else { self.make_fingerprint(instance, value) };
        }
        let made = self.make_fingerprint(instance, value);
        let _ = self.fingerprint.set((instance.id, made));
        made
    }

    fn make_fingerprint(&self, instance: &'static Instance, value: ValueCodec) -> Option<u64> {
        if instance.names.of_closure {
            return None;
        }
        let codec = self.engine.codec.as_deref()?;
        let SiteOptions { version, key, .. } = self.descriptor.options;
        let shape = match instance.value_shape.get() {
            Some(shape) => *shape,
            None => {
                let shape = look_at(value);
                let _ = instance.value_shape.set(shape);
                shape
            }
        };
        // It asks the codec, which is the user's.
        let fingerprint = caught(|| fingerprint_of(codec, (value.type_name)(), version, shape)).flatten()?;
        // Last: a name is taken only by what goes to backends.
        owns_its_name(&instance.identity, key, version, instance.id).then_some(fingerprint)
    }

    /// The ids of these tags.
    pub(crate) fn base_ids(&self, instance: &Instance, scope: &str) -> impl Iterator<Item = TagId> + use<> {
        // In the default scope the tag of the function in that scope does, unless the scope follows from the arguments.
        let in_any_scope = self.descriptor.options.scoped || !scope.is_empty();
        let function = in_any_scope.then(|| tag::function_tag(&instance.function));
        let in_scope = tag::function_in_scope_tag(&instance.function, scope);
        // The head of the keys' tags is the last.
        [tag::EVERYTHING, tag::scope_tag(scope)].into_iter().chain(function).chain([in_scope])
    }
}

/// The type's shape; of one that panics at made-up values, nothing is known. Cached functions that its `Deserialize`
/// calls run uncached: they are no part of what is going on here, and may be the one that asks.
pub(crate) fn look_at(value: ValueCodec) -> Look {
    context::beside(|| caught(value.shape)).unwrap_or_default()
}

/// Says which type and version of a value some bytes are of; `None` if the bytes could be taken for another's. A codec
/// whose bytes have names does with what can be seen of a shape: the rest is read rightly or not at all.
fn fingerprint_of(codec: &dyn Codec, name: &str, version: u64, shape: Look) -> Option<u64> {
    if !(shape.whole || codec.describes_itself()) {
        return None;
    }
    let mut bytes = Vec::with_capacity(128);
    for part in [name.as_bytes(), codec.name().as_bytes(), &version.to_le_bytes(), &shape.hash.to_le_bytes()] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Some(xxh3_64(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "msgpack")]
    #[test]
    fn types_of_one_name_are_told_apart_whatever_the_codec() {
        use crate::codec::{MessagePack, shape::see};
        let fingerprint = |name, shape| fingerprint_of(&MessagePack, name, 0, shape).unwrap();
        let (first, first_name) = {
            #[derive(serde::Deserialize)]
            struct Point(#[allow(dead_code, reason = "read")] u8, #[allow(dead_code, reason = "read")] u8);
            (see::<Point>(), std::any::type_name::<Point>())
        };
        let (second, second_name) = {
            #[derive(serde::Deserialize)]
            #[allow(dead_code, reason = "read")]
            struct Point {
                y: u8,
                x: u8,
            }
            (see::<Point>(), std::any::type_name::<Point>())
        };
        assert_eq!(first_name, second_name);
        assert_ne!(
            fingerprint(first_name, first),
            fingerprint(first_name, second),
            "MessagePack reads one as the other"
        );
        // What asks the bytes has no shape that could be seen whole.
        let open = see::<serde_json::Value>();
        assert!(!open.whole);
        fingerprint("value", open);
    }
}
