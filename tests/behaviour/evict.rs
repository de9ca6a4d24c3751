//! `evict = lru`: what was used least recently goes first.

use std::collections::VecDeque;
use std::sync::Mutex;

use larder::cached;

use crate::support::{Runs, cache};

/// A cache that is searched through: keys with their weights, the newest last.
struct Model {
    entries: VecDeque<(u64, u64)>,
    most: u64,
}

impl Model {
    /// Whether the key was there.
    fn call(&mut self, key: u64, weight: u64) -> bool {
        let found = self.entries.iter().position(|(other, _)| *other == key);
        if let Some(found) = found.and_then(|found| self.entries.remove(found)) {
            self.entries.push_back(found);
            return true;
        }
        if weight <= self.most {
            while self.entries.iter().map(|(_, weight)| weight).sum::<u64>() + weight > self.most {
                self.entries.pop_front();
            }
            self.entries.push_back((key, weight));
        }
        false
    }
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
    *state >> 33
}

/// Each hit counts, also of those that a thread's table could answer.
#[test]
fn it_is_exact_up_to_a_thousand_entries() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 10, evict = lru)]
    fn ten(key: u64) -> u64 {
        RUNS.add();
        key
    }
    #[cached(max_entries = 1_000, evict = lru)]
    fn thousand(key: u64) -> u64 {
        RUNS.add();
        key
    }
    for (most, f, calls) in [(10, ten as fn(u64) -> u64, 50_000), (1_000, thousand, 50_000)] {
        let mut model = Model { entries: VecDeque::new(), most };
        let mut state = most;
        cache().with_sync(|| {
            for _ in 0..calls {
                let drawn = random(&mut state);
                // Some much more often than others.
                let key = if drawn.is_multiple_of(2) { drawn / 2 % (most / 2) } else { drawn / 2 % (most * 2) };
                let before = RUNS.get();
                assert_eq!(f(key), key);
                assert_eq!(RUNS.get() == before, model.call(key, 1), "key {key} with room for {most}");
            }
        });
    }
}

#[test]
fn the_least_recently_used_goes_first_whatever_was_used_more_often() {
    static RAN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    #[cached(max_entries = 3, evict = lru)]
    fn f(key: u64) -> u64 {
        RAN.lock().unwrap().push(key);
        key
    }
    cache().with_sync(|| {
        (0..1_000).for_each(|_| _ = f(1));
        (f(2), f(3), f(4));
        assert_eq!(*RAN.lock().unwrap(), [1, 2, 3, 4]);
        (f(2), f(3), f(4));
        assert_eq!(*RAN.lock().unwrap(), [1, 2, 3, 4]);
        f(1);
        assert_eq!(
            *RAN.lock().unwrap(),
            [1, 2, 3, 4, 1],
            "it had been used more often than all others, but not lately"
        );
        (f(3), f(4), f(2));
        assert_eq!(*RAN.lock().unwrap(), [1, 2, 3, 4, 1, 2]);
    });
}

#[test]
fn it_is_exact_with_max_bytes() {
    static RUNS: Runs = Runs::new();
    #[cached(max_bytes = 1_000, weigh = String::len, evict = lru)]
    fn f(length: u64) -> String {
        RUNS.add();
        "x".repeat(length as usize)
    }
    let (mut model, mut state) = (Model { entries: VecDeque::new(), most: 1_000 }, 7);
    cache().with_sync(|| {
        for _ in 0..20_000 {
            // Of some lengths that are too long.
            let length = 1 + random(&mut state) % 40 * random(&mut state) % 1_100;
            let before = RUNS.get();
            assert_eq!(f(length).len() as u64, length);
            assert_eq!(RUNS.get() == before, model.call(length, length), "length {length}");
        }
    });
}

/// In parts of which each is exact.
#[test]
fn a_large_bound_keeps_what_is_used() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 10_000, evict = lru)]
    fn f(key: u64) -> u64 {
        RUNS.add();
        key
    }
    let cache = cache();
    cache.with_sync(|| {
        for round in 0..50 {
            (0..1_000).for_each(|key| _ = f(key));
            (0..1_000).for_each(|key| _ = f(1_000_000 + round * 1_000 + key));
        }
    });
    assert_eq!(RUNS.get(), 1_000 + 50 * 1_000, "the thousand were never computed again");
    assert!(cache.stats().memory_entries <= 10_000);
}

#[test]
fn what_comes_in_last_stays() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 1, evict = lru)]
    fn f(key: u64) -> u64 {
        RUNS.add();
        key
    }
    cache().with_sync(|| (0..10).for_each(|key| assert_eq!((f(key), f(key)), (key, key))));
    assert_eq!(RUNS.get(), 10);
}
