//! Generic functions and impls: their types and constants are in the key, in memory and in backends.

use std::fmt::Debug;
use std::marker::PhantomData;

use larder::cached;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Runs, cache};

trait Named {
    const NAME: &'static str;
}

macro_rules! named {
    ($($type:ty: $name:literal)*) => { $(impl Named for $type { const NAME: &'static str = $name; })* };
}

named! { u8: "u8" u16: "u16" String: "String" Vec<u8>: "Vec<u8>" }

#[cached(helpers = [refresh, prime, peek, explain])]
fn of<T: Named, const N: usize>(id: u64) -> String
where
    [u8; N]: Sized,
{
    RUNS.add();
    format!("{} {N} {id}", T::NAME)
}

static RUNS: Runs = Runs::new();

struct Table<T, const N: usize>(PhantomData<T>);

impl<T, const N: usize> Table<T, N>
where
    T: Named + Serialize + DeserializeOwned + Clone + Default + Debug + Send + Sync + 'static,
{
    #[cached(skip(self), helpers = [refresh, prime, peek, explain])]
    fn first<U: Named>(&self, id: u64) -> (String, Option<T>) {
        RUNS.add();
        (format!("{} {N} {} {id}", T::NAME, U::NAME), Some(T::default()))
    }

    #[cached(helpers = [Self::peek])]
    async fn row(id: u64) -> Result<[String; 2], String> {
        RUNS.add();
        tokio::task::yield_now().await;
        Ok([T::NAME.to_owned(), id.to_string()])
    }
}

/// What every combination answers, three times each.
fn all() {
    for _ in 0..3 {
        assert_eq!((of::<u8, 1>(1), of::<u16, 1>(1)), ("u8 1 1".into(), "u16 1 1".into()));
        assert_eq!((of::<u8, 2>(1), of::<Vec<u8>, 1>(1)), ("u8 2 1".into(), "Vec<u8> 1 1".into()));
        let (table, other) = (Table::<u8, 1>(PhantomData), Table::<String, 1>(PhantomData));
        assert_eq!(table.first::<u8>(1), ("u8 1 u8 1".into(), Some(0)));
        assert_eq!(table.first::<u16>(1), ("u8 1 u16 1".into(), Some(0)));
        assert_eq!(other.first::<u8>(1), ("String 1 u8 1".into(), Some(String::new())));
        assert_eq!(Table::<u8, 2>(PhantomData).first::<u8>(1), ("u8 2 u8 1".into(), Some(0)));
        let row = crate::support::block_on(async { (Table::<u8, 1>::row(1).await, Table::<u16, 1>::row(1).await) });
        assert_eq!(row, (Ok(["u8".into(), "1".into()]), Ok(["u16".into(), "1".into()])));
    }
}

#[test]
fn types_and_constants_are_in_the_key() {
    // One after the other: they share a counter.
    let start = RUNS.get();
    cache().with_sync(all);
    assert_eq!(RUNS.get() - start, 10, "in memory");
    in_backends();
    helpers();
}

#[cfg(feature = "msgpack")]
fn in_backends() {
    let (first, second, _clock) = crate::support::two_processes();
    let start = RUNS.get();
    first.with_sync(all);
    second.with_sync(all);
    assert_eq!(RUNS.get() - start, 10, "once for all processes");
    // An invalidation of one combination leaves the others alone, everywhere.
    first.with_sync(|| invalidate_of::<u8, 1>(1)).unwrap();
    second.with_sync(all);
    assert_eq!(RUNS.get() - start, 11);
}

#[cfg(not(feature = "msgpack"))]
fn in_backends() {}

fn helpers() {
    cache().with_sync(|| {
        let start = RUNS.get();
        prime_of::<u8, 1>(1, "primed".into()).unwrap();
        assert_eq!(
            (peek_of::<u8, 1>(1), peek_of::<u16, 1>(1), peek_of::<u8, 2>(1)),
            (Some("primed".into()), None, None)
        );
        let table = Table::<u8, 1>(PhantomData);
        type Bytes = Table<u8, 1>;
        Bytes::prime_first::<u8>(1, ("primed".into(), None)).unwrap();
        assert_eq!((Bytes::peek_first::<u8>(1).unwrap().0, Bytes::peek_first::<u16>(1)), ("primed".into(), None));
        assert_eq!((table.refresh_first::<u8>(1).0, RUNS.get() - start), ("u8 1 u8 1".into(), 1));
        Table::<u16, 9>::invalidate_all_first().unwrap();
        assert_eq!(Bytes::peek_first::<u8>(1), None, "all is all");
    });
}

#[test]
fn arguments_of_generic_types() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<T: Serialize, S: AsRef<str> + Serialize + ?Sized>(list: &[T], text: &S) -> usize {
        RUNS.add();
        list.len() + text.as_ref().len()
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((f(&[1_u8], "a"), f(&[1_u16], "a"), f(&[1_u8], &String::from("a"))), (2, 2, 2));
        }
        assert_eq!(RUNS.get(), 3);
    });
}

#[test]
fn functions_as_arguments_are_skipped() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(fetch))]
    fn f<F: for<'x> Fn(&'x str) -> u64>(name: &str, fetch: F) -> u64 {
        RUNS.add();
        fetch(name)
    }
    #[cached(skip(fetch))]
    async fn g<F, Fut>(name: &str, fetch: F) -> u64
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = u64>,
    {
        RUNS.add();
        fetch(name.to_owned()).await
    }
    #[cached(skip(fetch))]
    fn h(name: &str, fetch: &dyn Fn(&str) -> u64) -> u64 {
        RUNS.add();
        fetch(name)
    }
    let length = |text: &str| text.len() as u64;
    for _ in 0..2 {
        assert_eq!((f("abc", length), h("ab", &length)), (3, 2));
        assert_eq!(crate::support::block_on(g("a", async |text| text.len() as u64)), 1);
    }
    assert_eq!(RUNS.get(), 3);
}

/// More than a thread remembers at once.
#[test]
fn many_instantiations_are_kept_apart() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<const N: usize>(id: u64) -> (usize, u64) {
        RUNS.add();
        (N, id)
    }
    macro_rules! all {
        ($($number:literal)*) => { [$(f::<$number> as fn(u64) -> (usize, u64)),*] };
    }
    let all = all!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
    );
    for _ in 0..3 {
        for (number, f) in all.into_iter().enumerate() {
            assert_eq!((f(1), f(2), f(1)), ((number, 1), (number, 2), (number, 1)));
        }
    }
    assert_eq!(RUNS.get(), 2 * all.len());
}
