//! The examples for other languages invalidate what a process serves. `tests/run --full` installs what they need.

use std::process::Command;

use larder_testbed::Server;

use crate::invalidate::{cache, runs_again, user};
use crate::text;

/// What a test of the examples needs: an interpreter, and one of the examples.
fn examples() -> [(String, &'static str); 2] {
    let python = std::env::var("LARDER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    [(python, "invalidate.py"), ("node".to_owned(), "invalidate.mjs")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python and Node.js with their Redis clients"]
async fn they_invalidate_tags() {
    let server = Server::start();
    for (interpreter, example) in examples() {
        let path = format!("{}/../examples/other-languages/{example}", env!("CARGO_MANIFEST_DIR"));
        let cache = cache(&server).await;
        for tag in ["users", "user/7", "user"] {
            cache.with(user(7)).await;
            let before = cache.with(user(7)).await;
            let invalidate = |tag: &str| {
                let output = Command::new(&interpreter).args([&path, &server.url(), "shop", tag]).output().unwrap();
                assert!(output.status.success(), "{example}: {}", text(&output.stderr));
            };
            tokio::task::block_in_place(|| invalidate("user/8"));
            assert_eq!(cache.with(user(7)).await, before, "{example}");
            tokio::task::block_in_place(|| invalidate(tag));
            runs_again(&cache, "", &format!("{example} {tag}")).await;
        }
    }
}

/// As the page on the protocol says.
#[test]
fn ids_are_those_of_the_test_vectors() {
    let page = include_str!("../../../docs/protocol.md");
    for (tag, shown) in [
        (larder::Tag::new("users"), "`\"users\"` |"),
        (larder::Tag::new(("user", 7)), "`(\"user\", 7)` |"),
        (larder::Tag::new("user/7"), "`\"user/7\"` |"),
        (larder::Tag::new(""), "`\"\"` |"),
        (larder::Tag::new(("größe", "µ")), "`(\"größe\", \"µ\")` |"),
    ] {
        assert!(page.contains(&format!("| {shown} `{:#018x}` |", tag.id().0)), "{tag}");
    }
}
