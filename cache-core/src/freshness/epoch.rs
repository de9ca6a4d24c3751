//! The invalidation order of this process, and what was found live at which point of it.

use crate::tag::TagId;
use crate::util::sync::atomic::{AtomicU64, Ordering};

/// The invalidation order of this process. All caches share one, so that an entry of one cache may depend on another's.
#[derive(Debug)]
pub(crate) struct Epoch {
    now: AtomicU64,
    /// Of each group of tags, when one of it was invalidated last.
    newest: [AtomicU64; Groups::COUNT],
}

impl Epoch {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicU64::new(1), newest: [const { AtomicU64::new(0) }; Groups::COUNT] }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// The mark of an invalidation that begins now. It is written as it is read: see the head of `freshness`.
    pub(crate) fn mark(&self) -> u64 {
        self.now.fetch_add(0, Ordering::AcqRel) + 1
    }

    /// Something of these groups was invalidated: its tags are marked, and the epoch is about to move. See invariant 5 of
    /// `freshness`.
    pub(crate) fn mark_groups(&self, groups: Groups) {
        let mut mark = self.mark();
        loop {
            for newest in groups.numbers().filter_map(|group| self.newest.get(group)) {
                newest.fetch_max(mark, Ordering::AcqRel);
            }
            // If another invalidation has moved the epoch meanwhile, the groups may have been looked at in between.
            let now = self.mark();
            if now == mark {
                return;
            }
            mark = now;
        }
    }

    /// When something of these groups was invalidated last; 0 if nothing ever was.
    fn newest_of(&self, groups: Groups) -> u64 {
        groups
            .numbers()
            .filter_map(|group| self.newest.get(group))
            .map(|newest| newest.load(Ordering::Acquire))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn advance(&self) {
        self.now.fetch_add(1, Ordering::AcqRel);
    }
}

/// Of the process. Static, so that a hit finds it without a detour.
pub(crate) static EPOCH: Epoch = Epoch::new();

/// Groups of tags: those of one function and scope, or below one head, are in one group. Others may be in it as well, so it
/// says no more than that nothing of the group was invalidated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups(u64);

impl Groups {
    pub(crate) const COUNT: usize = 64;
    /// Of tags whose head isn't known.
    const UNKNOWN: u8 = 0;

    /// The group of what is below this head, by its number.
    pub(crate) fn number_of(head: Option<TagId>) -> u8 {
        let below = Self::COUNT as u64 - 1;
        head.map_or(Self::UNKNOWN, |head| ((head.0 >> 32) % below) as u8 + 1)
    }

    /// One of them.
    pub(crate) fn of(number: u8) -> Self {
        Self(1 << (usize::from(number) % Self::COUNT))
    }

    /// These as they are for tags that nobody holds any more: whoever interns one of them again may know its head, or not.
    pub(crate) fn whoever_interns(self) -> Self {
        let unknown = Self::of(Self::UNKNOWN);
        if self.0 & unknown.0 == 0 { self.and(unknown) } else { Self(u64::MAX) }
    }

    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn numbers(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = (left != 0).then(|| left.trailing_zeros() as usize);
            left &= left.wrapping_sub(1);
            number
        })
    }
}

/// Remembers the epoch at which something was last found live; invariant 3 of `freshness`.
#[derive(Debug)]
pub(crate) struct LastFoundLive(AtomicU64);

impl LastFoundLive {
    /// Not looked at yet: no epoch is 0.
    pub(crate) fn never() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It was found live at this epoch, which was read before.
    pub(crate) fn at(epoch: u64) -> Self {
        Self(AtomicU64::new(epoch))
    }

    /// Whether it is live at this epoch, which was read before. `look` finds out if it isn't known yet.
    #[inline]
    pub(crate) fn is_live(&self, epoch: u64, look: impl FnOnce() -> bool) -> bool {
        // What was live later was live then.
        if self.0.load(Ordering::Acquire) >= epoch {
            return true;
        }
        let live = look();
        if live {
            self.note(epoch);
        }
        live
    }

    /// It was found live at this epoch, which was read before.
    pub(crate) fn note(&self, epoch: u64) {
        self.0.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Whether it is live at this epoch, which was read before, as nothing was invalidated since of the groups that all its
    /// tags are of. `false`: that has to be found out.
    pub(crate) fn is_still_live(&self, order: &Epoch, epoch: u64, groups: Groups) -> bool {
        let found_live = self.0.load(Ordering::Acquire);
        if found_live >= epoch {
            return true;
        }
        let live = order.newest_of(groups) <= found_live;
        if live {
            self.note(epoch);
        }
        live
    }

    /// Whether nothing of these groups was invalidated since it was last found live.
    pub(crate) fn is_newer_than(&self, order: &Epoch, groups: Groups) -> bool {
        order.newest_of(groups) <= self.0.load(Ordering::Acquire)
    }
}
