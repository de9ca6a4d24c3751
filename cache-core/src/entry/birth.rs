//! When a value was computed.

/// When a value was computed, in nanoseconds of the cache's clock; and in one bit, whether it has a `ttl`. The clock may be
/// younger than the value, which another machine may have computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u64);

impl Birth {
    const ENDLESS: u64 = 1 << 63;
    /// The moment 0 of the clock.
    const ORIGIN: u64 = 1 << 62;

    pub(crate) fn new(born: Born, endless: bool) -> Self {
        let Born { now, age } = born;
        let moment = Self::ORIGIN.saturating_add(now).saturating_sub(age).min(Self::ENDLESS - 1);
        Self(if endless { moment | Self::ENDLESS } else { moment })
    }

    /// Whether it has no `ttl`.
    pub(super) fn is_endless(self) -> bool {
        self.0 & Self::ENDLESS != 0
    }

    /// How long ago that was, in nanoseconds.
    pub(crate) fn age(self, now: u64) -> u64 {
        Self::ORIGIN.saturating_add(now).saturating_sub(self.0 & !Self::ENDLESS)
    }
}

/// When a value was computed: so long before a moment of the cache's clock, both in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Born {
    pub(crate) now: u64,
    pub(crate) age: u64,
}

impl Born {
    pub(crate) fn at(now: u64) -> Self {
        Self { now, age: 0 }
    }
}
