//! What a shard has evicted lately: the hashes of the keys, and when that was.
//!
//! The order of evictions decides how useful a key is that comes back (see [`shard`](super::shard)). And a recursion that
//! computes again what was evicted since it began has too little room, which only this can tell.

/// Hashes of keys that had to go, each in the one place it can be in. As many as there are entries, or twice as many.
///
/// A ghost is one word, 0 for none:
///
/// ```text
/// hash 19 | was in the main queue 1 | when 12
/// ```
#[derive(Debug, Default)]
pub(super) struct Ghosts(Vec<u32>);

/// When a key was evicted is known up to this power of two units of time.
const TIME_BITS: u32 = 12;
/// So many places at least: in fewer, the keys of a recursion that lacks room overwrite each other before they come back.
const FEWEST: usize = 64;
const IS_MAIN: u32 = 1 << TIME_BITS;
/// What is older than so many units may be overwritten by what is of less use.
const OLD: u32 = 64;

/// A key that was evicted and has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ghost {
    pub(super) was_in_main: bool,
    /// In units of the shard's time.
    pub(super) evicted_at: u64,
}

fn hash_of(folded: u32) -> u32 {
    // Never 0.
    (folded | 1 << (TIME_BITS + 1)) & !(2 * IS_MAIN - 1)
}

fn age(word: u32, now: u64) -> u32 {
    (now as u32).wrapping_sub(word) & (IS_MAIN - 1)
}

impl Ghosts {
    fn place(&mut self, spread: u64) -> Option<&mut u32> {
        let mask = self.0.len().wrapping_sub(1);
        self.0.get_mut((spread >> 20) as usize & mask)
    }

    /// A key with this hash was evicted, from a shard of so many entries.
    pub(super) fn add(&mut self, folded: u32, spread: u64, ghost: Ghost, entries: usize) {
        if self.0.len() < entries {
            self.0 = vec![0; entries.next_power_of_two().max(FEWEST)];
        }
        let now = ghost.evicted_at;
        if let Some(place) = self.place(spread) {
            // Who is needed for the order of evictions isn't displaced by who isn't.
            let may_be_displaced = *place == 0 || *place & IS_MAIN != 0 || age(*place, now) > OLD;
            if !ghost.was_in_main || may_be_displaced {
                let main = if ghost.was_in_main { IS_MAIN } else { 0 };
                *place = hash_of(folded) | main | now as u32 & (IS_MAIN - 1);
            }
        }
    }

    /// Whether a key of this hash was evicted lately.
    pub(super) fn has(&self, folded: u32, spread: u64) -> bool {
        let mask = self.0.len().wrapping_sub(1);
        let word = self.0.get((spread >> 20) as usize & mask).copied().unwrap_or(0);
        word != 0 && (word ^ hash_of(folded)) >> (TIME_BITS + 1) == 0
    }

    /// The key has come back.
    pub(super) fn take(&mut self, folded: u32, spread: u64, now: u64) -> Option<Ghost> {
        let place = self.place(spread)?;
        let word = *place;
        if word == 0 || (word ^ hash_of(folded)) >> (TIME_BITS + 1) != 0 {
            return None;
        }
        *place = 0;
        Some(Ghost { was_in_main: word & IS_MAIN != 0, evicted_at: now.saturating_sub(u64::from(age(word, now))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Ghost = Ghost { was_in_main: false, evicted_at: 5_000 };
    const MAIN: Ghost = Ghost { was_in_main: true, ..SOME };

    #[test]
    fn a_ghost_comes_back_once_with_its_time() {
        for ghost in [SOME, MAIN] {
            let mut ghosts = Ghosts::default();
            for folded in [0, 1, 0xffff_ffff, 0x1234_5678] {
                ghosts.add(folded, u64::from(folded) << 20, ghost, 16);
                for now in [5_000, 5_001, 5_000 + 4_095] {
                    ghosts.add(folded, u64::from(folded) << 20, ghost, 16);
                    assert_eq!(ghosts.take(folded, u64::from(folded) << 20, now), Some(ghost), "{folded:x} at {now}");
                    assert_eq!(ghosts.take(folded, u64::from(folded) << 20, now), None);
                }
            }
        }
        assert_eq!(Ghosts::default().take(7, 7, 7), None);
    }

    #[test]
    fn what_decides_on_evictions_is_displaced_by_the_like_only() {
        let mut ghosts = Ghosts::default();
        let (one, other) = (1 << 20, 2 << 20);
        ghosts.add(one, 0, SOME, 1);
        ghosts.add(other, 0, MAIN, 1);
        assert_eq!(ghosts.take(other, 0, 5_000), None);
        assert_eq!(ghosts.take(one, 0, 5_000), Some(SOME));
        ghosts.add(other, 0, MAIN, 1);
        ghosts.add(one, 0, SOME, 1);
        assert_eq!(ghosts.take(one, 0, 5_000), Some(SOME));
        // Unless nobody has asked for it for long.
        ghosts.add(one, 0, SOME, 1);
        let late = Ghost { evicted_at: 5_000 + u64::from(OLD) + 1, ..MAIN };
        ghosts.add(other, 0, late, 1);
        assert_eq!(ghosts.take(other, 0, late.evicted_at), Some(late));
    }
}
