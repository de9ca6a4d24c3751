//! What is told apart when something is counted: each kind has a name, which is its label in metrics, and a field in the
//! statistics.

use serde::Serialize;

use super::Counter;

/// An enum of kinds.
macro_rules! kinds {
    ($(#[$of_kind:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident $field:ident,)* }) => {
        $(#[$of_kind])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$doc])* $variant,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, as in the labels of metrics and in the fields of statistics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($field),)*
                }
            }
        }
    };
}

/// An enum of kinds, the counts of all of them as users see them, and the live counters.
macro_rules! counted {
    (
        $(#[$of_kind:meta])* $kind:ident,
        $(#[$of_counts:meta])* $counts:ident,
        $live:ident { $($(#[$doc:meta])* $variant:ident $field:ident,)* }
    ) => {
        kinds! { $(#[$of_kind])* $kind { $($(#[$doc])* $variant $field,)* } }

        $(#[$of_counts])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct $counts {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl $counts {
            /// All of them together.
            pub fn total(&self) -> u64 {
                [$(self.$field,)*].into_iter().fold(0, u64::saturating_add)
            }

            /// Of this kind.
            pub fn get(&self, kind: $kind) -> u64 {
                match kind {
                    $($kind::$variant => self.$field,)*
                }
            }

            #[allow(dead_code, reason = "not all of them are summed up")]
            pub(crate) fn and(self, other: Self) -> Self {
                Self { $($field: self.$field.saturating_add(other.$field),)* }
            }
        }

        /// The live counters.
        #[derive(Debug, Default)]
        pub(crate) struct $live([Counter; $kind::ALL.len()]);

        impl $live {
            #[inline]
            pub(crate) fn one(&self, kind: $kind) {
                if let Some(counter) = self.0.get(kind as usize) {
                    counter.one();
                }
            }

            pub(crate) fn snapshot(&self) -> $counts {
                let of = |kind: $kind| self.0.get(kind as usize).map_or(0, Counter::get);
                $counts { $($field: of($kind::$variant),)* }
            }
        }
    };
}

counted! {
    /// How a call of a cached function ended. Each call has exactly one.
    CallResult,
    /// Calls by how they ended. Each call counts once, when it ends.
    Calls,
    LiveCalls {
        /// It was answered from memory.
        Memory memory,
        /// It was answered from a backend.
        Backend backend,
        /// It waited for another call's run, and got its value.
        Waited waited,
        /// It ran the body, and returned what that returned.
        Ran ran,
        /// It was answered with a value past its `ttl`.
        Stale stale,
        /// It ran the body beside the cache: caching was off, its arguments can't be a key, it would have waited for itself, or
        /// it had waited enough.
        Uncached uncached,
        /// It returned an `Err` that isn't stored: of its own run, or of the one it waited for.
        Failed failed,
        /// It panicked.
        Panicked panicked,
        /// Its future was dropped before it had an answer.
        Cancelled cancelled,
    }
}

counted! {
    /// Why no layer could answer a call. What only a backend had is known as far as the backend says.
    MissReason,
    /// Misses by reason.
    Misses,
    LiveMisses {
        /// There was no entry. It was never stored, or it is so long gone that nobody knows why.
        Absent absent,
        /// The entry's lifetime was over.
        Expired expired,
        /// The entry had to make room for others a while ago.
        Evicted evicted,
        /// Something that the entry depends on was invalidated.
        Invalidated invalidated,
        /// A backend's entry couldn't be decoded.
        Damaged damaged,
        /// A backend couldn't be asked, or nobody vouches for what this process has in memory.
        Unavailable unavailable,
    }
}

kinds! {
    /// What a body ran for.
    RunTrigger {
        /// For a call that no layer could answer, and for those that wait for it.
        Call call,
        /// To replace an old value in the background: `stale_while_revalidate`, `refresh_ahead` or `timeout`.
        Background background,
        /// To replace what is there: `refresh_f` or [`refreshing`](crate::refreshing).
        Refresh refresh,
        /// For one call alone, beside the cache: see [`CallResult::Uncached`].
        Uncached uncached,
    }
}

counted! {
    /// How a run of a body ended.
    RunOutcome,
    /// Runs by how they ended.
    RunOutcomes,
    LiveRunOutcomes {
        /// It returned a value that may be stored.
        Returned returned,
        /// It returned an `Err` that isn't stored.
        Failed failed,
        /// It panicked.
        Panicked panicked,
        /// It was dropped before it was done.
        Cancelled cancelled,
    }
}

counted! {
    /// What became of a value that a run returned, in the farthest layer that it was for.
    StoreOutcome,
    /// Values of runs by what became of them. Each value counts once.
    Stores,
    LiveStores {
        /// It was stored.
        Stored stored,
        /// Something that it depends on was invalidated meanwhile, or a later run has replaced it.
        Overtaken overtaken,
        /// It was not to be stored: by the function's options, by `dont_cache`, or because the run was beside the cache.
        NotCacheable not_cacheable,
        /// There is no room in memory for something of this size.
        NoRoom no_room,
        /// The codec can't encode it, or its `Serialize` panicked. It stays in memory.
        NotEncodable not_encodable,
        /// It would come back from a backend changed. It stays in memory.
        Lossy lossy,
        /// A backend failed to store it. It stays in memory.
        Failed failed,
    }
}

counted! {
    /// Why an entry left memory, other than by being replaced.
    EvictionCause,
    /// Entries that left memory by cause.
    Evictions,
    LiveEvictions {
        /// It made room for others.
        Capacity capacity,
        /// Its lifetime was over.
        Expired expired,
        /// It was found invalidated, or everything was [reset](crate::reset).
        Removed removed,
    }
}

kinds! {
    /// What a call waits for.
    WaitFor {
        /// Another call's run in this process.
        Run run,
        /// Another process's lease.
        Lease lease,
    }
}

kinds! {
    /// What an invalidation names.
    InvalidationBy {
        /// One or several tags.
        Tag tag,
        /// One result: `invalidate_f`.
        Key key,
        /// A function: `invalidate_all_f`.
        Function function,
        /// Everything in a scope.
        Scope scope,
        /// Everything.
        Everything everything,
        /// Another process has told of ids only.
        Unknown unknown,
    }
}

kinds! {
    /// Who invalidated.
    InvalidationOrigin {
        /// This process, by this cache.
        Here here,
        /// Another process, or another cache.
        Elsewhere elsewhere,
    }
}

counted! {
    /// How an invalidation ended.
    InvalidationOutcome,
    /// Invalidations by how they ended.
    InvalidationOutcomes,
    LiveInvalidationOutcomes {
        /// All backends have recorded it, and this process's memory serves nothing older.
        Done done,
        /// A backend couldn't record it; it has to be repeated.
        Failed failed,
        /// Its future was dropped. Whether the backends have recorded it isn't known.
        Cancelled cancelled,
    }
}

kinds! {
    /// An operation of a backend.
    BackendOperation {
        /// Looks an entry up.
        Read read,
        /// Asks for the right to run a body.
        Lease lease,
        /// Waits until another process's lease has ended.
        Wait wait,
        /// Stores an entry.
        Store store,
        /// Records an invalidation.
        Invalidate invalidate,
    }
}

kinds! {
    /// How an operation of a backend ended.
    BackendOutcome {
        /// The backend has done it.
        Ok ok,
        /// The backend failed.
        Error error,
        /// Nobody waited for its end.
        Cancelled cancelled,
    }
}

/// Runs by what they were for and how they ended. Each run counts once, when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Runs {
    /// For a call that no layer could answer, and for those that wait for it.
    pub call: RunOutcomes,
    /// In the background.
    pub background: RunOutcomes,
    /// To replace what is there.
    pub refresh: RunOutcomes,
    /// For one call alone, beside the cache.
    pub uncached: RunOutcomes,
}

impl Runs {
    /// All of them together.
    pub fn total(&self) -> u64 {
        RunTrigger::ALL.iter().fold(0, |sum, trigger| sum + self.get(*trigger).total())
    }

    /// Those that were for this.
    pub fn get(&self, trigger: RunTrigger) -> RunOutcomes {
        match trigger {
            RunTrigger::Call => self.call,
            RunTrigger::Background => self.background,
            RunTrigger::Refresh => self.refresh,
            RunTrigger::Uncached => self.uncached,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            call: self.call.and(other.call),
            background: self.background.and(other.background),
            refresh: self.refresh.and(other.refresh),
            uncached: self.uncached.and(other.uncached),
        }
    }
}

/// The live counters.
#[derive(Debug, Default)]
pub(crate) struct LiveRuns([LiveRunOutcomes; RunTrigger::ALL.len()]);

impl LiveRuns {
    pub(crate) fn one(&self, trigger: RunTrigger, outcome: RunOutcome) {
        if let Some(outcomes) = self.0.get(trigger as usize) {
            outcomes.one(outcome);
        }
    }

    pub(crate) fn snapshot(&self) -> Runs {
        let of = |trigger: RunTrigger| self.0.get(trigger as usize).map(LiveRunOutcomes::snapshot).unwrap_or_default();
        Runs {
            call: of(RunTrigger::Call),
            background: of(RunTrigger::Background),
            refresh: of(RunTrigger::Refresh),
            uncached: of(RunTrigger::Uncached),
        }
    }
}
