//! What can go wrong with Redis, and what it means to the caller.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use cache_core::{Error, ErrorKind};

use crate::health::TroubleKind;
use crate::misfit::Misfit;
use crate::refusal::{Advice, Refusal};

/// With whom, for messages: `host:port`, the path of a socket, .. `None` until it is known.
pub(crate) type Server = Option<Arc<str>>;

/// Why a command has no answer, or not the one it was sent for. Never contains a password: texts come from the server
/// or the network stack.
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
    /// What answers there isn't what the options say; and how that was noticed.
    Misfit(Server, Misfit, String),
    /// The connection broke before the answer came.
    Broken(Server, Cow<'static, str>),
    /// No answer in time.
    TimedOut(Server),
    /// The server answered with an error.
    Refused(Refusal, String),
    /// The server's user may not subscribe to our channels: what to permit, and the server's answer.
    MayNotListen(Arc<str>, String),
    /// The server answered something unexpected.
    Unexpected(&'static str),
}

impl Fault {
    pub(crate) fn refused(text: &str) -> Self {
        Self::Refused(Refusal::of(text), text.to_owned())
    }

    pub(crate) fn unreachable(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unreachable(None, why.into())
    }

    pub(crate) fn broken(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Broken(None, why.into())
    }

    /// The same, saying with whom, where that isn't plain from an answer.
    pub(crate) fn at(mut self, name: &Arc<str>) -> Self {
        if let Some(server) = self.server_mut() {
            server.get_or_insert_with(|| Arc::clone(name));
        }
        self
    }

    /// With whom, if that is known.
    pub(crate) fn server(&self) -> Option<&Arc<str>> {
        match self {
            Self::Unreachable(server, _)
            | Self::Untrusted(server, _)
            | Self::Misfit(server, ..)
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
            | Self::Misfit(server, ..)
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

    /// What it says, without with whom.
    pub(crate) fn why(mut self) -> String {
        match &mut self {
            Self::Unreachable(_, why) | Self::Broken(_, why) => std::mem::take(why).into_owned(),
            Self::Untrusted(_, why) | Self::Misfit(_, _, why) => std::mem::take(why),
            _ => self.to_string(),
        }
    }

    /// What is said of it to those who get no [`Error`].
    pub(crate) fn report(&self) -> String {
        let remedy = match (self.misfit(), self) {
            (Some(misfit), _) => misfit.advice(),
            (None, Self::Refused(refusal, text)) => refusal.advice(text).remedy.into(),
            (None, Self::MayNotListen(permission, _)) => Cow::Owned(permit(permission)),
            _ => return self.to_string(),
        };
        format!("{}; {remedy}", self.to_string().trim_end_matches('.'))
    }

    /// How it is counted and reported; `None` for what is nobody's trouble.
    pub(crate) fn trouble(&self) -> Option<TroubleKind> {
        Some(match self {
            Self::Closed | Self::Forked => return None,
            Self::Stuck => TroubleKind::Stuck,
            Self::Unreachable(..) | Self::Broken(..) => TroubleKind::Unreachable,
            Self::Untrusted(..) => TroubleKind::Tls,
            Self::Misfit(_, misfit, _) if misfit.is_of_tls() => TroubleKind::Tls,
            Self::Misfit(..) => TroubleKind::Unreachable,
            Self::TimedOut(_) => TroubleKind::Timeout,
            Self::Refused(refusal, _) => match refusal {
                Refusal::NotNow | Refusal::NoReplicas | Refusal::Moved | Refusal::Ask => TroubleKind::NotReady,
                Refusal::ReadOnly => TroubleKind::ReadOnly,
                Refusal::OutOfMemory => TroubleKind::OutOfMemory,
                Refusal::Denied => TroubleKind::Denied,
                Refusal::NoScript | Refusal::Other => TroubleKind::Other,
            },
            Self::MayNotListen(..) => TroubleKind::Denied,
            Self::Unexpected(_) => TroubleKind::Other,
        })
    }

    /// What the server isn't, if that is what is wrong.
    fn misfit(&self) -> Option<Misfit> {
        match self {
            Self::Misfit(_, misfit, _) => Some(*misfit),
            Self::Unreachable(_, text) | Self::Broken(_, text) => Misfit::of(text),
            Self::Refused(Refusal::Other, text) => Misfit::of(text),
            _ => None,
        }
    }

    /// Says that one command must not name keys of several slots: a server that is a cluster's.
    pub(crate) fn is_of_slots(&self) -> bool {
        matches!(self, Self::Refused(_, text) if text.starts_with("CROSSSLOT"))
    }

    /// Says that a key holds another type than the command is for.
    pub(crate) fn is_of_type(&self) -> bool {
        matches!(self, Self::Refused(_, text) if text.starts_with("WRONGTYPE"))
    }

    /// Says that what the server has may be old: another may be the primary.
    pub(crate) fn is_of_no_primary(&self) -> bool {
        matches!(self, Self::Refused(Refusal::ReadOnly | Refusal::NoReplicas, _))
    }

    /// Says that what was asked for was not done, and won't be: it wasn't sent, or the server has refused it.
    pub(crate) fn is_without_effect(&self) -> bool {
        matches!(self, Self::Closed | Self::Unreachable(..) | Self::Untrusted(..) | Self::Refused(..))
    }

    /// Says that there is no use in the connection it came over.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(..) | Self::Untrusted(..) | Self::Misfit(..) | Self::Broken(..) | Self::TimedOut(_)
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
            Self::Misfit(server, _, how) => write!(f, "no connection to {}: {how}", Named(server)),
            Self::Untrusted(server, why) => write!(f, "TLS with {} failed: {why}", Named(server)),
            Self::Broken(server, why) => write!(f, "the connection to {} broke: {why}", Named(server)),
            Self::TimedOut(server) => write!(f, "{} did not answer in time", Named(server)),
            Self::Refused(_, text) | Self::MayNotListen(_, text) => write!(f, "Redis answered: {text}"),
            Self::Unexpected(what) => write!(f, "Redis gave an unexpected answer to {what}"),
        }
    }
}

/// Why there may be no connection.
fn see_to(why: &str) -> &'static str {
    if why.contains("failed to lookup address") {
        "no address is known for this name: see that it is spelt right and that name resolution works"
    } else if why == CLOSED {
        "it accepts connections and closes them at once: see that this is Redis's port, and that no firewall or proxy is in \
         the way"
    } else {
        "see that it runs at this address and accepts connections"
    }
}

/// Of a server that closes what it has accepted.
pub(crate) const CLOSED: &str = "it closes connections before it has said anything";

/// What lets a user listen.
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

impl From<Fault> for Error {
    fn from(mut fault: Fault) -> Self {
        let misfit = fault.misfit();
        // The message says with whom; the source doesn't repeat it.
        let server = fault.server_mut().and_then(Option::take);
        if let Some(misfit) = misfit {
            let with = server.map_or_else(String::new, |server| format!("{server}: "));
            return Error::new(ErrorKind::Refused, with + &misfit.advice()).with_source(fault);
        }
        let redis = Named(&server);
        let (kind, message) = match &fault {
            Fault::Closed => (
                ErrorKind::Closed,
                "this handle to Redis has been closed; make a new one with `Redis::builder`".to_owned(),
            ),
            Fault::Forked => (
                ErrorKind::Closed,
                "this process was forked after the handle to Redis was made, whose threads have stayed in the parent; make \
                 a new one here with `Redis::builder`"
                    .to_owned(),
            ),
            Fault::Stuck => (
                ErrorKind::Unavailable,
                "larder's own thread for Redis is stuck; see in a debugger what the thread `larder-redis` waits for"
                    .to_owned(),
            ),
            Fault::Unreachable(_, why) | Fault::Broken(_, why) => {
                (ErrorKind::Unavailable, format!("{redis} can't be reached; {}", see_to(why)))
            }
            Fault::Misfit(..) => (ErrorKind::Refused, format!("{redis} isn't what the URL says")),
            Fault::Untrusted(..) => (
                ErrorKind::Refused,
                format!(
                    "TLS with {redis} failed; see that the server speaks TLS, that its certificate is for this host and from \
                     an authority you trust (`Tls::ca_pem`), and that it accepts yours (`Tls::client_pem`)"
                ),
            ),
            Fault::TimedOut(_) => (
                ErrorKind::Unavailable,
                format!(
                    "{redis} did not answer within the timeout; if it is only slow, raise `Redis::builder(..).timeout(..)`"
                ),
            ),
            Fault::Refused(refusal, text) => {
                let Advice { wrong, remedy } = refusal.advice(text);
                (kind(*refusal), format!("{wrong}; {remedy}"))
            }
            Fault::MayNotListen(permission, _) => (
                ErrorKind::Refused,
                format!("the Redis user isn't permitted to subscribe to larder's channels; {}", permit(permission)),
            ),
            Fault::Unexpected(_) => {
                let Advice { wrong, remedy } = Refusal::Other.advice("");
                (ErrorKind::Refused, format!("{wrong}; {remedy}"))
            }
        };
        Error::new(kind, message).with_source(fault)
    }
}

/// Whether it may be over by itself.
fn kind(refusal: Refusal) -> ErrorKind {
    match refusal {
        Refusal::NotNow | Refusal::NoReplicas | Refusal::Moved | Refusal::Ask => ErrorKind::Unavailable,
        Refusal::ReadOnly | Refusal::OutOfMemory | Refusal::Denied | Refusal::NoScript | Refusal::Other => {
            ErrorKind::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_server_is_named_once() {
        let (near, far): (Arc<str>, Arc<str>) = ("localhost:1".into(), "localhost:2".into());
        for (fault, says) in [
            (Fault::unreachable("refused"), "Redis (localhost:1) can't be reached"),
            (Fault::broken("closed"), "Redis (localhost:1) can't be reached"),
            (Fault::Untrusted(None, "expired".to_owned()), "TLS with Redis (localhost:1) failed"),
            (Fault::TimedOut(None), "Redis (localhost:1) did not answer"),
        ] {
            assert!(!fault.to_string().contains("localhost"));
            let fault = fault.at(&near).at(&far);
            assert!(fault.report().contains("Redis (localhost:1)"), "{}", fault.report());
            let error = Error::from(fault);
            assert!(error.to_string().contains(says), "{error}");
            assert!(!error.source().unwrap().to_string().contains("localhost"), "{error:?}");
        }
    }

    #[test]
    fn reports_say_what_to_do() {
        for (fault, report) in [
            (
                Fault::refused("OOM command not allowed when used memory > 'maxmemory'."),
                "Redis answered: OOM command not allowed when used memory > 'maxmemory'; raise `maxmemory`, or let it \
                 evict with `maxmemory-policy allkeys-lru`",
            ),
            (
                Fault::refused("ERR DB index is out of range"),
                "Redis answered: ERR DB index is out of range; Redis has no database of this number; choose a lower one, \
                 or raise `databases` in its configuration",
            ),
            (Fault::TimedOut(None), "Redis did not answer in time"),
        ] {
            assert_eq!(fault.report(), report);
        }
    }
}
