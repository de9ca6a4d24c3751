//! `errors.md`: what calls get that waited for a run that failed.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::{Cache, cached};
use tokio::sync::Barrier;

const CALLERS: usize = 5;

/// Runs five calls at once, and counts how often the body ran.
macro_rules! five_calls {
    ($call:expr, $runs:expr) => {{
        let cache = Cache::builder().build().unwrap();
        let calls = async { tokio::join!($call, $call, $call, $call, $call) };
        let (a, b, c, d, e) = cache.with(calls).await;
        ([a, b, c, d, e].map(Result::unwrap_err), $runs.load(Ordering::SeqCst))
    }};
}

#[tokio::test]
async fn an_io_error_is_shared_with_its_kind_and_message() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    async fn read() -> io::Result<String> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
    let (errors, runs) = five_calls!(read(), RUNS);
    assert!(errors.iter().all(|error| error.kind() == io::ErrorKind::PermissionDenied));
    assert_eq!(runs, 1);
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no connection")]
struct NoConnection;

/// One waits for nobody, and those who waited run at the same time: the barrier opens only if they do.
#[tokio::test]
async fn each_caller_of_a_failure_that_cant_be_shared_gets_an_error_of_its_own() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static WAITED: std::sync::LazyLock<Barrier> = std::sync::LazyLock::new(|| Barrier::new(CALLERS - 1));
    async fn fails() -> NoConnection {
        if RUNS.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        } else {
            WAITED.wait().await;
        }
        NoConnection
    }

    #[cached]
    async fn by_anyhow() -> anyhow::Result<String> {
        Err(fails().await.into())
    }
    let (errors, runs) = five_calls!(by_anyhow(), RUNS);
    assert!(errors.iter().all(|error| error.downcast_ref() == Some(&NoConnection)), "{errors:?}");
    assert_eq!(runs, CALLERS);

    RUNS.store(0, Ordering::SeqCst);
    #[cached]
    async fn by_box() -> Result<String, Box<dyn Error + Send + Sync>> {
        Err(fails().await.into())
    }
    let (errors, runs) = five_calls!(by_box(), RUNS);
    assert!(errors.iter().all(|error| error.downcast_ref() == Some(&NoConnection)), "{errors:?}");
    assert_eq!(runs, CALLERS);

    RUNS.store(0, Ordering::SeqCst);
    #[derive(Debug, thiserror::Error)]
    #[error("the database failed")]
    struct OfAnEnum(#[source] NoConnection);
    #[cached]
    async fn by_thiserror() -> Result<String, OfAnEnum> {
        Err(OfAnEnum(fails().await))
    }
    let (errors, runs) = five_calls!(by_thiserror(), RUNS);
    assert!(errors.iter().all(|OfAnEnum(source)| *source == NoConnection));
    assert_eq!(runs, CALLERS);
}

#[tokio::test]
async fn one_in_an_arc_is_shared() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    async fn fails() -> Result<String, Arc<NoConnection>> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Err(Arc::new(NoConnection))
    }
    let (errors, runs) = five_calls!(fails(), RUNS);
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert_eq!(runs, 1);
}
