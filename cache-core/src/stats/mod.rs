//! Counters, per function.

mod by_thread;
pub(crate) mod report;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::by_thread::ByThread;
#[cfg(feature = "memory")]
pub(crate) use self::by_thread::HitCell;
pub(crate) use self::by_thread::ThreadHits;
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
    pub(crate) backend_hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) runs: Counter,
    pub(crate) run_nanos: Counter,
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

    pub(crate) fn snapshot(&self, function: &str) -> FunctionStats {
        let of_store: u64 = self.stripes.iter().map(|stripe| stripe.memory_hits.load(Ordering::Relaxed)).sum();
        let memory_hits = of_store.wrapping_add(lock(&self.by_thread).sum());
        let (runs, run_nanos) = (self.runs.get(), self.run_nanos.get());
        let backend_hits = self.backend_hits.get();
        let coalesced = self.coalesced.get();
        let spared = memory_hits.saturating_add(backend_hits).saturating_add(coalesced);
        let mean = run_nanos.checked_div(runs).unwrap_or(0);
        FunctionStats {
            function: function.to_owned(),
            memory_hits,
            backend_hits,
            misses: self.misses.get(),
            runs,
            coalesced,
            stale: self.stale.get(),
            stored: self.stored.get(),
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
            run_time: Duration::from_nanos(run_nanos),
            time_saved: Duration::from_nanos(mean.saturating_mul(spared)),
        }
    }
}

/// Counters of one function since its cache was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionStats {
    /// The function's name: the `name` option, or its path.
    pub function: String,
    /// Calls answered from memory.
    pub memory_hits: u64,
    /// Calls answered from a backend.
    pub backend_hits: u64,
    /// Calls that no layer could answer. Each ran the body, for itself and for the calls that waited for it.
    pub misses: u64,
    /// Times the body ran.
    pub runs: u64,
    /// Calls that waited for another call's run and got its result.
    pub coalesced: u64,
    /// Entries found that were no longer valid: invalidated or past their lifetime.
    pub stale: u64,
    /// Results stored in memory or a backend.
    pub stored: u64,
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
    /// [`ReportKind::BoundTooSmall`].
    pub recomputed: u64,
    /// Bytes of values read from backends.
    pub bytes_read: u64,
    /// Bytes of values written to backends.
    pub bytes_written: u64,
    /// Time spent in the body.
    pub run_time: Duration,
    /// Estimated time that the answered calls would have taken: their number times the mean duration of a run.
    pub time_saved: Duration,
}

impl FunctionStats {
    /// Calls answered without a run of their own.
    pub fn hits(&self) -> u64 {
        self.memory_hits.saturating_add(self.backend_hits)
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
/// The other counters (`recursions`, `bypassed`, `background`, ..) are in the fields. A function with `lossy` or
/// `recomputed` results also has a line below the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The functions that were called, by name. Different functions with the same name have an entry each.
    pub functions: Vec<FunctionStats>,
    /// Entries in memory.
    pub memory_entries: u64,
    /// Tags in use in this process.
    pub tags: usize,
    /// Runs under way.
    pub flights: usize,
}

impl Stats {
    /// The numbers of the function of this name: the whole name, or the end of it. `user` finds `my_crate::repo::user` and a
    /// function with `name = "repo.user"`. If several names end so, a whole segment of a path goes first.
    pub fn function(&self, name: &str) -> Option<&FunctionStats> {
        let segment = |stats: &&FunctionStats| stats.function.rsplit("::").next() == Some(name);
        let find = |fits: &dyn Fn(&&FunctionStats) -> bool| self.functions.iter().find(fits);
        find(&|stats| stats.function == name)
            .or_else(|| find(&segment))
            .or_else(|| find(&|stats| ends_with(stats, name)))
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEADINGS: [&str; 11] = [
            "function",
            "memory",
            "backend",
            "misses",
            "runs",
            "coalesced",
            "stale",
            "old",
            "failures",
            "errors",
            "saved",
        ];
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.functions.iter().map(|stats| {
            [
                stats.function.clone(),
                stats.memory_hits.to_string(),
                stats.backend_hits.to_string(),
                stats.misses.to_string(),
                stats.runs.to_string(),
                stats.coalesced.to_string(),
                stats.stale.to_string(),
                stats.served_stale.to_string(),
                stats.failures.to_string(),
                stats.errors().to_string(),
                readable(stats.time_saved),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 11] = std::array::from_fn(width);
        for row in &rows {
            write!(f, "{:<width$}", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        for stats in self.functions.iter().filter(|stats| stats.lossy > 0) {
            let (function, lossy) = (&stats.function, stats.lossy);
            writeln!(f, "{function}: results that their encoded form would change, kept in memory only: {lossy}")?;
        }
        for stats in self.functions.iter().filter(|stats| stats.recomputed > 0) {
            let (function, recomputed) = (&stats.function, stats.recomputed);
            writeln!(
                f,
                "{function}: results evicted while a recursion still needed them: {recomputed}; set `max_entries`"
            )?;
        }
        write!(f, "{} entries in memory, {} tags, {} runs under way", self.memory_entries, self.tags, self.flights)
    }
}

/// Whether the function's name ends so, and not in the middle of a word.
fn ends_with(stats: &FunctionStats, name: &str) -> bool {
    let before = stats.function.strip_suffix(name).filter(|_| !name.is_empty());
    before.is_some_and(|before| before.ends_with(|last: char| !(last.is_alphanumeric() || last == '_')))
}

/// Three significant digits at most, in the largest fitting unit.
fn readable(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (amount, unit) = match nanos {
        0..1_000 => (nanos as f64, "ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let digits = usize::from(amount < 100.0 && unit != "ns");
    format!("{amount:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_the_end_of_its_name() {
        let named = |name: &str| FunctionStats { function: name.to_owned(), ..FunctionStats::default() };
        let names = ["repo.user", "team:owner", "my_crate::shop::price", "my_crate::super_user", "a.get", "b::get"];
        let stats = Stats { functions: names.map(named).into(), ..Stats::default() };
        for (name, found) in [
            ("repo.user", Some("repo.user")),
            ("user", Some("repo.user")),
            ("owner", Some("team:owner")),
            ("price", Some("my_crate::shop::price")),
            ("shop::price", Some("my_crate::shop::price")),
            ("super_user", Some("my_crate::super_user")),
            ("get", Some("b::get")),
            ("ser", None),
            (".user", None),
            ("", None),
        ] {
            assert_eq!(stats.function(name).map(|stats| stats.function.as_str()), found, "{name}");
        }
    }
}
