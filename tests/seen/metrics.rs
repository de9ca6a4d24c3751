//! The metrics: each in the table, with its labels, and counted once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder::metrics::{Kind, TABLE, publish, start};
use larder::{Cache, Memory, blocking, cached};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::support::{Forgetful, does, panics};

/// What a recorder was told, by names and labels as Prometheus writes them.
#[derive(Clone, Debug, Default)]
struct Told {
    series: Arc<Mutex<BTreeMap<String, f64>>>,
    described: Arc<Mutex<BTreeMap<String, String>>>,
}

struct One(Arc<Mutex<BTreeMap<String, f64>>>, String);

impl One {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.lock().unwrap().entry(self.1.clone()).or_default());
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.change(|now| *now += value as f64);
    }
    fn absolute(&self, value: u64) {
        self.change(|now| *now = now.max(value as f64));
    }
}

impl GaugeFn for One {
    fn increment(&self, value: f64) {
        self.change(|now| *now += value);
    }
    fn decrement(&self, value: f64) {
        self.change(|now| *now -= value);
    }
    fn set(&self, value: f64) {
        self.change(|now| *now = value);
    }
}

/// How many there were.
impl HistogramFn for One {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        self.change(|now| *now += 1.0);
    }
}

impl Told {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(One(Arc::clone(&self.series), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn describe(&self, key: &KeyName, description: SharedString) {
        self.described.lock().unwrap().insert(key.as_str().to_owned(), description.into_owned());
    }

    fn get(&self, series: &str) -> f64 {
        let all = self.series.lock().unwrap();
        all.get(series).copied().unwrap_or_else(|| panic!("no `{series}` in {all:#?}"))
    }
}

impl Recorder for Told {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }
    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }
    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

/// Durations are handed out once, to whoever publishes first.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cached(name = "metrics.weighs", max_bytes = 100, weigh = |bytes| bytes.len())]
fn weighs(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

#[cached(name = "metrics.waits")]
async fn waits() -> u64 {
    tokio::task::yield_now().await;
    1
}

/// Everything that a metric counts happens at least once.
fn everything(name: &'static str) -> Cache {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let backend = Forgetful::default();
    let memory = Memory::builder().max_entries(1);
    let cache = Cache::builder().name(name).memory(memory).backend(backend.clone()).build().unwrap();
    runtime.block_on(cache.with(async { tokio::join!(waits(), waits()) }));
    cache.with_sync(|| {
        for what in ["a", "b", "err", "b"] {
            let _ = does(what);
        }
        panics(|| drop(does("panic")));
        weighs(7);
        blocking::invalidate_tag("does").unwrap();
        let _ = does("b");
        backend.fail(true);
        let _ = does("c");
    });
    backend.lose_messages();
    cache
}

#[test]
fn each_metric_is_set_with_its_labels() {
    let _alone = alone();
    let cache = everything("each");
    let told = Told::default();
    metrics::with_local_recorder(&told, publish);
    let does = |name: &str, rest: &str| told.get(&format!("{name}{{cache=each,function=seen.does{rest}}}"));
    assert_eq!(does("larder_calls_total", ",result=ran"), 4.0);
    assert_eq!(does("larder_calls_total", ",result=failed"), 1.0);
    assert_eq!(does("larder_calls_total", ",result=panicked"), 1.0);
    assert_eq!(does("larder_misses_total", ",reason=unavailable"), 1.0);
    assert_eq!(does("larder_misses_total", ",reason=invalidated"), 1.0);
    assert_eq!(does("larder_runs_total", ",trigger=call,outcome=returned"), 4.0);
    assert_eq!(does("larder_runs_total", ",trigger=call,outcome=panicked"), 1.0);
    assert_eq!(does("larder_run_duration_seconds", ""), 5.0);
    assert_eq!(does("larder_stores_total", ",outcome=stored"), 4.0);
    assert!(does("larder_evictions_total", ",cause=capacity") >= 1.0);
    assert_eq!(does("larder_errors_total", ",kind=backend"), 1.0);
    assert_eq!(does("larder_entries", ""), 1.0);
    assert_eq!(told.get("larder_calls_total{cache=each,function=metrics.waits,result=waited}"), 1.0);
    assert_eq!(told.get("larder_wait_duration_seconds{cache=each,function=metrics.waits,for=run}"), 1.0);
    assert_eq!(told.get("larder_memory_bytes{cache=each,function=metrics.weighs}"), 7.0);
    assert_eq!(told.get("larder_invalidations_total{cache=each,by=tag,origin=here,outcome=done}"), 1.0);
    assert!(told.get("larder_backend_duration_seconds{cache=each,backend=forgetful,op=read,outcome=ok}") >= 5.0);
    assert_eq!(told.get("larder_backend_duration_seconds{cache=each,backend=forgetful,op=read,outcome=error}"), 1.0);
    assert!(told.get("larder_backend_bytes_total{cache=each,direction=written}") > 0.0);
    assert_eq!(told.get("larder_bus_gaps_total{cache=each}"), 1.0);
    assert_eq!(told.get("larder_runs_under_way{cache=each}"), 0.0);
    assert!(told.get("larder_tags{cache=each}") > 0.0);
    assert_eq!(told.get("larder_trust_left_seconds{cache=each}"), 0.0);
    assert_eq!(told.get("larder_backend_up{cache=each,backend=forgetful}"), 0.0);

    // Once more: counters stay as they are, and durations aren't handed out again.
    let before = told.series.lock().unwrap().clone();
    metrics::with_local_recorder(&told, publish);
    let of_cache = |series: &BTreeMap<String, f64>| -> Vec<_> {
        let of = series.iter().filter(|(name, _)| name.contains("cache=each"));
        of.map(|(name, value)| (name.clone(), *value)).collect()
    };
    assert_eq!(of_cache(&before), of_cache(&told.series.lock().unwrap()));
    drop(cache);
}

#[test]
fn all_are_in_the_table_with_these_labels_and_nothing_of_arguments() {
    let _alone = alone();
    let cache = everything("table");
    let told = Told::default();
    metrics::with_local_recorder(&told, publish);
    let described = told.described.lock().unwrap().clone();
    assert_eq!(described.len(), TABLE.len());
    for series in told.series.lock().unwrap().keys() {
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
        let metric = TABLE.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
        let names: Vec<_> = labels.split(',').map(|label| label.split('=').next().unwrap()).collect();
        assert_eq!(names, metric.labels, "{series}");
    }
    let are_set = |metric: &larder::metrics::Metric| {
        told.series.lock().unwrap().keys().any(|series| series.split('{').next() == Some(metric.name))
    };
    let never: Vec<_> = TABLE.iter().filter(|metric| !are_set(metric)).map(|metric| metric.name).collect();
    assert_eq!(never, ["larder_collapsed_total"], "all but what takes too long to bring about");
    drop(cache);
}

#[test]
fn the_guide_has_each_of_them() {
    let guide = include_str!("../../docs/observability.md");
    for metric in TABLE {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            _ => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.description);
        assert!(guide.contains(&row), "no row\n{row}");
    }
}

/// Names of metrics in a text, as Prometheus knows them.
fn names_in(text: &str) -> Vec<&str> {
    let names = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    names.filter(|name| name.starts_with("larder_")).collect()
}

/// Whether it is a metric, or a part of a histogram.
fn is_known(name: &str) -> bool {
    TABLE.iter().any(|metric| {
        let parts: &[&str] = if metric.kind == Kind::Histogram { &["_bucket", "_sum", "_count", ""] } else { &[""] };
        name.strip_prefix(metric.name).is_some_and(|rest| parts.contains(&rest))
    })
}

#[test]
fn questions_and_the_dashboard_ask_for_metrics_that_there_are() {
    let dashboard = include_str!("../../docs/grafana/larder.json");
    assert!(serde_json::from_str::<serde_json::Value>(dashboard).unwrap()["panels"].is_array());
    for text in [dashboard, include_str!("../../docs/observability.md")] {
        let names = names_in(text);
        assert!(names.len() > 10);
        let unknown: Vec<_> = names.into_iter().filter(|name| !is_known(name)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}

#[test]
fn a_thread_publishes_to_what_the_program_has_installed() {
    let _alone = alone();
    let told = Told::default();
    metrics::set_global_recorder(told.clone()).unwrap();
    let cache = Cache::builder().name("published").build().unwrap();
    cache.with_sync(|| does("a")).unwrap();
    let publishing = start().unwrap();
    let series = "larder_calls_total{cache=published,function=seen.does,result=ran}";
    while !told.series.lock().unwrap().contains_key(series) {
        std::thread::yield_now();
    }
    assert_eq!(told.get(series), 1.0);
    drop(publishing);
}
