//! An annotated function: what the macro says of it, its names, and what one cache keeps for it.

use std::any::TypeId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::back_off::BackOffs;
use crate::backend::TagId;
use crate::base_tags::{BaseTags, KnownBaseTags};
use crate::cache::{Cache, Engine};
use crate::call_key::{CallKey, FunctionId, KeyForms, NOBODY, whose};
use crate::caught::caught;
use crate::codec::Codec;
use crate::codec::shape::Look;
use crate::context;
use crate::flights::Flights;
use crate::memory::{Bound, Store};
use crate::name_owner::owns_its_name;
use crate::names::{Names, Place};
use crate::private::shape::ValueCodec;
use crate::progress::Progress;
use crate::read_path::Outcome;
use crate::report::Reported;
use crate::scope::Scope;
use crate::stats::Counters;
use crate::sync::lock;
use crate::tag;
use crate::value_bytes::Checks;

/// The options of a function that don't depend on its arguments.
#[derive(Clone, Copy, Debug)]
pub struct SiteOptions {
    /// Its identifier.
    pub function: &'static str,
    /// Where it stands.
    pub place: Place,
    /// The `name` option.
    pub name: Option<&'static str>,
    /// The `version` option.
    pub version: u64,
    /// What the parts of the key are called, in their order, for entries that leave the process.
    pub key: &'static str,
    /// The `local` option.
    pub local: bool,
    /// The `lossy` option.
    pub lossy: bool,
    /// The `max_entries` option.
    pub max_entries: Option<u64>,
    /// The `max_bytes` option.
    pub max_bytes: Option<u64>,
    /// Whether the `scope` option is given.
    pub scoped: bool,
    /// The `ttl` option, if it is written out.
    pub ttl: Option<Duration>,
    /// The `memory_ttl` option, if it is written out.
    pub memory_ttl: Option<Duration>,
}

impl SiteOptions {
    /// Those of a function with this identifier and no options.
    pub const fn of(function: &'static str, place: Place) -> Self {
        Self {
            function,
            place,
            name: None,
            version: 0,
            key: "",
            local: false,
            lossy: false,
            max_entries: None,
            max_bytes: None,
            scoped: false,
            ttl: None,
            memory_ttl: None,
        }
    }
}

/// An annotated function: one static inside each.
#[derive(Debug)]
pub struct Site {
    pub(crate) options: SiteOptions,
    /// The function in the installed cache and in the default one, found without a look-up.
    installed: OnceLock<Arc<Function>>,
    default: OnceLock<Arc<Function>>,
    /// Whose entries the first instantiation's are, in the default cache and in the installed one, once that is known and
    /// unless the cache has to be asked for a scope first: all that the usual hit needs.
    whose: [AtomicU64; 2],
    first: OnceLock<Instance>,
    /// Further instantiations of a generic function; as many as the program has, so they are never freed.
    others: Mutex<Vec<&'static Instance>>,
}

impl Site {
    /// A function with these options.
    pub const fn new(options: SiteOptions) -> Self {
        Self {
            options,
            installed: OnceLock::new(),
            default: OnceLock::new(),
            whose: [const { AtomicU64::new(NOBODY) }; 2],
            first: OnceLock::new(),
            others: Mutex::new(Vec::new()),
        }
    }

    /// Tells functions apart within the process: statics have a place of their own.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Its name in statistics and errors.
    pub(crate) fn name(&self) -> &str {
        match self.options.name {
            Some(name) => name,
            None => self.first.get().map_or(self.options.function, |first| &first.function),
        }
    }

    /// What this cache keeps for the function, if the cache is the one of the process.
    pub(crate) fn in_process_cache(&'static self) -> &'static Arc<Function> {
        let installed = Cache::installed().is_some();
        let (place, known) =
            if installed { (&self.installed, &self.whose[1]) } else { (&self.default, &self.whose[0]) };
        place.get_or_init(|| {
            let function = Cache::of_process().function(self);
            if function.engine.default_scope.is_none() && function.store.is_some() {
                known.store(whose(function.id, 0), Ordering::Relaxed);
            }
            function
        })
    }

    /// Whose entries to look for in this thread's front, and the seed of their hashes, for a call in the default scope of
    /// the process's cache; `None` if that isn't known yet, or caching is disabled.
    #[inline]
    pub(crate) fn known(&'static self, here: Here) -> Option<(u64, u64)> {
        let first = self.first.get().filter(|first| first.here.id == here.id)?;
        let whose = context::in_process(&self.whose)?.load(Ordering::Relaxed);
        Some((whose, first.id.seed))
    }

    /// The instantiation that is calling.
    pub(crate) fn instance(&'static self, here: Here) -> &'static Instance {
        let first = self.first.get_or_init(|| Instance::new(here, self, 0));
        if first.here.id == here.id { first } else { self.other_instance(here) }
    }

    #[cold]
    fn other_instance(&'static self, here: Here) -> &'static Instance {
        let mut others = lock(&self.others);
        if let Some(found) = others.iter().find(|instance| instance.here.id == here.id) {
            return found;
        }
        let index = u32::try_from(others.len() + 1).unwrap_or(u32::MAX);
        let instance: &'static Instance = Box::leak(Box::new(Instance::new(here, self, index)));
        others.push(instance);
        instance
    }
}

/// Where a call comes from: the annotated function with all type parameters that are in force in it.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// As the compiler writes it, with the types; not always enough to tell them apart.
    path: &'static str,
    id: TypeId,
}

impl Here {
    /// Of a closure that stands in the function: its type carries the function's type parameters along.
    #[inline]
    pub fn of<T: ?Sized>(_: &T) -> Self {
        Self { path: std::any::type_name::<T>(), id: typeid::of::<T>() }
    }

    /// Whether it is the same function with the same type parameters.
    pub(crate) fn is(self, other: Self) -> bool {
        self.id == other.id
    }

    /// The same in another place.
    #[inline]
    pub(crate) fn again(self) -> Self {
        Self { path: self.path, id: self.id }
    }
}

/// One instantiation of a function: itself if it isn't generic.
#[derive(Debug)]
pub(crate) struct Instance {
    here: Here,
    pub(crate) id: FunctionId,
    pub(crate) key_forms: KeyForms,
    pub(crate) names: Names,
    /// Cached: the shape of the value type.
    value_shape: OnceLock<Look>,
}

impl std::ops::Deref for Instance {
    type Target = Names;
    fn deref(&self) -> &Names {
        &self.names
    }
}

impl Instance {
    fn new(here: Here, site: &Site, index: u32) -> Self {
        let options = &site.options;
        let names = Names::new(here.path, options.function, options.function, options.name, options.place);
        let id = FunctionId::new(site.id(), index);
        Self { here, id, key_forms: KeyForms::new(id), names, value_shape: OnceLock::new() }
    }
}

/// What one cache keeps for one function.
#[derive(Debug)]
pub(crate) struct Function {
    /// Of no other function in any cache, as long as the process lives.
    pub(crate) id: u64,
    pub(crate) site: &'static Site,
    pub(crate) engine: Arc<Engine>,
    pub(crate) flights: Arc<Flights<CallKey, Outcome, Progress>>,
    pub(crate) counters: Counters,
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
    pub(crate) fn new(site: &'static Site, engine: Arc<Engine>) -> Self {
        let own_store = {
            let options = &site.options;
            let bound = options.max_entries.map(Bound::Entries).or(options.max_bytes.map(Bound::Weight));
            bound.filter(|_| engine.memory.is_some()).and_then(|bound| Store::open(bound, &engine.clock))
        };
        engine.add_store(own_store.as_ref());
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            site,
            flights: Arc::new(Flights::new()),
            counters: Counters::default(),
            back_offs: BackOffs::default(),
            base_tags: KnownBaseTags::default(),
            kept_base_tags: OnceLock::new(),
            fingerprint: OnceLock::new(),
            checks: Checks::default(),
            reported: Reported::default(),
            shared: !site.options.local && !engine.backends.is_empty(),
            store: own_store.or_else(|| engine.memory.clone()),
            engine,
        }
    }

    /// Where its entries are in memory.
    #[inline]
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The tags that all its entries in this scope carry.
    pub(crate) fn base_tags(&self, instance: &Instance, scope: &Scope) -> Arc<BaseTags> {
        let make = || BaseTags::new(self.engine.id, &self.engine.freshness, self.base_ids(instance, scope.name()));
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
        let SiteOptions { version, key, .. } = self.site.options;
        let shape = match instance.value_shape.get() {
            Some(shape) => *shape,
            None => {
                let shape = value.look();
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
        let function = self.site.options.scoped.then(|| tag::function_tag(&instance.function));
        let in_scope = tag::function_in_scope_tag(&instance.function, scope);
        [tag::EVERYTHING, tag::scope_tag(scope), in_scope].into_iter().chain(function)
    }
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
