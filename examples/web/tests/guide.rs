//! The guide shows this program and no other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[test]
fn what_the_guide_shows_stands_in_the_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["main", "articles", "routes"];
    let sources = sources.map(|name| fs::read_to_string(here.join(format!("src/{name}.rs"))).unwrap());
    let guide = fs::read_to_string(here.join("../../docs/web-services.md")).unwrap();
    let mut blocks = 0;
    for block in guide.split("```rust\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        assert!(sources.iter().any(|source| source.contains(block)), "not in the program:\n{block}");
        blocks += 1;
    }
    assert!(blocks > 5, "there are blocks");
}
