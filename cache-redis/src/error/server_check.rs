//! Servers that aren't what the options say: of another kind, or without what is asked for. What they answer tells what to write
//! instead.

use std::borrow::Cow;

/// What the server isn't, or lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    NoSuchDatabase,
    ClusterHasOneDatabase,
    NoCluster,
    NoSentinel,
    NoSuchService,
    CommandMissing,
    NoRedis,
    /// This and the following are found by probing the address, not from an error's text.
    SpeaksTls(Schemes),
    SpeaksNoTls(Schemes),
    SpeaksHttp,
    Stranger,
}

/// The URL schemes of a kind of deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schemes {
    pub(crate) plain: &'static str,
    pub(crate) tls: &'static str,
}

/// Words in an error's text, and what they mean. All of the words must occur.
const SAID: [(&[&str], Mismatch); 8] = [
    (&["DB index is out of range"], Mismatch::NoSuchDatabase),
    (&["SELECT is not allowed in cluster mode"], Mismatch::ClusterHasOneDatabase),
    (&["cluster support disabled"], Mismatch::NoCluster),
    (&["unknown command", "SENTINEL"], Mismatch::NoSentinel),
    (&["Missing primary address"], Mismatch::NoSuchService),
    // Of fred, about a sentinel's answer.
    (&["Could not convert to tuple"], Mismatch::NoSentinel),
    (&["unknown command"], Mismatch::CommandMissing),
    (&["Decode Error"], Mismatch::NoRedis),
];

impl Mismatch {
    /// By the text of an error, the server's or the client's.
    pub(crate) fn of(text: &str) -> Option<Self> {
        SAID.iter().find(|(words, _)| words.iter().all(|word| text.contains(word))).map(|(_, mismatch)| *mismatch)
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
        for (text, mismatch) in [
            ("ERR DB index is out of range", Some(Mismatch::NoSuchDatabase)),
            ("ERR SELECT is not allowed in cluster mode", Some(Mismatch::ClusterHasOneDatabase)),
            ("ERR This instance has cluster support disabled", Some(Mismatch::NoCluster)),
            (
                "a:1: ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER-ADDR-BY-NAME'",
                Some(Mismatch::NoSentinel),
            ),
            ("ERR unknown command 'EVALSHA', with args beginning with: 'a'", Some(Mismatch::CommandMissing)),
            ("Connection refused (os error 111)", None),
        ] {
            assert_eq!(Mismatch::of(text), mismatch, "{text}");
        }
    }
}
