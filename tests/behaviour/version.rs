//! `version`: change it to abandon all older entries.

use larder::cached;

use crate::support::{Runs, cache};

#[test]
fn helpers_know_it() {
    static RUNS: Runs = Runs::new();
    #[cached(version = 2)]
    fn f(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((f(1), f(1), f(2)), (1, 1, 2));
        invalidate_f(1).unwrap();
        assert_eq!((f(1), f(2)), (3, 2));
        invalidate_all_f().unwrap();
        assert_eq!((f(1), f(2)), (4, 5));
    });
}

/// What an older program left in a layer that it shares with a newer one.
#[cfg(feature = "msgpack")]
#[test]
fn entries_of_other_versions_do_not_count() {
    use larder::Cache;
    use larder::reference::SharedMemory;

    static RUNS: Runs = Runs::new();
    mod old {
        #[larder::cached(name = "versioned", version = 1)]
        pub(super) fn f(id: u64) -> u64 {
            super::RUNS_OF_VERSIONS.add();
            id
        }
    }
    #[cached(name = "versioned", version = 2)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id * 10
    }
    let shared = SharedMemory::new();
    let process = || Cache::builder().backend(shared.another_process()).build().unwrap();
    assert_eq!(process().with_sync(|| (old::f(1), old::f(1))), (1, 1));
    assert_eq!(process().with_sync(|| old::f(1)), 1);
    assert_eq!(RUNS_OF_VERSIONS.get(), 1);
    assert_eq!(process().with_sync(|| f(1)), 10);
    assert_eq!(RUNS.get(), 1);
    assert_eq!(process().with_sync(|| (f(1), old::f(1))), (10, 1), "both may live side by side");
    assert_eq!((RUNS.get(), RUNS_OF_VERSIONS.get()), (1, 1));
}

#[cfg(feature = "msgpack")]
static RUNS_OF_VERSIONS: Runs = Runs::new();
