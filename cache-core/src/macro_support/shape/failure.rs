//! How the `Err` of one run reaches everyone who waited for it, though most error types aren't `Clone`.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// Sources deeper than this are not copied: a chain may be cyclic.
const MAX_SOURCES: usize = 32;

/// An error that was shared. If a function's error type is not `Clone` and has a `From<SharedFailure>` of its own, those who
/// waited for another call's run get its error in this form.
///
/// It has the texts of the original (`Display`, `Debug` and the chain of sources), not its type: what the error was, only
/// the caller knows whose call ran the body. So it takes an impl for your type to opt in:
///
/// ```
/// use cache_core::SharedFailure;
///
/// #[derive(Debug)]
/// enum LoadError {
///     Io(std::io::Error),
///     /// Another call's run failed.
///     Shared(SharedFailure),
/// }
///
/// impl From<SharedFailure> for LoadError {
///     fn from(failure: SharedFailure) -> Self {
///         Self::Shared(failure)
///     }
/// }
/// ```
///
/// Without one, and for types that are made of *any* error (`anyhow::Error`, `eyre::Report`, `Box<dyn Error>`, or your own
/// with `impl<E: Error> From<E>`), each of those who waited runs the body: all at the same time, and one of them for the
/// callers who come then. Where that is too much, return an error that is `Clone`, such as an enum, or an `Arc` of another.
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

/// An error that no code but this can name: what is made of it is made of any error.
#[derive(Clone)]
pub struct Nobody(SharedFailure);

impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Nobody {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// A way to give one error to many.
pub trait Sharing<E>: 'static {
    /// Whether there is a form that can be shared, as a rule.
    const SHARES: bool = true;
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

/// Each waiter gets an `io::Error` of the same kind, OS code and message. One that holds another error, to which it could be
/// downcast, isn't shared.
#[derive(Clone, Copy, Debug)]
pub struct ByIo;

enum IoFailure {
    Os(i32),
    Kind(io::ErrorKind),
    Text(io::ErrorKind, String),
}

/// Whether it is what `io::Error` makes of a mere text, which nobody can name. Its type can't be asked for, but it is a
/// `String`, and shows itself as one.
fn is_text(inner: &(dyn StdError + Send + Sync + 'static)) -> bool {
    size_of_val(inner) == size_of::<String>()
        && inner.source().is_none()
        && format!("{inner:?}") == format!("{:?}", inner.to_string())
}

impl Sharing<io::Error> for ByIo {
    fn share(error: &io::Error) -> Option<Arc<dyn Any + Send + Sync>> {
        let shared = match (error.raw_os_error(), error.get_ref()) {
            (Some(code), _) => IoFailure::Os(code),
            (None, Some(inner)) if is_text(inner) => IoFailure::Text(error.kind(), inner.to_string()),
            (None, Some(_)) => return None,
            (None, None) if error.to_string() == error.kind().to_string() => IoFailure::Kind(error.kind()),
            // A static message, as the standard library makes: neither an inner error nor just the kind.
            (None, None) => IoFailure::Text(error.kind(), error.to_string()),
        };
        Some(Arc::new(shared))
    }

    fn revive(shared: &(dyn Any + Send + Sync)) -> Option<io::Error> {
        Some(match shared.downcast_ref::<IoFailure>()? {
            IoFailure::Os(code) => io::Error::from_raw_os_error(*code),
            IoFailure::Kind(kind) => io::Error::from(*kind),
            IoFailure::Text(kind, text) => io::Error::new(*kind, text.clone()),
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

/// `E` shows no source.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl<E> Source<E> for Nowhere {
    fn source(_: &E) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

/// The error can't be shared: those who waited run the body themselves.
#[derive(Clone, Copy, Debug)]
pub struct Unshared;

impl<E> Sharing<E> for Unshared {
    const SHARES: bool = false;

    fn share(_: &E) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    fn revive(_: &(dyn Any + Send + Sync)) -> Option<E> {
        None
    }
}
