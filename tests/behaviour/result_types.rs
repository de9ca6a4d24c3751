//! `Result` and `Option` are known by their types, whatever they are called.

use std::io;

use larder::cached;

use crate::support::{Runs, cache};

mod names {
    #[derive(Debug)]
    pub(super) struct Failed;
    pub(super) type Res<T> = Result<T, Failed>;
    pub(super) type Alias<T> = Res<T>;
    pub(super) type Closed = Alias<u64>;
    pub(super) type Maybe<T> = Option<T>;
    pub(super) type Both = Alias<Maybe<u64>>;
    pub(super) use Alias as Renamed;

    // What these names usually mean.
    pub(super) type Result1 = u64;
    pub(super) type Option<T> = std::option::Option<T>;
}

use names::{Alias, Both, Closed, Failed, Maybe, Renamed, Res};

/// A function that fails for 0, whose result is written in this way: the `Err` is never stored.
macro_rules! fallible {
    ($($name:ident: $result:ty, $ok:expr, $error:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached]
            fn sync(id: u64) -> $result {
                RUNS.add();
                if id == 0 { Err($error) } else { Ok($ok) }
            }
            #[cached]
            async fn not_sync(id: u64) -> $result {
                RUNS.add();
                tokio::task::yield_now().await;
                if id == 0 { Err($error)? }
                Ok($ok)
            }
            for _ in 0..2 {
                assert!(sync(0).is_err() && sync(1).is_ok());
                assert!(not_sync(0).await.is_err() && not_sync(1).await.is_ok());
            }
            assert_eq!(RUNS.get(), 6, "both `Err`s ran twice, both `Ok`s once");
        }
    )*};
}

fallible! {
    an_alias: Res<u64>, 1, Failed;
    an_alias_of_an_alias: Alias<u64>, 1, Failed;
    an_alias_without_parameters: Closed, 1, Failed;
    a_renamed_alias: Renamed<Vec<u8>>, vec![1], Failed;
    an_io_result: io::Result<String>, "a".to_owned(), io::Error::from(io::ErrorKind::NotFound);
    an_anyhow_result: anyhow::Result<u64>, 1, anyhow::anyhow!("failed");
    an_anyhow_error: Result<Option<u64>, anyhow::Error>, Some(1), anyhow::anyhow!("failed");
    a_fmt_result: Result<(), std::fmt::Error>, (), std::fmt::Error;
    boxed: Result<u64, Box<dyn std::error::Error + Send + Sync>>, 1, Box::<dyn std::error::Error + Send + Sync>::from("failed");
    both: Both, Some(1), Failed;
}

#[test]
fn a_result_of_an_option() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_none = false)]
    fn f(id: u64) -> Both {
        RUNS.add();
        match id {
            0 => Err(Failed),
            1 => Ok(None),
            _ => Ok(Some(id)),
        }
    }
    for _ in 0..2 {
        assert!(f(0).is_err());
        assert_eq!((f(1).unwrap(), f(2).unwrap()), (None, Some(2)));
    }
    assert_eq!(RUNS.get(), 5, "only the `Some` is stored");
}

#[test]
fn an_option_of_a_result() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_none = false)]
    fn f(id: u64) -> Maybe<Result<u64, String>> {
        RUNS.add();
        match id {
            0 => None,
            1 => Some(Err("failed".to_owned())),
            _ => Some(Ok(id)),
        }
    }
    for _ in 0..2 {
        assert_eq!((f(0), f(1), f(2)), (None, Some(Err("failed".into())), Some(Ok(2))));
    }
    assert_eq!(RUNS.get(), 4, "what is inside of an `Option` is part of the value");
}

#[test]
fn what_is_only_called_so_is_none() {
    /// Usual names for unusual things.
    #[allow(non_camel_case_types, reason = "it stands in the way")]
    type Result = names::Result1;
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> Result {
        RUNS.add();
        id
    }
    #[cached]
    fn g(id: u64) -> names::Option<u64> {
        RUNS.add();
        Some(id)
    }
    for _ in 0..2 {
        assert_eq!((f(1), g(1)), (1, Some(1)));
    }
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn in_generic_functions() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<T, E>(fails: bool) -> Result<T, E>
    where
        T: Default + Clone + serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
        E: Default + Send + Sync + 'static,
    {
        RUNS.add();
        if fails { Err(E::default()) } else { Ok(T::default()) }
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((f::<u8, u8>(false), f::<String, u8>(false)), (Ok(0), Ok(String::new())));
            assert!(f::<u8, String>(true).is_err());
        }
        assert_eq!(RUNS.get(), 4);
    });
}
