//! Hits of results that were computed from a thousand others.

use std::hint::black_box;

use larder::cached;

/// What each page is computed from.
pub const DEPENDENCIES: u64 = 1_000;

/// Pages, each computed from parts of its own: what checking one page finds out is of no use to the next.
pub const PAGES: u64 = 32;

#[cached(max_entries = 1_000_000)]
fn part(id: u64) -> u64 {
    black_box(id).wrapping_mul(3)
}

#[cached(max_entries = 10_000)]
fn page(id: u64) -> u64 {
    (0..DEPENDENCIES).fold(0, |sum, index| part(id * DEPENDENCIES + index).wrapping_add(sum))
}

#[cached(max_entries = 10_000)]
fn unrelated(id: u64) -> u64 {
    id
}

#[cached(max_entries = 10_000, tags = [("item", id)])]
fn tagged(id: u64) -> u64 {
    id
}

/// A part of no page.
const APART: u64 = PAGES * DEPENDENCIES + 7;

/// What is invalidated before the pages are asked for again. None of it makes a page stale.
#[derive(Clone, Copy, Debug)]
pub enum Invalidated {
    /// Nothing.
    Nothing,
    /// A result of another function.
    AnotherFunction,
    /// A tag that no page has.
    AnotherTag,
    /// A result of the parts' function.
    SameFunction,
}

/// Invalidates that.
///
/// # Errors
///
/// None, as there is no backend.
pub fn invalidate(invalidated: Invalidated) -> Result<(), larder::Error> {
    match invalidated {
        Invalidated::Nothing => Ok(()),
        Invalidated::AnotherFunction => invalidate_unrelated(APART).map(drop),
        Invalidated::AnotherTag => larder::blocking::invalidate_tag(("item", APART)).map(drop),
        Invalidated::SameFunction => invalidate_part(APART).map(drop),
    }
}

/// Has memory hold all pages, and all that is to be invalidated.
pub fn prepare() {
    black_box((unrelated(APART), tagged(APART), part(APART)));
    // Whatever has to be checked after an insertion is checked now.
    ask();
}

/// Asks for all pages.
pub fn ask() {
    for id in 0..PAGES {
        black_box(page(id));
    }
}
