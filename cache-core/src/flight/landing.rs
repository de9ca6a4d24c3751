//! The order in which the results of one key take each other's place: that of the moments at which their runs began.
//!
//! A later result first tells the earlier flights that are still under way that they are superseded, and then is put in
//! place. An earlier one that is just being put in place is waited for, so that it doesn't end up on top.

use crate::util::sync::atomic::{AtomicBool, Ordering};
use crate::util::sync::{Mutex, lock, lock_for_a_while};

/// Of one flight.
#[derive(Debug)]
pub(crate) struct Landing {
    superseded: AtomicBool,
    /// Held while the result is put in place.
    placing: Mutex<()>,
}

impl Landing {
    pub(crate) fn new() -> Self {
        Self { superseded: AtomicBool::new(false), placing: Mutex::new(()) }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Whoever puts the result in place may call code of the user's (`Eq` of a key), which may come back here or wait for
    /// one who does. So this doesn't wait for long; without such code nobody holds the lock for more than a moment.
    pub(crate) fn supersede(&self) {
        let placing = lock_for_a_while(&self.placing);
        self.superseded.store(true, Ordering::Release);
        drop(placing);
    }

    /// `false`, and nothing is done, once it is superseded.
    pub(crate) fn place(&self, put: impl FnOnce()) -> bool {
        let placing = lock(&self.placing);
        if self.is_superseded() {
            return false;
        }
        put();
        drop(placing);
        true
    }
}
