//! Futures of cached functions: `Send` whenever the body's is, and no larger than they have to be.

use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;

use larder::cached;
use tokio::task::yield_now;

use crate::support::{Runs, cache};

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn send_if_the_body_is() {
    static RUNS: Runs = Runs::new();
    #[cached(
        ttl = "5m", tags = ["a", ("b", name), "c{id}"], result_tags = |text| [text.clone()], cache_if = |text| text.len() > 1,
        scope = name
    )]
    async fn f(id: u64, name: &str, list: &[String]) -> Result<String, Box<dyn Error + Send + Sync>> {
        RUNS.add();
        yield_now().await;
        Ok(format!("{id}{name}{}", list.len()))
    }
    let name = String::from("n");
    let list = [name.clone()];
    for _ in 0..2 {
        assert_eq!(is_send(f(1, &name, &list)).await.unwrap(), "1n1");
    }
    is_send(invalidate_f(1, &name, &list)).await.unwrap();
    is_send(invalidate_all_f()).await.unwrap();
    assert_eq!(tokio::spawn(async { f(1, "n", &["n".into()]).await.unwrap() }).await.unwrap(), "1n1");
    assert_eq!(RUNS.get(), 2);
}

#[tokio::test]
async fn send_though_the_error_is_not() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(id: u64) -> Result<u64, Rc<str>> {
        RUNS.add();
        yield_now().await;
        if id == 0 { Err("zero".into()) } else { Ok(id) }
    }
    for _ in 0..2 {
        assert_eq!(is_send(f(0)).await, Err("zero".into()));
        assert_eq!(is_send(f(1)).await, Ok(1));
    }
    assert_eq!(RUNS.get(), 3);
}

#[tokio::test]
async fn send_though_types_have_lifetimes() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn cow(name: &str) -> Result<Cow<'static, str>, Box<dyn Error + Send + Sync + 'static>> {
        RUNS.add();
        yield_now().await;
        Ok(Cow::Owned(name.to_owned()))
    }
    #[cached(local)]
    async fn text(id: u64) -> Option<&'static str> {
        RUNS.add();
        yield_now().await;
        (id > 0).then_some("text")
    }
    #[cached(local)]
    async fn function(names: &[&str]) -> Result<fn(&str) -> usize, Box<dyn Error>> {
        RUNS.add();
        yield_now().await;
        let _ = names;
        Ok(str::len)
    }
    #[cached]
    async fn all(names: Vec<&str>) -> Result<usize, Box<dyn Error + Send + Sync>> {
        let mut total = 0;
        for name in names {
            total += cow(name).await?.len();
        }
        Ok(total)
    }
    for _ in 0..2 {
        assert_eq!(tokio::spawn(cow("a")).await.unwrap().unwrap(), "a");
        assert_eq!(tokio::spawn(text(1)).await.unwrap(), Some("text"));
        assert_eq!(is_send(function(&["a"])).await.unwrap()("abc"), 3);
        assert_eq!(tokio::spawn(all(vec!["a", "b"])).await.unwrap().unwrap(), 2);
    }
    assert_eq!(RUNS.get(), 4);
}

#[tokio::test]
async fn what_is_around_a_call_is_send_too() {
    #[cached]
    async fn f(id: u64) -> u64 {
        yield_now().await;
        id
    }
    let cache = cache();
    is_send(cache.with(f(1))).await;
    is_send(larder::with_scope("a", f(1))).await;
    is_send(larder::without_cache(f(1))).await;
    is_send(larder::refreshing(f(1))).await;
    is_send(larder::carry(f(1))).await;
    is_send(larder::invalidate_tag("a")).await.unwrap();
    is_send(larder::invalidate_tags(["a"])).await.unwrap();
    is_send(larder::Scope::new("a").clear()).await.unwrap();
    assert!(cache.stats().function("f").is_some_and(|stats| stats.runs == 1));
}

#[tokio::test]
async fn a_body_for_one_thread_stays_one() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(count))]
    async fn f(id: u64, count: Rc<Cell<u64>>) -> u64 {
        RUNS.add();
        yield_now().await;
        count.set(count.get() + 1);
        id
    }
    let count = Rc::new(Cell::new(0));
    let (a, b) = tokio::join!(f(1, Rc::clone(&count)), f(1, Rc::clone(&count)));
    assert_eq!((a, b, count.get(), RUNS.get()), (1, 1, 1, 1));
}

#[tokio::test]
async fn small() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "5m", tags = ["tag", ("id", id)])]
    async fn small(id: u64) -> u64 {
        RUNS.add();
        yield_now().await;
        id
    }
    #[cached]
    async fn large(id: u64) -> u64 {
        let array = [id; 10_000];
        RUNS.add();
        yield_now().await;
        array.iter().sum()
    }
    let (small, large) = (small(1), large(1));
    println!("{} and {} bytes", size_of_val(&small), size_of_val(&large));
    assert!(size_of_val(&small) <= 700, "{} bytes", size_of_val(&small));
    assert!(size_of_val(&large) <= 700, "the body is apart: {} bytes", size_of_val(&large));
    assert_eq!((small.await, large.await, RUNS.get()), (1, 10_000, 2));
}

#[tokio::test]
async fn keys_that_are_read_through_a_lock() {
    struct Shop(std::sync::Mutex<u64>);
    impl Shop {
        #[cached(key = (*self.0.lock().unwrap(), Rc::new(id)), scope = id)]
        async fn price(&self, id: u64) -> u64 {
            yield_now().await;
            id + *self.0.lock().unwrap()
        }
        #[cached(key = *self.0.lock().unwrap(), helpers = [refresh, prime, peek])]
        async fn name(&self) -> u64 {
            *self.0.lock().unwrap()
        }
    }
    let shop = Shop(std::sync::Mutex::new(1));
    assert_eq!((is_send(shop.name()).await, is_send(shop.refresh_name()).await), (1, 1));
    is_send(shop.prime_name(5)).await.unwrap();
    assert_eq!(is_send(shop.peek_name()).await, Some(5));
    is_send(shop.invalidate_name()).await.unwrap();
    assert_eq!(is_send(shop.peek_name()).await, None);
    assert_eq!(is_send(shop.price(1)).await, 2);
    is_send(shop.invalidate_price(1)).await.unwrap();
}
