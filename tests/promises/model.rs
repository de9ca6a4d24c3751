//! Random call graphs of cached functions against a simple model: with random invalidations, cancels and failures the
//! answer is never older than allowed, and exactly the right functions run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use larder::reference::SharedMemory;
use larder::{Cache, cached, invalidate_tag};
use proptest::prelude::*;

use crate::support::block_on;

/// Node `n` of a graph: its own data and the nodes it is computed from, all with smaller numbers.
#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<usize>,
    /// How many times it gives way while it runs.
    pauses: usize,
}

#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    /// The version of each node's data.
    data: Vec<u64>,
    /// How often each body ran since this was last looked at.
    runs: BTreeMap<usize, usize>,
    fails: BTreeSet<usize>,
    uncached: BTreeSet<usize>,
}

/// What a node's answer was computed from: node → version of its data.
type Answer = BTreeMap<usize, u64>;

thread_local!(static WORLD: RefCell<World> = RefCell::default());

fn world<R>(look: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(look)
}

#[cached(tags = [("data", n)])]
async fn node(n: usize) -> Result<Answer, String> {
    let (spec, version, fails) = world(|world| {
        *world.runs.entry(n).or_default() += 1;
        (world.nodes[n].clone(), world.data[n], world.fails.contains(&n))
    });
    let mut answer = Answer::from([(n, version)]);
    for _ in 0..spec.pauses {
        tokio::task::yield_now().await;
    }
    if fails {
        return Err(format!("node {n}"));
    }
    if world(|world| world.uncached.contains(&n)) {
        larder::dont_cache();
    }
    for child in spec.children {
        answer.extend(Box::pin(node(child)).await?);
    }
    Ok(answer)
}

/// Who is recomputed when these nodes' data changes: they and all that is computed from them.
fn ancestors(nodes: &[Node], changed: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut found = changed.clone();
    for (n, node) in nodes.iter().enumerate() {
        if node.children.iter().any(|child| found.contains(child)) {
            found.insert(n);
        }
    }
    found
}

fn descendants(nodes: &[Node], top: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([top]);
    for n in (0..=top).rev() {
        if found.contains(&n) {
            found.extend(nodes[n].children.iter().copied());
        }
    }
    found
}

fn graph() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..3_usize), 2..9).prop_map(
        |raw| {
            raw.into_iter()
                .enumerate()
                .map(|(n, (children, pauses))| {
                    let children: BTreeSet<_> =
                        children.iter().filter(|_| n > 0).map(|index| index.index(n.max(1))).collect();
                    Node { children: children.into_iter().collect(), pauses }
                })
                .collect()
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Call(usize),
    Change(usize),
    InvalidateKey(usize),
    Fail(usize),
    Heal(usize),
    Uncache(usize),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..64_usize;
    prop_oneof![
        8 => n.clone().prop_map(Step::Call),
        4 => n.clone().prop_map(Step::Change),
        1 => n.clone().prop_map(Step::InvalidateKey),
        1 => n.clone().prop_map(Step::Fail),
        2 => n.clone().prop_map(Step::Heal),
        1 => n.prop_map(Step::Uncache),
        1 => Just(Step::Reset),
    ]
}

fn start(nodes: &[Node]) {
    world(|world| *world = World { nodes: nodes.to_vec(), data: vec![1; nodes.len()], ..World::default() });
}

/// One call after the other: the model says exactly who runs.
struct Model {
    /// The nodes that have a valid entry.
    cached: BTreeSet<usize>,
}

impl Model {
    /// What a call of `n` makes run, in what the model knows; mirrors `node`.
    fn call(&mut self, world: &World, n: usize, runs: &mut BTreeMap<usize, usize>) -> (Option<Answer>, bool) {
        // A value that is answered from the cache was cacheable.
        if self.cached.contains(&n) {
            let answer = descendants(&world.nodes, n).into_iter().map(|n| (n, world.data[n])).collect();
            return (Some(answer), true);
        }
        *runs.entry(n).or_default() += 1;
        if world.fails.contains(&n) {
            return (None, true);
        }
        let mut cacheable = !world.uncached.contains(&n);
        let mut answer = Answer::from([(n, world.data[n])]);
        for child in &world.nodes[n].children {
            let (part, child_cacheable) = self.call(world, *child, runs);
            cacheable &= child_cacheable;
            match part {
                Some(part) => answer.extend(part),
                None => return (None, cacheable),
            }
        }
        if cacheable {
            self.cached.insert(n);
        }
        (Some(answer), cacheable)
    }
}

fn sequential(cache: &Cache, nodes: &[Node], steps: &[Step]) {
    start(nodes);
    let mut model = Model { cached: BTreeSet::new() };
    let forget = |model: &mut Model, changed: usize| {
        let gone = ancestors(nodes, &BTreeSet::from([changed]));
        model.cached.retain(|n| !gone.contains(n));
    };
    block_on(cache.with(async {
        for step in steps {
            let of = |n: &usize| n % nodes.len();
            match step {
                Step::Call(n) => {
                    let mut expected_runs = BTreeMap::new();
                    let expected = world(|world| model.call(world, of(n), &mut expected_runs).0);
                    let answer = node(of(n)).await.ok();
                    let runs = world(|world| std::mem::take(&mut world.runs));
                    assert_eq!((answer, runs), (expected, expected_runs), "call of {}", of(n));
                }
                Step::Change(n) => {
                    world(|world| world.data[of(n)] += 1);
                    invalidate_tag(("data", of(n))).await.unwrap();
                    forget(&mut model, of(n));
                }
                Step::InvalidateKey(n) => {
                    invalidate_node(of(n)).await.unwrap();
                    forget(&mut model, of(n));
                }
                Step::Fail(n) => drop(world(|world| world.fails.insert(of(n)))),
                Step::Heal(n) => world(|world| {
                    world.fails.remove(&of(n));
                    world.uncached.remove(&of(n));
                }),
                Step::Uncache(n) => drop(world(|world| world.uncached.insert(of(n)))),
                Step::Reset => {
                    Cache::ambient().reset().await.unwrap();
                    model.cached.clear();
                }
            }
        }
    }));
}

#[derive(Clone, Debug)]
struct Event {
    process: usize,
    step: Step,
    /// Calls are cancelled after so many turns.
    patience: usize,
    /// How many turns to let the others have first.
    delay: usize,
}

fn event() -> impl Strategy<Value = Event> {
    (0..2_usize, step(), prop_oneof![3 => Just(usize::MAX), 1 => 0..12_usize], 0..4_usize)
        .prop_map(|(process, step, patience, delay)| Event { process, step, patience, delay })
}

/// Calls, changes, failures and cancels at the same time, in one or two processes: whatever a call returns is at least
/// as new as what had been invalidated when it began.
fn concurrent(caches: &[Cache], nodes: &[Node], events: &[Event]) {
    start(nodes);
    let local = tokio::task::LocalSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // Per node the version that has certainly been invalidated away.
    let due = Rc::new(RefCell::new(vec![0_u64; nodes.len()]));
    runtime.block_on(local.run_until(async {
        let mut calls = Vec::new();
        for event in events {
            for _ in 0..event.delay {
                tokio::task::yield_now().await;
            }
            let cache = caches[event.process % caches.len()].clone();
            let of = |n: &usize| n % nodes.len();
            match &event.step {
                Step::Call(n) => {
                    let n = of(n);
                    let required = due.borrow().clone();
                    let mut patience = event.patience;
                    calls.push(tokio::task::spawn_local(async move {
                        let mut call = Box::pin(cache.with(node(n)));
                        let answer = std::future::poll_fn(|cx| {
                            if patience == 0 {
                                return std::task::Poll::Ready(None); // cancelled
                            }
                            patience -= 1;
                            call.as_mut().poll(cx).map(Some)
                        })
                        .await;
                        if let Some(Ok(answer)) = answer {
                            for (part, version) in answer {
                                assert!(version >= required[part], "node {n} is computed from old data of node {part}");
                            }
                        }
                    }));
                }
                Step::Change(n) | Step::InvalidateKey(n) => {
                    let n = of(n);
                    let version = world(|world| {
                        world.data[n] += 1;
                        world.data[n]
                    });
                    cache.invalidate_tag(("data", n)).await.unwrap();
                    let mut due = due.borrow_mut();
                    due[n] = due[n].max(version);
                }
                Step::Fail(n) => drop(world(|world| world.fails.insert(of(n)))),
                Step::Heal(n) => drop(world(|world| world.fails.remove(&of(n)))),
                Step::Uncache(n) => drop(world(|world| world.uncached.insert(of(n)))),
                Step::Reset => drop(cache.reset().await.unwrap()),
            }
        }
        for call in calls {
            let done = tokio::time::timeout(std::time::Duration::from_secs(60), call);
            done.await.expect("a call waits for ever").unwrap();
        }
    }));
    for cache in caches {
        assert_eq!(cache.stats().flights, 0, "a flight was left behind");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn exactly_the_right_functions_run(nodes in graph(), steps in prop::collection::vec(step(), 1..60)) {
        sequential(&crate::support::cache(), &nodes, &steps);
    }

    #[test]
    fn exactly_the_right_functions_run_over_a_backend(nodes in graph(), steps in prop::collection::vec(step(), 1..40)) {
        sequential(&crate::support::without_memory(&SharedMemory::new()), &nodes, &steps);
    }

    #[test]
    fn no_answer_is_older_than_allowed(nodes in graph(), events in prop::collection::vec(event(), 1..80)) {
        concurrent(&[crate::support::cache()], &nodes, &events);
    }

    #[test]
    fn no_answer_is_older_than_allowed_in_two_processes(nodes in graph(), events in prop::collection::vec(event(), 1..80)) {
        let (a, b, _shared) = crate::support::two_processes();
        concurrent(&[a, b], &nodes, &events);
    }
}
