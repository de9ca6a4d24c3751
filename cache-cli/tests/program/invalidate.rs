//! `larder invalidate`: a running process, one that starts later, and none at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder::{Cache, Redis, cached};
use larder_testbed::Server;

use crate::{fails, larder, succeeds, text};

static RUNS: AtomicUsize = AtomicUsize::new(0);

#[cached(name = "shop.user", tags = ["users", ("user", id), ("file", "a/b")])]
pub(crate) async fn user(id: u64) -> usize {
    let _ = id;
    RUNS.fetch_add(1, Ordering::SeqCst) + 1
}

pub(crate) async fn cache(server: &Server) -> Cache {
    let redis = Redis::builder(server.url()).prefix("shop").connect().await.unwrap();
    Cache::builder().backend(redis).build().unwrap()
}

/// Until the process has heard of it. Each call is a hit or the run that was waited for.
pub(crate) async fn runs_again(cache: &Cache, scope: &str, after: &str) {
    let (before, began) = (RUNS.load(Ordering::SeqCst), Instant::now());
    while RUNS.load(Ordering::SeqCst) == before {
        assert!(began.elapsed() < Duration::from_secs(20), "it is served still after {after}");
        cache.with(larder::with_scope(scope, user(7))).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_processes_serve() {
    let server = Server::start();
    let cache = cache(&server).await;
    let url = server.url();
    let place = ["--url", &url, "--prefix", "shop", "invalidate", "--yes"];
    for (scope, what, said) in [
        ("", &["users"][..], "tag users"),
        ("", &["user/7"], "tag user/7"),
        ("", &["file/\"a/b\""], "tag file/\"a/b\""),
        ("", &["--function", "shop.user"], "function shop.user"),
        ("", &["--all"], "everything"),
        ("tenant", &["user"], "tag user"),
        ("tenant", &["--scope", "tenant"], "scope `tenant`"),
        ("tenant", &["--scope", "tenant", "user/7"], "tag user/7 in scope `tenant`"),
        ("tenant", &["--scope", "tenant", "--function", "shop.user"], "function shop.user in scope `tenant`"),
    ] {
        cache.with(larder::with_scope(scope, user(7))).await;
        let words = [&place[..], what].concat();
        let output = tokio::task::block_in_place(|| succeeds(&words));
        assert_eq!(output, format!("invalidated {said}\n"));
        runs_again(&cache, scope, said).await;
    }
    // What names something else does nothing to it.
    let before = cache.with(user(7)).await;
    for what in
        [&["user/8"][..], &["--function", "shop"], &["--scope", "tenant"], &["--scope", "other", "users"], &["a/b"]]
    {
        tokio::task::block_in_place(|| succeeds(&[&place[..], what].concat()));
    }
    let other = self::cache(&server).await;
    assert_eq!((cache.with(user(7)).await, other.with(user(7)).await), (before, before));
}

#[test]
fn it_asks_first_and_says_json() {
    let server = Server::start();
    let url = server.url();
    let said = fails(&["--url", &url, "invalidate", "users"]);
    assert!(said.contains("--yes"), "{said}");
    let done = succeeds(&["--url", &url, "--json", "invalidate", "users", "--function", "f", "-y"]);
    assert_eq!(done, "{\"invalidated\":[\"tag users\",\"function f\"]}\n");
    let wrong = fails(&["--url", &url, "--json", "invalidate", "user//7", "-y"]);
    assert!(wrong.starts_with("{\"error\":\"`user//7` is no tag"), "{wrong}");
    let said = larder(&["invalidate", "users", "-y"]).env("LARDER_URL", &url).output().unwrap();
    assert_eq!(text(&said.stdout), "invalidated tag users\n");
}
