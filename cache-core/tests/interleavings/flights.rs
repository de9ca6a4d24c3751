//! One run per key: who leads, who waits, and whoever goes away.

use crate::engine::progress::Progress;
use crate::flight::per_key::{Flights, Key, Latest, Leader, Role};
use crate::flight::single::{End, Flight, FlightId, first_to_end};
use crate::{ALL, RANDOM, check_dfs, check_pct, check_random, hunt};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

impl Key for u8 {
    fn hash_code(&self) -> u64 {
        u64::from(*self)
    }

    fn is_known_to_be(&self, other: &Self) -> Option<bool> {
        Some(self == other)
    }

    fn is(&self, other: &Self) -> bool {
        self == other
    }

    fn asks_user(&self) -> bool {
        false
    }
}

type TestFlights = Flights<u8, u64, ()>;

/// How a run of the model ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    With(u64),
    Cancelled,
    /// With an error that can't be shared.
    Fails,
}

/// The run of a leader. Counts runs that overlap.
fn run<P>(leader: Leader<u8, u64, P>, running: &AtomicUsize, ends: Ends) -> u64 {
    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two runs of one key at once");
    thread::yield_now();
    running.fetch_sub(1, Ordering::SeqCst);
    match ends {
        Ends::With(value) => {
            leader.land(value);
            value
        }
        Ends::Cancelled => {
            drop(leader);
            0
        }
        Ends::Fails => {
            leader.fail();
            0
        }
    }
}

/// Leads or waits, until there is an outcome. Who has waited for a run that failed runs beside others if it can't lead, and
/// `None` is returned.
fn call<P: Default + Send>(
    flights: &Arc<Flights<u8, u64, P>>,
    running: &AtomicUsize,
    judge: impl Fn(&mut P) -> Latest,
    ends: Ends,
) -> Option<u64> {
    let mut failed = 0;
    loop {
        let end = match flights.join_or_lead(&1, P::default(), |_, progress| judge(progress)) {
            Role::Lead(leader) => return Some(run(leader, running, ends)),
            Role::Join(_) | Role::Full(_) if failed > 0 => return None,
            Role::Join(flight) => block_on(flight.wait()),
            Role::Full(flights) => block_on(first_to_end(&flights)),
        };
        match end {
            End::Landed(value) => return Some(value),
            End::Failed => failed += 1,
            End::Abandoned | End::Panicked | End::Dead => {}
        }
        assert!(failed < 2, "it waited for a second run that failed");
    }
}

fn joins<P>(_: &mut P) -> Latest {
    Latest::Joined
}

/// How many ran beside others.
fn callers(ends: &[Ends]) -> usize {
    let flights = Arc::new(TestFlights::new());
    let running = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = ends
        .iter()
        .map(|ends| {
            let (flights, running, ends) = (Arc::clone(&flights), Arc::clone(&running), *ends);
            thread::spawn(move || call(&flights, &running, joins, ends))
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(flights.len(), 0, "a flight was left behind");
    answers.iter().filter(|answer| answer.is_none()).count()
}

#[test]
fn everyone_gets_an_answer_and_runs_never_overlap() {
    use Ends::With;
    let none_beside = |ends: &[Ends]| assert_eq!(callers(ends), 0);
    check_dfs(move || none_beside(&[With(1), With(2)]), Some(ALL));
    check_random(move || none_beside(&[With(1), With(2), With(3)]), RANDOM);
}

#[test]
fn a_leader_that_goes_away_is_replaced() {
    use Ends::{Cancelled, With};
    let none_beside = |ends: &[Ends]| assert_eq!(callers(ends), 0);
    check_dfs(move || none_beside(&[Cancelled, With(2)]), Some(ALL));
    check_random(move || none_beside(&[Cancelled, Cancelled, With(3), With(4)]), RANDOM);
    check_pct(move || none_beside(&[Cancelled, With(2), Cancelled, With(4)]), RANDOM, 3);
}

/// Whatever comes between: a new leader, a cancelled one, and whoever comes late.
#[test]
fn nobody_waits_for_two_runs_that_fail() {
    use Ends::{Cancelled, Fails, With};
    let test = |ends: &[Ends]| {
        callers(ends);
    };
    check_dfs(move || test(&[Fails, Fails]), Some(ALL));
    check_random(move || test(&[Fails; 4]), RANDOM);
    check_pct(move || test(&[Fails, Cancelled, Fails, With(4)]), RANDOM, 3);
}

/// Those who wait when they are let go needn't wait for the run; those who come later do.
#[test]
fn whoever_is_let_go_waits_no_longer() {
    let test = || {
        let flights = Arc::new(TestFlights::new());
        let Role::Lead(leader) = flights.join_or_lead(&1, (), |_, ()| Latest::Joined) else {
            panic!("nobody else leads")
        };
        let join = || match flights.join_or_lead(&1, (), |_, ()| Latest::Joined) {
            Role::Join(flight) => flight,
            Role::Lead(_) | Role::Full(_) => panic!("one leads already"),
        };
        let waits = |flight: Arc<Flight<u64, ()>>| thread::spawn(move || block_on(flight.wait()));
        let early = join();
        let mut early = Box::pin(async move { early.wait().await });
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(early.as_mut().poll(&mut task).is_pending());
        let between = waits(join());
        leader.let_go();
        assert_eq!(block_on(early), End::Failed);
        let late = waits(join());
        leader.land(5);
        assert!([End::Failed, End::Landed(5)].contains(&between.join().unwrap()));
        assert_eq!(late.join().unwrap(), End::Landed(5));
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}

/// Of those who joined a run that is found to be dead, the ones who came after its body began wait no longer; it answers the
/// others.
#[test]
fn whoever_came_after_the_body_of_a_dead_run_began_waits_no_longer() {
    let test = || {
        let flights = Arc::new(TestFlights::new());
        let Role::Lead(leader) = flights.join_or_lead(&1, (), |_, ()| Latest::Joined) else {
            panic!("nobody else leads")
        };
        let before = FlightId::upcoming();
        let flight = Arc::clone(leader.flight());
        flight.note_body();
        let after = FlightId::upcoming();
        assert!(flight.answers(before) && !flight.answers(after));
        let waits = |min_flight| {
            let flight = Arc::clone(&flight);
            thread::spawn(move || block_on(flight.wait_for_answer(min_flight)))
        };
        let [answered, released] = [before, after].map(waits);
        flight.note_dead();
        assert_eq!(released.join().unwrap(), End::Dead);
        flight.note_dead();
        leader.land(5);
        assert_eq!(answered.join().unwrap(), End::Landed(5));
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}

/// A run in the background, two who would wait for it, and whoever is to be at it some time, or never. `sets_out` says whether
/// the run is still his.
fn claimed(polled: bool, sets_out: fn(&mut Progress) -> bool) {
    let flights = Arc::new(Flights::<u8, u64, Progress>::new());
    let running = Arc::new(AtomicUsize::new(0));
    let claim = flights.join_or_lead(&1, Progress::in_background(), |_, _| Latest::Joined);
    let Role::Lead(leader) = claim else { panic!("nobody else leads") };
    let claim_unstarted =
        |progress: &mut Progress| if progress.claim_unstarted() { Latest::Claimed } else { Latest::Joined };
    let threads: Vec<_> = [1, 2]
        .map(|value| {
            let (flights, running) = (Arc::clone(&flights), Arc::clone(&running));
            thread::spawn(move || {
                let answer = call(&flights, &running, claim_unstarted, Ends::With(value));
                assert!(answer.is_some_and(|answer| answer != 0));
            })
        })
        .into();
    let job = |leader: Leader<u8, u64, Progress>| {
        if leader.set_progress(sets_out) {
            run(leader, &running, Ends::With(3));
        }
    };
    let mut leader = Some(leader);
    if polled {
        leader.take().map(job);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    drop(leader);
    assert_eq!(flights.len(), 0, "a flight was left behind");
}

#[test]
fn a_run_that_nobody_is_at_holds_nobody_up_and_runs_never_overlap() {
    for polled in [true, false] {
        let test = move || claimed(polled, Progress::set_out);
        check_dfs(test, Some(ALL));
        check_random(test, RANDOM);
        check_pct(test, RANDOM, 3);
    }
}

#[test]
#[should_panic(expected = "two runs of one key at once")]
fn the_check_finds_a_run_in_the_background_that_was_claimed() {
    hunt(|| claimed(true, |_| true));
}

#[test]
fn a_waiter_that_goes_away_takes_nothing_along() {
    let test = || {
        let flights = Arc::new(TestFlights::new());
        let joins = |_: FlightId, (): &mut ()| Latest::Joined;
        let Role::Lead(leader) = flights.join_or_lead(&1, (), joins) else { panic!("nobody else leads") };
        let Role::Join(flight) = flights.join_or_lead(&1, (), joins) else { panic!("one leads already") };
        let impatient = thread::spawn({
            let flight = Arc::clone(&flight);
            move || {
                let mut wait = Box::pin(flight.wait());
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = wait.as_mut().poll(&mut cx);
            }
        });
        let patient = thread::spawn(move || block_on(flight.wait()));
        leader.land(5);
        impatient.join().unwrap();
        assert_eq!(patient.join().unwrap(), End::Landed(5));
    };
    check_dfs(test, Some(ALL));
}

#[test]
fn a_stale_flight_has_one_successor_at_a_time() {
    let stale = |_: FlightId, (): &mut ()| Latest::Stale;
    let test = move || {
        let flights = Arc::new(TestFlights::new());
        let Role::Lead(first) = flights.join_or_lead(&1, (), stale) else { panic!("nobody else leads") };
        let Role::Lead(second) = flights.join_or_lead(&1, (), stale) else { panic!("it is stale") };
        let Role::Full(both) = flights.join_or_lead(&1, (), stale) else { panic!("a third run began") };
        let ender = thread::spawn(move || drop(first));
        // As soon as one of them has ended, the next one may run.
        let waiter = thread::spawn({
            let flights = Arc::clone(&flights);
            move || {
                block_on(first_to_end(&both));
                match flights.join_or_lead(&1, (), stale) {
                    Role::Lead(third) => third.land(3),
                    Role::Join(_) | Role::Full(_) => panic!("there is room for it"),
                }
            }
        });
        let joiner = thread::spawn({
            let flights = Arc::clone(&flights);
            move || match flights.join_or_lead(&1, (), |_, ()| Latest::Joined) {
                Role::Join(flight) => drop(block_on(flight.wait())),
                Role::Lead(leader) => drop(leader),
                Role::Full(_) => panic!("it can be joined"),
            }
        });
        waiter.join().unwrap();
        second.land(2);
        ender.join().unwrap();
        joiner.join().unwrap();
        assert_eq!(flights.len(), 0, "a flight was left behind");
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}

/// A key that only its user can tell from another of its hash, and whose user comes back to the flights for that.
#[derive(Clone)]
struct Nosy {
    key: Arc<u8>,
    flights: Arc<Flights<Nosy, u64, ()>>,
}

impl Key for Nosy {
    fn hash_code(&self) -> u64 {
        7
    }

    fn is_known_to_be(&self, other: &Self) -> Option<bool> {
        Arc::ptr_eq(&self.key, &other.key).then_some(true)
    }

    fn is(&self, other: &Self) -> bool {
        self.flights.len();
        self.key == other.key
    }

    fn asks_user(&self) -> bool {
        true
    }
}

#[test]
fn keys_are_compared_outside_of_the_lock_and_runs_of_one_never_overlap() {
    let test = |keys: &[u8]| {
        let flights = Arc::new(Flights::new());
        let running = Arc::new([const { AtomicUsize::new(0) }; 2]);
        let threads: Vec<_> = keys
            .iter()
            .map(|key| {
                let key = Nosy { key: Arc::new(*key), flights: Arc::clone(&flights) };
                let running = Arc::clone(&running);
                thread::spawn(move || {
                    let number = usize::from(*key.key);
                    match key.flights.join_or_lead(&key, (), |_, ()| Latest::Joined) {
                        Role::Lead(leader) => {
                            assert_eq!(
                                running[number].fetch_add(1, Ordering::SeqCst),
                                0,
                                "two runs of one key at once"
                            );
                            thread::yield_now();
                            running[number].fetch_sub(1, Ordering::SeqCst);
                            leader.land(number as u64);
                        }
                        Role::Join(flight) => assert_eq!(block_on(flight.wait()), End::Landed(number as u64)),
                        Role::Full(_) => panic!("each can be joined"),
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(flights.len(), 0, "a flight was left behind");
    };
    check_dfs(move || test(&[0, 0]), Some(ALL));
    check_dfs(move || test(&[0, 1]), Some(ALL));
    check_random(move || test(&[0, 1, 0]), RANDOM);
    check_pct(move || test(&[0, 1, 0, 1]), RANDOM, 3);
}
