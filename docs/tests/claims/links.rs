//! The links in the README and the guides lead somewhere, also outside of the repository.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{docs, page, prose};

const LARDER: &str = "https://docs.rs/larder/latest/larder/";

/// What has links.
fn pages() -> Vec<String> {
    let guides = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let guides = guides.filter(|name| name.ends_with(".md"));
    let crates = ["cache-core", "cache-macros", "cache-redis"].map(|name| format!("../{name}/README.md"));
    guides.chain(crates).chain(["../README.md".to_owned(), "../src/cached.md".to_owned()]).collect()
}

/// The targets of `[text](target)` and `[name]: target`.
fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let named = prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
    inline.chain(named).map(str::to_owned).collect()
}

/// As rustdoc makes the ids of headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page);
    let headings =
        headings.lines().filter_map(|line| line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' '));
    let id = |heading: &str| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
    };
    headings.map(id).collect()
}

/// The file of a page of larder's documentation, if it is one of those that have links.
fn source(path: &str) -> Option<String> {
    if path == "attr.cached.html" {
        return Some("../src/cached.md".to_owned());
    }
    let guide = path.strip_prefix("guide/")?.strip_suffix("/index.html")?;
    Some(format!("{}.md", guide.replace('_', "-")))
}

#[test]
fn they_lead_somewhere() {
    for name in pages() {
        let text = page(&name);
        for target in targets(&text) {
            if let Some(anchor) = target.strip_prefix('#') {
                assert!(anchors(&text).contains(anchor), "{name}: no heading for #{anchor}");
            } else if let Some(path) = target.strip_prefix(LARDER) {
                let (path, anchor) = path.split_once('#').unwrap_or((path, ""));
                let Some(source) = source(path) else { continue };
                let found = anchors(&page(&source));
                assert!(anchor.is_empty() || found.contains(anchor), "{name}: {source} has no heading for #{anchor}");
            } else {
                let outside = target.starts_with("https://") || target.starts_with("crate::");
                assert!(outside, "{name}: `{target}` works in the repository only");
            }
        }
    }
}

#[test]
fn every_guide_is_reached_from_the_readme_and_shown_in_the_documentation() {
    let readme: BTreeSet<_> = targets(&page("../README.md")).into_iter().collect();
    let modules = page("../src/guide.rs");
    for guide in pages().iter().filter(|name| !name.contains('/')) {
        let module = guide.trim_end_matches(".md").replace('-', "_");
        assert!(readme.contains(&format!("{LARDER}guide/{module}/index.html")), "{guide} isn't in the README");
        assert!(modules.contains(&format!("include_str!(\"../docs/{guide}\")")), "{guide} isn't in src/guide.rs");
    }
}
