//! What error replies mean, and what to do about them.

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
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

/// For people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// What is wrong, instead of the server's own words.
    pub(crate) wrong: &'static str,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// The codes that replies begin with.
const CODES: [(&str, Refusal, Advice); 16] = [
    ("NOSCRIPT", Refusal::NoScript, OTHER),
    ("MOVED", Refusal::Moved, ELSEWHERE),
    ("ASK", Refusal::Ask, ELSEWHERE),
    (
        "LOADING",
        Refusal::NotNow,
        Advice {
            wrong: "Redis isn't ready: it is loading its data",
            remedy: "it is used as soon as it has, nothing need be done",
        },
    ),
    (
        "CLUSTERDOWN",
        Refusal::NotNow,
        Advice {
            wrong: "Redis isn't ready: its cluster is down",
            remedy: "see `CLUSTER INFO` and `CLUSTER NODES`: every slot needs a primary that runs",
        },
    ),
    (
        "MASTERDOWN",
        Refusal::NotNow,
        Advice {
            wrong: "Redis isn't ready: it is a replica that has lost its primary",
            remedy: "see that the primary runs, and give its address",
        },
    ),
    (
        "TRYAGAIN",
        Refusal::NotNow,
        Advice {
            wrong: "Redis isn't ready: its cluster is being rearranged",
            remedy: "it is used as soon as that is done, nothing need be done",
        },
    ),
    (
        "BUSY",
        Refusal::NotNow,
        Advice {
            wrong: "Redis isn't ready: a script keeps it busy",
            remedy: "wait for it, or end it with `SCRIPT KILL` (`FUNCTION KILL`)",
        },
    ),
    (
        "NOREPLICAS",
        Refusal::NoReplicas,
        Advice {
            wrong: "the primary has fewer replicas than `min-replicas-to-write` asks for",
            remedy: "see that they run and reach it",
        },
    ),
    (
        "READONLY",
        Refusal::ReadOnly,
        Advice {
            wrong: "Redis is a read-only replica",
            remedy: "give the address of its primary, or use a sentinel or cluster URL",
        },
    ),
    ("OOM", Refusal::OutOfMemory, OUT_OF_MEMORY),
    (
        "NOAUTH",
        Refusal::Denied,
        Advice {
            wrong: "Redis wants a password",
            remedy: "put it into the URL, as in `redis://:password@host`, or give it with `Redis::builder(..).password(..)`",
        },
    ),
    (
        "WRONGPASS",
        Refusal::Denied,
        Advice {
            wrong: "user name or password are wrong, or the user is off",
            remedy: "check both, which are percent-encoded in a URL, and see `ACL LIST`",
        },
    ),
    ("NOPERM", Refusal::Denied, NOT_PERMITTED),
    (
        "DENIED",
        Refusal::Denied,
        Advice {
            wrong: "Redis is in protected mode: without a password it answers its own machine only",
            remedy: "set a password (`requirepass`, or an ACL user's), and give it with the URL",
        },
    ),
    (
        "MISCONF",
        Refusal::Other,
        Advice {
            wrong: "Redis refuses writes, because it can't save its data to disk",
            remedy: "see its log and the disk's space, or set `stop-writes-on-bgsave-error no`",
        },
    ),
];

/// What says it in other words. How servers say `NOPERM` of a command inside a script depends on their version, and Valkey
/// follows Redis 7.2.
const WORDS: [(&str, Refusal, Advice); 5] = [
    ("command not allowed when used memory", Refusal::OutOfMemory, OUT_OF_MEMORY),
    ("acl_check_cmd", Refusal::Denied, NOT_PERMITTED),
    ("user executing the script can't", Refusal::Denied, NOT_PERMITTED),
    ("ACL failure in script", Refusal::Denied, NOT_PERMITTED),
    (
        "max number of clients",
        Refusal::NotNow,
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

impl Refusal {
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

fn known(text: &str) -> Option<(Refusal, Advice)> {
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
            ("DENIED Redis is running in protected mode because", Refusal::Denied),
            ("ERR max number of clients reached", Refusal::NotNow),
            ("WRONGTYPE Operation against a key", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(text), refusal, "{text}");
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
            let advice = Refusal::of(text).advice(text);
            assert!(advice.remedy.contains(words), "{text}: {advice:?}");
        }
        assert_eq!(Refusal::Denied.advice("of fred's own words"), DENIED);
    }
}
