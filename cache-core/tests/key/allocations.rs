//! What a lookup allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::{color, user};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; the counter doesn't allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn lookups_do_not_allocate() {
    let (name, id, tint, ann) = ("some-user-name", 42u64, color(1), user(1, "ann"));
    let stored = (key!(name, id).to_args(), local_key!(id, &tint).to_args(), key!(ann).to_args());
    let count = allocations(|| {
        let key = key!(name, id);
        assert!(stored.0.matches(&key) && key.hash(1) != 0);
        let key = local_key!(id, &tint);
        assert!(stored.1.matches(&key) && key.hash(1) != 0);
        let key = key!(ann);
        assert!(stored.2.matches(&key) && key.hash(1) != 0);
    });
    assert_eq!(count, 0);
    assert_eq!(allocations(|| drop(key!(name, id).to_args())), 1);
}
