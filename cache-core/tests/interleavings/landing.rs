//! The order in which results take each other's place.

use crate::flight::per_key::{Flights, Key, Latest, Leader, Role};
use crate::{ALL, RANDOM, check_dfs, check_pct, check_random, hunt};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

/// What is in place: the latest result there was, or nothing.
#[derive(Default)]
struct Place {
    there: AtomicU64,
    /// The number of the latest run whose leader has returned.
    due: AtomicU64,
}

/// A run whose result is put in place, if it may be. Runs are told apart by how late they began. `checked`: as the library
/// does it.
fn land<K: Key>(leader: Leader<K, u64, ()>, number: u64, place: &Place, checked: bool) {
    let put = || {
        // In two steps, as the store has many.
        thread::yield_now();
        place.there.store(number, Ordering::SeqCst);
    };
    let take_out = || {
        thread::yield_now();
        let _ = place.there.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst);
    };
    let placed = if checked {
        leader.place(put, take_out)
    } else {
        put();
        true
    };
    leader.land(number);
    if placed {
        place.due.fetch_max(number, Ordering::SeqCst);
    }
}

/// A key that takes code of the user's to be told from others.
#[derive(Clone)]
struct Asks;

impl Key for Asks {
    fn hash_code(&self) -> u64 {
        1
    }

    fn is_known_to_be(&self, _: &Self) -> Option<bool> {
        Some(true)
    }

    fn is(&self, _: &Self) -> bool {
        true
    }

    fn asks_user(&self) -> bool {
        true
    }
}

/// A run, one that is asked for on purpose while it goes on, and one that comes after. Where the key asks the user, nobody
/// waits for who puts a result in place, and that one is to take it out again.
fn superseding<K: Key + Send + 'static>(key: &K, checked: bool) {
    let flights = Arc::new(Flights::<K, u64, ()>::new());
    let place = Arc::new(Place::default());
    let Role::Lead(first) = flights.join_or_lead(key, (), |_, ()| Latest::Joined) else { panic!("nobody else leads") };
    let second = flights.lead(key, (), &[]).unwrap();
    assert!(flights.lead(key, (), &[first.id()]).is_none(), "a run led another one of its own key");
    assert!(!first.may_take_over() && second.may_take_over());
    let threads = [(first, 1), (second, 2)].map(|(leader, number)| {
        let place = Arc::clone(&place);
        thread::spawn(move || land(leader, number, &place, checked))
    });
    let check = |at_the_end: bool| {
        let due = place.due.load(Ordering::SeqCst);
        let there = place.there.load(Ordering::SeqCst);
        let nothing = there == 0 && key.asks_user();
        let good = there >= due || nothing || key.asks_user() && !at_the_end;
        assert!(good, "an older result took the place of a newer one");
    };
    check(false);
    // Whoever comes now joins the latest, or leads if the older one alone is left and superseded.
    match flights.join_or_lead(key, (), |_, ()| Latest::Joined) {
        Role::Lead(third) => land(third, 3, &place, checked),
        Role::Join(flight) => drop(block_on(flight.wait())),
        Role::Full(_) => panic!("the latest one can be joined"),
    }
    check(false);
    for thread in threads {
        thread.join().unwrap();
        check(false);
    }
    check(true);
    assert_eq!(flights.len(), 0, "a flight was left behind");
}

#[test]
fn no_older_result_takes_the_place_of_a_newer_one() {
    check_dfs(|| superseding(&1, true), Some(ALL));
    check_random(|| superseding(&1, true), RANDOM);
    check_pct(|| superseding(&1, true), RANDOM, 3);
}

#[test]
fn an_older_result_that_could_not_be_waited_for_is_taken_out() {
    check_dfs(|| superseding(&Asks, true), Some(ALL));
    check_random(|| superseding(&Asks, true), RANDOM);
    check_pct(|| superseding(&Asks, true), RANDOM, 3);
}

#[test]
#[should_panic(expected = "an older result took the place of a newer one")]
fn the_check_finds_a_result_that_is_put_in_place_unasked() {
    hunt(|| superseding(&1, false));
}

#[test]
#[should_panic(expected = "an older result took the place of a newer one")]
fn the_check_finds_a_result_that_is_not_taken_out() {
    hunt(|| superseding(&Asks, false));
}
