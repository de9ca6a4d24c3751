//! `helpers = [refresh]`: run now, and replace the entry.

use larder::cached;

use crate::support::{Runs, cache};

#[test]
fn it_runs_and_replaces() {
    static RUNS: Runs = Runs::new();
    static CHILD: Runs = Runs::new();
    #[cached]
    fn child() -> usize {
        CHILD.add()
    }
    #[cached(helpers = [refresh], skip(log))]
    fn f<T: serde::Serialize>(id: T, log: &mut Vec<usize>) -> usize {
        child();
        log.push(RUNS.add());
        RUNS.get()
    }
    cache().with_sync(|| {
        let mut log = Vec::new();
        assert_eq!(f(1_u64, &mut log), 1);
        assert_eq!(refresh_f(1_u64, &mut log), 2);
        assert_eq!(f(1_u64, &mut log), 2);
        assert_eq!(log, [1, 2]);
        assert_eq!(CHILD.get(), 1, "what it calls is answered as ever");
        assert_eq!(larder::without_cache_sync(|| refresh_f(1_u64, &mut log)), 3);
        assert_eq!(f(1_u64, &mut log), 2);
    });
}

struct Shop(u64, Runs);

impl Shop {
    #[cached(key = (self.0, id), helpers = [refresh, prime, peek])]
    async fn price(&self, id: u64) -> Result<usize, String> {
        Ok(self.1.add())
    }

    #[cached(helpers = [refresh, prime, peek])]
    fn of(id: u64) -> u64 {
        Self::double(id)
    }

    fn double(id: u64) -> u64 {
        id * 2
    }
}

#[tokio::test]
async fn of_methods() {
    let shop = Shop(1, Runs::new());
    cache()
        .with(async {
            assert_eq!(shop.peek_price(1).await, None);
            assert_eq!(shop.price(1).await, Ok(1));
            assert_eq!(shop.refresh_price(1).await, Ok(2));
            assert_eq!(shop.price(1).await, Ok(2));
            shop.prime_price(1, Ok(9)).await.unwrap();
            assert_eq!((shop.price(1).await, shop.peek_price(1).await), (Ok(9), Some(Ok(9))));
            assert_eq!(Shop::peek_of(2), None);
            assert_eq!(Shop::refresh_of(2), 4);
            assert_eq!(Shop::peek_of(2), Some(4));
            Shop::prime_of(2, 5).unwrap();
            assert_eq!(Shop::of(2), 5);
        })
        .await;
}
