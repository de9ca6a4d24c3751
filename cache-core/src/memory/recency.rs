//! The slots of a shard in the order of their last use: what `evict = lru` goes by.
//!
//! A list through the slots' numbers, so that a use moves a slot in constant time and without an allocation.

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recency {
    /// By the slots' numbers. What isn't in the list stands for nothing.
    links: Vec<Link>,
    /// Where the list begins and ends, if it isn't empty.
    ends: Option<Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: u32,
    newest: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    older: Option<u32>,
    newer: Option<u32>,
}

impl Recency {
    /// The one that was used least recently.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.ends.map(|ends| ends.oldest)
    }

    fn link(&mut self, slot: u32) -> Option<&mut Link> {
        self.links.get_mut(slot as usize)
    }

    /// Adds one that isn't in the list, as the newest.
    pub(super) fn add(&mut self, slot: u32) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link::default());
        }
        let before = self.ends.map(|ends| ends.newest);
        if let Some(link) = self.link(slot) {
            *link = Link { older: before, newer: None };
        }
        if let Some(link) = before.and_then(|before| self.link(before)) {
            link.newer = Some(slot);
        }
        self.ends = Some(Ends { oldest: self.ends.map_or(slot, |ends| ends.oldest), newest: slot });
    }

    /// Takes out one that is in the list.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(Link { older, newer }) = self.link(slot).map(std::mem::take) else { return };
        if let Some(link) = older.and_then(|older| self.link(older)) {
            link.newer = newer;
        }
        if let Some(link) = newer.and_then(|newer| self.link(newer)) {
            link.older = older;
        }
        self.ends = self.ends.and_then(|Ends { oldest, newest }| {
            let oldest = if oldest == slot { newer } else { Some(oldest) };
            let newest = if newest == slot { older } else { Some(newest) };
            Some(Ends { oldest: oldest?, newest: newest? })
        });
    }

    /// A use of one that is in the list.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.ends.is_some_and(|ends| ends.newest != slot) {
            self.remove(slot);
            self.add(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a list that is searched through.
    #[test]
    fn it_is_the_order_of_uses() {
        let (mut recency, mut model) = (Recency::default(), Vec::new());
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let slot = (random >> 33) as u32 % 13;
            let is_in = model.contains(&slot);
            model.retain(|other| *other != slot);
            match (is_in, random >> 60 < 5) {
                (false, _) => recency.add(slot),
                (true, true) => recency.remove(slot),
                (true, false) => recency.touch(slot),
            }
            if !is_in || random >> 60 >= 5 {
                model.push(slot);
            }
            assert_eq!(recency.oldest(), model.first().copied());
            assert_eq!(recency.ends.map(|ends| ends.newest), model.last().copied());
        }
        for slot in model {
            assert_eq!(recency.oldest(), Some(slot));
            recency.remove(slot);
        }
        assert_eq!(recency.oldest(), None);
    }
}
