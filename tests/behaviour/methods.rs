//! Methods and associated functions.

use std::hash::Hash;
use std::sync::Arc;

use larder::cached;
use serde::{Deserialize, Serialize};

use crate::support::{Runs, cache};

static RUNS: Runs = Runs::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Shop {
    id: u64,
    open: bool,
}

impl Shop {
    #[cached(key = (self.id, item))]
    fn by_reference(&self, item: &str) -> String {
        RUNS.add();
        format!("{}{item}", self.id)
    }

    #[cached(key = (self, item))]
    fn by_value(self, item: &str) -> String {
        RUNS.add();
        format!("{}{item}{}", self.id, self.open)
    }

    #[cached(key = self.id)]
    fn changed(mut self) -> Self {
        RUNS.add();
        self.open = !self.open;
        self
    }

    #[cached(key = (self.id, item))]
    async fn in_arc(self: Arc<Self>, item: &str) -> String {
        RUNS.add();
        let this = Arc::clone(&self);
        let task = tokio::spawn(async move { this.id });
        format!("{}{item}", task.await.unwrap())
    }

    #[cached(key = self.id)]
    fn in_box(self: Box<Self>) -> Box<Self> {
        RUNS.add();
        self
    }

    #[cached(key = self.id)]
    fn by_reference_to_arc(self: &Arc<Self>) -> usize {
        let _ = RUNS.add();
        Arc::strong_count(self)
    }

    #[cached]
    fn associated(id: u64, _: &str) -> Self {
        RUNS.add();
        Self { id, open: true }
    }

    #[cached(key = self.id, tags = [("shop", self.id)], scope = self.open, ttl = self.ttl(), cache_if = |id| *id > 0)]
    fn every_option_may_name_self(&self) -> u64 {
        RUNS.add();
        self.id
    }

    fn ttl(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.id)
    }
}

/// Runs the closure twice, in a cache of its own: how often the bodies ran in the first and in the second round.
/// Whatever counts with `RUNS` is tested in here, one after the other.
fn rounds(mut calls: impl FnMut()) -> (usize, usize) {
    cache().with_sync(|| {
        let start = RUNS.get();
        calls();
        let first = RUNS.get();
        calls();
        (first - start, RUNS.get() - first)
    })
}

#[test]
fn receivers() {
    let shop = |id, open| Shop { id, open };
    let by_reference = rounds(|| {
        let call = |id, open, item| shop(id, open).by_reference(item);
        assert_eq!((call(1, true, "a"), call(1, false, "a")), ("1a".into(), "1a".into()));
        assert_eq!((call(2, true, "a"), call(1, true, "b")), ("2a".into(), "1b".into()));
    });
    assert_eq!(by_reference, (3, 0));
    let by_value = rounds(|| {
        let call = |id, open, item| shop(id, open).by_value(item);
        assert_eq!((call(1, true, "a"), call(1, false, "a")), ("1atrue".into(), "1afalse".into()));
    });
    assert_eq!(by_value, (2, 0));
    assert_eq!(rounds(|| assert_eq!(shop(1, true).changed(), shop(1, false))), (1, 0));
    assert_eq!(rounds(|| assert_eq!(*Box::new(shop(1, true)).in_box(), shop(1, true))), (1, 0));
    assert_eq!(rounds(|| assert_eq!(Arc::new(shop(1, true)).by_reference_to_arc(), 1)), (1, 0));
    assert_eq!(rounds(|| assert_eq!(Shop::associated(1, "").id + Shop::associated(1, "x").id, 2)), (2, 0));
    let in_arc = rounds(|| {
        let call = |id| crate::support::block_on(Arc::new(shop(id, true)).in_arc("a"));
        assert_eq!((call(1), call(2)), ("1a".into(), "2a".into()));
    });
    assert_eq!(in_arc, (2, 0));
    let options = rounds(|| {
        let call = |id, open| shop(id, open).every_option_may_name_self();
        assert_eq!((call(1, true), call(1, false), call(0, true)), (1, 1, 0));
    });
    assert_eq!(options, (3, 1), "the 0 isn't stored");
}

#[test]
fn generic_types_do_not_mix() {
    static RUNS: Runs = Runs::new();
    struct Table<T>(T);
    impl<T: Serialize + Clone + Into<u64>> Table<T> {
        #[cached(key = self.0)]
        fn twice(&self) -> u64 {
            RUNS.add();
            self.0.clone().into() * 2
        }

        #[cached]
        fn width<U: Default>(n: u64) -> u64 {
            RUNS.add();
            n * 100 + (size_of::<T>() * 10 + size_of::<U>()) as u64
        }
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((Table(1_u8).twice(), Table(1_u16).twice(), Table(2_u8).twice()), (2, 2, 4));
        }
        assert_eq!(RUNS.get(), 3);
        for _ in 0..2 {
            let widths = (Table::<u8>::width::<u8>(1), Table::<u8>::width::<u16>(1), Table::<u16>::width::<u8>(1));
            assert_eq!(widths, (111, 112, 121));
        }
        assert_eq!(RUNS.get(), 6);
        Table(1_u8).invalidate_twice().unwrap();
        (Table(1_u8).twice(), Table(1_u16).twice());
        assert_eq!(RUNS.get(), 7, "the helper is as generic");
        Table::<u8>::invalidate_all_twice().unwrap();
        (Table(1_u8).twice(), Table(1_u16).twice());
        assert_eq!(RUNS.get(), 9, "all of it is all of it");
    });
}

trait Weigh {
    fn weight(&self, of: &str) -> u64;

    /// Two types that implement it are two functions.
    #[cached(helpers = none, skip(self))]
    fn by_default(&self, of: &str) -> u64 {
        DEFAULTS.add();
        self.weight(of)
    }

    #[cached(helpers = none)]
    fn name() -> String
    where
        Self: Sized,
    {
        DEFAULTS.add();
        std::any::type_name::<Self>().to_owned()
    }
}

static DEFAULTS: Runs = Runs::new();
static IMPLS: Runs = Runs::new();

struct Light;
struct Heavy<T>(T);

impl Weigh for Light {
    #[cached(skip(self), helpers = none)]
    fn weight(&self, of: &str) -> u64 {
        IMPLS.add();
        of.len() as u64
    }
}

impl<T: Copy + Into<u64>> Weigh for Heavy<T> {
    #[cached(key = (self.0.into(), of), helpers = none)]
    fn weight(&self, of: &str) -> u64 {
        IMPLS.add();
        of.len() as u64 * self.0.into()
    }
}

#[test]
fn of_traits() {
    for _ in 0..2 {
        assert_eq!((Light.weight("ab"), Heavy(10_u8).weight("ab"), Heavy(20_u8).weight("ab")), (2, 20, 40));
        assert_eq!(Heavy(10_u64).weight("ab"), 20);
    }
    assert_eq!(IMPLS.get(), 4, "types and receivers don't mix");
    for _ in 0..2 {
        assert_eq!(
            (Light.by_default("ab"), Heavy(10_u8).by_default("ab"), Heavy(10_u64).by_default("ab")),
            (2, 20, 20)
        );
        assert!(Light::name().ends_with("Light"));
        assert!(Heavy::<u8>::name().ends_with("Heavy<u8>"));
        assert!(Heavy::<u16>::name().ends_with("Heavy<u16>"));
    }
    assert_eq!(DEFAULTS.get(), 6, "nor do they where the default body is used");
}

#[test]
fn through_a_trait_object() {
    for _ in 0..2 {
        let all: [Box<dyn WeighObject>; 2] = [Box::new(Stone(1)), Box::new(Stone(2))];
        assert_eq!(all.map(|object| object.mass()), [10, 20]);
    }
    assert_eq!(STONES.get(), 2);
}

trait WeighObject {
    fn mass(&self) -> u64;
}

struct Stone(u64);

static STONES: Runs = Runs::new();

impl WeighObject for Stone {
    #[cached(key = self.0, helpers = none)]
    fn mass(&self) -> u64 {
        STONES.add();
        self.0 * 10
    }
}
