//! `at_least`: nothing computed before an invalidation is returned to whoever has its token, whatever becomes of messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, Listener, ListenerHandle, Reading,
    Stamp, StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Error, Invalidated, Pending, at_least, cached};

use crate::support::block_on;

/// A handle of one process, whose messages come when they are let through.
#[derive(Debug)]
struct Late {
    memory: SharedMemory,
    held: Arc<Held>,
    /// Up to this number all messages have come.
    delivered: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    listeners: Mutex<Vec<ListenerHandle>>,
    messages: Mutex<Vec<Vec<TagId>>>,
}

impl Listener for Held {
    fn invalidated(&self, tags: &[TagId]) {
        self.messages.lock().unwrap().push(tags.to_vec());
    }
    fn doubt(&self) {}
    fn trusted_until(&self, _: larder::backend::BootInstant) {}
}

impl Late {
    fn new(memory: &SharedMemory) -> Arc<Self> {
        let (memory, held) = (memory.another_process(), Arc::<Held>::default());
        let listener: Arc<dyn Listener> = held.clone();
        memory.attach(ListenerHandle::new(Arc::downgrade(&listener)));
        Arc::new(Self { memory, held, delivered: AtomicU64::new(0) })
    }

    fn deliver(&self) {
        let upto = self.memory.known_stamp().map_or(0, |stamp| stamp.0);
        let messages = std::mem::take(&mut *self.held.messages.lock().unwrap());
        for listener in self.held.listeners.lock().unwrap().iter().filter_map(ListenerHandle::upgrade) {
            messages.iter().for_each(|tags| listener.invalidated(tags));
        }
        self.delivered.store(upto, Ordering::SeqCst);
    }
}

impl Backend for Late {
    larder_testbed::left_to!(memory: read lease wait store invalidate known_stamp close);
    fn name(&self) -> &str {
        "late"
    }
    fn attach(&self, listener: ListenerHandle) {
        self.held.listeners.lock().unwrap().push(listener);
    }
    fn max_staleness(&self) -> Option<Duration> {
        Some(Duration::from_secs(3_600))
    }
    fn catch_up(&self, stamp: Stamp) -> BoxFuture<'_, Result<bool, Error>> {
        let caught_up = self.delivered.load(Ordering::SeqCst) >= stamp.0;
        Box::pin(async move { Ok(caught_up) })
    }
}

static DATA: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

#[cached(tags = [("item", id)])]
async fn item(id: usize) -> u64 {
    tokio::task::yield_now().await;
    DATA[id].load(Ordering::SeqCst)
}

#[cached]
async fn sum() -> u64 {
    let mut sum = 0;
    for id in 0..DATA.len() {
        sum += item(id).await;
    }
    sum
}

#[test]
fn whoever_has_the_token_sees_the_write() {
    let memory = SharedMemory::new();
    let handles = [(); 3].map(|()| Late::new(&memory));
    let processes = handles.each_ref().map(|late| Cache::builder().backend(Arc::clone(late)).build().unwrap());
    let mut drawn = 7_u64;
    let mut draw = |below: usize| {
        drawn = drawn.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (drawn >> 33) as usize % below
    };
    let (mut tokens, mut behind) = (Invalidated::default(), 0);
    let total = || DATA.iter().map(|data| data.load(Ordering::SeqCst)).sum::<u64>();
    for round in 0..2_000 {
        let (id, writer, reader) = (draw(DATA.len()), draw(3), draw(3));
        DATA[id].fetch_add(1, Ordering::SeqCst);
        let token = processes[writer].with_sync(|| {
            let mut pending = Pending::new();
            pending.invalidate_tag(("item", id));
            larder::blocking::commit(&mut pending).unwrap()
        });
        tokens = tokens.and(token.to_string().parse().unwrap());
        if draw(4) == 0 {
            handles[draw(3)].deliver();
        }
        let process = &processes[reader];
        block_on(async {
            if process.with(sum()).await != total() {
                behind += 1;
            }
            assert_eq!(process.with(at_least(&tokens, sum())).await, total(), "round {round}");
            assert_eq!(process.with(at_least(&tokens, item(id))).await, DATA[id].load(Ordering::SeqCst), "{round}");
        });
    }
    assert!(behind > 100, "messages were late {behind} times");
}
