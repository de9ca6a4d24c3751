//! Tells backends of hits that prolong the life of an entry: the `idle_ttl` option.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::target::Target;
use crate::entry::CachedEntry;

impl Target {
    /// Memory has answered a call: the backends are told, unless they were a moment ago.
    pub(crate) fn tell_of_hit(&self, entry: &CachedEntry) {
        if let Some(idle) = entry.meta.take_untold_hit() {
            self.touch(idle);
        }
    }

    /// A backend has the entry that answers a call. Without memory each call comes here. `idle`: the `idle_ttl` option.
    pub(super) fn touch_in_backends(&self, idle: Option<Duration>) {
        static LATELY: Lately = Lately([const { AtomicU64::new(0) }; Lately::PLACES]);
        let (Some(idle), Some(key)) = (idle, &self.key) else { return };
        let (function, now) = (self.function.id, self.function.engine.validity.clock.now());
        let hash = xxh3_64_with_seed(&key.hash_code().to_le_bytes(), function);
        if LATELY.note(hash, now) {
            self.touch(idle);
        }
    }

    /// Prolongs the life of the entry in all backends.
    #[cold]
    pub(crate) fn touch(&self, idle: Duration) {
        if !(self.function.shared && self.is_encodable()) {
            return;
        }
        if let Some(key) = self.entry_key() {
            self.function.engine.backends.iter().for_each(|backend| backend.touch(&key, idle));
        }
    }
}

/// Which keys were touched within the last second. One in a place: where two meet, they are touched more often.
struct Lately([AtomicU64; Self::PLACES]);

impl Lately {
    const PLACES: usize = 1024;
    /// In milliseconds.
    const PAUSE: u32 = 1_000;

    /// Whether the key is to be touched now.
    fn note(&self, hash: u64, now: Duration) -> bool {
        let Some(place) = self.0.get(hash as usize % Self::PLACES) else { return true };
        // 0 stands for no key.
        let (mark, millis) = ((hash >> 32) as u32 | 1, now.as_millis() as u32);
        let before = place.load(Ordering::Relaxed);
        let is_lately = (before >> 32) as u32 == mark && millis.wrapping_sub(before as u32) < Self::PAUSE;
        if !is_lately {
            place.store(u64::from(mark) << 32 | u64::from(millis), Ordering::Relaxed);
        }
        !is_lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_touched_once_a_second() {
        let lately = Lately([const { AtomicU64::new(0) }; Lately::PLACES]);
        let at = Duration::from_millis;
        assert!(lately.note(7 << 32, at(0)) && !lately.note(7 << 32, at(999)));
        assert!(lately.note(7 << 32, at(1_000)), "a second later");
        assert!(lately.note(9 << 32, at(1_000)), "another one in the same place");
        assert!(lately.note(8, at(1_000)) && !lately.note(8, at(1_001)), "one in another place");
        assert!(lately.note(8, at(1 << 32)), "after the milliseconds have come round");
    }
}
