//! `cache_err`, and what becomes of an `Err` without it: never stored, however the `Result` is spelled.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use larder::cached;

use crate::support::Runs;

/// Neither `Clone` nor anything else.
struct Opaque;

type Aliased<T> = Result<T, Opaque>;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Refused {
    Full,
    Closed(String),
}

/// As `anyhow::Error` is: made of any error, and none itself.
struct Report(Box<dyn StdError + Send + Sync>);

impl<E: StdError + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report({:?})", self.0)
    }
}

/// A function that fails for 0, whose result is written in this way.
macro_rules! err_is_not_stored {
    ($($name:ident: $result:ty, $error:expr;)*) => {$(
        #[test]
        fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached]
            fn f(id: u64) -> $result {
                RUNS.add();
                if id == 0 { Err($error) } else { Ok(id) }
            }
            for id in [0, 1, 0, 1] {
                assert_eq!(f(id).ok(), (id > 0).then_some(id));
            }
            assert_eq!(RUNS.get(), 3, "the Err ran twice, the Ok once");
        }
    )*};
}

err_is_not_stored! {
    plain: Result<u64, Refused>, Refused::Full;
    in_full: ::std::result::Result<u64, Refused>, Refused::Closed("night".into());
    an_alias: Aliased<u64>, Opaque;
    an_error_that_can_do_nothing: Result<u64, Opaque>, Opaque;
    io_result: io::Result<u64>, io::ErrorKind::NotFound.into();
    boxed: Result<u64, Box<dyn StdError + Send + Sync>>, "boxed".into();
    boxed_for_one_thread: Result<u64, Box<dyn StdError>>, "boxed".into();
    like_anyhow: Result<u64, Report>, io::Error::other("inner").into();
    in_an_arc: Result<u64, Arc<Opaque>>, Arc::new(Opaque);
    a_unit: Result<u64, ()>, ();
    a_static_str: Result<u64, &'static str>, "text";
    not_send: Result<u64, std::rc::Rc<str>>, "text".into();
}

#[test]
fn through_a_generic_parameter() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<E: From<&'static str> + 'static>(id: u64) -> Result<u64, E> {
        RUNS.add();
        if id == 0 { Err("zero".into()) } else { Ok(id) }
    }
    for id in [0, 1, 0, 1] {
        let _ = f::<String>(id);
    }
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn a_result_without_a_value() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(fine: bool) -> fmt::Result {
        RUNS.add();
        if fine { Ok(()) } else { Err(fmt::Error) }
    }
    for fine in [true, false, true, false] {
        assert_eq!(f(fine).is_ok(), fine);
    }
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn a_result_that_is_part_of_the_value_is_stored() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> Option<Result<u64, Refused>> {
        RUNS.add();
        Some(Err(Refused::Full))
    }
    assert_eq!((f(), f()), (Some(Err(Refused::Full)), Some(Err(Refused::Full))));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn cache_err_stores_both() {
    static RUNS: Runs = Runs::new();
    type Answer = Result<u64, Refused>;
    #[cached(cache_err = true)]
    fn f(id: u64) -> Answer {
        RUNS.add();
        if id == 0 { Err(Refused::Closed("at night".into())) } else { Ok(id) }
    }
    assert_eq!(f(0), Err(Refused::Closed("at night".into())));
    assert_eq!((f(0), f(1), f(1)), (f(0), Ok(1), Ok(1)));
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn cache_err_without_serde() {
    #[derive(Clone, Debug, PartialEq)]
    struct Plain;
    static RUNS: Runs = Runs::new();
    #[cached(cache_err = true, local)]
    fn f() -> Result<u64, Plain> {
        RUNS.add();
        Err(Plain)
    }
    assert_eq!((f(), f()), (Err(Plain), Err(Plain)));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn cache_err_false_is_the_default() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_err = false)]
    fn f() -> Result<u64, Opaque> {
        RUNS.add();
        Err(Opaque)
    }
    assert!(f().is_err() && f().is_err());
    assert_eq!(RUNS.get(), 2);
}
