//! What a thread remembers hides no invalidation, and nothing newer.

use crate::world::{HASH, World};
use crate::{ALL, RANDOM, check_dfs, check_random, hunt};
use shuttle::sync::Arc;
use shuttle::thread;

/// Something happens while a thread asks again and again for what its front has.
fn behind_a_front(happens: impl FnOnce(&World) + Send + 'static, world: &Arc<World>) {
    let mut slot = None;
    world.run();
    world.read_near(&mut slot);
    let other = thread::spawn({
        let world = Arc::clone(world);
        move || happens(&world)
    });
    for _ in 0..3 {
        world.read_near(&mut slot);
    }
    other.join().unwrap();
    world.read_near(&mut slot);
    world.read_near(&mut slot);
}

#[test]
fn a_front_hides_no_invalidation_and_nothing_newer() {
    let invalidated = || behind_a_front(|world| world.write(1), &World::new());
    let rewritten = || {
        let again = |world: &World| {
            world.write(1);
            world.run();
        };
        behind_a_front(again, &World::new());
    };
    let primed = || behind_a_front(|world| world.prime(1), &World::new());
    let both = || {
        let world = World::new();
        let writer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.write(1)
        });
        behind_a_front(|world| world.prime(2), &world);
        writer.join().unwrap();
    };
    for test in [invalidated, rewritten, primed, both] as [fn(); 4] {
        check_dfs(test, Some(ALL));
        check_random(test, RANDOM);
    }
}

#[test]
#[should_panic(expected = "an entry is served after another one took its place")]
fn the_check_finds_a_generation_that_is_read_after_the_store() {
    let test = || {
        let world = World::new();
        world.run();
        let primer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.prime(1)
        });
        let mut slot = None;
        world.ask_the_store(&mut slot, 0);
        if let Some(slot) = &slot {
            let generation = world.generations.now(HASH);
            slot.stamp.set(generation, world.freshness.epoch());
            slot.generation.set(generation);
        }
        primer.join().unwrap();
        world.read_near(&mut slot);
    };
    hunt(test);
}
