//! The flight, the wait graph and the validity of entries under all schedules of a few threads, or many random ones
//! where there are too many. The very files of the library are compiled here against the checker's primitives.

#![allow(dead_code, unreachable_pub, reason = "the files are used in part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod sync {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, Weak};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As long as it takes: nothing here holds a lock while it waits for another.
    /// For no time at all: the others are always slower.
    pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock().ok()
    }

    /// A new one for each schedule.
    macro_rules! in_process {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            shuttle::lazy_static! {
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

mod scope {
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct Scope(pub(crate) &'static str);

    impl Scope {
        pub(crate) fn is_global(&self) -> bool {
            self.0.is_empty()
        }
    }
}

mod context {
    pub(crate) mod run_frame {
        #[derive(Debug)]
        pub(crate) struct Frame;
    }
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
    pub(crate) mod wait_graph;
}
#[path = "../src/freshness"]
mod freshness {
    pub(crate) mod epoch;
    pub(crate) mod function_tags;
    pub(crate) mod invalidation;
    pub(crate) mod tag_index;
    pub(crate) mod tags_in_use;
}
#[path = "../src/engine"]
mod engine {
    pub(crate) mod progress;
}
#[path = "../src/thread_cache/generations.rs"]
mod generations;

use std::cell::Cell;

use engine::progress::Progress;
use flight::per_key::{Flights, Key, Latest, Leader, Role};
use flight::single::{End, Flight, FlightId, first_to_end};
use flight::wait_graph::{Node, WaitGraph};
use freshness::epoch::{Epoch, LastFoundLive};
use freshness::function_tags::{BaseTags, KnownBaseTags};
use freshness::invalidation::Freshness;
use freshness::tags_in_use::TagRef;
use generations::{Generations, Stamp};
use scope::Scope;
use shuttle::future::block_on;
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::{Config, Runner, thread};
use tag::TagId;

const TAG: TagId = TagId(7);
const OTHER: TagId = TagId(8);

/// Random schedules where all would be too many.
const RANDOM: usize = 1_000;
/// At most so many of all.
const ALL: usize = 10_000;
/// Schedules in which to hunt for a fault that is there. The rarest needs about 60.
const HUNT: usize = 20_000;

/// Threads have stacks with room for the backtrace of a panic, which is printed from within a schedule: the default of 32 KiB
/// is too small for that, and ends the test program with a signal instead of a message.
fn search(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::default();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(test);
}

fn check_random(test: impl Fn() + Send + Sync + 'static, schedules: usize) {
    search(RandomScheduler::new(schedules), test);
}

fn check_pct(test: impl Fn() + Send + Sync + 'static, schedules: usize, depth: usize) {
    search(PctScheduler::new(depth, schedules), test);
}

fn check_dfs(test: impl Fn() + Send + Sync + 'static, schedules: Option<usize>) {
    search(DfsScheduler::new(schedules, false), test);
}

/// Ends at the first schedule that shows the fault. Few preemptions at random places find a window between two steps
/// sooner than a random choice at every step, where the other thread must by chance be chosen many times in a row.
fn hunt(test: fn()) {
    check_pct(test, HUNT, 3);
}

struct Entry {
    value: u64,
    held: u64,
    cell: TagRef,
    found_live: LastFoundLive,
}

impl Entry {
    fn is_usable(&self, freshness: &Freshness) -> bool {
        self.is_live_at(freshness.epoch())
    }

    fn is_live_at(&self, epoch: u64) -> bool {
        self.found_live.is_live(epoch, || !self.cell.is_newer_than(self.held))
    }

    /// Its tag is looked at only if something of its group was invalidated.
    fn is_live_by_groups(&self, freshness: &Freshness) -> bool {
        let (order, epoch) = (freshness.order(), freshness.epoch());
        self.found_live.is_still_live(order, epoch, self.cell.group()) || self.is_live_at(epoch)
    }
}

/// Of the one key there is.
const HASH: u64 = 7;

/// What a thread's front remembers of the key.
struct Slot {
    entry: Arc<Entry>,
    stamp: Stamp,
    generation: Cell<u64>,
}

struct World {
    freshness: Arc<Freshness>,
    base: KnownBaseTags,
    data: AtomicU64,
    invalidated: AtomicU64,
    memory: Mutex<Option<Arc<Entry>>>,
    generations: Generations<2>,
    primed: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            // A world of its own for each schedule.
            freshness: Arc::new(Freshness::new(Box::leak(Box::new(Epoch::new())))),
            base: KnownBaseTags::default(),
            data: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            memory: Mutex::new(None),
            generations: Generations::new(),
            primed: AtomicU64::new(0),
        })
    }

    fn entry(&self, value: u64, held: u64) -> Arc<Entry> {
        Arc::new(Entry { value, held, cell: self.freshness.intern(TAG), found_live: LastFoundLive::never() })
    }

    /// As the store does it.
    fn insert(&self, entry: Arc<Entry>) {
        *self.memory.lock().unwrap() = Some(entry);
        self.generations.advance(HASH);
    }

    /// Replaces a value that was not invalidated.
    fn prime(&self, value: u64) {
        self.insert(self.entry(value, self.freshness.epoch()));
        self.primed.fetch_max(value, Ordering::SeqCst);
    }

    /// A call as the front and the store answer it.
    fn ask(&self, slot: &mut Option<Slot>) -> Option<u64> {
        if let Some(slot) = slot {
            let (generation, epoch) = (self.generations.now(HASH), self.freshness.epoch());
            if slot.stamp.is(generation, epoch) {
                return Some(slot.entry.value);
            }
            // A look of its own.
            let (generation, epoch) = (self.generations.now(HASH), self.freshness.epoch());
            if slot.generation.get() == generation && slot.entry.is_live_at(epoch) {
                slot.stamp.set(generation, epoch);
                return Some(slot.entry.value);
            }
        }
        let generation = self.generations.now(HASH);
        self.ask_the_store(slot, generation)
    }

    fn ask_the_store(&self, slot: &mut Option<Slot>, generation: u64) -> Option<u64> {
        let entry = self.memory.lock().unwrap().clone()?;
        let epoch = self.freshness.epoch();
        if !entry.is_live_at(epoch) {
            return None;
        }
        let value = entry.value;
        *slot = Some(Slot { entry, stamp: Stamp::new(generation, epoch), generation: Cell::new(generation) });
        Some(value)
    }

    /// A call, checked.
    fn read_near(&self, slot: &mut Option<Slot>) {
        let due = (self.invalidated.load(Ordering::SeqCst), self.primed.load(Ordering::SeqCst));
        if let Some(value) = self.ask(slot) {
            assert!(value >= due.0, "an entry from before an invalidation is served after it");
            assert!(value >= due.1, "an entry is served after another one took its place");
        }
    }

    /// A run that learns its tag at its end.
    fn run(&self) {
        let guard = self.freshness.begin();
        let held = self.freshness.epoch();
        let value = self.data.load(Ordering::SeqCst);
        let cell = self.freshness.intern(TAG);
        self.insert(Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() }));
        drop(guard);
    }

    /// A run whose tag is its function's: other entries may hold it already, or let go of it meanwhile.
    fn run_in(&self, scope: &Scope) {
        let guard = self.freshness.begin();
        let held = self.freshness.epoch();
        let base = self.base.get(0, scope, || BaseTags::new(1, &self.freshness, [TAG]));
        let value = self.data.load(Ordering::SeqCst);
        let cell = base.cells[0].clone();
        let entry = Arc::new(Entry { value, held, cell, found_live: LastFoundLive::never() });
        let old = self.memory.lock().unwrap().replace(entry);
        drop((old, guard, base));
    }

    fn write(&self, value: u64) {
        self.data.fetch_max(value, Ordering::SeqCst);
        self.freshness.invalidate(&[TAG]);
        self.invalidated.fetch_max(value, Ordering::SeqCst);
    }

    fn read(&self) {
        let due = self.invalidated.load(Ordering::SeqCst);
        let entry = self.memory.lock().unwrap().clone();
        if let Some(entry) = entry.filter(|entry| entry.is_usable(&self.freshness)) {
            assert!(entry.value >= due, "an entry from before an invalidation is served after it");
        }
    }
}

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

/// Two runs that call each other: one of them must be told not to wait.
#[test]
fn a_circle_of_waits_is_never_closed() {
    let test = || {
        let graph = Arc::new(WaitGraph::default());
        let flights = Arc::new(Flights::<u8, u64, ()>::new());
        let threads: Vec<_> = [(1_u8, 2_u8), (2, 1)]
            .map(|(own, other)| {
                let (graph, flights) = (Arc::clone(&graph), Arc::clone(&flights));
                thread::spawn(move || {
                    let joins = |_: FlightId, (): &mut ()| Latest::Joined;
                    if let Role::Lead(leader) = flights.join_or_lead(&own, (), joins) {
                        if let Role::Join(flight) = flights.join_or_lead(&other, (), joins)
                            && let Some(_waits) = graph.wait_for(vec![leader.id()], flight.id())
                        {
                            block_on(flight.wait());
                        }
                        leader.land(1);
                    }
                })
            })
            .into();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(graph.len(), 0, "an edge was left behind");
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}

/// The same between caches that share a server's leases, of which a process knows a moment after they are granted.
#[test]
fn a_circle_of_leases_is_never_closed() {
    let test = || {
        let graph = Arc::new(WaitGraph::default());
        let server = Arc::new(Flights::<u8, u64, ()>::new());
        let threads: Vec<_> = [(1_u8, 2_u8), (2, 1)]
            .map(|(own, other)| {
                let (graph, server) = (Arc::clone(&graph), Arc::clone(&server));
                thread::spawn(move || {
                    let cache = Arc::new(Flights::<u8, u64, ()>::new());
                    let joins = |_: FlightId, (): &mut ()| Latest::Joined;
                    let lead = |key| match cache.join_or_lead(&key, (), joins) {
                        Role::Lead(leader) => leader,
                        Role::Join(_) | Role::Full(_) => panic!("nobody else uses this cache"),
                    };
                    let run = lead(own);
                    if let Role::Lead(lease) = server.join_or_lead(&own, (), joins) {
                        let _held = graph.hold(run.id(), Some(&[own]));
                        let nested = lead(other);
                        if let Role::Join(busy) = server.join_or_lead(&other, (), joins)
                            && let Some(_waits) = graph.wait_for(vec![nested.id(), run.id()], Node::Lease(vec![other]))
                        {
                            block_on(busy.wait());
                        }
                        lease.land(1);
                    }
                })
            })
            .into();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(graph.len(), 0, "an edge was left behind");
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}
