//! What the tests share.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder `docs`.
pub(crate) fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A page, by its path from the folder `docs`.
pub(crate) fn page(path: &str) -> String {
    let path = docs().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code blocks of a page whose info string is this.
pub(crate) fn blocks(page: &str, info: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(of) = line.strip_prefix("```") else { continue };
        let block: String =
            lines.by_ref().take_while(|line| !line.starts_with("```")).flat_map(|line| [line, "\n"]).collect();
        if of == info {
            blocks.push(block);
        }
    }
    blocks
}

/// A page without its code blocks.
pub(crate) fn prose(page: &str) -> String {
    let mut inside = false;
    let outside = |line: &&str| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !fence && !inside
    };
    page.lines().filter(outside).flat_map(|line| [line, "\n"]).collect()
}
