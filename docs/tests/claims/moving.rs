//! The migration guides: what their tables say of single options.

use larder::{Cache, cached};

fn runs(cache: &Cache, function: &str) -> u64 {
    cache.stats().function(function).map_or(0, |stats| stats.runs)
}

#[test]
fn key_of_nothing_is_one_entry_for_each_type() {
    #[cached(local, key = ())]
    fn size<T: Send + Sync + 'static>(value: Vec<T>) -> usize {
        size_of_val(&*value)
    }
    let cache = Cache::builder().build().unwrap();
    cache.with_sync(|| {
        assert_eq!((size(vec![1_u8]), size(vec![1_u8, 2])), (1, 1), "the arguments make no difference");
        assert_eq!((size(vec![1_u32]), size(vec![1_u32, 2])), (4, 4), "the types do");
    });
    assert_eq!(runs(&cache, "size"), 2);
}

#[test]
fn a_lifetime_of_zero_stores_nothing() {
    #[cached(local, ttl = |_| std::time::Duration::ZERO)]
    fn never(id: u64) -> u64 {
        id
    }
    let cache = Cache::builder().build().unwrap();
    cache.with_sync(|| (never(1), never(1)));
    assert_eq!(runs(&cache, "never"), 2);
    assert_eq!(cache.stats().memory_entries, 0);
}

#[test]
fn local_needs_no_serde_and_keys_are_hash_eq_clone() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Query(String);
    #[derive(Clone)]
    struct Answer(usize);
    #[cached(local)]
    fn ask(query: Query) -> Answer {
        Answer(query.0.len())
    }
    let cache = Cache::builder().build().unwrap();
    let answers = cache.with_sync(|| (ask(Query("a".to_owned())).0, ask(Query("a".to_owned())).0));
    assert_eq!((answers, runs(&cache, "ask")), ((1, 1), 1));
}
