//! All metrics: their names, units, labels and what they mean.

use metrics::Unit;

/// What kind of metric one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It grows and shrinks.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric that [`publish`](super::publish) sets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub description: &'static str,
}

impl Metric {
    const fn new(
        name: &'static str,
        kind: Kind,
        unit: Unit,
        labels: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { name, kind, unit, labels, description }
    }
}

use Kind::{Counter, Gauge, Histogram};

const FUNCTION: &[&str] = &["cache", "function"];

macro_rules! table {
    ($($constant:ident = $name:literal $kind:ident $unit:ident $labels:expr, $description:literal;)*) => {
        $(pub(super) const $constant: Metric = Metric::new($name, $kind, Unit::$unit, $labels, $description);)*

        /// All metrics.
        pub const TABLE: &[Metric] = &[$($constant,)*];
    };
}

table! {
    CALLS = "larder_calls_total" Counter Count &["cache", "function", "result"],
        "Calls of cached functions by how they ended; each call counts once";
    MISSES = "larder_misses_total" Counter Count &["cache", "function", "reason"],
        "Calls that no layer could answer, by reason";
    RUNS = "larder_runs_total" Counter Count &["cache", "function", "trigger", "outcome"],
        "Runs of bodies by what they were for and how they ended; each run counts once";
    RUN_DURATION = "larder_run_duration_seconds" Histogram Seconds FUNCTION,
        "How long bodies took that returned";
    WAIT_DURATION = "larder_wait_duration_seconds" Histogram Seconds &["cache", "function", "for"],
        "How long calls waited for runs of this process, or for leases of others";
    STORES = "larder_stores_total" Counter Count &["cache", "function", "outcome"],
        "Values that runs returned, by what became of them; each value counts once";
    EVICTIONS = "larder_evictions_total" Counter Count &["cache", "function", "cause"],
        "Entries that left memory other than by being replaced, by cause";
    ERRORS = "larder_errors_total" Counter Count &["cache", "function", "kind"],
        "Faults of the cache or of types, which cost runs and fail no call";
    COLLAPSED = "larder_collapsed_total" Counter Count FUNCTION,
        "Runs whose result depends on more than is kept apart, so that more invalidates it than need be";
    INVALIDATIONS = "larder_invalidations_total" Counter Count &["cache", "by", "origin", "outcome"],
        "Invalidations by what they named, who made them and how they ended";
    BACKEND_DURATION = "larder_backend_duration_seconds" Histogram Seconds &["cache", "backend", "op", "outcome"],
        "How long operations of backends took";
    BACKEND_BYTES = "larder_backend_bytes_total" Counter Bytes &["cache", "direction"],
        "Bytes of values read from backends and written to them";
    BUS_GAPS = "larder_bus_gaps_total" Counter Count &["cache"],
        "Times at which messages about invalidations were lost, so that what was in memory was no longer used";
    ENTRIES = "larder_entries" Gauge Count FUNCTION,
        "Entries in memory";
    BYTES = "larder_memory_bytes" Gauge Bytes FUNCTION,
        "The sum of the weights of the entries in memory, for functions with max_bytes";
    UNDER_WAY = "larder_runs_under_way" Gauge Count &["cache"],
        "Runs under way that others may wait for";
    TAGS = "larder_tags" Gauge Count &["cache"],
        "Tags in use in this process";
    TRUST_LEFT = "larder_trust_left_seconds" Gauge Seconds &["cache"],
        "How much longer memory may be used if nothing more is heard from backends";
    BACKEND_UP = "larder_backend_up" Gauge Count &["cache", "backend"],
        "1 if the last operation of each kind succeeded, otherwise 0";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rules_and_are_there_once() {
        let names: BTreeSet<_> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for metric in TABLE {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Counter, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{}", metric.name);
            assert!(metric.name.starts_with("larder_") && !metric.description.is_empty());
        }
    }
}
