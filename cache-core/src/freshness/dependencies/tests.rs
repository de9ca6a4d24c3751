//! What entries depend on, and which stamp they hold for it.

use super::*;
use crate::freshness::epoch::Epoch;
use crate::freshness::function_tags::KnownBaseTags;
use crate::freshness::tags_in_use::TagCell;
use crate::scope::Scope;

pub(super) fn freshness() -> Freshness {
    static EPOCH: Epoch = Epoch::new();
    Freshness::new(&EPOCH)
}

fn held(dependencies: &Dependencies) -> Vec<(u64, u64)> {
    let mut held = Vec::new();
    dependencies.for_each_own(|cell, local| held.push((cell.id().0, local)));
    held
}

const DEEP: u32 = 1_000_000;

#[test]
fn what_an_entry_was_made_of_keeps_its_stamps_and_the_oldest_counts() {
    let freshness = freshness();
    let own = |cache: u64, ids: [u64; 2], local: u64, remote: &[Option<Stamp>]| {
        let base = BaseTags::new(cache, &freshness, [TagId(ids[0])]);
        Dependencies::own(Arc::new(base), Some(freshness.intern(TagId(ids[1]))), Vec::new(), local, remote)
    };
    let tags = |tags: &[(u64, u64)]| -> Option<Vec<HeldTag>> {
        Some(tags.iter().map(|(tag, stamp)| HeldTag { tag: TagId(*tag), stamp: Stamp(*stamp) }).collect())
    };
    let child = own(1, [1, 2], 10, &[Some(Stamp(100)), None]);
    let parent = own(1, [3, 2], 20, &[Some(Stamp(200)), Some(Stamp(7))]).made_of(vec![child.clone(), child], DEEP);
    assert_eq!(parent.for_backend(0), tags(&[(1, 100), (2, 100), (3, 200)]));
    assert_eq!(parent.for_backend(1), None, "what has an unknown stamp can't be stored");
    let above = own(1, [4, 5], 30, &[Some(Stamp(300)), Some(Stamp(8))]).made_of(vec![parent], DEEP);
    assert_eq!(above.for_backend(0), tags(&[(1, 100), (2, 100), (3, 200), (4, 300), (5, 300)]));
    let foreign = own(2, [6, 7], 11, &[Some(Stamp(7)), Some(Stamp(7))]);
    let mixed = own(1, [3, 2], 20, &[Some(Stamp(200)), Some(Stamp(7))]).made_of(vec![foreign], DEEP);
    assert_eq!(mixed.for_backend(0), None, "another cache's backend has another order");
    let unshared = own(1, [1, 2], 10, &[]);
    assert_eq!(unshared.clone().made_of(vec![unshared], DEEP).for_backend(0), None);
}

#[test]
fn what_depends_on_more_than_an_entry_can_tell_goes_to_no_backend() {
    let freshness = freshness();
    let base = Arc::new(BaseTags::new(1, &freshness, [TagId(1)]));
    let of = |key: u64| {
        Dependencies::own(Arc::clone(&base), Some(freshness.intern(TagId(key))), Vec::new(), 1, &[Some(Stamp(5))])
    };
    let made_of = |children: u64| of(2).made_of((0..children).map(|number| of(10 + number)).collect(), DEEP);
    assert_eq!(made_of(9_998).for_backend(0).map(|tags| tags.len()), Some(10_000), "each once");
    assert_eq!(made_of(MOST_TAGS as u64).for_backend(0), None);
}

#[test]
fn scopes_that_are_gone_are_forgotten_while_others_are_used() {
    let (freshness, known) = (freshness(), KnownBaseTags::default());
    let get = |scope: usize| {
        known.get(0, &Scope::new(scope.to_string()), || BaseTags::new(1, &freshness, [TagId(scope as u64)]))
    };
    let held: Vec<_> = (0..1_000).map(get).collect();
    assert_eq!(known.len(), 1_000);
    drop(held);
    (0..1_000).for_each(|_| drop(get(0)));
    assert!(known.len() <= 1, "{} are known", known.len());
}

#[test]
fn clones_are_told_from_others() {
    let freshness = freshness();
    let base = |id| Arc::new(BaseTags::new(1, &freshness, [TagId(id)]));
    let (base, other_base) = (base(1), base(1));
    let own = |base: &Arc<BaseTags>, key, named: &[u64], local| {
        let named = named.iter().map(|id| freshness.intern(TagId(*id))).collect();
        Dependencies::own(Arc::clone(base), Some(freshness.intern(TagId(key))), named, local, &[])
    };
    // Held, so that each tag has one cell.
    let all = [
        own(&base, 2, &[], 5),
        own(&base, 2, &[], 6),
        own(&base, 3, &[], 5),
        own(&other_base, 2, &[], 5),
        own(&base, 2, &[4], 5),
        own(&base, 2, &[4, 5], 5),
        own(&base, 2, &[], 5).made_of(Vec::new(), DEEP),
        own(&base, 2, &[], 5).made_of(Vec::new(), DEEP),
    ];
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate() {
            assert_eq!(one.is_same(&other.clone()), at == other_at, "{at} and {other_at}");
            assert!(at != other_at || one.place() == other.clone().place());
        }
    }
    assert!(own(&base, 2, &[], 5).is_same(&all[0]), "made again, it is as good as a clone");
}

#[test]
fn tags_that_come_late_are_added_once() {
    let freshness = freshness();
    let base = Arc::new(BaseTags::new(1, &freshness, [TagId(5), TagId(1)]));
    for remote in [&[][..], &[Some(Stamp(9)), None]] {
        let (key, now) = (Some(freshness.intern(TagId(3))), freshness.epoch());
        let own = Dependencies::own(Arc::clone(&base), key, Vec::new(), now, remote);
        let late = [4, 3, 4, 1].map(|id| freshness.intern(TagId(id))).into();
        let all = own.with(late, now, remote);
        let mut all_held = held(&all);
        all_held.sort_unstable();
        assert_eq!(all_held, [1, 3, 4, 5].map(|id| (id, now)));
        if !remote.is_empty() {
            let tags = [1, 3, 4, 5].map(|id| HeldTag { tag: TagId(id), stamp: Stamp(9) });
            assert_eq!(all.for_backend(0).as_deref(), Some(&tags[..]));
            assert_eq!(all.for_backend(1), None);
        }
        freshness.invalidate(&[TagId(4)]);
        assert!(own.is_live() && !all.is_live());
    }
}

#[test]
fn base_tags_are_shared_while_held_and_then_freed() {
    let freshness = freshness();
    let known = KnownBaseTags::default();
    let get = |instance: u32, scope: &str| {
        known.get(instance, &Scope::new(scope), || {
            BaseTags::new(1, &freshness, [TagId(9), TagId(u64::from(instance) + scope.len() as u64)])
        })
    };
    let (usual, named, second) = (get(0, ""), get(0, "a"), get(1, ""));
    assert!(Arc::ptr_eq(&usual, &get(0, "")) && Arc::ptr_eq(&named, &get(0, "a")));
    assert!(!Arc::ptr_eq(&usual, &named) && !Arc::ptr_eq(&usual, &second));
    assert_eq!(usual.cells.iter().map(|cell| cell.id().0).collect::<Vec<_>>(), [0, 9]);
    drop((usual, named, second));
    assert_eq!(freshness.tags_in_use(), 0);
    for tenant in 0..1_000 {
        get(0, &format!("tenant-{tenant}"));
    }
    assert!(known.len() <= 128, "scopes that came and went are forgotten");
}

#[test]
fn it_is_small() {
    assert!(size_of::<Dependencies>() <= 24 && size_of::<TagCell>() <= 24);
}
