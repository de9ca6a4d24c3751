//! Promise 8 across deploys: what another build of a function stored is read only if its key says the same by the same
//! names. Two builds are two functions of one `name` here, each in processes of its own.

use larder::reference::SharedMemory;
use larder::{Cache, cached};

use crate::support::{Runs, without_memory};

/// Processes of builds that share a backend. Without memory, so that each call asks it.
fn processes() -> (Cache, Cache, SharedMemory) {
    let shared = SharedMemory::new();
    (without_memory(&shared), without_memory(&shared), shared)
}

fn damaged(cache: &Cache) -> u64 {
    cache.stats().functions.iter().map(|stats| stats.damaged).sum()
}

mod before {
    pub(super) static RUNS: super::Runs = super::Runs::new();

    #[larder::cached(name = "builds.fare")]
    pub(super) fn fare(from: u32, to: u32) -> String {
        RUNS.begin();
        format!("from {from} to {to}")
    }
}

/// Both parameters are of one type, so the bytes of the arguments are no different.
#[test]
fn swapped_parameters_find_no_entry_of_the_build_before() {
    static RUNS: Runs = Runs::new();
    #[cached(name = "builds.fare")]
    fn fare(to: u32, from: u32) -> String {
        RUNS.begin();
        format!("to {to} from {from}")
    }
    let (old, new, shared) = processes();
    // Side by side, as during a deploy: each build runs once for each call, and goes on to find its own entries.
    for _ in 0..3 {
        assert_eq!(old.with_sync(|| before::fare(1, 2)), "from 1 to 2");
        assert_eq!(new.with_sync(|| fare(1, 2)), "to 1 from 2");
        assert_eq!(new.with_sync(|| fare(2, 1)), "to 2 from 1");
    }
    assert_eq!((before::RUNS.count(), RUNS.count(), shared.usage().entries), (1, 2, 3));
    assert_eq!((damaged(&old), damaged(&new)), (0, 0));

    // The same arguments, in whatever order they are taken, are forgotten in both builds; others aren't.
    old.with_sync(|| before::invalidate_fare(1, 2)).unwrap();
    new.with_sync(|| assert_eq!((fare(1, 2), RUNS.count()), ("to 1 from 2".into(), 2)));
    new.with_sync(|| assert_eq!((fare(2, 1), RUNS.count()), ("to 2 from 1".into(), 3)));
    old.with_sync(|| assert_eq!((before::fare(1, 2), before::RUNS.count()), ("from 1 to 2".into(), 2)));
    new.with_sync(|| invalidate_fare(2, 1)).unwrap();
    old.with_sync(|| assert_eq!((before::fare(1, 2), before::RUNS.count()), ("from 1 to 2".into(), 3)));
    old.with_sync(before::invalidate_all_fare).unwrap();
    new.with_sync(|| assert_eq!((fare(1, 2), RUNS.count()), ("to 1 from 2".into(), 4)));
}

#[test]
fn renamed_parameters_find_no_entry_of_the_build_before() {
    static RUNS: Runs = Runs::new();
    mod before {
        #[larder::cached(name = "builds.user")]
        pub(super) fn user(id: u32) -> String {
            format!("user {id}")
        }
    }
    #[cached(name = "builds.user")]
    fn user(team: u32) -> String {
        RUNS.begin();
        format!("user of team {team}")
    }
    let (old, new, _shared) = processes();
    for _ in 0..2 {
        assert_eq!(old.with_sync(|| before::user(1)), "user 1");
        assert_eq!(new.with_sync(|| user(1)), "user of team 1");
    }
    assert_eq!(RUNS.count(), 1);
    old.with_sync(|| before::invalidate_user(1)).unwrap();
    assert_eq!((new.with_sync(|| user(1)), RUNS.count()), ("user of team 1".into(), 2));
}

#[derive(Clone, Copy)]
struct Trip {
    from: u32,
    to: u32,
}

/// What `key` says counts as it is written.
#[test]
fn parts_of_key_that_changed_find_no_entry_of_the_build_before() {
    static RUNS: Runs = Runs::new();
    mod before {
        #[larder::cached(name = "builds.trip", key = (trip.from, trip.to))]
        pub(super) fn fare(trip: super::Trip) -> String {
            format!("from {} to {}", trip.from, trip.to)
        }
    }
    #[cached(name = "builds.trip", key = (trip.to, trip.from))]
    fn fare(trip: Trip) -> String {
        RUNS.begin();
        format!("to {} from {}", trip.to, trip.from)
    }
    let (old, new, _shared) = processes();
    let (there, back) = (Trip { from: 1, to: 2 }, Trip { from: 2, to: 1 });
    for _ in 0..2 {
        assert_eq!(old.with_sync(|| (before::fare(there), before::fare(back))).0, "from 1 to 2");
        assert_eq!(new.with_sync(|| (fare(there), fare(back))), ("to 2 from 1".into(), "to 1 from 2".into()));
    }
    assert_eq!(RUNS.count(), 2);
    old.with_sync(|| before::invalidate_fare(there)).unwrap();
    new.with_sync(|| (fare(there), fare(back)));
    assert_eq!(RUNS.count(), 3, "only the trip there was forgotten");
}

impl Trip {
    #[cached(name = "builds.method", key = (self.from, by))]
    fn before(&self, by: u32) -> String {
        format!("from {} by {by}", self.from)
    }

    #[cached(name = "builds.method", key = (self.to, by))]
    fn after(&self, by: u32) -> String {
        format!("to {} by {by}", self.to)
    }
}

#[test]
fn another_field_of_the_receiver_finds_no_entry_of_the_build_before() {
    let (old, new, _shared) = processes();
    assert_eq!(old.with_sync(|| Trip { from: 1, to: 5 }.before(3)), "from 1 by 3");
    assert_eq!(new.with_sync(|| Trip { from: 7, to: 1 }.after(3)), "to 1 by 3");
}
