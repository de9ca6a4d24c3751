//! What can go wrong with Redis.
//!
//! | file | what it is about |
//! |---|---|
//! | `server_error` | error replies of a server: what they mean, and what to do about them |
//! | `server_check` | servers that aren't what the options say, and what to write instead |
//! | `to_caller` | the error that the caller gets |

mod server_check;
mod server_error;
mod to_caller;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::server_check::{Mismatch, Schemes};
pub(crate) use self::server_error::ServerError;

/// The server's name for messages: `host:port`, the path of a socket, .. `None` until it is known.
pub(crate) type Server = Option<Arc<str>>;

/// Why a command failed. It never contains a password, because its texts come from the server or the network stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The handle was closed.
    Closed,
    /// The handle was made in the process that this one was forked from.
    Forked,
    /// The thread that serves the handle doesn't take up requests.
    Stuck,
    /// There is no connection; the command was not sent.
    Unreachable(Server, Cow<'static, str>),
    /// TLS failed: no trust, or no TLS at the other end.
    Untrusted(Server, String),
    /// What answers there isn't what the options say; with how that was noticed.
    Mismatch(Server, Mismatch, String),
    /// The connection broke before the answer came.
    Broken(Server, Cow<'static, str>),
    /// No answer in time.
    TimedOut(Server),
    /// The server answered with an error.
    Refused(ServerError, String),
    /// The user may not subscribe to larder's channels: the missing permission, and the server's answer.
    MayNotListen(Arc<str>, String),
    /// The server answered something unexpected.
    Unexpected(&'static str),
}

impl Fault {
    pub(crate) fn refused(text: &str) -> Self {
        Self::Refused(ServerError::of(text), text.to_owned())
    }

    pub(crate) fn unreachable(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unreachable(None, why.into())
    }

    pub(crate) fn broken(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Broken(None, why.into())
    }

    /// Adds the server's name, unless there is one.
    pub(crate) fn at(mut self, name: &Arc<str>) -> Self {
        if let Some(server) = self.server_mut() {
            server.get_or_insert_with(|| Arc::clone(name));
        }
        self
    }

    /// The server's name, if it is known.
    pub(crate) fn server(&self) -> Option<&Arc<str>> {
        match self {
            Self::Unreachable(server, _)
            | Self::Untrusted(server, _)
            | Self::Mismatch(server, ..)
            | Self::Broken(server, _)
            | Self::TimedOut(server) => server.as_ref(),
            Self::Closed
            | Self::Forked
            | Self::Stuck
            | Self::Refused(..)
            | Self::MayNotListen(..)
            | Self::Unexpected(_) => None,
        }
    }

    fn server_mut(&mut self) -> Option<&mut Server> {
        match self {
            Self::Unreachable(server, _)
            | Self::Untrusted(server, _)
            | Self::Mismatch(server, ..)
            | Self::Broken(server, _)
            | Self::TimedOut(server) => Some(server),
            Self::Closed
            | Self::Forked
            | Self::Stuck
            | Self::Refused(..)
            | Self::MayNotListen(..)
            | Self::Unexpected(_) => None,
        }
    }

    /// The reason without the server's name.
    pub(crate) fn why(mut self) -> String {
        match &mut self {
            Self::Unreachable(_, why) | Self::Broken(_, why) => std::mem::take(why).into_owned(),
            Self::Untrusted(_, why) | Self::Mismatch(_, _, why) => std::mem::take(why),
            _ => self.to_string(),
        }
    }

    /// The message for the hooks, which get no [`Error`](cache_core::Error): what is wrong, and what to do about it.
    pub(crate) fn report(&self) -> String {
        let remedy = match (self.mismatch(), self) {
            (Some(mismatch), _) => mismatch.advice(),
            (None, Self::Refused(refusal, text)) => refusal.advice(text).remedy.into(),
            (None, Self::MayNotListen(permission, _)) => Cow::Owned(permit(permission)),
            _ => return self.to_string(),
        };
        format!("{}; {remedy}", self.to_string().trim_end_matches('.'))
    }

    /// In which way the server isn't what the options say, if that is the reason.
    fn mismatch(&self) -> Option<Mismatch> {
        match self {
            Self::Mismatch(_, mismatch, _) => Some(*mismatch),
            Self::Unreachable(_, text) | Self::Broken(_, text) => Mismatch::of(text),
            Self::Refused(ServerError::Other, text) => Mismatch::of(text),
            _ => None,
        }
    }

    /// Whether a command named keys of several slots, which a node of a cluster refuses.
    pub(crate) fn is_of_slots(&self) -> bool {
        matches!(self, Self::Refused(_, text) if text.starts_with("CROSSSLOT"))
    }

    /// Whether a key held another type than the command is for.
    pub(crate) fn is_of_type(&self) -> bool {
        matches!(self, Self::Refused(_, text) if text.starts_with("WRONGTYPE"))
    }

    /// Whether the server may no longer be the primary, so that its data may be old.
    pub(crate) fn is_of_no_primary(&self) -> bool {
        matches!(self, Self::Refused(ServerError::ReadOnly | ServerError::NoReplicas, _))
    }

    /// Whether the command was certainly not executed and won't be: it wasn't sent, or the server has refused it.
    pub(crate) fn is_without_effect(&self) -> bool {
        matches!(self, Self::Closed | Self::Unreachable(..) | Self::Untrusted(..) | Self::Refused(..))
    }

    /// Whether the connection can't be used any longer.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(..) | Self::Untrusted(..) | Self::Mismatch(..) | Self::Broken(..) | Self::TimedOut(_)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection to Redis has been closed"),
            Self::Forked => f.write_str("the connection to Redis is another process's"),
            Self::Stuck => f.write_str(
                "larder's thread for Redis (`larder-redis`) doesn't take up requests; see in a debugger what it is stuck in",
            ),
            Self::Unreachable(server, why) => write!(f, "no connection to {}: {why}", Named(server)),
            Self::Mismatch(server, _, how) => write!(f, "no connection to {}: {how}", Named(server)),
            Self::Untrusted(server, why) => write!(f, "TLS with {} failed: {why}", Named(server)),
            Self::Broken(server, why) => write!(f, "the connection to {} broke: {why}", Named(server)),
            Self::TimedOut(server) => write!(f, "{} did not answer in time", Named(server)),
            Self::Refused(_, text) | Self::MayNotListen(_, text) => write!(f, "Redis answered: {text}"),
            Self::Unexpected(what) => write!(f, "Redis gave an unexpected answer to {what}"),
        }
    }
}

/// The reason if a server accepts connections and closes them.
pub(crate) const CLOSED: &str = "it closes connections before it has said anything";

/// The command that gives a user the permission to subscribe.
fn permit(permission: &str) -> String {
    format!("permit it with `ACL SETUSER <user> {permission}`")
}

/// `Redis (localhost:6379)`
struct Named<'a>(&'a Server);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(server) => write!(f, "Redis ({server})"),
            None => f.write_str("Redis"),
        }
    }
}

impl std::error::Error for Fault {}
