//! The static inside each annotated function: its options, and cached handles to it in the caches of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cache::Cache;
use crate::context;
use crate::engine::descriptor::{Descriptor, Instance, SiteOptions};
use crate::engine::function::Function;
use crate::key::call_key::{NOBODY, whose, whose_of_instance};
use crate::key::here::Here;
use crate::thread_cache::thread::Thread;

/// An annotated function: one static inside each.
#[derive(Debug)]
pub struct Site {
    pub(crate) descriptor: Descriptor,
    /// The function in the installed cache and in the default one, found without a look-up.
    installed: OnceLock<Arc<Function>>,
    default: OnceLock<Arc<Function>>,
    /// Whose entries the first instantiation's are, in the default cache and in the installed one, once that is known and
    /// unless the cache has to be asked for a scope first: all that the usual hit needs.
    whose: [AtomicU64; 2],
}

impl Site {
    /// A function with these options.
    pub const fn new(options: SiteOptions) -> Self {
        Self {
            descriptor: Descriptor::new(options),
            installed: OnceLock::new(),
            default: OnceLock::new(),
            whose: [const { AtomicU64::new(NOBODY) }; 2],
        }
    }

    /// Tells functions apart within the process.
    pub(crate) fn id(&self) -> usize {
        self.descriptor.id()
    }

    /// The instantiation that is calling.
    pub(crate) fn instance(&'static self, here: Here) -> &'static Instance {
        self.descriptor.instance(here)
    }

    /// What this cache keeps for the function, if the cache is the one of the process.
    pub(crate) fn in_process_cache(&'static self) -> &'static Arc<Function> {
        let installed = Cache::installed().is_some();
        let (place, known) =
            if installed { (&self.installed, &self.whose[1]) } else { (&self.default, &self.whose[0]) };
        place.get_or_init(|| {
            let function = Cache::of_process().inner().function(&self.descriptor);
            let asks_for_scope = function.engine.default_scope.is_some() || function.engine.requires_scope;
            if !asks_for_scope && function.store().is_some() {
                known.store(whose(function.id, 0), Ordering::Relaxed);
            }
            function
        })
    }

    /// Whose entries to look for in this thread's front, and the seed of their hashes, for a call in the default scope of
    /// the process's cache; `None` if that isn't known yet, or caching is disabled.
    #[inline]
    pub(crate) fn known(&'static self, thread: &Thread, here: Here) -> Option<(u64, u64)> {
        let Some(first) = self.descriptor.known_first(here) else { return self.known_other(thread, here) };
        let whose = context::in_process(&self.whose)?.load(Ordering::Relaxed);
        Some((whose, first.id.seed))
    }

    /// The same for a further instantiation of a generic function.
    #[inline(never)]
    fn known_other(&'static self, thread: &Thread, here: Here) -> Option<(u64, u64)> {
        let whose = context::in_process(&self.whose)?.load(Ordering::Relaxed);
        let (instance, seed) = thread.instance(here.type_id(), || {
            let instance = self.instance(here);
            (instance.id.instance(), instance.id.seed)
        });
        Some((whose_of_instance(whose, instance), seed))
    }
}
