//! Error replies of a server: what they mean, and what to do about them.

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerError {
    /// The script isn't known there.
    NoScript,
    /// The slot is elsewhere, for good (`MOVED`) or while it is being moved (`ASK`).
    Moved,
    Ask,
    /// Not now: loading, cluster down, master down, busy script, too many clients.
    NotNow,
    /// The primary has fewer replicas than it must have to write. It may have been replaced without knowing.
    NoReplicas,
    ReadOnly,
    OutOfMemory,
    /// Permissions, or a wrong or missing password.
    Denied,
    Other,
}

/// The text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// What is wrong, instead of the server's own words.
    pub(crate) wrong: &'static str,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// The codes that replies begin with.
const CODES: [(&str, ServerError, Advice); 16] = [
    ("NOSCRIPT", ServerError::NoScript, OTHER),
    ("MOVED", ServerError::Moved, ELSEWHERE),
    ("ASK", ServerError::Ask, ELSEWHERE),
    (
        "LOADING",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: it is loading its data",
            remedy: "it is used as soon as it has, nothing need be done",
        },
    ),
    (
        "CLUSTERDOWN",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: its cluster is down",
            remedy: "see `CLUSTER INFO` and `CLUSTER NODES`: every slot needs a primary that runs",
        },
    ),
    (
        "MASTERDOWN",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: it is a replica that has lost its primary",
            remedy: "see that the primary runs, and give its address",
        },
    ),
    (
        "TRYAGAIN",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: its cluster is being rearranged",
            remedy: "it is used as soon as that is done, nothing need be done",
        },
    ),
    (
        "BUSY",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: a script keeps it busy",
            remedy: "wait for it, or end it with `SCRIPT KILL` (`FUNCTION KILL`)",
        },
    ),
    (
        "NOREPLICAS",
        ServerError::NoReplicas,
        Advice {
            wrong: "the primary has fewer replicas than `min-replicas-to-write` asks for",
            remedy: "see that they run and reach it",
        },
    ),
    (
        "READONLY",
        ServerError::ReadOnly,
        Advice {
            wrong: "Redis is a read-only replica",
            remedy: "give the address of its primary, or use a sentinel or cluster URL",
        },
    ),
    ("OOM", ServerError::OutOfMemory, OUT_OF_MEMORY),
    (
        "NOAUTH",
        ServerError::Denied,
        Advice {
            wrong: "Redis wants a password",
            remedy: "put it into the URL, as in `redis://:password@host`, or give it with `Redis::builder(..).password(..)`",
        },
    ),
    (
        "WRONGPASS",
        ServerError::Denied,
        Advice {
            wrong: "user name or password are wrong, or the user is off",
            remedy: "check both, which are percent-encoded in a URL, and see `ACL LIST`",
        },
    ),
    ("NOPERM", ServerError::Denied, NOT_PERMITTED),
    (
        "DENIED",
        ServerError::Denied,
        Advice {
            wrong: "Redis is in protected mode: without a password it answers its own machine only",
            remedy: "set a password (`requirepass`, or an ACL user's), and give it with the URL",
        },
    ),
    (
        "MISCONF",
        ServerError::Other,
        Advice {
            wrong: "Redis refuses writes, because it can't save its data to disk",
            remedy: "see its log and the disk's space, or set `stop-writes-on-bgsave-error no`",
        },
    ),
];

/// Replies that have no code of their own. The reply for a missing permission inside a script depends on the server's version;
/// Valkey follows Redis 7.2.
const WORDS: [(&str, ServerError, Advice); 5] = [
    ("command not allowed when used memory", ServerError::OutOfMemory, OUT_OF_MEMORY),
    ("acl_check_cmd", ServerError::Denied, NOT_PERMITTED),
    ("user executing the script can't", ServerError::Denied, NOT_PERMITTED),
    ("ACL failure in script", ServerError::Denied, NOT_PERMITTED),
    (
        "max number of clients",
        ServerError::NotNow,
        Advice {
            wrong: "Redis isn't ready: it has as many clients as it may have",
            remedy: "raise `maxclients`, or see in `CLIENT LIST` who has so many connections",
        },
    ),
];

const ELSEWHERE: Advice = Advice {
    wrong: "the keys are on another node",
    remedy: "write `redis-cluster://` if this is a cluster, which may be rearranging itself",
};
const OUT_OF_MEMORY: Advice = Advice {
    wrong: "Redis is out of memory",
    remedy: "raise `maxmemory`, or let it evict with `maxmemory-policy allkeys-lru`",
};
const NOT_PERMITTED: Advice = Advice {
    wrong: "the Redis user isn't permitted to do that",
    remedy: "give it the permissions listed in the docs of cache-redis, also for keys and channels that begin with `prefix`",
};
const DENIED: Advice = Advice {
    wrong: "Redis denied it",
    remedy: "check user name and password, and the permissions listed in the docs of cache-redis",
};
const OTHER: Advice = Advice {
    wrong: "Redis could not do what it was asked",
    remedy: "see that nothing else uses the prefix, and that it is Redis 6.2 or newer, or Valkey",
};

impl ServerError {
    /// By the text of an error reply.
    pub(crate) fn of(text: &str) -> Self {
        known(text).map_or(Self::Other, |(refusal, _)| refusal)
    }

    /// What to say of this text, which was taken for this refusal.
    pub(crate) fn advice(self, text: &str) -> Advice {
        let fallback = if self == Self::Denied { DENIED } else { OTHER };
        known(text).filter(|(refusal, _)| *refusal == self).map_or(fallback, |(_, advice)| advice)
    }
}

fn known(text: &str) -> Option<(ServerError, Advice)> {
    let word = text.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches('-');
    // Errors that a script hands on: Redis 6.2 says "ERR Error running script (call to ..): @user_script: 5: -OOM ..".
    let inside = |code: &str| word == code || (word == "ERR" && text.contains(&format!("-{code} ")));
    let code = CODES.iter().find(|(code, ..)| inside(code));
    let found = code.or_else(|| WORDS.iter().find(|(words, ..)| text.contains(words)));
    found.map(|(_, refusal, advice)| (*refusal, *advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_replies() {
        for (text, refusal) in [
            ("NOSCRIPT No matching script.", ServerError::NoScript),
            ("MOVED 3999 127.0.0.1:6381", ServerError::Moved),
            ("LOADING Redis is loading the dataset in memory", ServerError::NotNow),
            ("NOREPLICAS Not enough good replicas to write. script: 5c, on @user_script:4.", ServerError::NoReplicas),
            (
                "OOM command not allowed when used memory > 'maxmemory'. script: 5c, on @user_script:4.",
                ServerError::OutOfMemory,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write",
                ServerError::ReadOnly,
            ),
            ("NOPERM User x has no permissions to run the 'eval' command", ServerError::Denied),
            ("ERR The user executing the script can't run this command or subcommand", ServerError::Denied),
            (
                "ERR ACL failure in script: User x has no permissions to run the 'persist' command script: c1f2, on \
                 @user_script:47.",
                ServerError::Denied,
            ),
            ("DENIED Redis is running in protected mode because", ServerError::Denied),
            ("ERR max number of clients reached", ServerError::NotNow),
            ("WRONGTYPE Operation against a key", ServerError::Other),
        ] {
            assert_eq!(ServerError::of(text), refusal, "{text}");
        }
    }

    #[test]
    fn what_to_do() {
        for (text, words) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "`maxmemory-policy allkeys-lru`"),
            ("NOAUTH Authentication required.", "put it into the URL"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "check both"),
            ("READONLY You can't write against a read only replica.", "its primary"),
            ("MISCONF Redis is configured to save RDB snapshots, but", "`stop-writes-on-bgsave-error no`"),
            ("NOPERM User x has no permissions to run the 'eval' command", "permissions listed"),
            ("LOADING Redis is loading the dataset in memory", "as soon as it has"),
            ("CLUSTERDOWN The cluster is down", "`CLUSTER INFO`"),
            ("DENIED Redis is running in protected mode because", "`requirepass`"),
            ("ERR max number of clients reached", "`maxclients`"),
            ("WRONGTYPE Operation against a key", "nothing else uses the prefix"),
        ] {
            let advice = ServerError::of(text).advice(text);
            assert!(advice.remedy.contains(words), "{text}: {advice:?}");
        }
        assert_eq!(ServerError::Denied.advice("of fred's own words"), DENIED);
    }
}
