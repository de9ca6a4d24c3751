//! How the `Err` of one run reaches everyone who waited for it, though most error types aren't `Clone`.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// Sources deeper than this are not copied: a chain may be cyclic.
const MAX_SOURCES: usize = 32;

/// An error that was shared: what those who waited for another call's run get, inside the function's own error type,
/// when that type can't be cloned but can be made of any error (`anyhow::Error`, `Box<dyn Error>` and the like).
///
/// It has the texts of the original (`Display`, `Debug` and the chain of sources), not its type: downcasting to the
/// original type works only for the caller whose call ran the body.
#[derive(Clone)]
pub struct SharedFailure {
    display: Arc<str>,
    debug: Arc<str>,
    source: Option<Arc<SharedFailure>>,
}

impl SharedFailure {
    fn new<E: fmt::Display + fmt::Debug + ?Sized>(error: &E, source: Option<&(dyn StdError + 'static)>) -> Self {
        let mut chain: Vec<Self> =
            std::iter::successors(source, |error| (*error).source()).take(MAX_SOURCES).map(Self::texts).collect();
        let mut inner = None;
        while let Some(mut next) = chain.pop() {
            next.source = inner.map(Arc::new);
            inner = Some(next);
        }
        Self { source: inner.map(Arc::new), ..Self::texts(error) }
    }

    fn texts<E: fmt::Display + fmt::Debug + ?Sized>(error: &E) -> Self {
        Self { display: format!("{error}").into(), debug: format!("{error:?}").into(), source: None }
    }
}

impl fmt::Display for SharedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for SharedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl StdError for SharedFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A way to give one error to many.
pub trait Sharing<E>: 'static {
    /// The error in a form that can be shared; `None` if there is none.
    fn share(error: &E) -> Option<Arc<dyn Any + Send + Sync>>;
    /// One waiter's error, from what [`share`](Self::share) made.
    fn revive(shared: &(dyn Any + Send + Sync)) -> Option<E>;
}

/// Each waiter gets a clone.
#[derive(Clone, Copy, Debug)]
pub struct ByClone;

impl<E: Clone + Send + Sync + 'static> Sharing<E> for ByClone {
    fn share(error: &E) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(error.clone()))
    }

    fn revive(shared: &(dyn Any + Send + Sync)) -> Option<E> {
        shared.downcast_ref::<E>().cloned()
    }
}

/// Each waiter gets an `io::Error` of the same kind, OS code and message.
#[derive(Clone, Copy, Debug)]
pub struct ByIo;

enum IoFailure {
    Os(i32),
    Kind(io::ErrorKind),
    Custom(io::ErrorKind, SharedFailure),
}

impl Sharing<io::Error> for ByIo {
    fn share(error: &io::Error) -> Option<Arc<dyn Any + Send + Sync>> {
        let shared = match (error.raw_os_error(), error.get_ref()) {
            (Some(code), _) => IoFailure::Os(code),
            (None, Some(inner)) => IoFailure::Custom(error.kind(), SharedFailure::new(inner, inner.source())),
            (None, None) if error.to_string() == error.kind().to_string() => IoFailure::Kind(error.kind()),
            // A static message, as the standard library makes: neither an inner error nor just the kind.
            (None, None) => IoFailure::Custom(error.kind(), SharedFailure::texts(error)),
        };
        Some(Arc::new(shared))
    }

    fn revive(shared: &(dyn Any + Send + Sync)) -> Option<io::Error> {
        Some(match shared.downcast_ref::<IoFailure>()? {
            IoFailure::Os(code) => io::Error::from_raw_os_error(*code),
            IoFailure::Kind(kind) => io::Error::from(*kind),
            IoFailure::Custom(kind, inner) => io::Error::new(*kind, inner.clone()),
        })
    }
}

/// Each waiter gets an error made of a [`SharedFailure`]. `S` is where sources are found.
pub struct ByText<S>(PhantomData<fn() -> S>);

impl<S> fmt::Debug for ByText<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByText")
    }
}

impl<E, S> Sharing<E> for ByText<S>
where
    E: fmt::Display + fmt::Debug + From<SharedFailure> + 'static,
    S: Source<E>,
{
    fn share(error: &E) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(SharedFailure::new(error, S::source(error))))
    }

    fn revive(shared: &(dyn Any + Send + Sync)) -> Option<E> {
        shared.downcast_ref::<SharedFailure>().cloned().map(E::from)
    }
}

/// Where the source of an `E` is found.
pub trait Source<E>: 'static {
    /// The source, if the error has one.
    fn source(error: &E) -> Option<&(dyn StdError + 'static)>;
}

/// `E` is an error itself.
#[derive(Clone, Copy, Debug)]
pub struct OfError;

impl<E: StdError> Source<E> for OfError {
    fn source(error: &E) -> Option<&(dyn StdError + 'static)> {
        error.source()
    }
}

/// `E` holds an error that can cross threads: `anyhow::Error`, `Box<dyn Error + Send + Sync>`.
#[derive(Clone, Copy, Debug)]
pub struct OfSendInner;

impl<E: AsRef<dyn StdError + Send + Sync>> Source<E> for OfSendInner {
    fn source(error: &E) -> Option<&(dyn StdError + 'static)> {
        error.as_ref().source()
    }
}

/// `E` holds an error: `Box<dyn Error>`.
#[derive(Clone, Copy, Debug)]
pub struct OfInner;

impl<E: AsRef<dyn StdError>> Source<E> for OfInner {
    fn source(error: &E) -> Option<&(dyn StdError + 'static)> {
        error.as_ref().source()
    }
}

/// `E` shows no source.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl<E> Source<E> for Nowhere {
    fn source(_: &E) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

/// The error can't be shared: those who waited take turns.
#[derive(Clone, Copy, Debug)]
pub struct ByTurns;

impl<E> Sharing<E> for ByTurns {
    fn share(_: &E) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    fn revive(_: &(dyn Any + Send + Sync)) -> Option<E> {
        None
    }
}
