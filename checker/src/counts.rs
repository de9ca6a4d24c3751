//! What a worker has done, in numbers that travel as a line of text.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident),*) => {
        /// What a worker has done.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),* }

        /// The same, added up.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Counts { $(pub(crate) $name: u64),* }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(write!(f, " {}", self.$name)?;)*
                Ok(())
            }
        }

        impl Counts {
            pub(crate) fn parse(text: &str) -> Option<Self> {
                let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
                Some(Self { $($name: numbers.next()??),* })
            }

            /// Of all kinds.
            pub(crate) fn operations(&self) -> u64 {
                self.with_memory + self.without_memory + self.invalidations
            }

            pub(crate) fn add(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters!(
    with_memory,
    without_memory,
    failures,
    cancelled,
    invalidations,
    refused,
    runs,
    memory_hits,
    backend_hits,
    coalesced,
    damaged,
    errors,
    reconnects,
    missed,
    clock_back,
    notifications_off,
    wrong_type
);
