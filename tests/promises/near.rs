//! A backend that only some processes share, before one that all share: what the others invalidate reaches it too.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder::backend::{
    Backend, BootInstant, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, Listener, ListenerHandle,
    Reading, Stamp, StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, CacheBuilder, Clock, Error, ErrorKind, cached};

use crate::support::{block_on, poll_once, without_memory};

const HOUR: Duration = Duration::from_secs(3_600);
const STALENESS: Duration = Duration::from_secs(5);

/// One process's handle to a store, with faults.
#[derive(Debug)]
struct Steered {
    memory: SharedMemory,
    /// Messages of others get lost, and this long it may be behind.
    deaf: Option<Duration>,
    /// What becomes of the next invalidations.
    invalidating: Mutex<Invalidating>,
    invalidations: AtomicUsize,
    reads: AtomicUsize,
    listeners: Mutex<Vec<ListenerHandle>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Invalidating {
    Works,
    Fails,
    Hangs,
}

impl Steered {
    fn new(memory: &SharedMemory, deaf: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            memory: memory.another_process(),
            deaf,
            invalidating: Mutex::new(Invalidating::Works),
            invalidations: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            listeners: Mutex::default(),
        })
    }

    fn hearing(memory: &SharedMemory) -> Arc<Self> {
        Self::new(memory, None)
    }

    fn deaf(memory: &SharedMemory) -> Arc<Self> {
        Self::new(memory, Some(STALENESS))
    }

    fn tell(&self, say: impl Fn(&dyn Listener)) {
        let listeners = self.listeners.lock().unwrap().clone();
        listeners.iter().filter_map(ListenerHandle::upgrade).for_each(|listener| say(&*listener));
    }

    fn vouch(&self, time: Duration) {
        self.tell(|listener| listener.trusted_until(BootInstant::now() + time));
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Backend for Steered {
    larder_testbed::left_to!(memory: lease wait store known_stamp close);

    fn name(&self) -> &str {
        "steered"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.memory.read(key)
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        self.invalidations.fetch_add(1, Ordering::SeqCst);
        match *self.invalidating.lock().unwrap() {
            Invalidating::Works => self.memory.invalidate(tags),
            Invalidating::Fails => Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "it was told to fail")) }),
            Invalidating::Hangs => Box::pin(std::future::pending()),
        }
    }
    fn attach(&self, listener: ListenerHandle) {
        self.listeners.lock().unwrap().push(listener.clone());
        if self.deaf.is_none() {
            self.memory.attach(listener);
        }
    }
    fn max_staleness(&self) -> Option<Duration> {
        self.deaf
    }
}

fn chain(backends: impl IntoIterator<Item = Arc<Steered>>) -> CacheBuilder {
    backends.into_iter().fold(Cache::builder().without_memory(), CacheBuilder::backend)
}

/// Again and again, until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Calls are answered before they come to the farthest backend, with this.
fn is_answered_near(far: &Steered, value: u64, mut call: impl FnMut() -> u64) {
    until("it is answered by the nearer backend", || {
        let before = far.reads();
        assert_eq!(call(), value);
        far.reads() == before
    });
}

/// Nothing of it is answered before the farthest backend is asked.
fn is_answered_far(far: &Steered, value: u64, mut call: impl FnMut() -> u64) {
    for _ in 0..3 {
        let before = far.reads();
        assert_eq!(call(), value);
        assert!(far.reads() > before, "the farthest backend was not asked");
    }
}

/// A function of its own per test, and its data.
macro_rules! function {
    ($data:ident, $name:ident) => {
        static $data: AtomicU64 = AtomicU64::new(1);
        #[cached(tags = ["data"])]
        async fn $name() -> u64 {
            $data.load(Ordering::SeqCst)
        }
    };
}

#[test]
fn what_others_invalidate_reaches_a_backend_they_do_not_share() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let fars = [(), ()].map(|()| Steered::hearing(&far));
    let processes = fars.each_ref().map(|far| chain([Steered::hearing(&near), Arc::clone(far)]).build().unwrap());
    let other = without_memory(&far);
    for round in 1..20 {
        for (process, far) in processes.iter().zip(&fars) {
            is_answered_near(far, round, || block_on(process.with(read())));
        }
        DATA.store(round + 1, Ordering::SeqCst);
        block_on(other.invalidate_tag("data")).unwrap();
        for process in &processes {
            assert_eq!(block_on(process.with(read())), round + 1);
        }
    }
}

/// Without anybody else who would have passed it on.
#[test]
fn after_a_doubt_nothing_is_used_that_is_older() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let deaf = Steered::deaf(&far);
    let process = chain([Steered::hearing(&near), Arc::clone(&deaf)]).build().unwrap();
    let call = || block_on(process.with(read()));
    deaf.vouch(HOUR);
    is_answered_near(&deaf, 1, call);
    DATA.store(2, Ordering::SeqCst);
    block_on(without_memory(&far).invalidate_tag("data")).unwrap();
    assert_eq!(call(), 1, "it hasn't heard of it");
    deaf.tell(|listener| listener.doubt());
    assert_eq!(call(), 2);
    is_answered_near(&deaf, 2, call);
}

#[test]
fn a_doubt_of_one_process_takes_nothing_from_others() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let [deaf, calm] = [(), ()].map(|()| Steered::deaf(&far));
    let processes = [&deaf, &calm].map(|far| chain([Steered::hearing(&near), Arc::clone(far)]).build().unwrap());
    deaf.vouch(HOUR);
    calm.vouch(HOUR);
    for (process, far) in processes.iter().zip([&deaf, &calm]) {
        is_answered_near(far, 1, || block_on(process.with(read())));
    }
    let before = calm.reads();
    for _ in 0..10 {
        deaf.tell(|listener| listener.doubt());
        is_answered_near(&deaf, 1, || block_on(processes[0].with(read())));
        assert_eq!(block_on(processes[1].with(read())), 1);
    }
    assert_eq!(calm.reads(), before);
}

#[test]
fn what_was_stored_before_a_process_began_is_compared_first() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let first = Steered::hearing(&far);
    let process = chain([Steered::hearing(&near), Arc::clone(&first)]).build().unwrap();
    is_answered_near(&first, 1, || block_on(process.with(read())));
    drop(process);
    DATA.store(2, Ordering::SeqCst);
    block_on(without_memory(&far).invalidate_tag("data")).unwrap(); // nobody is there who could pass it on
    let second = Steered::hearing(&far);
    let process = chain([Steered::hearing(&near), Arc::clone(&second)]).build().unwrap();
    is_answered_near(&second, 2, || block_on(process.with(read())));
}

#[test]
fn what_a_nearer_backend_does_not_record_is_repeated_and_refused_meanwhile() {
    function!(DATA, read);
    #[cached(tags = ["else"])]
    async fn another() -> u64 {
        1
    }
    let (near, far) = (Steered::hearing(&SharedMemory::new()), SharedMemory::new());
    let hearing = Steered::hearing(&far);
    let process = chain([Arc::clone(&near), Arc::clone(&hearing)]).build().unwrap();
    let call = || block_on(process.with(read()));
    is_answered_near(&hearing, 1, call);
    is_answered_near(&hearing, 1, || block_on(process.with(another())));
    *near.invalidating.lock().unwrap() = Invalidating::Fails;
    let failed = near.invalidations.load(Ordering::SeqCst);
    DATA.store(2, Ordering::SeqCst);
    block_on(without_memory(&far).invalidate_tag("data")).unwrap();
    until("it is repeated", || near.invalidations.load(Ordering::SeqCst) > failed + 2);
    is_answered_far(&hearing, 2, call);
    is_answered_near(&hearing, 1, || block_on(process.with(another())));
    *near.invalidating.lock().unwrap() = Invalidating::Works;
    is_answered_near(&hearing, 2, call);
}

/// Its own process isn't told of it by the farther backend.
#[test]
fn an_invalidation_that_a_nearer_backend_does_not_record_is_repeated_there() {
    function!(DATA, read);
    for fault in [Invalidating::Fails, Invalidating::Hangs] {
        let (near, far) = (Steered::hearing(&SharedMemory::new()), Steered::hearing(&SharedMemory::new()));
        let process = chain([Arc::clone(&near), Arc::clone(&far)]).build().unwrap();
        let call = || block_on(process.with(read()));
        let before = DATA.load(Ordering::SeqCst);
        is_answered_near(&far, before, call);
        *near.invalidating.lock().unwrap() = fault;
        DATA.store(before + 1, Ordering::SeqCst);
        let invalidated = block_on(poll_once(&mut Box::pin(process.invalidate_tag("data"))));
        assert!(invalidated.is_none_or(|result| result.is_err()));
        assert_eq!(call(), before + 1);
        if fault == Invalidating::Fails {
            *near.invalidating.lock().unwrap() = Invalidating::Works;
            is_answered_near(&far, before + 1, call);
        }
    }
}

#[test]
fn a_nearer_backend_is_not_used_while_farther_ones_do_not_vouch() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let (deaf, clock) = (Steered::deaf(&far), Clock::manual());
    let process = chain([Steered::hearing(&near), Arc::clone(&deaf)]).clock(&clock).build().unwrap();
    let call = || block_on(process.with(read()));
    is_answered_far(&deaf, 1, call);
    deaf.vouch(STALENESS);
    is_answered_near(&deaf, 1, call);
    clock.advance(STALENESS);
    is_answered_far(&deaf, 1, call);
    deaf.vouch(STALENESS);
    is_answered_near(&deaf, 1, call);
}

/// What it had was true when the farther backend vouched last, and not when it was read.
#[test]
fn memory_trusts_what_a_nearer_backend_had_as_far_as_farther_ones_vouched() {
    function!(DATA, read);
    let (near, far) = (SharedMemory::new(), SharedMemory::new());
    let (deaf, clock) = (Steered::deaf(&far), Clock::manual());
    let storing = chain([Steered::hearing(&near), Arc::clone(&deaf)]).clock(&clock).build().unwrap();
    let builder = Cache::builder().backend(Steered::hearing(&near)).backend(Arc::clone(&deaf)).clock(&clock);
    let remembering = builder.build().unwrap();
    let call = || block_on(remembering.with(read()));
    deaf.vouch(STALENESS);
    clock.advance(STALENESS / 2);
    until("memory is filled from the nearer backend", || {
        block_on(remembering.invalidate_tag("data")).unwrap();
        block_on(storing.with(read()));
        let before = deaf.reads();
        assert_eq!(call(), 1);
        deaf.reads() == before
    });
    let before = deaf.reads();
    clock.advance(STALENESS / 2 - Duration::from_secs(1));
    assert_eq!((call(), deaf.reads()), (1, before), "memory answers");
    clock.advance(Duration::from_secs(1));
    assert_eq!((call(), deaf.reads()), (1, before + 1), "nobody vouches any more");
}

/// Else what a process that hears late finds in between would be newer there than what was passed on before.
#[test]
fn nothing_that_a_backend_in_between_has_is_copied_nearer() {
    function!(DATA, read);
    let [near, middle, far] = [(); 3].map(|()| SharedMemory::new());
    let (hearing, late) = (Steered::hearing(&far), Steered::deaf(&far));
    let first = chain([Steered::hearing(&near), Arc::clone(&hearing)]).build().unwrap();
    let second = chain([Steered::hearing(&near), Steered::hearing(&middle), Arc::clone(&late)]).build().unwrap();
    late.vouch(HOUR);
    is_answered_near(&hearing, 1, || block_on(first.with(read())));
    is_answered_near(&late, 1, || {
        near.lose_entries();
        block_on(second.with(read()))
    });
    DATA.store(2, Ordering::SeqCst);
    block_on(without_memory(&far).invalidate_tag("data")).unwrap();
    let call = || block_on(first.with(read()));
    is_answered_near(&hearing, 2, call); // the nearest one has recorded it
    near.lose_entries();
    assert_eq!(block_on(second.with(read())), 1, "it hasn't heard of it, and finds the old one in between");
    assert_eq!(call(), 2);
}

/// What is passed on there would be heard of again, and so on.
#[test]
fn a_store_that_is_used_twice_is_used_once() {
    function!(DATA, read);
    let store = SharedMemory::new();
    let by_one_handle = || {
        let handle = store.another_process();
        Cache::builder().without_memory().backend(handle.clone()).backend(handle).build().unwrap()
    };
    let by_two = chain([Steered::hearing(&store), Steered::hearing(&store)]).build().unwrap();
    let processes = [by_one_handle(), by_two, by_one_handle()];
    for round in 1..5 {
        for process in &processes {
            assert_eq!(block_on(process.with(read())), round);
        }
        DATA.store(round + 1, Ordering::SeqCst);
        block_on(processes[round as usize % processes.len()].invalidate_tag("data")).unwrap();
    }
    comes_to_rest(&[&store]);
}

/// The same, by way of another process.
#[test]
fn what_processes_pass_on_to_each_other_comes_to_an_end() {
    function!(DATA, read);
    let stores = [SharedMemory::new(), SharedMemory::new()];
    let [one, other] = stores.each_ref();
    let processes = [[one, other], [other, one]].map(|stores| chain(stores.map(Steered::hearing)).build().unwrap());
    for _ in 0..5 {
        for process in &processes {
            block_on(process.with(read()));
            block_on(process.invalidate_tag("data")).unwrap();
        }
    }
    comes_to_rest(&[one, other]);
}

/// Nothing is invalidated there any more.
fn comes_to_rest(stores: &[&SharedMemory]) {
    let invalidations = || stores.iter().map(|store| store.known_stamp()).collect::<Vec<_>>();
    until("nothing comes back any more", || {
        let before = invalidations();
        std::thread::sleep(Duration::from_millis(300));
        before == invalidations()
    });
}
