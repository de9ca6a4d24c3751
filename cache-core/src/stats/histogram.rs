//! Durations, counted in buckets of which four are an octave: what is read from them is within an eighth of the truth.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::rt::clock::to_nanos;

/// Below 2 to this power nanoseconds (1 µs) nothing is told apart.
const FIRST_OCTAVE: u32 = 10;
/// Beyond so many octaves (18 minutes) nothing is told apart either.
const OCTAVES: usize = 30;
const PER_OCTAVE: usize = 4;
pub(crate) const BUCKETS: usize = OCTAVES * PER_OCTAVE + 2;

/// The bucket of a duration: the first has all that is too short, the last all that is too long.
fn bucket_of(nanos: u64) -> usize {
    let Some(octave) = nanos.checked_ilog2().and_then(|log| log.checked_sub(FIRST_OCTAVE)) else { return 0 };
    let quarter = (nanos >> (octave + FIRST_OCTAVE - 2)) as usize & (PER_OCTAVE - 1);
    (1 + octave as usize * PER_OCTAVE + quarter).min(BUCKETS - 1)
}

/// Where a bucket begins, in nanoseconds.
fn begin_of(bucket: usize) -> u64 {
    let Some(number) = bucket.checked_sub(1) else { return 0 };
    let octave = 1_u64 << (FIRST_OCTAVE as usize + number / PER_OCTAVE);
    octave + octave / PER_OCTAVE as u64 * (number % PER_OCTAVE) as u64
}

/// The duration that stands for all in a bucket: the middle of it, and never more than the longest of all.
fn middle_of(bucket: usize, longest: u64) -> u64 {
    let (begin, end) = (begin_of(bucket), begin_of(bucket + 1));
    (begin + (end - begin) / 2).min(longest)
}

/// Durations that threads count together.
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = [const { AtomicU64::new(0) }; BUCKETS];
        Self { buckets, nanos: AtomicU64::new(0), longest: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

impl Histogram {
    pub(crate) fn add(&self, took: Duration) {
        self.add_nanos(to_nanos(took));
    }

    #[inline]
    pub(crate) fn add_nanos(&self, nanos: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        // Hardly ever: most are shorter than the longest.
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Durations {
        let buckets: Box<[u64]> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        let longest = Duration::from_nanos(self.longest.load(Ordering::Relaxed));
        Durations::new(buckets, total, longest)
    }
}

/// How long something took that happened `count` times. `p50` and `p99` are read from a histogram, and off by an eighth at
/// most; `max` and `total` are exact.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Durations {
    /// How often it happened.
    pub count: u64,
    /// All of it together.
    pub total: Duration,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Of a hundred, 99 took no longer.
    pub p99: Duration,
    /// The longest one.
    pub max: Duration,
    #[serde(skip)]
    buckets: Box<[u64]>,
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations")
            .field("count", &self.count)
            .field("total", &self.total)
            .field("p50", &self.p50)
            .field("p99", &self.p99)
            .field("max", &self.max)
            .finish()
    }
}

impl Durations {
    fn new(buckets: Box<[u64]>, total: Duration, max: Duration) -> Self {
        let count = buckets.iter().fold(0, |sum: u64, bucket| sum.saturating_add(*bucket));
        let longest = to_nanos(max);
        // The place of the one in question, counted from 1.
        let nth = |hundredths: u64| {
            let place = count.saturating_mul(hundredths).div_ceil(100).max(1);
            let mut seen = 0;
            let found = buckets.iter().position(|bucket| {
                seen += bucket;
                seen >= place
            });
            Duration::from_nanos(found.map_or(0, |bucket| middle_of(bucket, longest)))
        };
        Self { count, total, p50: nth(50), p99: nth(99), max, buckets }
    }

    /// These and the others together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let of = |durations: &Self, bucket: usize| durations.buckets.get(bucket).copied().unwrap_or_default();
        let buckets = (0..BUCKETS).map(|bucket| of(self, bucket) + of(other, bucket)).collect();
        Self::new(buckets, self.total.saturating_add(other.total), self.max.max(other.max))
    }

    /// How many came since `before` was taken, each with the duration that stands for them.
    #[cfg(feature = "metrics")]
    pub(crate) fn since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (Duration, u64)> + 'a {
        let longest = to_nanos(self.max);
        self.buckets.iter().enumerate().filter_map(move |(bucket, count)| {
            let new = count.saturating_sub(before.buckets.get(bucket).copied().unwrap_or_default());
            (new > 0).then(|| (Duration::from_nanos(middle_of(bucket, longest)), new))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        assert_eq!((bucket_of(0), bucket_of(1_023), bucket_of(1_024), bucket_of(u64::MAX)), (0, 0, 1, BUCKETS - 1));
        for bucket in 1..BUCKETS {
            let begin = begin_of(bucket);
            assert_eq!((bucket_of(begin - 1), bucket_of(begin)), (bucket - 1, bucket), "{begin}");
        }
    }

    #[test]
    fn what_is_read_is_within_an_eighth() {
        let histogram = Histogram::default();
        for micros in 1..=1_000 {
            histogram.add(Duration::from_micros(micros));
        }
        let found = histogram.snapshot();
        assert_eq!((found.count, found.max), (1_000, Duration::from_micros(1_000)));
        assert_eq!(found.total, Duration::from_micros(500_500));
        for (found, truth) in [(found.p50, 500.0), (found.p99, 990.0)] {
            let micros = found.as_secs_f64() * 1e6;
            assert!((micros / truth - 1.0).abs() <= 0.125, "{micros} is not {truth}");
        }
    }

    #[test]
    fn of_one_all_are_the_same_and_of_none_nothing() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().p99, Duration::ZERO);
        histogram.add(Duration::from_secs(10_000));
        let found = histogram.snapshot();
        assert!(found.p50 == found.p99 && found.p99 <= found.max && found.p50 > Duration::from_secs(1_000));
    }

    #[test]
    fn sums_are_as_if_counted_together() {
        let [one, other, both] = [(); 3].map(|()| Histogram::default());
        for nanos in [1_u64, 5_000, 70_000, 70_001, 900_000_000] {
            let (here, there) = if nanos % 2 == 0 { (&one, &both) } else { (&other, &both) };
            here.add(Duration::from_nanos(nanos));
            there.add(Duration::from_nanos(nanos));
        }
        assert_eq!(one.snapshot().and(&other.snapshot()), both.snapshot());
    }
}
