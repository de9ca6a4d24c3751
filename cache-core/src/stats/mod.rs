//! Counters, per function.

mod by_thread;
pub(crate) mod histogram;
pub(crate) mod kinds;
pub(crate) mod of_cache;
pub(crate) mod report;
mod table;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use self::by_thread::ByThread;
#[cfg(feature = "memory")]
pub(crate) use self::by_thread::HitCell;
pub(crate) use self::by_thread::ThreadHits;
use self::histogram::{Durations, Histogram};
use self::kinds::{
    CallResult, Calls, Evictions, LiveCalls, LiveMisses, LiveRuns, LiveStores, Misses, Runs, Stores, WaitFor,
};
use self::of_cache::{BackendStats, Invalidations};
use crate::rt::clock::to_nanos;
use crate::util::sync::lock;

const STRIPES: usize = 8;

/// One stripe of the counters a hit moves, on cache lines of its own so that threads don't share them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    memory_hits: AtomicU64,
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
    STRIPE.try_with(|stripe| *stripe).unwrap_or(0)
}

/// The live counters of a function.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Answers of a thread's front.
    by_thread: Arc<Mutex<ByThread>>,
    /// Answers of the store.
    stripes: [Stripe; STRIPES],
    /// Answers of memory to calls that the first look into it didn't answer.
    pub(crate) late_memory_hits: Counter,
    /// Calls that the first look into memory didn't answer.
    pub(crate) results: LiveCalls,
    pub(crate) backend_hits: Counter,
    pub(crate) misses: LiveMisses,
    pub(crate) runs: Counter,
    pub(crate) run_ends: LiveRuns,
    pub(crate) run_times: Histogram,
    run_waits: Histogram,
    lease_waits: Histogram,
    pub(crate) stores: LiveStores,
    pub(crate) collapsed: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) stale: Counter,
    pub(crate) stored: Counter,
    pub(crate) bypassed: Counter,
    pub(crate) unscoped: Counter,
    pub(crate) recursions: Counter,
    pub(crate) unshared: Counter,
    pub(crate) failures: Counter,
    pub(crate) served_stale: Counter,
    pub(crate) background: Counter,
    pub(crate) backend_errors: Counter,
    pub(crate) damaged: Counter,
    pub(crate) key_errors: Counter,
    pub(crate) encode_errors: Counter,
    pub(crate) lossy: Counter,
    pub(crate) panics: Counter,
    pub(crate) recomputed: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the memory layer"))]
    pub(crate) fn memory_hit(&self) {
        self.stripes[stripe()].memory_hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the counters of functions apart as long as they live.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the memory layer"))]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.by_thread) as usize
    }

    /// A counter for the calling thread.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the memory layer"))]
    pub(crate) fn of_thread(&self) -> ThreadHits {
        by_thread::of_thread(&self.by_thread)
    }

    pub(crate) fn waits(&self, what: WaitFor) -> &Histogram {
        match what {
            WaitFor::Run => &self.run_waits,
            WaitFor::Lease => &self.lease_waits,
        }
    }

    pub(crate) fn snapshot(&self, function: &str) -> FunctionStats {
        let of_store: u64 = self.stripes.iter().map(|stripe| stripe.memory_hits.load(Ordering::Relaxed)).sum();
        let at_once = of_store.wrapping_add(lock(&self.by_thread).sum());
        let memory_hits = at_once.wrapping_add(self.late_memory_hits.get());
        let mut calls = self.results.snapshot();
        calls.memory = calls.get(CallResult::Memory).saturating_add(at_once);
        let missed = self.misses.snapshot();
        let (runs, run_times) = (self.runs.get(), self.run_times.snapshot());
        let backend_hits = self.backend_hits.get();
        let coalesced = self.coalesced.get();
        let spared = memory_hits.saturating_add(backend_hits).saturating_add(coalesced);
        let mean = to_nanos(run_times.total).checked_div(runs).unwrap_or(0);
        FunctionStats {
            function: function.to_owned(),
            calls,
            memory_hits,
            backend_hits,
            misses: missed.total(),
            missed,
            runs,
            run_ends: self.run_ends.snapshot(),
            coalesced,
            stale: self.stale.get(),
            stored: self.stored.get(),
            stores: self.stores.snapshot(),
            evictions: Evictions::default(),
            memory_entries: 0,
            memory_bytes: None,
            collapsed: self.collapsed.get(),
            bypassed: self.bypassed.get(),
            unscoped: self.unscoped.get(),
            recursions: self.recursions.get(),
            unshared: self.unshared.get(),
            failures: self.failures.get(),
            served_stale: self.served_stale.get(),
            background: self.background.get(),
            backend_errors: self.backend_errors.get(),
            damaged: self.damaged.get(),
            key_errors: self.key_errors.get(),
            encode_errors: self.encode_errors.get(),
            lossy: self.lossy.get(),
            panics: self.panics.get(),
            recomputed: self.recomputed.get(),
            bytes_read: self.bytes_read.get(),
            bytes_written: self.bytes_written.get(),
            run_time: run_times.total,
            run_times,
            run_waits: self.run_waits.snapshot(),
            lease_waits: self.lease_waits.snapshot(),
            time_saved: Duration::from_nanos(mean.saturating_mul(spared)),
        }
    }
}

/// Counters of one function since its cache was built.
///
/// `calls`, `missed`, `run_ends` and `stores` count each call, miss, run and value once, by what became of it. The other fields
/// count occurrences, of which one call may have several: a call that is answered with an old value counts in `memory_hits`
/// and in `served_stale`, for example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FunctionStats {
    /// The function's name: the `name` option, or its path.
    pub function: String,
    /// Calls that have ended, by how they ended. A `peek_f` counts here if memory answers it, and a `refresh_f` always does. A
    /// call that memory can't answer because the value's `Clone` panics isn't counted.
    pub calls: Calls,
    /// Calls answered from memory, also with a value past its `ttl`.
    pub memory_hits: u64,
    /// Calls answered from a backend.
    pub backend_hits: u64,
    /// Calls that no layer could answer. Each ran the body, for itself and for the calls that waited for it.
    pub misses: u64,
    /// The misses by reason.
    pub missed: Misses,
    /// Times the body began.
    pub runs: u64,
    /// Runs that have ended, by what they were for and how they ended.
    pub run_ends: Runs,
    /// Calls that waited for another call's run and got its result.
    pub coalesced: u64,
    /// Entries found that were no longer valid: invalidated or past their lifetime.
    pub stale: u64,
    /// Results stored in memory or a backend, as soon as memory has them: also if a backend refuses them later.
    pub stored: u64,
    /// Values that runs returned, by what became of them in the farthest layer that they were for.
    pub stores: Stores,
    /// Entries that left memory, by cause.
    pub evictions: Evictions,
    /// Entries in memory.
    pub memory_entries: u64,
    /// The sum of the weights of the entries in memory, for functions with `max_bytes`.
    pub memory_bytes: Option<u64>,
    /// Runs whose result depends on more than is kept apart, so that more invalidates it than need be.
    pub collapsed: u64,
    /// Calls made with caching off, as in [`without_cache`](crate::without_cache).
    pub bypassed: u64,
    /// Calls that ran uncached because they had no scope, in a cache with
    /// [`require_scope`](crate::CacheBuilder::require_scope). They also count as `bypassed`.
    pub unscoped: u64,
    /// Calls that ran uncached because they would have waited for themselves: directly, or possibly through other
    /// processes.
    pub recursions: u64,
    /// Calls that ran the body beside another run, without sharing or storing the result, because the run they had waited for
    /// failed with an error that can't be shared, or because `max_wait` had passed.
    pub unshared: u64,
    /// Runs that ended with an `Err` that isn't stored.
    pub failures: u64,
    /// Calls answered with a value past its `ttl`, by `stale_while_revalidate`, `stale_if_error` or `timeout`. They also count
    /// as hits, or as misses if they ran the body.
    pub served_stale: u64,
    /// Runs started in the background. They also count as `runs` once their body begins.
    pub background: u64,
    /// Backend operations that failed.
    pub backend_errors: u64,
    /// Backend entries that couldn't be decoded: damaged, truncated, of another type or version, or `Deserialize` panicked.
    pub damaged: u64,
    /// Calls that ran uncached because their arguments couldn't be encoded as a key: `Serialize` failed or panicked.
    pub key_errors: u64,
    /// Results that stay in memory because the codec couldn't encode them, or because `Serialize` panicked.
    pub encode_errors: u64,
    /// Results that stay in memory because they would have come back from a backend changed, or not at all. See the `lossy`
    /// option.
    pub lossy: u64,
    /// Panics of a result's `Clone`, and of what [`context`](crate::CacheBuilder::context) captures. Each costs an entry, or makes a waiting call run the body itself.
    pub panics: u64,
    /// Results that a recursion had to compute again because memory evicted them while it went on. If these are many, the
    /// function's bound is too small, and the recursion may take exponentially longer: set `max_entries`. See
    /// [`ReportKind::BoundTooSmall`](crate::ReportKind::BoundTooSmall). What was evicted is known by a hash, so a few may be counted by mistake.
    pub recomputed: u64,
    /// Bytes of values read from backends.
    pub bytes_read: u64,
    /// Bytes of values written to backends.
    pub bytes_written: u64,
    /// Time spent in bodies that returned.
    pub run_time: Duration,
    /// How long each took.
    pub run_times: Durations,
    /// How long calls waited for other calls' runs in this process.
    pub run_waits: Durations,
    /// How long calls waited for leases of other processes.
    pub lease_waits: Durations,
    /// Estimated time that the answered calls would have taken: their number times the mean duration of a run.
    pub time_saved: Duration,
}

impl FunctionStats {
    /// Calls answered without a run of their own.
    pub fn hits(&self) -> u64 {
        self.memory_hits.saturating_add(self.backend_hits)
    }

    /// Both together, under the name of the first.
    fn and(self, other: &Self) -> Self {
        let bytes = [self.memory_bytes, other.memory_bytes];
        Self {
            calls: self.calls.and(other.calls),
            memory_hits: self.memory_hits.saturating_add(other.memory_hits),
            backend_hits: self.backend_hits.saturating_add(other.backend_hits),
            misses: self.misses.saturating_add(other.misses),
            missed: self.missed.and(other.missed),
            runs: self.runs.saturating_add(other.runs),
            run_ends: self.run_ends.and(other.run_ends),
            coalesced: self.coalesced.saturating_add(other.coalesced),
            stale: self.stale.saturating_add(other.stale),
            stored: self.stored.saturating_add(other.stored),
            stores: self.stores.and(other.stores),
            evictions: self.evictions.and(other.evictions),
            memory_entries: self.memory_entries.saturating_add(other.memory_entries),
            memory_bytes: bytes.into_iter().flatten().reduce(u64::saturating_add),
            collapsed: self.collapsed.saturating_add(other.collapsed),
            bypassed: self.bypassed.saturating_add(other.bypassed),
            unscoped: self.unscoped.saturating_add(other.unscoped),
            recursions: self.recursions.saturating_add(other.recursions),
            unshared: self.unshared.saturating_add(other.unshared),
            failures: self.failures.saturating_add(other.failures),
            served_stale: self.served_stale.saturating_add(other.served_stale),
            background: self.background.saturating_add(other.background),
            backend_errors: self.backend_errors.saturating_add(other.backend_errors),
            damaged: self.damaged.saturating_add(other.damaged),
            key_errors: self.key_errors.saturating_add(other.key_errors),
            encode_errors: self.encode_errors.saturating_add(other.encode_errors),
            lossy: self.lossy.saturating_add(other.lossy),
            panics: self.panics.saturating_add(other.panics),
            recomputed: self.recomputed.saturating_add(other.recomputed),
            bytes_read: self.bytes_read.saturating_add(other.bytes_read),
            bytes_written: self.bytes_written.saturating_add(other.bytes_written),
            run_time: self.run_time.saturating_add(other.run_time),
            run_times: self.run_times.and(&other.run_times),
            run_waits: self.run_waits.and(&other.run_waits),
            lease_waits: self.lease_waits.and(&other.lease_waits),
            time_saved: self.time_saved.saturating_add(other.time_saved),
            function: self.function,
        }
    }

    fn errors(&self) -> u64 {
        let kinds = [self.backend_errors, self.damaged, self.key_errors, self.encode_errors, self.lossy, self.panics];
        kinds.into_iter().fold(0, u64::saturating_add)
    }
}

/// Counters of a cache. `Display` prints a table with a line per function. Its columns are fields of [`FunctionStats`]:
///
/// | column | counts |
/// |---|---|
/// | `memory`, `backend` | calls answered from there: `memory_hits`, `backend_hits` |
/// | `misses`, `runs`, `coalesced`, `stale` | the fields of these names |
/// | `old` | answers past their `ttl`: `served_stale` |
/// | `failures` | runs that ended with an `Err` that isn't stored, which is no fault of the cache |
/// | `errors` | faults of the cache or of types, which cost runs but fail no call: `backend_errors`, `damaged`, `key_errors`, `encode_errors`, `lossy` and `panics` |
/// | `saved` | the time that answers from the cache would have taken: `time_saved` |
///
/// The other counters (`recursions`, `bypassed`, `background`, ..) are in the fields. A function with `lossy` results,
/// or with many that were `recomputed`, also has a line below the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The cache's name; see [`CacheBuilder::name`](crate::CacheBuilder::name).
    pub cache: String,
    /// The functions that were called, by name. Different functions with the same name have an entry each.
    pub functions: Vec<FunctionStats>,
    /// Entries in memory.
    pub memory_entries: u64,
    /// Tags in use in this process.
    pub tags: usize,
    /// Runs under way.
    pub flights: usize,
    /// Invalidations by what they named and who made them. Kinds that never occurred are left out.
    pub invalidations: Vec<Invalidations>,
    /// Times at which a backend has lost messages about invalidations, so that what was in memory was no longer used.
    pub gaps: u64,
    /// What each backend did, from the nearest to the farthest.
    pub backends: Vec<BackendStats>,
    /// How much longer this process may use its memory if it hears nothing more from its backends. `None` if it needn't hear
    /// from any.
    pub trusted_for: Option<Duration>,
}

impl Stats {
    /// All functions together. The name is empty.
    ///
    /// ```
    /// let stats = cache_core::stats();
    /// assert_eq!(stats.total().runs, stats.functions.iter().map(|function| function.runs).sum::<u64>());
    /// ```
    pub fn total(&self) -> FunctionStats {
        let named = FunctionStats::default();
        self.functions.iter().fold(named, FunctionStats::and)
    }

    /// The numbers of the function of this name: the whole name, or the end of it. `user` finds `my_crate::repo::user` and a
    /// function with `name = "repo.user"`. If several names end so, a whole segment of a path goes first.
    pub fn function(&self, name: &str) -> Option<&FunctionStats> {
        let segment = |stats: &&FunctionStats| stats.function.rsplit("::").next() == Some(name);
        let find = |fits: &dyn Fn(&&FunctionStats) -> bool| self.functions.iter().find(fits);
        find(&|stats| stats.function == name)
            .or_else(|| find(&segment))
            .or_else(|| find(&|stats| table::ends_with(stats, name)))
    }
}

/// Whether so many results that a recursion has computed again, of so many misses, show that its bound is too small.
pub(crate) fn lacks_room(recomputed: u64, misses: u64) -> bool {
    recomputed >= 100 && recomputed.saturating_mul(16) >= misses
}
