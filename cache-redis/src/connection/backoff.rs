//! The pauses between attempts to connect.

use std::time::Duration;

use crate::random;

/// Growing pauses between attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    // What a process has to give back holds others up as long as it has no connection.
    const LONGEST: Duration = Duration::from_millis(500);

    /// Between half and all of twice the last, so that processes don't come back all at once.
    pub(super) fn next(&mut self) -> Duration {
        let full = (Self::FIRST * 2u32.saturating_pow(self.failures.min(10))).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        full / 2 + full.mul_f64(random::unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= Backoff::FIRST && pauses.iter().all(|pause| *pause >= Backoff::FIRST / 2));
        let long = Backoff::LONGEST / 2..=Backoff::LONGEST;
        assert!(pauses[6..].iter().all(|pause| long.contains(pause)), "{pauses:?}");
        assert!(*long.end() <= Duration::from_millis(500), "who has something to give back holds others up meanwhile");
    }
}
