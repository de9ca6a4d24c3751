//! Which results are looked at: the first ones, and some of the later ones.

use larder::cached;
use serde::{Deserialize, Serialize};

use super::{Processes, User};
use crate::support::stats_of;

/// The first eight, one in 256, and once one came back changed, all.
#[test]
fn the_first_and_some_of_the_later_ones_are_looked_at() {
    #[cached]
    fn secret(id: u64) -> User {
        User { name: id.to_string(), password_hash: u64::from(id >= 8) }
    }
    let processes = Processes::new();
    let cache = processes.one();
    let lossy_after = |ids: std::ops::Range<u64>| {
        cache.with_sync(|| ids.for_each(|id| drop(secret(id))));
        stats_of(&cache, "secret").lossy
    };
    assert_eq!((lossy_after(0..8), processes.entries()), (0, 8));
    assert_eq!((lossy_after(8..255), processes.entries()), (0, 255));
    assert_eq!((lossy_after(255..256), processes.entries()), (1, 255));
    assert_eq!((lossy_after(256..260), processes.entries()), (5, 255));
}

/// Large results take long, so of these one is looked at.
#[test]
fn of_large_results_one_is_looked_at() {
    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    struct Large {
        bytes: String,
        #[serde(skip)]
        secret: u64,
    }
    #[cached]
    fn large(id: u64, secret: u64) -> Large {
        let _ = id;
        Large { bytes: "x".repeat(1 << 20), secret }
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| (large(1, 0), large(2, 7)));
    assert_eq!((processes.entries(), stats_of(&cache, "large").lossy), (2, 0));
    let cache = processes.one();
    cache.with_sync(|| (large(3, 7), large(4, 7), large(5, 0)));
    assert_eq!((processes.entries(), stats_of(&cache, "large").lossy), (3, 2));
}
