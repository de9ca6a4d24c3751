//! Promise 6: invalidating a tag costs the same for one entry or for many.

use larder::{Memory, cached, invalidate_tag};

use crate::support::with_memory;

/// Time is for benchmarks; here it is enough that an invalidation touches no entry: none is visited, dropped or moved
/// until it is asked for.
#[tokio::test]
async fn an_invalidation_touches_no_entry() {
    #[cached(tags = ["all"])]
    async fn read(key: u64) -> u64 {
        key
    }
    let cache = with_memory(Memory::builder().max_entries(100_000));
    cache
        .with(async {
            for key in 0..20_000 {
                read(key).await;
            }
            let before = larder::stats();
            invalidate_tag("all").await.unwrap();
            let after = larder::stats();
            assert_eq!((before.memory_entries, before.tags), (after.memory_entries, after.tags));
            assert_eq!(after.functions[0].stale, before.functions[0].stale);
            read(0).await;
            assert_eq!(larder::stats().functions[0].runs, 20_001, "and all are dead");
        })
        .await;
}
