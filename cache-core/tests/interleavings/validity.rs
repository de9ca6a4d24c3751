//! No entry outlives its invalidation: stamps, the epoch, and tags that come and go.

use crate::freshness::epoch::LastFoundLive;
use crate::scope::Scope;
use crate::tag::TagId;
use crate::world::{Entry, HASH, World};
use crate::{ALL, OTHER, RANDOM, TAG, check_dfs, check_pct, check_random, hunt};
use shuttle::sync::Arc;
use shuttle::sync::atomic::Ordering;
use shuttle::thread;

fn validity(world: &Arc<World>) {
    let threads = [
        thread::spawn({
            let world = Arc::clone(world);
            move || world.write(1)
        }),
        thread::spawn({
            let world = Arc::clone(world);
            move || world.run()
        }),
    ];
    world.read();
    world.read();
    for thread in threads {
        thread.join().unwrap();
    }
    world.read();
}

#[test]
fn no_entry_outlives_its_invalidation_in_any_schedule() {
    check_dfs(|| validity(&World::new()), Some(ALL));
    check_random(|| validity(&World::new()), RANDOM);
}

#[test]
fn no_entry_outlives_two_invalidations_at_once() {
    let test = || {
        let world = World::new();
        world.run();
        let writers: Vec<_> = [1, 2]
            .map(|value| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.write(value))
            })
            .into();
        world.read();
        world.run();
        world.read();
        for writer in writers {
            writer.join().unwrap();
        }
        world.read();
    };
    check_random(test, RANDOM);
    check_pct(test, RANDOM, 3);
}

#[test]
#[should_panic(expected = "an entry from before an invalidation is served after it")]
fn the_check_finds_an_epoch_that_is_read_after_the_tags() {
    let test = || {
        let world = World::new();
        world.run();
        let writer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.write(1)
        });
        let mut slot = None;
        world.ask_the_store(&mut slot, world.generations.now(HASH));
        if let Some(slot) = &slot {
            slot.stamp.set(slot.generation.get(), world.freshness.epoch());
        }
        writer.join().unwrap();
        world.read_near(&mut slot);
    };
    hunt(test);
}

#[test]
#[should_panic(expected = "an entry from before an invalidation is served after it")]
fn the_check_finds_a_stamp_that_is_taken_after_the_data() {
    let test = || {
        let world = World::new();
        let writer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.write(1)
        });
        let value = world.data.load(Ordering::SeqCst);
        let held = world.freshness.epoch();
        let cell = world.freshness.intern(TAG);
        *world.memory.lock().unwrap() = Some(Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() }));
        world.read();
        writer.join().unwrap();
        world.read();
    };
    hunt(test);
}

#[test]
#[should_panic(expected = "an entry from before an invalidation is served after it")]
fn the_check_finds_a_run_that_is_not_registered() {
    let test = || {
        let world = World::new();
        let writer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.write(1)
        });
        let held = world.freshness.epoch(); // no `begin`: the invalidation of a tag nobody holds is forgotten
        let value = world.data.load(Ordering::SeqCst);
        let cell = world.freshness.intern(TAG);
        *world.memory.lock().unwrap() = Some(Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() }));
        writer.join().unwrap();
        world.read();
    };
    hunt(test);
}

#[test]
fn tags_nobody_uses_are_freed_and_foreign_invalidations_kill_no_run() {
    let test = || {
        let world = World::new();
        let writer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.freshness.invalidate(&[OTHER])
        });
        world.run();
        writer.join().unwrap();
        let entry = world.memory.lock().unwrap().take().unwrap();
        assert!(entry.is_usable(&world.freshness), "another tag's invalidation killed the run");
        drop(entry);
        assert_eq!(world.freshness.tags_in_use(), 0);
    };
    check_dfs(test, Some(ALL));
}

/// A cell comes back into use while its last holders let go of it.
#[test]
fn a_tag_has_one_cell_however_it_comes_and_goes() {
    let test = || {
        let world = World::new();
        let first = world.freshness.intern(TAG);
        let threads = [first.clone(), first].map(|holder| thread::spawn(move || drop(holder)));
        let second = world.freshness.intern(TAG);
        second.mark(5);
        let others = [OTHER, TagId(9)].map(|id| world.freshness.intern(id));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(second.is(&world.freshness.intern(TAG)) && second.is_newer_than(4), "its mark is lost");
        assert_eq!((second.id(), world.freshness.tags_in_use()), (TAG, 3));
        let holder = second.clone();
        let threads = [second, holder].map(|holder| thread::spawn(move || drop(holder)));
        drop(others);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(world.freshness.tags_in_use(), 0);
        assert!(!world.freshness.intern(TAG).is_newer_than(0), "it comes back as it was");
    };
    check_dfs(test, Some(ALL));
    check_pct(test, RANDOM, 3);
}

#[test]
fn caches_have_tags_of_their_own_and_cells_are_used_again() {
    let test = || {
        let worlds = [(), ()].map(|()| World::new());
        let [one, other] = worlds.each_ref().map(|world| world.freshness.intern(TAG));
        assert!(one.is(&worlds[0].freshness.intern(TAG)) && !one.is(&other));
        one.mark(9);
        assert!(one.is_newer_than(8) && !other.is_newer_than(0));
        let place = one.place();
        drop(one);
        assert_eq!(worlds.each_ref().map(|world| world.freshness.tags_in_use()), [0, 1]);
        // Of the same shard.
        let next = worlds[1].freshness.intern(TagId(TAG.0 + 1));
        assert!(next.place() == place && next.id() == TagId(TAG.0 + 1) && !next.is_newer_than(0), "it is another tag");
    };
    check_dfs(test, Some(1));
}

/// Runs end in another order than they began.
#[test]
fn runs_that_overlap_find_what_was_invalidated_meanwhile() {
    let test = || {
        let world = World::new();
        let first = world.freshness.begin();
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let world = Arc::clone(&world);
                thread::spawn(move || if number == 0 { world.write(1) } else { world.run() })
            })
            .collect();
        world.run();
        world.read();
        drop(first);
        world.read();
        for thread in threads {
            thread.join().unwrap();
        }
        world.read();
        drop(world.memory.lock().unwrap().take());
        assert_eq!(world.freshness.tags_in_use(), 0, "a mark is kept though no run is under way");
    };
    check_random(test, RANDOM);
    check_pct(test, RANDOM, 3);
}

#[test]
fn tags_that_entries_share_are_as_good_as_their_own() {
    let test = |scope: &'static str| {
        let scope = Scope(scope);
        let world = World::new();
        world.run_in(&scope);
        let threads = [
            thread::spawn({
                let world = Arc::clone(&world);
                move || world.write(1)
            }),
            thread::spawn({
                let (world, scope) = (Arc::clone(&world), scope.clone());
                move || {
                    drop(world.memory.lock().unwrap().take()); // evicted
                    world.run_in(&scope);
                }
            }),
        ];
        world.read();
        world.run_in(&scope);
        world.read();
        for thread in threads {
            thread.join().unwrap();
        }
        world.read();
        drop(world.memory.lock().unwrap().take());
        assert_eq!(world.freshness.tags_in_use(), 0, "a tag is kept though no entry holds it");
    };
    for scope in ["", "tenant"] {
        check_random(move || test(scope), RANDOM);
        check_pct(move || test(scope), RANDOM, 3);
    }
}
