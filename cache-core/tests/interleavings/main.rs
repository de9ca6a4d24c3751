//! The flight, the wait graph and the validity of entries under all schedules of a few threads, or many random ones
//! where there are too many. The very files of the library are compiled here against the checker's primitives.

#![allow(dead_code, unreachable_pub, reason = "the files are used in part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod sync {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, Weak};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As long as it takes: nothing here holds a lock while it waits for another.
    /// For no time at all: the others are always slower.
    pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock().ok()
    }

    /// A new one for each schedule.
    macro_rules! in_process {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            shuttle::lazy_static! {
                $(#[$attribute])*
                static ref $name: $type = $value;
            }
        };
    }
    pub(crate) use in_process;
}

mod tag {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TagId(pub u64);
}

mod scope {
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct Scope(pub(crate) &'static str);

    impl Scope {
        pub(crate) fn is_global(&self) -> bool {
            self.0.is_empty()
        }
    }
}

mod context {
    pub(crate) mod run_frame {
        #[derive(Debug)]
        pub(crate) struct Frame;
    }
}

mod events {
    pub(crate) mod residents {
        #[derive(Debug)]
        pub(crate) struct Residents;
    }
}

mod trace {
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Lead(());
}

#[path = "../../src/util"]
mod util {
    pub(crate) mod id_hasher;
    pub(crate) mod per_process;
    pub(crate) mod seed;
    pub(crate) use crate::sync;
}
#[path = "../../src/flight"]
mod flight {
    pub(crate) mod landing;
    pub(crate) mod per_key;
    pub(crate) mod single;
    pub(crate) mod wait_graph;
}
#[path = "../../src/freshness"]
mod freshness {
    pub(crate) mod epoch;
    pub(crate) mod function_tags;
    pub(crate) mod invalidation;
    pub(crate) mod tag_index;
    pub(crate) mod tags_in_use;
}
#[path = "../../src/engine"]
mod engine {
    pub(crate) mod progress;
}
#[path = "../../src/thread_cache/generations.rs"]
mod generations;

mod circles;
mod flights;
mod fronts;
mod groups;
mod landing;
mod validity;
mod world;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use tag::TagId;

const TAG: TagId = TagId(7);
const OTHER: TagId = TagId(8);

/// Random schedules where all would be too many.
const RANDOM: usize = 1_000;
/// At most so many of all.
const ALL: usize = 10_000;
/// Schedules in which to hunt for a fault that is there. The rarest needs about 60.
const HUNT: usize = 20_000;

/// Threads have stacks with room for the backtrace of a panic, which is printed from within a schedule: the default of 32 KiB
/// is too small for that, and ends the test program with a signal instead of a message.
fn search(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::default();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(test);
}

fn check_random(test: impl Fn() + Send + Sync + 'static, schedules: usize) {
    search(RandomScheduler::new(schedules), test);
}

fn check_pct(test: impl Fn() + Send + Sync + 'static, schedules: usize, depth: usize) {
    search(PctScheduler::new(depth, schedules), test);
}

fn check_dfs(test: impl Fn() + Send + Sync + 'static, schedules: Option<usize>) {
    search(DfsScheduler::new(schedules, false), test);
}

/// Ends at the first schedule that shows the fault. Few preemptions at random places find a window between two steps
/// sooner than a random choice at every step, where the other thread must by chance be chosen many times in a row.
fn hunt(test: fn()) {
    check_pct(test, HUNT, 3);
}
