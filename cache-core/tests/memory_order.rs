//! The validity of entries under the memory model: a load may see any value that it allows, not only the newest one, as
//! where threads share their data by atomics that order nothing. The very files of the library are compiled here against
//! the checker's primitives.

#![allow(dead_code, unreachable_pub, reason = "the files are used in part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// The library makes its primitives in constants, where the checker can't make its own: these are made at their first use.
mod sync {
    use std::fmt;
    pub(crate) use std::sync::{Arc, Weak};
    use std::sync::{OnceLock, PoisonError};

    pub(crate) mod atomic {
        use std::ops::Deref;
        use std::sync::OnceLock;

        pub(crate) use loom::sync::atomic::Ordering;

        macro_rules! atomic {
            ($name:ident of $number:ty) => {
                #[derive(Debug)]
                pub(crate) struct $name {
                    first: $number,
                    checked: OnceLock<loom::sync::atomic::$name>,
                }

                impl $name {
                    pub(crate) const fn new(first: $number) -> Self {
                        Self { first, checked: OnceLock::new() }
                    }
                }

                impl Deref for $name {
                    type Target = loom::sync::atomic::$name;
                    fn deref(&self) -> &Self::Target {
                        self.checked.get_or_init(|| loom::sync::atomic::$name::new(self.first))
                    }
                }
            };
        }
        atomic!(AtomicU64 of u64);
        atomic!(AtomicU32 of u32);
        atomic!(AtomicBool of bool);
    }

    pub(crate) struct Mutex<T> {
        first: std::sync::Mutex<Option<T>>,
        checked: OnceLock<loom::sync::Mutex<T>>,
    }

    impl<T> Mutex<T> {
        pub(crate) const fn new(first: T) -> Self {
            Self { first: std::sync::Mutex::new(Some(first)), checked: OnceLock::new() }
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Mutex")
        }
    }

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        let checked = mutex.checked.get_or_init(|| loom::sync::Mutex::new(mutex.first.lock().unwrap().take().unwrap()));
        checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<loom::sync::MutexGuard<'_, T>> {
        Some(lock(mutex))
    }

    /// A new one for each execution.
    macro_rules! in_process {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            loom::lazy_static! {
                $(#[$attribute])*
                static ref $name: $type = $value;
            }
        };
    }
    pub(crate) use in_process;
}

mod tag {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TagId(pub u64);
}

#[path = "../src/util"]
mod util {
    pub(crate) mod id_hasher;
    pub(crate) mod per_process;
    pub(crate) mod seed;
    pub(crate) use crate::sync;
}
#[path = "../src/flight"]
mod flight {
    pub(crate) mod landing;
    pub(crate) mod per_key;
    pub(crate) mod single;
}
#[path = "../src/freshness"]
mod freshness {
    pub(crate) mod epoch;
    pub(crate) mod invalidation;
    pub(crate) mod tag_index;
    pub(crate) mod tags_in_use;
}
#[path = "../src/thread_cache/generations.rs"]
mod generations;
#[path = "../src/rt/clock/vouched.rs"]
mod vouched;

use std::sync::Arc;

use flight::per_key::{Flights, Key, Latest, Role};
use flight::single::{End, FlightId};
use freshness::epoch::{Epoch, LastFoundLive};
use freshness::invalidation::Freshness;
use freshness::tags_in_use::TagRef;
use generations::{Generations, Stamp};
use loom::thread;
use sync::atomic::{AtomicU64, Ordering};
use sync::{Mutex, lock};
use tag::TagId;
use vouched::{LAG, Source, Vouched};

const TAG: TagId = TagId(7);
/// In another group.
const OTHER: TagId = TagId(5 << 32);

/// Threads are preempted so often at most: few show what there is to see, and all would take for ever.
const PREEMPTIONS: usize = 2;

fn check(test: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(test);
}

struct Entry {
    value: u64,
    held: u64,
    cell: TagRef,
    found_live: LastFoundLive,
}

/// What functions read, behind an atomic that orders nothing, and what they are cached in.
struct World {
    freshness: Arc<Freshness>,
    data: AtomicU64,
    generations: Generations<1>,
    memory: Mutex<Option<Arc<Entry>>>,
}

/// Of the one key there is.
const HASH: u64 = 7;

impl World {
    fn new() -> Arc<Self> {
        let freshness = Arc::new(Freshness::new(Box::leak(Box::new(Epoch::new()))));
        let data = AtomicU64::new(0);
        let world = Self { freshness, data, generations: Generations::new(), memory: Mutex::new(None) };
        // Everything is used, and so made, before there are other threads.
        let other = world.freshness.intern_below(OTHER, Some(OTHER));
        let entry = world.run();
        world.is_usable(&entry);
        world.generations.now(HASH);
        drop((other, lock(&world.memory).take()));
        Arc::new(world)
    }

    /// Learns its tag at its end.
    fn run(&self) -> Arc<Entry> {
        let guard = self.freshness.begin();
        let held = self.freshness.epoch();
        let value = self.data.load(Ordering::Relaxed);
        let found_live = LastFoundLive::never();
        found_live.is_live(held, || false); // made
        Arc::new(Entry { value, held, cell: guard.intern_below(TAG, Some(TAG)), found_live })
    }

    fn write(&self, value: u64) {
        self.data.store(value, Ordering::Relaxed);
        self.freshness.invalidate(&[TAG]);
    }

    fn is_usable_at(&self, entry: &Entry, epoch: u64) -> bool {
        entry.found_live.is_live(epoch, || !entry.cell.is_newer_than(entry.held))
    }

    fn is_usable(&self, entry: &Entry) -> bool {
        self.is_usable_at(entry, self.freshness.epoch())
    }

    fn insert(&self, entry: Arc<Entry>) {
        *lock(&self.memory) = Some(entry);
        self.generations.advance(HASH);
    }
}

fn beside(world: &Arc<World>, work: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

/// The tag is looked at only if something of its group was invalidated since.
fn by_groups(world: &World, entry: &Entry) -> bool {
    let (order, epoch) = (world.freshness.order(), world.freshness.epoch());
    entry.found_live.is_still_live(order, epoch, entry.cell.group()) || world.is_usable_at(entry, epoch)
}

/// A look between the mark of a tag and that of its group.
#[test]
fn old_data_dies_also_where_the_groups_say_so() {
    check(|| {
        let world = World::new();
        let _in_use = [TAG, OTHER].map(|tag| world.freshness.intern_below(tag, Some(tag)));
        // Their groups are made, too.
        world.freshness.invalidate(&[TAG, OTHER]);
        let entry = world.run();
        let writer = beside(&world, |world| world.write(1));
        let other = beside(&world, |world| world.freshness.invalidate(&[OTHER]));
        by_groups(&world, &entry);
        writer.join().unwrap();
        assert!(!by_groups(&world, &entry), "old data outlives its invalidation");
        other.join().unwrap();
        assert!(!by_groups(&world, &entry), "old data outlives its invalidation");
    });
}

/// Another tag is invalidated at the same time, which moves the epoch under the hands of the one that counts.
fn two_invalidations_at_once(world: &Arc<World>) {
    let others = [beside(world, |world| world.freshness.invalidate(&[OTHER])), beside(world, |world| world.write(1))];
    let entry = world.run();
    for other in others {
        other.join().unwrap();
    }
    assert!(entry.value == 1 || !world.is_usable(&entry), "old data outlives its invalidation");
}

#[test]
fn old_data_dies_though_others_invalidate_at_the_same_time() {
    check(|| {
        let world = World::new();
        let _in_use = [TAG, OTHER].map(|tag| world.freshness.intern(tag));
        two_invalidations_at_once(&world);
    });
}

/// The marked cell is kept for the run, as nobody else holds it.
#[test]
fn old_data_dies_though_its_tag_is_learned_at_the_end() {
    check(|| two_invalidations_at_once(&World::new()));
}

/// Two threads share what was found out of an entry; one of them knows that the invalidation is over.
#[test]
fn what_another_thread_found_live_is_not_live_after_an_invalidation() {
    check(|| {
        let world = World::new();
        let entry = world.run();
        let writer = beside(&world, |world| world.write(1));
        let reader = beside(&world, {
            let entry = Arc::clone(&entry);
            move |world| _ = world.is_usable(&entry)
        });
        writer.join().unwrap();
        assert!(!world.is_usable(&entry), "an invalidated entry is found live");
        reader.join().unwrap();
    });
}

/// What a thread remembers of an entry stands while one sum is the same.
#[test]
fn a_front_hides_no_invalidation_and_nothing_newer() {
    check(|| {
        let world = World::new();
        world.insert(world.run());
        let writer = beside(&world, |world| world.write(1));
        let primer = beside(&world, |world| world.insert(world.run()));
        let generation = world.generations.now(HASH);
        let entry = lock(&world.memory).clone().unwrap();
        let epoch = world.freshness.epoch();
        let slot = world.is_usable_at(&entry, epoch).then(|| Stamp::new(generation, epoch));
        writer.join().unwrap();
        primer.join().unwrap();
        if slot.is_some_and(|slot| slot.is(world.generations.now(HASH), world.freshness.epoch())) {
            let newest = lock(&world.memory).clone().unwrap();
            assert!(Arc::ptr_eq(&entry, &newest), "a newer entry is hidden");
            assert!(entry.value == 1 || world.is_usable(&entry), "an invalidation is hidden");
        }
    });
}

#[derive(Clone)]
struct OneKey;

impl Key for OneKey {
    fn hash_code(&self) -> u64 {
        HASH
    }
    fn is_known_to_be(&self, _: &Self) -> Option<bool> {
        Some(true)
    }
    fn is(&self, _: &Self) -> bool {
        true
    }
    fn asks_user(&self) -> bool {
        false
    }
}

/// Whoever has a function refreshed has often written its data a moment before.
#[test]
fn a_flight_that_began_after_a_call_has_seen_what_its_thread_wrote() {
    check(|| {
        let (flights, data) = (Arc::new(Flights::<OneKey, u64, ()>::new()), Arc::new(AtomicU64::new(0)));
        data.load(Ordering::Relaxed);
        let (ours, theirs) = ((Arc::clone(&flights), Arc::clone(&data)), (flights, data));
        let leader = thread::spawn(move || match theirs.0.join_or_lead(&OneKey, (), |_, ()| Latest::Joined) {
            Role::Lead(leader) => leader.land(theirs.1.load(Ordering::Relaxed)),
            Role::Join(_) | Role::Full(_) => {}
        });
        ours.1.store(1, Ordering::Relaxed);
        let upcoming = FlightId::upcoming();
        let judge = |flight, (): &mut ()| if flight >= upcoming { Latest::Joined } else { Latest::Stale };
        let joined = match ours.0.join_or_lead(&OneKey, (), judge) {
            Role::Join(flight) => Some(flight),
            Role::Lead(_) | Role::Full(_) => None,
        };
        leader.join().unwrap();
        let end = joined.map(|flight| loom::future::block_on(flight.wait()));
        assert!(end.is_none_or(|end| end == End::Landed(1)), "a run that began later has read old data");
    });
}

/// Clocks that stand still.
struct Clocks {
    shown: u64,
    now: u64,
}

impl Source for Clocks {
    fn exact(&self) -> u64 {
        self.now
    }
    fn coarse(&self) -> Option<u64> {
        Some(self.shown)
    }
}

/// What one writer vouches for is never believed of what another one was shown.
#[test]
fn what_is_vouched_for_belongs_to_what_was_shown() {
    check(|| {
        let vouched = Arc::new(Vouched::new());
        let (before, now) = (Clocks { shown: 1, now: LAG }, Clocks { shown: 2, now: 9 * LAG });
        vouched.is_to_come(u64::MAX, &before);
        vouched.check(0);
        let others = [(); 2].map(|()| Arc::clone(&vouched));
        let writers = others.map(|vouched| thread::spawn(move || vouched.vouch(2, 9 * LAG)));
        assert!(!vouched.is_to_come(5 * LAG, &now), "it was before");
        assert!(vouched.is_to_come(11 * LAG, &now));
        for writer in writers {
            writer.join().unwrap();
        }
    });
}
