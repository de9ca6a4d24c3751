//! What messages can do to the bus, whoever sends them.

mod schedules;

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use cache_core::backend::{BootInstant, HeldTag, Listener, Stamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::connection::MessageHandler as _;
use crate::health::Hooks;
use crate::sequence::{END, LEAP};

const CLOCK: u64 = 1_700_000_000_000_000;

/// Counts what it hears.
#[derive(Debug, Default)]
struct RecordingListener {
    invalidated: StdMutex<Vec<TagId>>,
    doubts: AtomicU64,
}

impl Listener for RecordingListener {
    fn invalidated(&self, tags: &[TagId]) {
        self.invalidated.lock().unwrap().extend(tags);
    }

    fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    fn trusted_until(&self, _: BootInstant) {}
}

/// Listens, and has compared with the sequence.
async fn bus() -> (Bus, Arc<RecordingListener>) {
    let bus = Bus::new(Arc::new(Names::new("p", 0)), "me".to_owned(), Arc::new(Monitor::new(Hooks::default())));
    let listener: Arc<RecordingListener> = Arc::default();
    let handle: std::sync::Weak<RecordingListener> = Arc::downgrade(&listener);
    bus.attach(ListenerHandle::new(handle));
    bus.begins();
    bus.known.learn(CLOCK);
    compare(&bus, CLOCK).await;
    (bus, listener)
}

async fn compare(bus: &Bus, sequence: u64) -> Compared {
    bus.known.learn(sequence);
    bus.compare(sequence, BootInstant::now(), Duration::from_millis(1), Duration::from_secs(1)).await
}

fn message(author: &str, number: &str, tags: &[u8]) -> Vec<u8> {
    [author.as_bytes(), b" ", number.as_bytes(), b" ", tags].concat()
}

fn hear(bus: &Bus, payload: &[u8]) {
    bus.message("here", "p:bus:0", payload);
}

#[tokio::test]
async fn a_gap_is_closed_by_the_server_alone() {
    let (bus, listener) = bus().await;
    hear(&bus, &message("x", &(CLOCK + 1).to_string(), &[1; 8]));
    assert_eq!(bus.lock().heard, Some(CLOCK + 1));
    let doubts = listener.doubts.load(Ordering::Relaxed);
    hear(&bus, &message("x", &(CLOCK + 5).to_string(), &[2; 8]));
    assert_eq!(bus.lock().heard, None);
    assert_eq!(listener.doubts.load(Ordering::Relaxed), doubts + 1);
    assert_eq!(listener.invalidated.lock().unwrap().len(), 2, "their tags are heard all the same");
    assert_eq!(bus.known.expected(), CLOCK + 5);
    assert_eq!(compare(&bus, CLOCK + 7).await, Compared::Trusted);
    assert_eq!(bus.lock().heard, Some(CLOCK + 7));
    // Those in between come late.
    let doubts = listener.doubts.load(Ordering::Relaxed);
    for number in 6..=7 {
        hear(&bus, &message("x", &(CLOCK + number).to_string(), &[2; 8]));
    }
    assert_eq!((bus.lock().heard, listener.doubts.load(Ordering::Relaxed)), (Some(CLOCK + 7), doubts));
    hear(&bus, &message("x", &(CLOCK + 8).to_string(), &[2; 8]));
    assert_eq!(bus.lock().heard, Some(CLOCK + 8));
    // The next one again, with other tags: somebody made one of the two up, or the sequence went back.
    hear(&bus, &message("x", &(CLOCK + 8).to_string(), &[3; 8]));
    assert_eq!(bus.lock().heard, None);
}

/// Somebody says word for word what another process will say next. Memory hears both: what it read in between is old.
#[tokio::test]
async fn a_message_that_was_foretold_is_heard_when_it_comes() {
    let (bus, listener) = bus().await;
    let foretold = message("x.0", &(CLOCK + 1).to_string(), &[1; 8]);
    for heard in 1..=3 {
        hear(&bus, &foretold);
        assert_eq!(listener.invalidated.lock().unwrap().len(), heard);
    }
}

#[tokio::test]
async fn copies_by_the_nodes_of_a_cluster_are_heard_once() {
    let (bus, listener) = bus().await;
    for (number, heard) in [(1, 1), (2, 2)] {
        for node in ["a", "b", "c"] {
            bus.message(node, "p:bus:0", &message("x.0", &(CLOCK + number).to_string(), &[1; 8]));
            assert_eq!((bus.lock().heard, listener.invalidated.lock().unwrap().len()), (Some(CLOCK + number), heard));
        }
    }
    // Said again by somebody else: one node's second copy shows it.
    for node in ["b", "c", "a"] {
        bus.message(node, "p:bus:0", &message("x.0", &(CLOCK + 2).to_string(), &[1; 8]));
        assert_eq!(listener.invalidated.lock().unwrap().len(), 3);
    }
}

/// What came between the look at the sequence and the comparison counts as far as nothing is missing.
#[tokio::test]
async fn early_messages() {
    let (bus, _ear) = bus().await;
    bus.lose_track();
    for number in [9, 1, 2, 4, 1 << 40] {
        hear(&bus, &message("x", &(CLOCK + number).to_string(), &[1; 8]));
    }
    compare(&bus, CLOCK).await;
    assert_eq!(bus.lock().heard, Some(CLOCK + 2));
}

/// A sequence that was made anew, lower than before, is no late message.
#[tokio::test]
async fn a_number_far_behind_is_doubt() {
    let (bus, listener) = bus().await;
    let doubts = listener.doubts.load(Ordering::Relaxed);
    hear(&bus, &message("x", &(CLOCK - 2 * LEAP).to_string(), &[]));
    assert_eq!((bus.lock().heard, listener.doubts.load(Ordering::Relaxed)), (None, doubts + 1));
}

/// Entries that come through a connection that wasn't introduced can't be judged by the log: each such connection asks for a
/// comparison, once.
#[tokio::test]
async fn every_stranger_asks_for_a_comparison() {
    let (bus, _listener) = bus().await;
    bus.strangers(&[7]);
    hear(&bus, &bus.introduction(7, "here"));
    let asks = async || {
        let due = bus.due.notified();
        tokio::time::timeout(Duration::ZERO, due).await.is_ok()
    };
    while asks().await {}
    let judge = |by| {
        let tags = [HeldTag { tag: TagId(1), stamp: Stamp(CLOCK) }];
        _ = bus.judge(&tags, Some(Moment { sequence: CLOCK, by }));
    };
    judge(7);
    assert!(!asks().await, "it was introduced");
    for stranger in [8, 9, 8] {
        judge(stranger);
        assert!(asks().await, "{stranger}");
        judge(stranger);
        assert!(!asks().await, "{stranger} again");
    }
}

#[tokio::test]
async fn only_introductions_that_were_asked_for_count() {
    let (bus, _ear) = bus().await;
    for connection in 0..10_000 {
        hear(&bus, &bus.introduction(connection, "here"));
    }
    assert_eq!(bus.strangers(&[7, 8]), [7, 8]);
    hear(&bus, b"other here:0000000000000007 here");
    hear(&bus, &bus.introduction(8, "there"));
    hear(&bus, &bus.introduction(9, "here"));
    assert_eq!(bus.strangers(&[7, 8]), [7, 8]);
    hear(&bus, &bus.introduction(7, "here"));
    assert_eq!(bus.strangers(&[7, 8]), [8]);
}

/// Numbers, and what looks like some.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..2 * LEAP).prop_map(|ahead| (CLOCK + ahead).to_string()),
        (0..50u64).prop_map(|behind| (CLOCK - behind).to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        Just((END - 1).to_string()),
        "[-+ 0]?[0-9]{0,25}",
        "here:[0-9a-fg]{0,18}",
    ]
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let author = prop_oneof!["me", "me\\.[0-9]", "x", ""];
    let tags = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => Just(vec![7; 80_000])];
    prop_oneof![
        9 => (author, number(), tags).prop_map(|(author, number, tags)| message(&author, &number, &tags)),
        1 => vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #![proptest_config(crate::proptest_config::config())]

    #[test]
    fn no_message_poisons_what_is_known(messages in vec(hostile(), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (bus, listener) = bus().await;
            for payload in &messages {
                hear(&bus, payload);
                // An introduction of another process, a wake-up, and what isn't ours.
                bus.message("here", "p:wake:0", payload);
                bus.message("here", "q:bus:0", payload);
                bus.event(payload, "del");
            }
            prop_assert_eq!(bus.known.told(), CLOCK, "only servers tell");
            prop_assert!(bus.known.expected() <= CLOCK + LEAP);
            // Whatever it was: after one look at the sequence all is as it was before.
            let sequence = CLOCK + 2 * LEAP;
            compare(&bus, sequence).await;
            let doubts = listener.doubts.load(Ordering::Relaxed);
            for number in sequence + 1..sequence + 4 {
                let tag = number.to_le_bytes();
                hear(&bus, &message("other", &number.to_string(), &tag));
                prop_assert_eq!(bus.lock().heard, Some(number));
                let last = listener.invalidated.lock().unwrap().last().copied();
                prop_assert_eq!(last, Some(TagId(number)));
            }
            prop_assert_eq!(listener.doubts.load(Ordering::Relaxed), doubts);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_flood_is_bounded() {
    let (bus, _ear) = bus().await;
    bus.lose_track();
    for serial in 0..3 * EARLY as u64 {
        hear(&bus, &message("x", &(END - 1 - serial).to_string(), &serial.to_le_bytes()));
    }
    assert!(bus.lock().early.len() <= EARLY);
    hear(&bus, &message("x", &(CLOCK + 1).to_string(), &[1; 8]));
    compare(&bus, CLOCK).await;
    assert_eq!(bus.lock().heard, Some(CLOCK + 1), "the lowest are kept");
}
