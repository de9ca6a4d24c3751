//! The operating system's clock: it goes on while the machine is suspended, and hits read it at little cost.
//!
//! A hit asks whether its entry's end is still to come. The exact clock says so, but costs more than all the rest of a
//! hit. The kernel's cheap clocks only change every few milliseconds; and the one of them that goes on during suspend is the
//! wall clock, which can be set. So it only serves to see whether it has changed: the exact clock is read once for each of
//! its readings, and vouches for as long as that is shown. See [`Vouched`].
//!
//! What counts while the machine is suspended is up to the operating system: Linux, Android and Windows count it. On Apple's
//! systems the clock of [`std::time::Instant`] stands still. A virtual machine that its host has paused, or a process in a
//! container that was checkpointed, isn't told of it by any clock that can't be set.

use std::time::Duration;

use super::to_nanos;
use super::vouched::{Source, Vouched};

struct System;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod source {
    use std::sync::LazyLock;

    use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

    use super::{Source, System};

    #[inline]
    fn nanos(clock: ClockId) -> u64 {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        (tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(tv_nsec as u64)
    }

    impl Source for System {
        #[inline]
        fn exact(&self) -> u64 {
            /// Where the kernel has no clock that goes on during suspend, the one that stands still.
            static CLOCK: LazyLock<ClockId> = LazyLock::new(|| match clock_gettime_dynamic(DynamicClockId::Boottime) {
                Ok(_) => ClockId::Boottime,
                Err(_) => ClockId::Monotonic,
            });
            nanos(*CLOCK)
        }

        #[inline]
        fn coarse(&self) -> Option<u64> {
            Some(nanos(ClockId::RealtimeCoarse))
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod source {
    use std::sync::LazyLock;
    use std::time::Instant;

    use super::{Source, System, to_nanos};

    impl Source for System {
        fn exact(&self) -> u64 {
            static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
            to_nanos(ORIGIN.elapsed())
        }

        fn coarse(&self) -> Option<u64> {
            None
        }
    }
}

static VOUCHED: Vouched = Vouched::new();

/// In nanoseconds since an origin that is the same for the whole process.
pub(super) fn nanos() -> u64 {
    let now = System.exact();
    VOUCHED.check(now);
    now
}

/// Reads the exact clock, which shows whether the cheap one is right.
#[cfg(feature = "memory")]
pub(crate) fn look() {
    nanos();
}

/// Whether a moment of [`nanos`] is still to come. Exact, and cheap where the moment is far off.
#[inline]
pub(crate) fn is_to_come(moment: u64) -> bool {
    VOUCHED.is_to_come(moment, &System)
}

/// A moment of the operating system's clock, like [`std::time::Instant`]; but where the operating system has such a clock,
/// it goes on while the machine is suspended. Linux, Android and Windows have.
///
/// ```
/// use std::time::Duration;
/// use cache_core::backend::BootInstant;
///
/// let asked = BootInstant::now();
/// let trusted_until = asked + Duration::from_secs(5);
/// assert!(trusted_until > BootInstant::now());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootInstant(pub(crate) u64);

impl BootInstant {
    /// This moment.
    pub fn now() -> Self {
        Self(nanos())
    }

    /// In nanoseconds of the operating system's clock.
    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// How long after an earlier one; nothing if that isn't earlier.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for BootInstant {
    type Output = Self;

    /// Saturates at the end of time, some centuries from now.
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(to_nanos(time)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

    use super::super::vouched::LAG;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How often the cheap clock changes.
    const STEP: u64 = 4_000_000;

    /// A machine whose clocks a test moves.
    struct Machine {
        boot: Cell<u64>,
        wall: Cell<u64>,
        /// What the cheap clock shows.
        shown: Cell<u64>,
        held_up: Cell<bool>,
        exact_reads: Cell<usize>,
    }

    impl Machine {
        fn new() -> Self {
            let wall = 1_700_000_000 * SECOND + 123_456_789;
            let [boot, wall, shown] = [1_000 * SECOND, wall, wall].map(Cell::new);
            Self { boot, wall, shown, held_up: Cell::new(false), exact_reads: Cell::new(0) }
        }

        fn pass(&self, nanos: u64) {
            self.boot.set(self.boot.get() + nanos);
            self.set(self.wall.get() + nanos);
        }

        fn set(&self, wall: u64) {
            self.wall.set(wall);
            if !self.held_up.get() && !(0..STEP).contains(&wall.wrapping_sub(self.shown.get())) {
                self.shown.set(wall);
            }
        }

        /// `is_to_come`, checked.
        fn ask(&self, vouched: &Vouched, moment: u64) -> bool {
            let to_come = vouched.is_to_come(moment, self);
            assert_eq!(to_come, self.boot.get() < moment, "asked at {} for {moment}", self.boot.get());
            to_come
        }

        fn ask_all(&self, vouched: &Vouched, moments: &[u64]) {
            moments.iter().for_each(|moment| _ = self.ask(vouched, *moment));
        }
    }

    impl Source for Machine {
        fn exact(&self) -> u64 {
            self.exact_reads.set(self.exact_reads.get() + 1);
            self.boot.get()
        }
        fn coarse(&self) -> Option<u64> {
            Some(self.shown.get())
        }
    }

    #[test]
    fn the_exact_clock_is_read_once_for_each_reading_of_the_cheap_one() {
        let (machine, vouched) = (Machine::new(), Vouched::new());
        let end = machine.boot.get() + 3_600 * SECOND;
        let steps = 1_000;
        for _ in 0..steps * 64 {
            assert!(machine.ask(&vouched, end));
            machine.pass(STEP / 64);
        }
        assert!(machine.exact_reads.get() <= steps + 1, "{} exact reads", machine.exact_reads.get());
    }

    #[test]
    fn what_ends_soon_is_asked_exactly() {
        let (machine, vouched) = (Machine::new(), Vouched::new());
        for _ in 0..1_000 {
            for end in [0, 1, STEP, LAG, LAG + 1, LAG + STEP, SECOND] {
                let now = machine.boot.get();
                machine.ask_all(&vouched, &[now - end, now + end]);
            }
            machine.pass(STEP / 7);
        }
        machine.ask_all(&vouched, &[0, u64::MAX]);
    }

    #[test]
    fn a_machine_that_was_suspended_has_grown_older() {
        for asleep in [STEP, LAG, SECOND, 3_600 * SECOND, 86_400 * 365 * SECOND] {
            let (machine, vouched) = (Machine::new(), Vouched::new());
            let end = machine.boot.get() + LAG + SECOND;
            assert!(machine.ask(&vouched, end));
            machine.pass(asleep);
            machine.ask_all(&vouched, &[end, end + asleep]);
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_nothing() {
        let step = STEP as i64;
        let steps = [-3_600, -1, 1, 3_600].map(|seconds| seconds * SECOND as i64);
        for by in steps.into_iter().chain([-step, -step / 2, -1, 1, step / 2, step]) {
            let (machine, vouched) = (Machine::new(), Vouched::new());
            let end = machine.boot.get() + 10 * SECOND;
            assert!(machine.ask(&vouched, end));
            for at in 0..4_000 {
                machine.pass(SECOND / 300);
                if at % 500 == 250 {
                    machine.set(machine.wall.get().saturating_add_signed(by));
                }
                machine.ask(&vouched, end);
            }
        }
    }

    #[test]
    fn a_cheap_clock_that_is_held_up_is_not_believed_too_far() {
        for long in [1, STEP, LAG / 2, LAG - 1, LAG] {
            let (machine, vouched) = (Machine::new(), Vouched::new());
            let ends = [1, STEP, LAG, LAG + 1, SECOND].map(|end| machine.boot.get() + end);
            machine.ask_all(&vouched, &ends);
            machine.held_up.set(true);
            for _ in 0..10 {
                machine.pass(long / 10);
                machine.ask_all(&vouched, &ends);
            }
            machine.held_up.set(false);
            for _ in 0..100 {
                machine.pass(SECOND / 50);
                machine.ask_all(&vouched, &ends);
            }
        }
    }

    #[test]
    fn a_wall_clock_that_is_held_still_is_not_believed_after_an_exact_look() {
        let (machine, vouched) = (Machine::new(), Vouched::new());
        let end = machine.boot.get() + 10 * SECOND;
        assert!(machine.ask(&vouched, end));
        machine.boot.set(end);
        assert!(vouched.is_to_come(end, &machine), "this is what can't be seen");
        vouched.check(machine.exact());
        assert!(!machine.ask(&vouched, end));
    }

    /// One that had read both clocks and was then held up for long.
    #[test]
    fn a_late_writer_changes_nothing() {
        let (machine, vouched) = (Machine::new(), Vouched::new());
        let (shown, now) = (machine.coarse().unwrap(), machine.exact());
        machine.pass(3_600 * SECOND);
        let end = machine.boot.get() + SECOND;
        assert!(machine.ask(&vouched, end));
        vouched.vouch(shown, now);
        assert_eq!(vouched.shown.load(Ordering::Relaxed), machine.coarse().unwrap());
        // And one that never comes to its end keeps the others from writing only.
        vouched.writing.store(true, Ordering::Relaxed);
        machine.pass(SECOND);
        assert!(!machine.ask(&vouched, end));
    }

    #[test]
    fn the_systems_clock_goes_on() {
        let began = BootInstant::now();
        for _ in 0..1_000 {
            let now = nanos();
            assert!(!is_to_come(now), "it is never believed that time stood still");
            assert!(is_to_come(now + 3_600 * SECOND));
        }
        assert!(BootInstant::now() >= began);
        let later = began + Duration::from_secs(1);
        assert_eq!(later.saturating_duration_since(began), Duration::from_secs(1));
        assert_eq!(began.saturating_duration_since(later), Duration::ZERO);
        assert!(began + Duration::MAX > later, "it saturates");
    }

    /// The time since the machine was booted, suspended or not, is what `/proc/uptime` says.
    #[cfg(target_os = "linux")]
    #[test]
    fn it_counts_from_when_the_machine_was_booted() {
        let Ok(text) = std::fs::read_to_string("/proc/uptime") else { return };
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let own = Duration::from_nanos(nanos()).as_secs_f64();
        assert!((own - uptime).abs() < 60.0, "{own} s by this clock, {uptime} s by the kernel's word");
    }
}
