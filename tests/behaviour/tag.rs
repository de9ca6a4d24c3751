//! `helpers = [tag]`: the tag of one entry.

use larder::{Scope, cached};

use crate::support::{Runs, block_on, cache};

#[test]
fn it_names_one_entry() {
    static RUNS: Runs = Runs::new();
    #[cached(helpers = [tag])]
    fn f(id: u64, name: &str) -> usize {
        let _ = (id, name);
        RUNS.add()
    }
    let cache = cache();
    cache.with_sync(|| {
        let all = || (f(1, "a"), f(1, "b"), f(2, "a"));
        assert_eq!(all(), (1, 2, 3));
        let tag: larder::Tag = tag_f(1, "a").unwrap();
        larder::blocking::invalidate_tag(&tag).unwrap();
        assert_eq!(all(), (4, 2, 3));
        larder::blocking::writing([&tag], || Ok::<_, ()>(())).unwrap();
        assert_eq!(all(), (5, 2, 3));
        larder::blocking::hold([tag_f(1, "b").unwrap(), tag.clone()]).unwrap().end_blocking().unwrap();
        assert_eq!(all(), (6, 7, 3));
        assert_eq!(tag, tag_f(1, "a").unwrap());
        assert_ne!(tag, tag_f(1, "b").unwrap());
        assert!(tag.to_string().starts_with("entry "), "no argument is shown: {tag}");
    });
}

#[test]
fn of_async_functions_and_methods() {
    static RUNS: Runs = Runs::new();
    struct Shop(u64);
    impl Shop {
        #[cached(key = (self.0, article), helpers = [tag])]
        async fn price<T: serde::Serialize + Sync>(&self, article: &T) -> usize {
            let _ = article;
            RUNS.add()
        }
    }
    let (one, two) = (Shop(1), Shop(2));
    block_on(cache().with(async {
        assert_eq!((one.price(&7).await, two.price(&7).await, one.price(&"tea").await), (1, 2, 3));
        let tags = [one.tag_price(&7).await.unwrap(), one.tag_price(&"tea").await.unwrap()];
        larder::writing(tags, async { Ok::<_, ()>(()) }).await.unwrap();
        assert_eq!((one.price(&7).await, two.price(&7).await, one.price(&"tea").await), (4, 2, 5));
    }));
}

/// The scope is a part of the entry's name: that of the function, or that around the caller.
#[test]
fn in_scopes() {
    static RUNS: Runs = Runs::new();
    #[cached(scope = tenant, helpers = [tag])]
    fn f(tenant: &str, id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(helpers = [tag])]
    fn g() -> usize {
        RUNS.add()
    }
    let cache = cache();
    cache.with_sync(|| {
        assert_eq!((f("a", 1), f("b", 1)), (1, 2));
        larder::blocking::invalidate_tag(tag_f("a", 1).unwrap()).unwrap();
        assert_eq!((f("a", 1), f("b", 1)), (3, 2));
        block_on(Scope::new("elsewhere").invalidate_tag(tag_f("b", 1).unwrap())).unwrap();
        assert_eq!((f("a", 1), f("b", 1)), (3, 4));
        let in_a = |call: fn() -> usize| larder::with_scope_sync("a", call);
        assert_eq!((g(), in_a(g)), (5, 6));
        larder::blocking::invalidate_tag(larder::with_scope_sync("a", tag_g).unwrap()).unwrap();
        assert_eq!((g(), in_a(g)), (5, 7));
    });
}

/// What depends on an entry of another function, whose call it leaves out.
#[test]
fn as_a_tag_of_another_entry() {
    static RUNS: Runs = Runs::new();
    #[cached(helpers = [tag])]
    fn part(id: u64) -> u64 {
        id
    }
    #[cached]
    fn whole(id: u64) -> usize {
        larder::add_tag(tag_part(id).unwrap());
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((whole(1), whole(2), part(1)), (1, 2, 1));
        invalidate_part(1).unwrap();
        assert_eq!((whole(1), whole(2)), (3, 2));
    });
}

#[test]
fn arguments_that_are_no_key() {
    #[derive(Clone)]
    struct Unspeakable;
    impl serde::Serialize for Unspeakable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("unspeakable"))
        }
    }
    #[cached(helpers = [tag])]
    fn f(argument: Unspeakable) -> u64 {
        let _ = argument;
        1
    }
    assert_eq!(f(Unspeakable), 1);
    assert_eq!(tag_f(Unspeakable).unwrap_err().kind(), larder::ErrorKind::Key);
}
