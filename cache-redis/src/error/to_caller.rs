//! The [`Error`] that the caller gets for a fault: what is wrong, with whom, and what to do about it.

use cache_core::{Error, ErrorKind};

use super::server_error::{Advice, ServerError};
use super::{CLOSED, Fault, Named, permit};

impl From<Fault> for Error {
    fn from(mut fault: Fault) -> Self {
        let mismatch = fault.mismatch();
        // The message says with whom; the source doesn't repeat it.
        let server = fault.server_mut().and_then(Option::take);
        if let Some(mismatch) = mismatch {
            let with = server.map_or_else(String::new, |server| format!("{server}: "));
            return Error::new(ErrorKind::Refused, with + &mismatch.advice()).with_source(fault);
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
            Fault::Mismatch(..) => (ErrorKind::Refused, format!("{redis} isn't what the URL says")),
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
                let Advice { wrong, remedy } = ServerError::Other.advice("");
                (ErrorKind::Refused, format!("{wrong}; {remedy}"))
            }
        };
        Error::new(kind, message).with_source(fault)
    }
}

/// Whether it may be over by itself.
fn kind(refusal: ServerError) -> ErrorKind {
    match refusal {
        ServerError::NotNow | ServerError::NoReplicas | ServerError::Moved | ServerError::Ask => ErrorKind::Unavailable,
        ServerError::ReadOnly
        | ServerError::OutOfMemory
        | ServerError::Denied
        | ServerError::NoScript
        | ServerError::Other => ErrorKind::Refused,
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::sync::Arc;

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
