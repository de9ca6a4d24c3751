//! From the statistics of all caches to the facade.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use metrics::{Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::table::{self, Kind, Metric, TABLE};
use crate::cache::Cache;
use crate::stats::histogram::Durations;
use crate::stats::kinds::{
    CallResult, EvictionCause, InvalidationOutcome, MissReason, RunOutcome, RunTrigger, StoreOutcome, WaitFor,
};
use crate::stats::{FunctionStats, Stats};
use crate::util::sync::lock;

/// One of a metric's series: the values of its labels, in their order.
type Series = (&'static str, Vec<String>);

/// What the facade was given of durations so far.
static GIVEN: Mutex<BTreeMap<Series, Durations>> = Mutex::new(BTreeMap::new());

/// What the facade is to be given.
#[derive(Default)]
struct Collected {
    counters: BTreeMap<Series, u64>,
    gauges: BTreeMap<Series, f64>,
    durations: BTreeMap<Series, Durations>,
}

pub(super) fn publish() {
    let mut collected = Collected::default();
    Cache::all().iter().for_each(|cache| collected.cache(&cache.stats()));
    // The exporter is code of the program's: it is told when nothing is locked.
    let new = collected.new_durations();
    for metric in TABLE {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.unit, metric.description),
            Kind::Gauge => describe_gauge!(metric.name, metric.unit, metric.description),
            Kind::Histogram => describe_histogram!(metric.name, metric.unit, metric.description),
        }
    }
    for (series, value) in &collected.counters {
        counter!(series.0, labels(series)).absolute(*value);
    }
    for (series, value) in &collected.gauges {
        gauge!(series.0, labels(series)).set(*value);
    }
    for (series, counts) in &new {
        let histogram = histogram!(series.0, labels(series));
        for (took, count) in counts {
            histogram.record_many(took.as_secs_f64(), usize::try_from(*count).unwrap_or(usize::MAX));
        }
    }
}

fn labels((name, values): &Series) -> Vec<Label> {
    let names = TABLE.iter().find(|metric| metric.name == *name).map_or(&[][..], |metric| metric.labels);
    names.iter().zip(values).map(|(name, value)| Label::new(*name, value.clone())).collect()
}

fn series(metric: Metric, values: &[&str]) -> Series {
    debug_assert_eq!(metric.labels.len(), values.len());
    (metric.name, values.iter().map(|value| (*value).to_owned()).collect())
}

impl Collected {
    /// What was never counted is left out.
    fn count(&mut self, metric: Metric, values: &[&str], amount: u64) {
        if amount > 0 {
            let counter = self.counters.entry(series(metric, values)).or_default();
            *counter = counter.saturating_add(amount);
        }
    }

    fn measure(&mut self, metric: Metric, values: &[&str], amount: f64) {
        *self.gauges.entry(series(metric, values)).or_default() += amount;
    }

    fn time(&mut self, metric: Metric, values: &[&str], durations: &Durations) {
        if durations.count > 0 {
            let sum = self.durations.entry(series(metric, values)).or_default();
            *sum = sum.and(durations);
        }
    }

    fn cache(&mut self, stats: &Stats) {
        let cache = stats.cache.as_str();
        stats.functions.iter().for_each(|function| self.function(cache, function));
        for of in &stats.invalidations {
            for outcome in InvalidationOutcome::ALL {
                let values = [cache, of.by.name(), of.origin.name(), outcome.name()];
                self.count(table::INVALIDATIONS, &values, of.outcomes.get(*outcome));
            }
        }
        for backend in &stats.backends {
            let name = backend.backend.as_str();
            for of in &backend.operations {
                let values = [cache, name, of.operation.name(), of.outcome.name()];
                self.time(table::BACKEND_DURATION, &values, &of.times);
            }
            if let Some(up) = backend.up {
                self.measure(table::BACKEND_UP, &[cache, name], f64::from(u8::from(up)));
            }
        }
        let total = stats.total();
        self.count(table::BACKEND_BYTES, &[cache, "read"], total.bytes_read);
        self.count(table::BACKEND_BYTES, &[cache, "written"], total.bytes_written);
        self.count(table::BUS_GAPS, &[cache], stats.gaps);
        self.measure(table::UNDER_WAY, &[cache], stats.flights as f64);
        self.measure(table::TAGS, &[cache], stats.tags as f64);
        if let Some(left) = stats.trusted_for {
            self.measure(table::TRUST_LEFT, &[cache], left.as_secs_f64());
        }
    }

    fn function(&mut self, cache: &str, stats: &FunctionStats) {
        let function = stats.function.as_str();
        for result in CallResult::ALL {
            self.count(table::CALLS, &[cache, function, result.name()], stats.calls.get(*result));
        }
        for reason in MissReason::ALL {
            self.count(table::MISSES, &[cache, function, reason.name()], stats.missed.get(*reason));
        }
        for trigger in RunTrigger::ALL {
            for outcome in RunOutcome::ALL {
                let values = [cache, function, trigger.name(), outcome.name()];
                self.count(table::RUNS, &values, stats.run_ends.get(*trigger).get(*outcome));
            }
        }
        for outcome in StoreOutcome::ALL {
            self.count(table::STORES, &[cache, function, outcome.name()], stats.stores.get(*outcome));
        }
        for cause in EvictionCause::ALL {
            self.count(table::EVICTIONS, &[cache, function, cause.name()], stats.evictions.get(*cause));
        }
        for (kind, count) in [
            ("backend", stats.backend_errors),
            ("damaged", stats.damaged),
            ("key", stats.key_errors),
            ("encode", stats.encode_errors),
            ("lossy", stats.lossy),
            ("panic", stats.panics),
        ] {
            self.count(table::ERRORS, &[cache, function, kind], count);
        }
        self.count(table::COLLAPSED, &[cache, function], stats.collapsed);
        self.time(table::RUN_DURATION, &[cache, function], &stats.run_times);
        self.time(table::WAIT_DURATION, &[cache, function, WaitFor::Run.name()], &stats.run_waits);
        self.time(table::WAIT_DURATION, &[cache, function, WaitFor::Lease.name()], &stats.lease_waits);
        self.measure(table::ENTRIES, &[cache, function], stats.memory_entries as f64);
        if let Some(bytes) = stats.memory_bytes {
            self.measure(table::BYTES, &[cache, function], bytes as f64);
        }
    }

    /// What came since the facade was given the last ones, which is now.
    fn new_durations(&mut self) -> Vec<(Series, Vec<(Duration, u64)>)> {
        let durations = std::mem::take(&mut self.durations);
        let mut given = lock(&GIVEN);
        let nothing = Durations::default();
        let new = durations
            .iter()
            .map(|(series, durations)| {
                let before = given.get(series).unwrap_or(&nothing);
                (series.clone(), durations.since(before).collect())
            })
            .collect();
        // Caches that are gone are forgotten.
        *given = durations;
        new
    }
}
