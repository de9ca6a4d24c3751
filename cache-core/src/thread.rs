//! What a hit needs of its thread, in one place: where code is position-independent, each thread-local costs a call.

use std::cell::Cell;
#[cfg(feature = "memory")]
use std::cell::RefCell;
use std::mem::ManuallyDrop;

use crate::context::OUTSIDE;
#[cfg(feature = "memory")]
use crate::memory::Front;

pub(crate) struct Thread {
    /// What has to be known of the current context: see [`run_here`](crate::context::run_here).
    pub(crate) here: Cell<u64>,
    /// Emptied when the thread ends, by the front itself.
    #[cfg(feature = "memory")]
    pub(crate) front: RefCell<Front>,
}

thread_local! {
    // A local that is dropped has to be asked first whether it is still there.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            here: Cell::new(OUTSIDE),
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
