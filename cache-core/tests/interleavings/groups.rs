//! What a check may skip by its group hides no invalidation.

use crate::tag::TagId;
use crate::world::World;
use crate::{ALL, HUNT, OTHER, RANDOM, TAG, check_dfs, check_pct, check_random, hunt};
use shuttle::sync::Arc;
use shuttle::sync::atomic::Ordering;
use shuttle::thread;

/// The tag's invalidation, in steps of the test's own.
fn invalidate_in(world: &World, order: [fn(&World); 2]) {
    world.data.fetch_max(1, Ordering::SeqCst);
    order.into_iter().for_each(|step| step(world));
    world.freshness.order().advance();
    world.invalidated.fetch_max(1, Ordering::SeqCst);
}

fn mark_tag(world: &World) {
    let mark = world.freshness.order().mark();
    world.freshness.intern(TAG).mark(mark);
}

fn mark_group(world: &World) {
    world.freshness.order().mark_groups(world.freshness.intern(TAG).group());
}

/// An entry that is asked for again and again, an invalidation of its tag, and others that move the epoch.
fn by_groups(invalidate: impl Fn(&World) + Send + 'static) {
    let world = World::new();
    world.run();
    let entry = world.memory.lock().unwrap().clone().unwrap();
    let threads = [
        thread::spawn({
            let world = Arc::clone(&world);
            move || invalidate(&world)
        }),
        thread::spawn({
            let world = Arc::clone(&world);
            move || world.freshness.invalidate(&[OTHER])
        }),
    ];
    let ask = || {
        let due = world.invalidated.load(Ordering::SeqCst);
        let is_live = entry.is_live_by_groups(&world.freshness);
        assert!(!is_live || entry.value >= due, "an entry from before an invalidation is served after it");
    };
    (0..2).for_each(|_| ask());
    for thread in threads {
        thread.join().unwrap();
        ask();
    }
    world.freshness.invalidate(&[OTHER]);
    ask();
}

#[test]
fn groups_hide_no_invalidation() {
    let whole = || by_groups(|world| world.write(1));
    let steps = || by_groups(|world| invalidate_in(world, [mark_tag, mark_group]));
    for test in [whole, steps] as [fn(); 2] {
        check_dfs(test, Some(ALL));
        check_random(test, RANDOM);
        check_pct(test, RANDOM, 3);
    }
}

/// Whoever looks at the group between two steps of an invalidation does so at an epoch that another one has moved.
fn by_groups_beside_another(invalidate: impl Fn(&World) + Send + 'static) {
    let far = TagId(5 << 32);
    let world = World::new();
    let other = world.freshness.intern_below(far, Some(far));
    world.run();
    let entry = world.memory.lock().unwrap().clone().unwrap();
    assert_ne!(entry.cell.group(), other.group());
    entry.is_live_by_groups(&world.freshness);
    let threads = [
        thread::spawn({
            let world = Arc::clone(&world);
            move || invalidate(&world)
        }),
        thread::spawn({
            let world = Arc::clone(&world);
            move || world.freshness.invalidate(&[far])
        }),
    ];
    (0..2).for_each(|_| _ = entry.is_live_by_groups(&world.freshness));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(!entry.is_live_by_groups(&world.freshness), "an entry from before an invalidation is served after it");
}

#[test]
fn another_group_hides_no_invalidation() {
    let whole = || by_groups_beside_another(|world| world.write(1));
    let steps = || by_groups_beside_another(|world| invalidate_in(world, [mark_tag, mark_group]));
    for test in [whole, steps] as [fn(); 2] {
        check_pct(test, HUNT, 3);
        check_random(test, RANDOM);
    }
}

#[test]
#[should_panic(expected = "an entry from before an invalidation is served after it")]
fn the_check_finds_a_group_that_is_marked_before_the_tag() {
    hunt(|| by_groups(|world| invalidate_in(world, [mark_group, mark_tag])));
}
