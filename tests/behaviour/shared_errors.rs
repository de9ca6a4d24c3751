//! What those get who waited for a run that failed: never less than the one whose call ran the body, unless the function's
//! error type says that it does with less.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use larder::{SharedFailure, cached};

use crate::support::{Runs, cache};

/// What is looked for in an error.
#[derive(Clone, Debug, PartialEq)]
struct NotFound(u32);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}", self.0)
    }
}

impl StdError for NotFound {}

/// As the error types of web frameworks' examples: made of whatever `anyhow` is made of.
#[derive(Debug)]
struct AppError(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Made of whatever has a text.
#[derive(Debug)]
struct Texts(#[expect(dead_code, reason = "for `Debug`")] String);

impl<E: fmt::Display> From<E> for Texts {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What `thiserror` writes for `#[from]`.
#[derive(Debug)]
enum Domain {
    Io(io::Error),
    Other(anyhow::Error),
}

impl From<io::Error> for Domain {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<anyhow::Error> for Domain {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// The same with a variant for errors that were shared.
#[derive(Debug)]
enum Opted {
    Io(io::Error),
    Shared(SharedFailure),
}

impl fmt::Display for Opted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Shared(failure) => failure.fmt(f),
        }
    }
}

impl StdError for Opted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Shared(failure) => failure.source(),
        }
    }
}

impl From<SharedFailure> for Opted {
    fn from(failure: SharedFailure) -> Self {
        Self::Shared(failure)
    }
}

/// One that is no `Error` itself.
struct Wrapped(anyhow::Error);

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapped")
    }
}

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<SharedFailure> for Wrapped {
    fn from(failure: SharedFailure) -> Self {
        Self(failure.into())
    }
}

type Boxed = Box<dyn StdError + Send + Sync>;
type Aliased<T> = Result<T, Boxed>;

/// Three callers at once of a function that fails: how often its body runs, and whether this holds for each of their errors.
macro_rules! callers_of {
    ($($name:ident: $result:ty, $make:expr, $runs:literal, $is:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached]
            async fn f() -> $result {
                RUNS.add();
                tokio::task::yield_now().await;
                Err($make)?
            }
            #[cached]
            fn sync() -> $result {
                Err($make)?
            }
            let (a, b, c) = cache().with(async { tokio::join!(f(), f(), f()) }).await;
            for error in [a.unwrap_err(), b.unwrap_err(), c.unwrap_err(), sync().unwrap_err()] {
                assert!(($is)(&error), "{error:?}");
            }
            assert_eq!(RUNS.get(), $runs);
        }
    )*};
}

callers_of! {
    // Not asked whether they can do with a text: each gets an error of its own run.
    anyhow_errors: anyhow::Result<u64>, NotFound(7), 3,
        |error: &anyhow::Error| error.downcast_ref() == Some(&NotFound(7));
    anyhow_errors_with_context: anyhow::Result<u64>, anyhow::Error::from(NotFound(7)).context("loading"), 3,
        |error: &anyhow::Error| error.downcast_ref() == Some(&NotFound(7)) && error.to_string() == "loading";
    boxed_errors: Result<u64, Boxed>, NotFound(7), 3, |error: &Boxed| error.downcast_ref() == Some(&NotFound(7));
    boxed_errors_by_another_name: Aliased<u64>, NotFound(7), 3, |error: &Boxed| error.is::<NotFound>();
    errors_like_anyhow: Result<u64, AppError>, NotFound(7), 3, |error: &AppError| error.0.is::<NotFound>();
    errors_of_any_text: Result<u64, Texts>, "oh", 3, |error: &Texts| format!("{error:?}") == "Texts(\"oh\")";
    errors_made_of_some: Result<u64, Domain>, io::Error::from(io::ErrorKind::NotFound), 3,
        |error: &Domain| matches!(error, Domain::Io(error) if error.kind() == io::ErrorKind::NotFound);
    errors_made_of_anyhow: Result<u64, Domain>, anyhow::Error::from(NotFound(7)), 3,
        |error: &Domain| matches!(error, Domain::Other(error) if error.is::<NotFound>());
    io_errors_with_an_error_inside: io::Result<u64>, io::Error::other(NotFound(7)), 3,
        |error: &io::Error| error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<NotFound>);

    // These lose nothing.
    io_errors_of_a_kind: io::Result<u64>, io::Error::from(io::ErrorKind::NotFound), 1,
        |error: &io::Error| format!("{error:?}") == "Kind(NotFound)";
    io_errors_of_the_system: io::Result<u64>, io::Error::from_raw_os_error(2), 1,
        |error: &io::Error| error.raw_os_error() == Some(2);
    io_errors_with_a_text: io::Result<u64>, io::Error::new(io::ErrorKind::NotFound, "oh"), 1,
        |error: &io::Error| (error.kind(), error.to_string()) == (io::ErrorKind::NotFound, "oh".to_owned())
            && format!("{error:?}") == format!("{:?}", io::Error::new(io::ErrorKind::NotFound, "oh"));
    clones: Result<u64, NotFound>, NotFound(7), 1, |error: &NotFound| *error == NotFound(7);
    texts: Result<u64, String>, "oh".to_owned(), 1, |error: &String| error == "oh";
    errors_in_an_arc: Result<u64, Arc<anyhow::Error>>, Arc::new(NotFound(7).into()), 1,
        |error: &Arc<anyhow::Error>| error.is::<NotFound>();
    static_errors: Result<u64, &'static str>, "oh", 1, |error: &&str| *error == "oh";
}

/// A type with a `From<SharedFailure>` of its own does with the texts.
#[tokio::test]
async fn who_opts_in_gets_the_texts() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn enumerated() -> Result<u64, Opted> {
        RUNS.add();
        tokio::task::yield_now().await;
        Err(Opted::Io(io::Error::other(NotFound(7))))
    }
    #[cached]
    async fn wrapped() -> Result<u64, Wrapped> {
        RUNS.add();
        tokio::task::yield_now().await;
        Err(Wrapped(NotFound(7).into()))
    }
    let cache = cache();
    let (a, b) = cache.with(async { tokio::join!(enumerated(), enumerated()) }).await;
    let (own, shared) = (a.unwrap_err(), b.unwrap_err());
    assert!(matches!((&own, &shared), (Opted::Io(_), Opted::Shared(_))));
    assert_eq!(own.to_string(), shared.to_string());
    assert_eq!(shared.source().unwrap().to_string(), "no 7");
    let (a, b) = cache.with(async { tokio::join!(wrapped(), wrapped()) }).await;
    let (own, shared) = (a.unwrap_err(), b.unwrap_err());
    assert!(own.0.is::<NotFound>() && shared.0.is::<SharedFailure>());
    assert_eq!(own.to_string(), shared.to_string());
    assert_eq!(RUNS.get(), 2);
}
