//! What can go wrong with Redis, and what it means to the caller.

use std::borrow::Cow;
use std::fmt;

use cache_core::{Error, ErrorKind};

use crate::health::TroubleKind;
use crate::misfit::Misfit;

/// Why a command has no answer, or not the one it was sent for. Never contains a password: texts come from the server
/// or the network stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The handle was closed.
    Closed,
    /// There is no connection; the command was not sent.
    Unreachable(Cow<'static, str>),
    /// TLS failed: no trust, or no TLS at the other end.
    Untrusted(String),
    /// The connection broke before the answer came.
    Broken(Cow<'static, str>),
    /// No answer in time.
    TimedOut,
    /// The server answered with an error.
    Refused(Refusal, String),
    /// The server answered something unexpected.
    Unexpected(&'static str),
}

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The script isn't known there.
    NoScript,
    /// The slot is elsewhere, for good (`MOVED`) or while it is being moved (`ASK`).
    Moved,
    Ask,
    /// Not now: loading, cluster down, master down, busy script.
    NotNow,
    /// The primary has fewer replicas than it must have to write. It may have been replaced without knowing.
    NoReplicas,
    ReadOnly,
    OutOfMemory,
    /// Permissions, or a wrong or missing password.
    Denied,
    Other,
}

/// How servers say `NOPERM` of a command inside a script: it depends on their version, and Valkey follows Redis 7.2.
const DENIED_IN_SCRIPT: [&str; 3] = ["acl_check_cmd", "user executing the script can't", "ACL failure in script"];

impl Refusal {
    /// By the first word of an error reply.
    pub(crate) fn of(text: &str) -> Self {
        let word = text.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches('-');
        // Errors that a script hands on: Redis 6.2 says "ERR Error running script (call to ..): @user_script: 5: -OOM ..".
        let inside = |code: &str| word == code || (word == "ERR" && text.contains(&format!("-{code} ")));
        let is = |codes: &[&str]| codes.iter().any(|code| inside(code));
        match () {
            () if is(&["NOSCRIPT"]) => Self::NoScript,
            () if is(&["MOVED"]) => Self::Moved,
            () if is(&["ASK"]) => Self::Ask,
            () if is(&["LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"]) => Self::NotNow,
            () if is(&["NOREPLICAS"]) => Self::NoReplicas,
            () if is(&["READONLY"]) => Self::ReadOnly,
            () if is(&["OOM"]) || text.contains("command not allowed when used memory") => Self::OutOfMemory,
            () if is(&["NOPERM", "NOAUTH", "WRONGPASS"]) => Self::Denied,
            () if DENIED_IN_SCRIPT.iter().any(|words| text.contains(words)) => Self::Denied,
            () => Self::Other,
        }
    }
}

impl Fault {
    pub(crate) fn refused(text: &str) -> Self {
        Self::Refused(Refusal::of(text), text.to_owned())
    }

    /// The same, saying with whom, where that isn't plain from an answer.
    pub(crate) fn at(self, server: &str) -> Self {
        match self {
            Self::Unreachable(why) => Self::Unreachable(format!("{server}: {why}").into()),
            Self::Untrusted(why) => Self::Untrusted(format!("{server}: {why}")),
            Self::Broken(why) => Self::Broken(format!("{server}: {why}").into()),
            other => other,
        }
    }

    /// How it is counted and reported; `None` for what is nobody's trouble.
    pub(crate) fn trouble(&self) -> Option<TroubleKind> {
        Some(match self {
            Self::Closed => return None,
            Self::Unreachable(_) | Self::Broken(_) => TroubleKind::Unreachable,
            Self::Untrusted(_) => TroubleKind::Tls,
            Self::TimedOut => TroubleKind::Timeout,
            Self::Refused(refusal, _) => match refusal {
                Refusal::NotNow | Refusal::NoReplicas | Refusal::Moved | Refusal::Ask => TroubleKind::NotReady,
                Refusal::ReadOnly => TroubleKind::ReadOnly,
                Refusal::OutOfMemory => TroubleKind::OutOfMemory,
                Refusal::Denied => TroubleKind::Denied,
                Refusal::NoScript | Refusal::Other => TroubleKind::Other,
            },
            Self::Unexpected(_) => TroubleKind::Other,
        })
    }

    /// What the server isn't, if that is what is wrong.
    fn misfit(&self) -> Option<Misfit> {
        match self {
            Self::Unreachable(text) | Self::Broken(text) => Misfit::of(text),
            Self::Refused(Refusal::Other, text) => Misfit::of(text),
            _ => None,
        }
    }

    /// Says that one command must not name keys of several slots: a server that is a cluster's.
    pub(crate) fn is_of_slots(&self) -> bool {
        matches!(self, Self::Refused(_, text) if text.starts_with("CROSSSLOT"))
    }

    /// Says that what the server has may be old: another may be the primary.
    pub(crate) fn is_of_no_primary(&self) -> bool {
        matches!(self, Self::Refused(Refusal::ReadOnly | Refusal::NoReplicas, _))
    }

    /// Says that there is no use in the connection it came over.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Untrusted(_) | Self::Broken(_) | Self::TimedOut)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection to Redis has been closed"),
            Self::Unreachable(why) => write!(f, "no connection to Redis: {why}"),
            Self::Untrusted(why) => write!(f, "TLS with Redis failed: {why}"),
            Self::Broken(why) => write!(f, "the connection to Redis broke: {why}"),
            Self::TimedOut => f.write_str("Redis did not answer in time"),
            Self::Refused(_, text) => write!(f, "Redis answered: {text}"),
            Self::Unexpected(what) => write!(f, "Redis gave an unexpected answer to {what}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        if let Some(misfit) = fault.misfit() {
            return Error::new(ErrorKind::Refused, misfit.advice()).with_source(fault);
        }
        let (kind, message) = match &fault {
            Fault::Closed => {
                (ErrorKind::Closed, "this handle to Redis has been closed; make a new one with `Redis::builder`")
            }
            Fault::Unreachable(_) | Fault::Broken(_) => (
                ErrorKind::Unavailable,
                "Redis can't be reached; see that it runs at the address given and accepts connections",
            ),
            Fault::Untrusted(_) => (
                ErrorKind::Refused,
                "TLS with Redis failed; see that the server speaks TLS, that its certificate is for this host and from an authority you trust (`Tls::ca_pem`), and that it accepts yours (`Tls::client_pem`)",
            ),
            Fault::TimedOut => (
                ErrorKind::Unavailable,
                "Redis did not answer within the timeout; if it is only slow, raise `Redis::builder(..).timeout(..)`",
            ),
            Fault::Refused(Refusal::NotNow, _) => (ErrorKind::Unavailable, "Redis isn't ready at the moment"),
            Fault::Refused(Refusal::NoReplicas, _) => (
                ErrorKind::Unavailable,
                "the primary has fewer replicas than `min-replicas-to-write` asks for; see that they run and reach it",
            ),
            Fault::Refused(Refusal::Moved | Refusal::Ask, _) => (
                ErrorKind::Unavailable,
                "the keys are on another node; write `redis-cluster://` if this is a cluster, which may be rearranging itself",
            ),
            Fault::Refused(Refusal::ReadOnly, _) => (
                ErrorKind::Refused,
                "Redis is a read-only replica; give the address of its primary, or use a sentinel or cluster URL",
            ),
            Fault::Refused(Refusal::OutOfMemory, _) => (
                ErrorKind::Refused,
                "Redis is out of memory; raise `maxmemory`, or let it evict with `maxmemory-policy allkeys-lru`",
            ),
            Fault::Refused(Refusal::Denied, _) => (
                ErrorKind::Refused,
                "Redis denied it; check user name and password, and the permissions listed in the docs of cache-redis",
            ),
            Fault::Refused(_, _) | Fault::Unexpected(_) => (
                ErrorKind::Refused,
                "Redis could not do what it was asked; see that nothing else uses the prefix, and that it is Redis 6.2 or newer, or Valkey",
            ),
        };
        Error::new(kind, message).with_source(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_replies() {
        for (text, refusal) in [
            ("NOSCRIPT No matching script.", Refusal::NoScript),
            ("MOVED 3999 127.0.0.1:6381", Refusal::Moved),
            ("LOADING Redis is loading the dataset in memory", Refusal::NotNow),
            ("NOREPLICAS Not enough good replicas to write. script: 5c, on @user_script:4.", Refusal::NoReplicas),
            (
                "OOM command not allowed when used memory > 'maxmemory'. script: 5c, on @user_script:4.",
                Refusal::OutOfMemory,
            ),
            ("ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write", Refusal::ReadOnly),
            ("NOPERM User x has no permissions to run the 'eval' command", Refusal::Denied),
            ("ERR The user executing the script can't run this command or subcommand", Refusal::Denied),
            (
                "ERR ACL failure in script: User x has no permissions to run the 'persist' command script: c1f2, on \
                 @user_script:47.",
                Refusal::Denied,
            ),
            ("WRONGTYPE Operation against a key", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(text), refusal, "{text}");
        }
    }
}
