//! What a hit needs of its thread, in one place: where code is position-independent, each thread-local costs a call.

use std::cell::Cell;
#[cfg(feature = "memory")]
use std::cell::RefCell;
use std::mem::ManuallyDrop;

use crate::cache::Cache;
use crate::call_key::NOBODY;
use crate::context::OUTSIDE;
use crate::function::Site;
#[cfg(feature = "memory")]
use crate::memory::Front;

pub(crate) struct Thread {
    /// What has to be known of the current context: see [`run_here`](crate::context::run_here).
    pub(crate) here: Cell<u64>,
    /// Of functions in particular caches.
    numbers: [Cell<Number>; Self::NUMBERS],
    /// Emptied when the thread ends, by the front itself.
    #[cfg(feature = "memory")]
    pub(crate) front: RefCell<Front>,
}

/// The number of a function in a cache, neither of which any other ever has.
#[derive(Clone, Copy)]
struct Number {
    cache: u64,
    site: usize,
    number: u64,
}

impl Thread {
    const NUMBERS: usize = 32;

    /// What [`Function::id`](crate::function::Function) is in this cache, most of the time without asking the cache, which
    /// all threads share.
    pub(crate) fn function_number(&self, cache: &Cache, site: &'static Site) -> u64 {
        let (cache_id, site_id) = (cache.engine().id, site.id());
        let mixed = (site_id as u64 ^ cache_id << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &self.numbers[(mixed >> 32) as usize % Self::NUMBERS];
        let known = place.get();
        if (known.cache, known.site) == (cache_id, site_id) {
            return known.number;
        }
        let number = cache.function(site).id;
        place.set(Number { cache: cache_id, site: site_id, number });
        number
    }
}

thread_local! {
    // A local that is dropped has to be asked first whether it is still there.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            here: Cell::new(OUTSIDE),
            numbers: [const { Cell::new(Number { cache: 0, site: 0, number: NOBODY }) }; Thread::NUMBERS],
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
