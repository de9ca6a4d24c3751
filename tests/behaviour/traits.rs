//! Methods of traits and their impls: two types that have them are two functions.

use larder::cached;
use tokio::task::yield_now;

use crate::support::{Runs, block_on, cache};

static RUNS: Runs = Runs::new();

trait Store {
    type Id: serde::Serialize + Copy;
    const KIND: &'static str;

    async fn load(&self, id: Self::Id) -> Result<String, String>;

    fn count(&self) -> u64;

    fn parse(text: &str) -> Option<Self::Id>;

    /// With a body, which is every type's own function.
    #[cached(skip(self), helpers = none)]
    async fn describe(&self, id: Self::Id) -> String
    where
        Self: Sync,
    {
        RUNS.add();
        yield_now().await;
        format!("{} {}", Self::KIND, self.count())
    }
}

struct Rows(u64);
struct Files<T>(T);

impl Store for Rows {
    type Id = u64;
    const KIND: &'static str = "rows";

    #[cached(key = (self.0, id), tags = [("row", id)], helpers = none)]
    async fn load(&self, id: Self::Id) -> Result<String, String> {
        RUNS.add();
        yield_now().await;
        Ok(format!("row {id}"))
    }

    #[cached(key = self.0, helpers = none)]
    fn count(&self) -> u64 {
        RUNS.add();
        self.0
    }

    #[cached(helpers = none)]
    fn parse(text: &str) -> Option<u64> {
        RUNS.add();
        text.parse().ok()
    }
}

impl<T: Copy + serde::Serialize> Store for Files<T> {
    type Id = T;
    const KIND: &'static str = "files";

    #[cached(key = (self.0, id), helpers = none)]
    async fn load(&self, id: Self::Id) -> Result<String, String> {
        RUNS.add();
        yield_now().await;
        Ok("file".to_owned())
    }

    #[cached(skip(self), helpers = none)]
    fn count(&self) -> u64 {
        RUNS.add();
        size_of::<T>() as u64
    }

    fn parse(_: &str) -> Option<T> {
        None
    }
}

async fn all() {
    for _ in 0..2 {
        assert_eq!((Rows(1).load(1).await, Rows(2).load(1).await), (Ok("row 1".into()), Ok("row 1".into())));
        assert_eq!((Files(1_u8).load(1).await, Files(1_u16).load(1).await), (Ok("file".into()), Ok("file".into())));
        assert_eq!((Rows(1).count(), Files(1_u8).count(), Files(1_u16).count()), (1, 1, 2));
        assert_eq!((Rows::parse("5"), Files::<u8>::parse("5")), (Some(5), None));
        assert_eq!((Rows(1).describe(1).await, Files(1_u8).describe(1).await), ("rows 1".into(), "files 1".into()));
        assert_eq!(Files(1_u16).describe(1).await, "files 2");
    }
}

#[test]
fn types_do_not_mix() {
    block_on(cache().with(async {
        all().await;
        assert_eq!(RUNS.get(), 11, "load 4, count 3, parse 1, describe 3");
        larder::invalidate_tag(("row", 1)).await.unwrap();
        all().await;
        assert_eq!(RUNS.get(), 13);
    }));
    in_backends();
}

#[cfg(feature = "msgpack")]
fn in_backends() {
    let (first, second, _clock) = crate::support::two_processes();
    let start = RUNS.get();
    block_on(async { (first.with(all()).await, second.with(all()).await) });
    assert_eq!(RUNS.get() - start, 11, "nor do they in what processes share");
}

#[cfg(not(feature = "msgpack"))]
fn in_backends() {}

#[test]
fn an_impl_of_a_foreign_trait() {
    static RUNS: Runs = Runs::new();
    struct Text(String);
    impl std::str::FromStr for Text {
        type Err = String;

        #[cached(helpers = none)]
        fn from_str(text: &str) -> Result<Self, Self::Err> {
            RUNS.add();
            if text.is_empty() { Err("empty".to_owned()) } else { Ok(Self(text.to_uppercase())) }
        }
    }
    impl Clone for Text {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    impl serde::Serialize for Text {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }
    impl<'de> serde::Deserialize<'de> for Text {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(Self)
        }
    }
    for _ in 0..2 {
        assert_eq!((&*"a".parse::<Text>().unwrap().0, "".parse::<Text>().is_err()), ("A", true));
    }
    assert_eq!(RUNS.get(), 3);
}
