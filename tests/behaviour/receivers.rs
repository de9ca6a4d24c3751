//! Receivers of every kind, with all helpers.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use larder::{blocking, cached};
use tokio::task::yield_now;

use crate::support::{Runs, cache};

/// `name: receiver, shop => how to make it of a &Shop;` tests a method with that receiver.
macro_rules! receivers {
    ($($name:ident: $receiver:ty, $shop:ident => $wrapped:expr;)*) => {$(
        #[test]
        fn $name() {
            static RUNS: Runs = Runs::new();
            #[derive(Clone)]
            struct Shop(u64);
            impl Shop {
                #[cached(key = (self.0, add), tags = [("shop", self.0)], helpers = [refresh, prime, peek, explain])]
                fn price(self: $receiver, add: u64) -> u64 {
                    RUNS.add();
                    self.0 * 100 + add
                }
            }
            let one = || { let $shop = const { &Shop(1) }; $wrapped };
            let two = || { let $shop = const { &Shop(2) }; $wrapped };
            cache().with_sync(|| {
                for _ in 0..2 {
                    assert_eq!((one().price(5), two().price(5), one().price(6)), (105, 205, 106));
                }
                assert_eq!(RUNS.get(), 3);
                one().invalidate_price(5).unwrap();
                assert_eq!((one().peek_price(5), two().peek_price(5)), (None, Some(205)));
                one().prime_price(5, 7).unwrap();
                assert_eq!((one().price(5), RUNS.get()), (7, 3));
                assert_eq!((one().refresh_price(5), one().price(5), RUNS.get()), (105, 105, 4));
                blocking::invalidate_tag(("shop", 1)).unwrap();
                assert_eq!((one().peek_price(6), two().peek_price(5)), (None, Some(205)));
                Shop::invalidate_all_price().unwrap();
                assert_eq!(two().peek_price(5), None);
            });
        }
    )*};
}

receivers! {
    a_value: Self, shop => shop.clone();
    a_reference: &Self, shop => shop;
    a_box: Box<Self>, shop => Box::new(shop.clone());
    an_rc: Rc<Self>, shop => Rc::new(shop.clone());
    an_arc: Arc<Self>, shop => Arc::new(shop.clone());
    a_pinned_reference: Pin<&Self>, shop => Pin::new(shop);
    a_pinned_box: Pin<Box<Self>>, shop => Box::pin(shop.clone());
    a_pinned_arc: Pin<Arc<Self>>, shop => Arc::pin(shop.clone());
}

#[test]
fn references_to_smart_pointers() {
    static RUNS: Runs = Runs::new();
    struct Shop(u64);
    impl Shop {
        #[cached(key = self.0, helpers = [refresh, prime, peek, explain])]
        fn id(self: &Arc<Self>) -> u64 {
            RUNS.add();
            self.0
        }
        #[allow(clippy::borrowed_box)]
        #[cached(key = self.0, helpers = [peek])]
        fn boxed(self: &Box<Self>) -> u64 {
            RUNS.add();
            self.0
        }
    }
    let (one, two) = (Arc::new(Shop(1)), Arc::new(Shop(2)));
    let boxed = Box::new(Shop(1));
    for _ in 0..2 {
        assert_eq!((one.id(), two.id(), boxed.boxed()), (1, 2, 1));
    }
    assert_eq!((RUNS.get(), one.peek_id(), boxed.peek_boxed()), (3, Some(1), Some(1)));
    one.prime_id(7).unwrap();
    assert_eq!((one.id(), one.refresh_id(), RUNS.get()), (7, 1, 4));
}

#[tokio::test]
async fn in_async_methods() {
    static RUNS: Runs = Runs::new();
    struct Shop(u64);
    impl Shop {
        #[cached(key = (self.0, text), helpers = [refresh, prime, peek, explain])]
        async fn elided(&self, text: &str) -> String {
            RUNS.add();
            yield_now().await;
            format!("{}{text}", self.0)
        }
        #[cached(key = (self.0, text), helpers = [refresh, prime, peek, explain])]
        async fn named<'s, 't: 's>(&'s self, text: &'t str, other: &'s Self) -> String
        where
            Self: 's,
        {
            RUNS.add();
            yield_now().await;
            format!("{}{text}{}", self.0, other.0)
        }
        #[cached(key = self.0, helpers = [refresh, prime, peek, explain])]
        async fn shared(self: Arc<Self>) -> u64 {
            RUNS.add();
            let this = Arc::clone(&self);
            tokio::spawn(async move { this.0 }).await.unwrap()
        }
        #[cached(key = self.0, helpers = [refresh, prime, peek, explain])]
        async fn pinned(self: Pin<&Self>) -> u64 {
            RUNS.add();
            yield_now().await;
            self.0
        }
    }
    let (shop, other) = (Arc::new(Shop(1)), Shop(2));
    for _ in 0..2 {
        assert_eq!((shop.elided("a").await, shop.named("a", &other).await), ("1a".into(), "1a2".into()));
        assert_eq!((Arc::clone(&shop).shared().await, Pin::new(&*shop).pinned().await), (1, 1));
    }
    assert_eq!(RUNS.get(), 4);
    assert_eq!(shop.peek_elided("a").await, Some("1a".into()));
    assert_eq!(
        (shop.refresh_named("a", &Shop(3)).await, shop.peek_named("a", &other).await),
        ("1a3".into(), Some("1a3".into()))
    );
    Pin::new(&*shop).prime_pinned(8).await.unwrap();
    assert_eq!((Pin::new(&*shop).pinned().await, Arc::clone(&shop).peek_shared().await), (8, Some(1)));
}

#[test]
fn associated_functions() {
    static RUNS: Runs = Runs::new();
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Shop(u64);
    impl Shop {
        #[cached(helpers = [refresh, prime, peek, explain])]
        fn new(id: u64) -> Self {
            RUNS.add();
            Self(id)
        }
        #[cached(helpers = [refresh, prime, peek, explain])]
        fn best(shops: &[Self], or: Option<&Self>) -> Option<Self> {
            RUNS.add();
            shops.iter().max_by_key(|shop| shop.0).or(or).cloned()
        }
        // Nothing in it says that it stands in an impl, but the list of helpers does.
        #[cached(helpers = [Self::refresh, Self::prime, Self::peek, Self::explain])]
        fn count(of: u64) -> u64 {
            RUNS.add();
            of
        }
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((Shop::new(1), Shop::count(3)), (Shop(1), 3));
            assert_eq!(Shop::best(&[Shop(2), Shop(3)], None), Some(Shop(3)));
            assert_eq!(Shop::best(&[], Some(&Shop(4))), Some(Shop(4)));
        }
        assert_eq!(RUNS.get(), 4);
        Shop::prime_new(1, Shop(10)).unwrap();
        Shop::prime_count(3, 30).unwrap();
        assert_eq!((Shop::new(1), Shop::count(3)), (Shop(10), 30));
        assert_eq!((Shop::refresh_new(1), Shop::refresh_count(3)), (Shop(1), 3));
        assert_eq!((Shop::peek_new(1), Shop::peek_count(3), Shop::peek_count(4)), (Some(Shop(1)), Some(3), None));
        Shop::invalidate_best(&[], Some(&Shop(4))).unwrap();
        assert_eq!(Shop::peek_best(&[], Some(&Shop(4))), None);
    });
}
