//! What a hit needs of its thread, in one place: where code is position-independent, each thread-local costs a call.

use std::any::TypeId;
use std::cell::Cell;
#[cfg(feature = "memory")]
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;

use crate::key::call_key::NOBODY;
#[cfg(feature = "memory")]
use crate::thread_cache::table::Front;
use crate::util::id_hasher::IdHasher;

/// No run, and nothing unusual.
pub(crate) const OUTSIDE: u64 = 0;
/// A context that only the whole of it can tell of.
pub(crate) const UNUSUAL: u64 = u64::MAX;

pub(crate) struct Thread {
    /// What has to be known of the current context: see [`run_here`](Self::run_here).
    pub(crate) here: Cell<u64>,
    /// Of functions in particular caches.
    numbers: [Cell<Number>; Self::NUMBERS],
    /// Instantiations of generic functions.
    instances: [Cell<Option<KnownInstance>>; Self::NUMBERS],
    /// Emptied when the thread ends, by the front itself.
    #[cfg(feature = "memory")]
    pub(crate) front: RefCell<Front>,
}

/// The number of a function in a cache, neither of which any other ever has.
#[derive(Clone, Copy)]
struct Number {
    cache: u64,
    function: usize,
    number: u64,
}

/// An instantiation of a generic function: which, and the seed of its keys' hashes.
#[derive(Clone, Copy)]
struct KnownInstance {
    here: TypeId,
    instance: u32,
    seed: u64,
}

impl Thread {
    const NUMBERS: usize = 32;

    /// The number of the run that calls, [`OUTSIDE`] of any; `None` if the call is to be answered in an unusual way: in a
    /// scope, from a particular cache, or not at all.
    #[inline]
    pub(crate) fn run_here(&self) -> Option<u64> {
        Some(self.here.get()).filter(|here| *here != UNUSUAL)
    }

    /// The number of a function in a cache, most of the time without asking the cache, which all threads share. `cache` and
    /// `function` tell them apart; `ask` asks the cache.
    pub(crate) fn function_number(&self, cache: u64, function: usize, ask: impl FnOnce() -> u64) -> u64 {
        let mixed = (function as u64 ^ cache << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &self.numbers[(mixed >> 32) as usize % Self::NUMBERS];
        let known = place.get();
        if (known.cache, known.function) == (cache, function) {
            return known.number;
        }
        let number = ask();
        place.set(Number { cache, function, number });
        number
    }

    /// An instantiation's number and the seed of its keys' hashes, most of the time without a search. `here` is of no other;
    /// `ask` searches.
    pub(crate) fn instance(&self, here: TypeId, ask: impl FnOnce() -> (u32, u64)) -> (u32, u64) {
        let mut hasher = IdHasher::default();
        here.hash(&mut hasher);
        let place = &self.instances[hasher.finish() as usize % Self::NUMBERS];
        if let Some(known) = place.get().filter(|known| known.here == here) {
            return (known.instance, known.seed);
        }
        let (instance, seed) = ask();
        place.set(Some(KnownInstance { here, instance, seed }));
        (instance, seed)
    }
}

thread_local! {
    // A local that is dropped has to be asked first whether it is still there.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            here: Cell::new(OUTSIDE),
            instances: [const { Cell::new(None) }; Thread::NUMBERS],
            numbers: [const { Cell::new(Number { cache: 0, function: 0, number: NOBODY }) }; Thread::NUMBERS],
            #[cfg(feature = "memory")]
            front: RefCell::new(Front::new()),
        })
    };
}

/// Calls the closure with what is this thread's.
// Once, where code isn't optimized; else with the closure in place.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn with(with: &mut dyn FnMut(&Thread)) {
    THREAD.with(|thread| with(thread));
}
