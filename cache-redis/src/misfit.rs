//! Servers that aren't what the options say: of another kind, or without what is asked for. They answer, so what they say
//! tells what to write instead.

use std::borrow::Cow;

/// What doesn't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    NoSuchDatabase,
    ClusterHasOneDatabase,
    NoCluster,
    NoSentinel,
    NoSuchService,
    CommandMissing,
    NoRedis,
    /// These are found by looking, not by what is said.
    SpeaksTls(Schemes),
    SpeaksNoTls(Schemes),
    SpeaksHttp,
    Stranger,
}

/// How URLs of this kind of deployment begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schemes {
    pub(crate) plain: &'static str,
    pub(crate) tls: &'static str,
}

/// Words of an error, and what they mean. All of the words must be there.
const SAID: [(&[&str], Misfit); 8] = [
    (&["DB index is out of range"], Misfit::NoSuchDatabase),
    (&["SELECT is not allowed in cluster mode"], Misfit::ClusterHasOneDatabase),
    (&["cluster support disabled"], Misfit::NoCluster),
    (&["unknown command", "SENTINEL"], Misfit::NoSentinel),
    (&["Missing primary address"], Misfit::NoSuchService),
    // Of fred, about a sentinel's answer.
    (&["Could not convert to tuple"], Misfit::NoSentinel),
    (&["unknown command"], Misfit::CommandMissing),
    (&["Decode Error"], Misfit::NoRedis),
];

impl Misfit {
    /// By the text of an error, the server's or the client's.
    pub(crate) fn of(text: &str) -> Option<Self> {
        SAID.iter().find(|(words, _)| words.iter().all(|word| text.contains(word))).map(|(_, misfit)| *misfit)
    }

    /// What to do about it.
    pub(crate) fn advice(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoSuchDatabase => {
                "Redis has no database of this number; choose a lower one, or raise `databases` in its configuration"
            }
            Self::ClusterHasOneDatabase => {
                "this Redis is a node of a cluster, which has only database 0; leave the database out, and write `redis-cluster://`"
            }
            Self::NoCluster => "this Redis isn't part of a cluster; write `redis://` instead of `redis-cluster://`",
            Self::NoSentinel => {
                "this Redis is no sentinel; give the address of one, or write `redis://` instead of `redis-sentinel://`"
            }
            Self::NoSuchService => {
                "the sentinels don't watch a service of this name; see `service=` in the URL, and `sentinel monitor` in their configuration"
            }
            Self::CommandMissing => {
                "the server lacks a command that larder needs; if it is a sentinel, write `redis-sentinel://`, and if commands were renamed, give them their names back"
            }
            Self::NoRedis => "what answers there doesn't speak Redis's protocol; check host and port",
            Self::SpeaksTls(Schemes { plain, tls }) => {
                return format!("the server expects TLS; write `{tls}://` instead of `{plain}://`").into();
            }
            Self::SpeaksNoTls(Schemes { plain, tls }) => {
                return format!("the server speaks Redis without TLS; write `{plain}://` instead of `{tls}://`").into();
            }
            Self::SpeaksHttp => "what answers there is an HTTP server; check host and port",
            Self::Stranger => "what answers there speaks neither Redis's protocol nor TLS; check host and port",
        })
    }

    /// Whether it is about TLS.
    pub(crate) fn is_of_tls(self) -> bool {
        matches!(self, Self::SpeaksTls(_) | Self::SpeaksNoTls(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say() {
        for (text, misfit) in [
            ("ERR DB index is out of range", Some(Misfit::NoSuchDatabase)),
            ("ERR SELECT is not allowed in cluster mode", Some(Misfit::ClusterHasOneDatabase)),
            ("ERR This instance has cluster support disabled", Some(Misfit::NoCluster)),
            (
                "a:1: ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER-ADDR-BY-NAME'",
                Some(Misfit::NoSentinel),
            ),
            ("ERR unknown command 'EVALSHA', with args beginning with: 'a'", Some(Misfit::CommandMissing)),
            ("Connection refused (os error 111)", None),
        ] {
            assert_eq!(Misfit::of(text), misfit, "{text}");
        }
    }
}
