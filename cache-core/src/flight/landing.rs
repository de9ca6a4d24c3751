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

    /// Waits while the result is being put in place. With `asks_user` the insertion may call code of the user's (`Eq` of the
    /// key), which may come back here or wait for somebody who does. Then the wait is limited, and an insertion that outlasts
    /// it takes its result out again.
    pub(crate) fn supersede(&self, asks_user: bool) {
        // Before the wait: an insertion that outlasts it has to see this.
        self.superseded.store(true, Ordering::SeqCst);
        drop(if asks_user { lock_for_a_while(&self.placing) } else { Some(lock(&self.placing)) });
    }

    /// `false`, and nothing is left in place, once it is superseded.
    pub(crate) fn place(&self, put: impl FnOnce(), take_out: impl FnOnce()) -> bool {
        let placing = lock(&self.placing);
        if self.is_superseded() {
            return false;
        }
        put();
        let stays = !self.is_superseded();
        if !stays {
            take_out();
        }
        drop(placing);
        stays
    }
}
