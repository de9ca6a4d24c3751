//! Promise 3 in a cluster: while a shard is dead, functions answer, right and soon; and when it is back, or its replica in
//! its place, all is as before.

use std::time::Instant;

use larder_testbed::{Cluster, Server};

use crate::recovery::{IMPATIENT, SOON, answers, is_as_before};
use crate::support::{Worker, eventually, workers_at};

const KEYS: usize = 12;

fn item(key: usize) -> String {
    format!("item {key}")
}

/// Every item is old, and every second one was invalidated.
fn set_out(a: &Worker, b: &Worker) {
    for key in 0..KEYS {
        a.miss(&item(key), "old");
        assert_eq!(b.hit(&item(key)), "old");
    }
    for worker in [a, b] {
        worker.serves("new");
    }
    for key in (0..KEYS).step_by(2) {
        b.invalidate(&item(key));
        eventually("a has heard of it", || a.ask(&item(key)) == "new");
    }
}

/// What was invalidated isn't old; and nobody is long in saying so.
fn all_answer(worker: &Worker, invalidated: &[usize]) {
    for key in 0..KEYS {
        let asked = Instant::now();
        let answer = worker.ask(&item(key));
        assert!(asked.elapsed() < SOON, "item {key} took {:?}", asked.elapsed());
        assert!(answer == "new" || (answer == "old" && !invalidated.contains(&key)), "item {key} is {answer}");
    }
}

fn fails_over(of_clock: bool) {
    let mut cluster = Cluster::with_replicas();
    let [a, b] = workers_at(&cluster.url(), IMPATIENT);
    set_out(&a, &b);
    let mut invalidated: Vec<_> = (0..KEYS).step_by(2).collect();
    let clock = cluster.owner("{t:app}");
    let dead = if of_clock { clock } else { (clock + 1) % 3 };
    for (node, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
        let offset = |server: &Server| server.raw().info("replication", "master_repl_offset");
        eventually("replication", || offset(node) == offset(replica));
    }
    cluster.nodes[dead].kill();
    let mut next = 1;
    eventually("the failover", || {
        all_answer(&a, &invalidated);
        all_answer(&b, &[]);
        let asked = Instant::now();
        if next < KEYS && a.try_invalidate(&item(next)) == "done" {
            invalidated.push(next);
            next += 2;
        }
        assert!(asked.elapsed() < SOON, "invalidating took {:?}", asked.elapsed());
        cluster.replicas[dead].raw().info("replication", "role").as_deref() == Some("master")
    });
    all_answer(&a, &invalidated);
    is_as_before(&a, &b, 100_000);
    for worker in [&a, &b] {
        worker.serves("newest");
    }
    b.invalidate("item");
    for key in 0..KEYS {
        assert_eq!(b.ask(&item(key)), "newest");
        eventually("a has heard of it", || a.ask(&item(key)) == "newest");
    }
}

#[test]
fn a_replica_takes_over_from_a_primary() {
    fails_over(false);
}

#[test]
fn a_replica_takes_over_from_the_primary_with_the_clock() {
    fails_over(true);
}

#[test]
fn the_shard_with_the_clock_dies_and_comes_back() {
    let mut cluster = Cluster::start();
    let [a, b] = workers_at(&cluster.url(), IMPATIENT);
    set_out(&a, &b);
    let invalidated: Vec<_> = (0..KEYS).step_by(2).collect();
    let dead = cluster.owner("{t:app}");
    cluster.nodes[dead].kill();
    for worker in [&a, &b] {
        all_answer(worker, &invalidated);
    }
    // It can't be recorded, which is said; what this process remembers is gone all the same.
    let asked = Instant::now();
    let error = a.try_invalidate("item 1");
    assert!(error.starts_with("error: ") && error.contains("can't be reached"), "{error}");
    assert!(asked.elapsed() < SOON);
    assert_eq!(a.ask("item 1"), "new");
    for worker in [&a, &b] {
        // Nothing of it is kept for longer than nobody can vouch for it.
        worker.holds();
        for key in 100..100 + KEYS {
            answers(worker, &item(key));
        }
    }
    cluster.nodes[dead].restart();
    is_as_before(&a, &b, 100_000);
}
