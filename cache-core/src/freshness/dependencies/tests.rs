//! What entries depend on, and which stamp they hold for it.

use super::*;
use crate::freshness::epoch::Epoch;
use crate::freshness::function_tags::KnownBaseTags;
use crate::freshness::tags_in_use::TagCell;
use crate::scope::Scope;

fn freshness() -> Freshness {
    static EPOCH: Epoch = Epoch::new();
    Freshness::new(&EPOCH)
}

fn held(dependencies: &Dependencies) -> Vec<(u64, u64)> {
    let mut held = Vec::new();
    dependencies.for_each(|_, cell, local| held.push((cell.id().0, local)));
    held
}

#[test]
fn inherited_tags_keep_their_stamps_and_the_oldest_counts() {
    let freshness = freshness();
    let own = |cache: u64, ids: [u64; 2], local: u64, remote: &[Option<Stamp>]| {
        let base = BaseTags::new(cache, &freshness, [TagId(ids[0])]);
        Dependencies::own(Arc::new(base), Some(freshness.intern(TagId(ids[1]))), Vec::new(), local, remote)
    };
    for backends in [true, false] {
        let stamp = |stamp: u64| [Some(Stamp(stamp))].into_iter().filter(|_| backends).collect::<Vec<_>>();
        let child = own(1, [1, 2], 10, &stamp(100));
        let foreign = own(2, [4, 4], 11, &stamp(7));
        let merged = Dependencies::merge(&own(1, [3, 2], 20, &stamp(200)), &[child.clone(), child, foreign]);
        assert_eq!(held(&merged), [(1, 10), (2, 10), (3, 20), (4, 11)]);
        assert_eq!(merged.for_backend(0), None, "what has an unknown stamp can't be stored");
        if backends {
            let remote: Vec<_> = (0..4).map(|tag| merged.remote(0, tag)).collect();
            assert_eq!(remote, [100, 100, 200, 0], "another cache's backend has another order");
        }
    }
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
fn base_tags_that_many_share_keep_the_oldest_stamp() {
    let freshness = freshness();
    let base = |ids: [u64; 2]| Arc::new(BaseTags::new(1, &freshness, ids.map(TagId)));
    let bases = [base([1, 2]), base([1, 3]), base([1, 2])];
    let of = |number: u64, local: u64| {
        let key = freshness.intern(TagId(100 + number % 50));
        Dependencies::own(Arc::clone(&bases[number as usize % 3]), Some(key), Vec::new(), local, &[])
    };
    let inherited: Vec<_> = (0..200).map(|number| of(number, 1000 - number)).collect();
    let own = Dependencies::own(base([4, 5]), Some(freshness.intern(TagId(6))), Vec::new(), 2000, &[]);
    let merged = held(&Dependencies::merge(&own, &inherited));
    let mut expected = vec![(1, 801), (2, 802), (3, 801), (4, 2000), (5, 2000), (6, 2000)];
    // Each key's last one is the oldest.
    expected.extend((0..50).map(|key| (100 + key, 850 - key)));
    assert_eq!(merged, expected);
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
        assert_eq!(all.backends(), remote.len());
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
