//! Graphs of entries that were made of others: what an invalidation reaches, and what a look costs.

use std::collections::BTreeSet;

use super::super::tests::freshness;
use super::*;
use crate::freshness::function_tags::BaseTags;
use crate::freshness::invalidation::Freshness;
use crate::tag::TagId;

const DEEP: u32 = 1_000_000_000;

/// One function of one cache, and another one of the same.
struct World {
    freshness: Freshness,
    bases: [Arc<BaseTags>; 2],
}

impl World {
    fn new() -> Self {
        let freshness = freshness();
        let bases = [1, 2].map(|function: u64| Arc::new(BaseTags::new(1, &freshness, [TagId(function << 32)])));
        Self { freshness, bases }
    }

    /// An entry that begins now. Keys of a function are in its group.
    fn entry(&self, function: usize, key: u64, of: Vec<Dependencies>) -> Dependencies {
        self.entry_of_depth(function, key, of, DEEP)
    }

    fn entry_of_depth(&self, function: usize, key: u64, of: Vec<Dependencies>, deepest: u32) -> Dependencies {
        let base = &self.bases[function];
        let key = self.freshness.intern_below(Self::key(function, key), base.head);
        let own = Dependencies::own(Arc::clone(base), Some(key), Vec::new(), self.freshness.epoch(), &[]);
        own.made_of(of, deepest)
    }

    fn key(function: usize, key: u64) -> TagId {
        TagId(1 << 63 | (function as u64) << 60 | key)
    }

    fn invalidate(&self, function: usize, key: u64) {
        self.freshness.invalidate(&[Self::key(function, key)]);
    }
}

fn made(dependencies: &Dependencies) -> &Arc<Made> {
    match &dependencies.tags {
        Tags::Made(made) => made,
        Tags::Own { .. } | Tags::Others(_) => panic!("it was made of others"),
    }
}

/// f(n) of f(n - 1) and f(n - 2), as far as they are live.
fn fib(world: &World, entries: &mut Vec<Dependencies>, states: u64) -> BTreeSet<u64> {
    let mut run = BTreeSet::new();
    for n in 0..states {
        let at = n as usize;
        if entries.get(at).is_some_and(Dependencies::is_live) {
            continue;
        }
        run.insert(n);
        let of = entries[at.saturating_sub(2)..at].to_vec();
        let entry = world.entry(0, n, of);
        match entries.get_mut(at) {
            Some(place) => *place = entry,
            None => entries.push(entry),
        }
    }
    run
}

#[test]
fn a_graph_of_many_states_is_exact() {
    let (world, mut entries) = (World::new(), Vec::new());
    assert_eq!(fib(&world, &mut entries, 900).len(), 900);
    for key in [899, 700, 1, 0, 450] {
        world.invalidate(0, key);
        assert_eq!(fib(&world, &mut entries, 900), (key..900).collect(), "what isn't above {key} is kept");
        assert_eq!(fib(&world, &mut entries, 900).len(), 0);
    }
}

#[test]
fn of_many_children_one_that_is_replaced_leaves_the_others() {
    let world = World::new();
    let mut children: Vec<_> = (0..1_500).map(|key| world.entry(0, key, Vec::new())).collect();
    let page = |children: &[Dependencies]| world.entry(1, 0, children.to_vec());
    let before = page(&children);
    world.invalidate(0, 700);
    assert!(!before.is_live() && !page(&children).is_live());
    assert_eq!(children.iter().filter(|child| !child.is_live()).count(), 1);
    children[700] = world.entry(0, 700, Vec::new());
    assert!(page(&children).is_live(), "it is live at once, with children from before");
}

#[test]
fn nothing_is_looked_at_for_what_it_has_nothing_to_do_with() {
    let world = World::new();
    let leaf = world.entry(0, 1, Vec::new());
    let top = world.entry(0, 2, vec![leaf.clone()]);
    let other = world.entry(1, 1, Vec::new());
    world.invalidate(1, 1);
    assert!(!other.is_live());
    let epoch = world.freshness.epoch();
    assert_eq!(made(&top).glance(epoch), Some(true), "nothing of its function was invalidated");
    world.invalidate(0, 9);
    let epoch = world.freshness.epoch();
    // In use by nobody, so nobody knows whose key it is, nor has it.
    assert_eq!(made(&top).glance(epoch), Some(true));
    let third = world.entry(0, 9, Vec::new());
    world.invalidate(0, 9);
    let epoch = world.freshness.epoch();
    assert_eq!((made(&top).glance(epoch), third.is_live()), (None, false), "a key of its function");
    assert!(top.is_live());
    assert_eq!(made(&leaf).glance(epoch), Some(true), "it was looked at on the way");
    assert_eq!(made(&top).glance(epoch), Some(true));
}

/// The entries that are at hand, and each one's parents: what is above the key that is invalidated dies, and nothing else.
#[test]
fn random_graphs_are_exact() {
    let mut random = 7_u64;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) % bound
    };
    for _ in 0..50 {
        let world = World::new();
        // By key, with all keys that it depends on.
        let mut entries: Vec<(Dependencies, BTreeSet<u64>)> = Vec::new();
        for key in 0..80 {
            let mut of = Vec::new();
            let mut keys = BTreeSet::from([key]);
            for _ in 0..below(4).min(key) {
                let (child, on) = &entries[below(key) as usize];
                if child.is_live() {
                    of.push(child.clone());
                    keys.extend(on);
                }
            }
            let function = below(2) as usize;
            // One key space for both functions, so that each is told by its number.
            let base = &world.bases[function];
            let cell = world.freshness.intern_below(World::key(0, key), base.head);
            let own = Dependencies::own(Arc::clone(base), Some(cell), Vec::new(), world.freshness.epoch(), &[]);
            let deepest = if below(2) == 0 { DEEP } else { 2 };
            entries.push((own.made_of(of, deepest), keys));
            if below(8) == 0 {
                let key = below(80);
                let live: Vec<_> = entries.iter().map(|(entry, _)| entry.is_live()).collect();
                world.invalidate(0, key);
                for ((entry, keys), was_live) in entries.iter().zip(live) {
                    let exact = is_exact(entry);
                    let expected = was_live && !keys.contains(&key);
                    assert!(!entry.is_live() || expected, "an invalidation of {key} is hidden from {keys:?}");
                    assert!(!exact || entry.is_live() == expected, "{keys:?} died of {key}");
                }
            }
        }
    }
}

/// Whether nothing below was let go of.
fn is_exact(dependencies: &Dependencies) -> bool {
    match &dependencies.tags {
        Tags::Made(made) => made.let_go.is_empty() && made.children.iter().all(is_exact),
        Tags::Own { .. } | Tags::Others(_) => true,
    }
}

#[test]
fn a_chain_of_a_million_is_looked_at_and_dropped_on_a_small_stack() {
    let chain = || {
        let world = World::new();
        let mut last = world.entry(0, 0, Vec::new());
        let first = last.clone();
        for key in 1..1_000_000 {
            last = world.entry(0, key, vec![last]);
        }
        let other = world.entry(0, 2_000_000, Vec::new());
        world.invalidate(0, 2_000_000);
        assert!(last.is_live() && !other.is_live());
        world.invalidate(0, 0);
        assert!(!last.is_live() && !first.is_live());
        drop(first);
        drop(last);
        assert_eq!(world.freshness.tags_in_use(), 3, "those of the functions, and one that is held");
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(chain).unwrap().join().unwrap();
}

#[test]
fn a_chain_without_end_keeps_few_nodes_and_no_invalidation_is_hidden_from_it() {
    let world = World::new();
    let mut last = world.entry_of_depth(0, 0, Vec::new(), 10);
    for key in 1..1_000 {
        last = world.entry_of_depth(0, key, vec![last], 10);
        assert!(last.is_live() && world.freshness.tags_in_use() <= 2 + 11);
    }
    // Of what was let go of, nobody can tell: whatever it may have been kills it.
    let again =
        |last: Dependencies| (0..15).fold(last, |last, key| world.entry_of_depth(0, 5_000 + key, vec![last], 10));
    for key in [3, 999] {
        let (before, other) = (again(last.clone()), world.entry(1, 7, Vec::new()));
        world.invalidate(1, 7);
        assert!(!other.is_live() && before.is_live(), "what it has nothing to do with");
        world.invalidate(0, key);
        assert!(!before.is_live(), "an invalidation of {key} is hidden");
        last = world.entry_of_depth(0, 999, Vec::new(), 10);
    }
}

/// Whoever made it didn't know what heads its tags have; whoever invalidates may.
#[test]
fn what_was_let_go_of_without_its_head_dies_of_any_invalidation() {
    let world = World::new();
    let tag = TagId(77);
    let key = world.freshness.intern_below(World::key(0, 1), world.bases[0].head);
    let named = vec![world.freshness.intern(tag)];
    let child = Dependencies::own(Arc::clone(&world.bases[0]), Some(key), named, world.freshness.epoch(), &[]);
    let top = world.entry_of_depth(0, 3, vec![world.entry_of_depth(0, 2, vec![child], 1)], 1);
    assert!(top.is_live());
    let held = world.freshness.intern_below(tag, Some(TagId(9 << 32)));
    assert!(held.group() != Groups::of(Groups::number_of(None)), "it was let go of");
    world.freshness.invalidate(&[tag]);
    assert!(!top.is_live(), "an invalidation is hidden");
}

/// Nobody could tell in a backend what it depends on.
#[test]
fn what_has_let_go_of_something_goes_to_no_backend() {
    let world = World::new();
    let stamps = [Some(crate::backend::Stamp(5))];
    let made_of = |key: u64, of: Vec<Dependencies>, deepest| {
        let cell = world.freshness.intern_below(World::key(0, key), world.bases[0].head);
        let base = Arc::clone(&world.bases[0]);
        Dependencies::own(base, Some(cell), Vec::new(), world.freshness.epoch(), &stamps).made_of(of, deepest)
    };
    for (deepest, tags) in [(DEEP, Some(4)), (1, None)] {
        let top = made_of(3, vec![made_of(2, vec![made_of(1, Vec::new(), deepest)], deepest)], deepest);
        assert_eq!(top.for_backend(0).map(|tags| tags.len()), tags);
    }
}
