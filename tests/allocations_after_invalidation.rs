//! The first hit after an invalidation checks what its entry depends on, which may allocate, but not for each key anew.

use allocation_counter::measure;
use larder::cached;

const KEYS: u64 = 64;

#[test]
fn first_hit_after_an_invalidation() {
    #[cached(max_entries = 100, tags = ["checked"])]
    fn double(id: u64) -> u64 {
        2 * id
    }
    let all = || (0..KEYS).for_each(|id| _ = double(id));
    (0..100).for_each(|_| all());
    larder::blocking::invalidate_tag("something else").unwrap();
    let count = measure(all).count_total;
    assert!(count <= 2, "{KEYS} hits made {count} allocations");
}
