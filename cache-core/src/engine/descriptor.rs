//! An annotated function as the macro describes it: its options, and its instantiations.

use std::sync::OnceLock;
use std::time::Duration;

use crate::codec::shape::Look;
use crate::key::call_key::{FunctionId, KeyForms};
use crate::key::function_names::{Names, Place};
use crate::key::here::Here;
use crate::memory::Evict;

/// The options of a function that don't depend on its arguments.
#[derive(Clone, Copy, Debug)]
pub struct SiteOptions {
    /// Its identifier.
    pub function: &'static str,
    /// The identifier of the function that holds the static: itself, or one beside it that its helpers share.
    pub holder: &'static str,
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
    /// The `evict` option.
    pub evict: Evict,
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
            holder: function,
            place,
            name: None,
            version: 0,
            key: "",
            local: false,
            lossy: false,
            max_entries: None,
            max_bytes: None,
            evict: Evict::Unasked,
            scoped: false,
            ttl: None,
            memory_ttl: None,
        }
    }
}

/// What the macro says of an annotated function, and its instantiations.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) options: SiteOptions,
    first: OnceLock<Instance>,
}

impl Descriptor {
    pub(crate) const fn new(options: SiteOptions) -> Self {
        Self { options, first: OnceLock::new() }
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

    /// The first instantiation, if it is the one that is calling and has called before.
    #[inline]
    pub(crate) fn known_first(&self, here: Here) -> Option<&Instance> {
        self.first.get().filter(|first| first.here.is(here))
    }

    /// The instantiation that is calling.
    pub(crate) fn instance(&'static self, here: Here) -> &'static Instance {
        let first = self.first.get_or_init(|| Instance::new(here, self, 0));
        if first.here.is(here) { first } else { self.other_instance(first, here) }
    }

    /// A further one: they stand one behind the other, so that nobody takes a lock to look for one.
    #[cold]
    fn other_instance(&'static self, first: &'static Instance, here: Here) -> &'static Instance {
        let mut last = first;
        loop {
            let number = last.id.instance().saturating_add(1);
            let next = last.next.get_or_init(|| Box::new(Instance::new(here, self, number)));
            if next.here.is(here) {
                return next;
            }
            last = next;
        }
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
    pub(super) value_shape: OnceLock<Look>,
    /// The next instantiation of a generic function; as many as the program has.
    next: OnceLock<Box<Instance>>,
}

impl std::ops::Deref for Instance {
    type Target = Names;
    fn deref(&self) -> &Names {
        &self.names
    }
}

impl Instance {
    fn new(here: Here, site: &Descriptor, index: u32) -> Self {
        let options = &site.options;
        let names = Names::new(here.path(), options.holder, options.function, options.name, options.place);
        let id = FunctionId::new(site.id(), index);
        let (value_shape, next) = (OnceLock::new(), OnceLock::new());
        Self { here, id, key_forms: KeyForms::new(id), names, value_shape, next }
    }
}
