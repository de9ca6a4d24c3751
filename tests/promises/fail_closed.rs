//! Promise 4: losing any part of what a backend keeps costs misses and never brings an invalidated value back.

use std::sync::atomic::{AtomicU64, Ordering};

use larder::cached;
use larder::reference::SharedMemory;

use crate::support::without_memory;

#[tokio::test]
async fn whatever_is_lost_no_invalidated_value_comes_back() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    #[cached(tags = [("data", key % 4)])]
    async fn read(key: u64) -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    type Loss = (&'static str, fn(&SharedMemory));
    let losses: [Loss; 5] = [
        ("buckets", SharedMemory::lose_buckets),
        ("clock", SharedMemory::lose_clock),
        ("entries", SharedMemory::lose_entries),
        ("leases", SharedMemory::lose_leases),
        ("everything", SharedMemory::flush),
    ];
    for (what, lose) in losses {
        for loses_before in [true, false] {
            let shared = SharedMemory::new();
            let cache = without_memory(&shared);
            DATA.store(1, Ordering::SeqCst);
            for key in 0..8 {
                assert_eq!(cache.with(read(key)).await, 1);
            }
            if loses_before {
                lose(&shared);
            }
            DATA.store(2, Ordering::SeqCst);
            cache.invalidate_tag(("data", 1)).await.unwrap();
            if !loses_before {
                lose(&shared);
            }
            for key in [1, 5] {
                assert_eq!(cache.with(read(key)).await, 2, "{what} lost, key {key}");
            }
            for key in 0..8 {
                let value = cache.with(read(key)).await;
                assert_eq!(cache.with(read(key)).await, value, "{what} lost: what is read now is stored again");
            }
        }
    }
}
