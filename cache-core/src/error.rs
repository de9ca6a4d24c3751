//! The one public error type.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong in the cache itself. Cached functions never return it: they run their body instead; it comes from
/// set-up and from invalidations that could not be recorded.
///
/// `Display` says what to do about it; the cause, if there is one, is the [`source`](StdError::source).
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    remembered: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A builder was given options that don't fit together, or a bad value.
    Config,
    /// A process default was installed before.
    AlreadyInstalled,
    /// A key could not be encoded.
    Key,
    /// A value could not be encoded or decoded.
    Codec,
    /// A backend could not be reached, or did not answer in time.
    Unavailable,
    /// A backend answered, and refused: permissions, memory, read-only, unsupported. Or `prime_f` was given what it can't
    /// store: an `Err`, or a value for its own run.
    Refused,
    /// The cache or backend has been closed.
    Closed,
}

impl Error {
    /// An error of this kind. The message names the function, key or option concerned and says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into_boxed_str(), remembered: false, source: None }
    }

    /// The same error with its cause, which the message should not repeat.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same error of an invalidation that a backend remembers: it records it before this process reads from it again. For
    /// backends.
    #[must_use]
    pub fn remembered(self) -> Self {
        Self { remembered: true, ..self }
    }

    /// Whether it is the error of an invalidation that will be recorded nevertheless: before this process reads from that backend
    /// again, unless the process ends before. Until then other processes may serve the old values.
    pub fn is_remembered(&self) -> bool {
        self.remembered
    }

    /// The same error of an invalidation, which says as well what becomes of that.
    pub(crate) fn not_recorded(self) -> Self {
        if self.remembered {
            let message = format!(
                "{}; the invalidation is remembered: this process records it before it reads from there again, and until then \
                 other processes may serve old values",
                self.message
            );
            return Self { message: message.into_boxed_str(), ..self };
        }
        let advice = match self.kind {
            ErrorKind::Unavailable => "repeat it until it succeeds",
            ErrorKind::Closed => "on what is closed it never succeeds, so repeat it with a new cache",
            _ => "once that is mended, repeat it until it succeeds",
        };
        let message = format!(
            "{}; the invalidation is not known to be recorded, and nothing repeats it by itself: {advice}, as till then old \
             values may be served again",
            self.message
        );
        Self { message: message.into_boxed_str(), ..self }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.kind).field("message", &self.message);
        if let Some(source) = &self.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

const _: () = {
    const fn shareable<T: Send + Sync + Clone + 'static>() {}
    shareable::<Error>();
};
