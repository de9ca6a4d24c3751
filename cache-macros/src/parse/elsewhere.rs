//! What other libraries call their options, and what to write here instead.

/// What stands for an option of another library.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instead {
    /// The option of this name.
    Option(&'static str),
    /// Something else: what to do.
    Advice(&'static str),
}

/// Names that stand for one option, as they are after [`plain`].
const OPTIONS: &[(&str, &str)] = &[
    ("time", "ttl"),
    ("timetolive", "ttl"),
    ("ttlsecs", "ttl"),
    ("ttlmillis", "ttl"),
    ("lifetime", "ttl"),
    ("duration", "ttl"),
    ("maxage", "ttl"),
    ("expire", "ttl"),
    ("expiresin", "ttl"),
    ("expiry", "ttl"),
    ("expiration", "ttl"),
    ("timetoidle", "idle_ttl"),
    ("idletime", "idle_ttl"),
    ("idle", "idle_ttl"),
    ("tti", "idle_ttl"),
    ("maxidle", "idle_ttl"),
    ("sliding", "idle_ttl"),
    ("slidingexpiration", "idle_ttl"),
    ("expireafteraccess", "idle_ttl"),
    ("revalidate", "ttl"),
    ("size", "max_entries"),
    ("limit", "max_entries"),
    ("capacity", "max_entries"),
    ("maxsize", "max_entries"),
    ("maxcapacity", "max_entries"),
    ("maxitems", "max_entries"),
    ("ignore", "skip"),
    ("exclude", "skip"),
    ("predicate", "cache_if"),
    ("condition", "cache_if"),
    ("weight", "weigh"),
    ("weigher", "weigh"),
    ("prefix", "name"),
    ("cacheprefixblock", "name"),
    ("namespace", "scope"),
    ("tenant", "scope"),
    ("backend", "cache"),
    ("store", "cache"),
    ("cachename", "cache"),
    ("swr", "stale_while_revalidate"),
    ("stalettl", "stale_while_revalidate"),
    ("resultfallback", "stale_if_error"),
    ("fallback", "stale_if_error"),
    ("failsafe", "stale_if_error"),
    ("grace", "stale_if_error"),
    ("graceperiod", "stale_if_error"),
    ("staleonerror", "stale_if_error"),
    ("softtimeout", "timeout"),
    ("eagerrefresh", "refresh_ahead"),
    ("lockttl", "lease"),
    ("locktimeout", "max_wait"),
    ("waittimeout", "max_wait"),
    ("hardtimeout", "max_wait"),
    ("companions", "helpers"),
];

const BOUNDS: &str = "leave it out; `max_entries = 10_000` or `max_bytes = \"64MiB\"` bounds what memory keeps";
const EVICTION: &str =
    "leave it out; entries that are used often stay. `evict = lru` drops what was used least recently";
const LAYERS: &str =
    "leave it out; what keeps results belongs to a `Cache` (see `Cache::builder`), which `cache = MY_CACHE` chooses";
const ONE_RUN: &str = "leave it out; calls with the same key at the same moment always share one run";

/// The others.
const ADVICE: &[(&str, &str)] = &[
    ("syncwrites", ONE_RUN),
    ("syncwritesbuckets", ONE_RUN),
    ("synclock", "leave it out; there is no lock to choose, and calls with different keys don't wait for each other"),
    ("sync", ONE_RUN),
    ("unsyncreads", "leave it out; reads take no lock"),
    ("shards", "leave it out; there are none to choose"),
    ("initialcapacity", "leave it out; memory grows as it is needed"),
    ("unbound", "leave it out; the bound of all functions together is `Memory::builder().max_entries(..)`"),
    ("policy", EVICTION),
    ("evictionpolicy", EVICTION),
    ("maxmemory", "write `max_bytes = \"64MiB\", weigh = |value| value.len()`"),
    ("convert", "write the expression itself as the key, without quotes: `key = name.to_lowercase()`"),
    ("keygenerator", "write the expression itself as the key: `key = (tenant, user.id)`"),
    ("extractor", "write the expression itself as the key: `key = (tenant, user.id)`"),
    ("customhasher", "leave it out; keys are hashed by a function that is seeded per process"),
    ("hasherinit", "leave it out; keys are hashed by a function that is seeded per process"),
    ("inimpl", "leave it out, and write `skip(self)` or `key = (self.id, ..)`"),
    ("once", "write `key = ()` for one entry whatever the arguments are; without arguments there is one anyway"),
    ("result", "leave it out; an `Err` isn't cached unless you write `cache_err = true`"),
    ("option", "write `cache_none = false` for a `None` that isn't cached; otherwise leave it out"),
    ("unless", "write the opposite as `cache_if = |value| value.is_complete()`"),
    ("expires", "write `ttl = |value| value.expires_in`, which gives the time that is left, or `ttl = \"5m\"`"),
    ("expireafter", "write `ttl = |value| value.expires_in`, which gives the time that is left, or `ttl = \"5m\"`"),
    (
        "stale",
        "write `stale_while_revalidate = \"10m\"` to answer with the old value while a new one is computed, or \
         `stale_if_error = \"1h\"` if that fails",
    ),
    (
        "refresh",
        "write `helpers = [refresh]` for a function `refresh_f` that runs the body now, or `refresh_ahead = 0.8` to renew \
         results before their `ttl` ends; `idle_ttl = \"30m\"` is a lifetime that hits prolong",
    ),
    ("forcerefresh", "call `refresh_f(..)`, which `helpers = [refresh]` generates, or `larder::refreshing(f(..))`"),
    (
        "timerefresh",
        "write `idle_ttl = \"30m\"`, a lifetime that hits prolong; `refresh_ahead = 0.8` renews what is used",
    ),
    ("invalidate", "leave it out, and call `invalidate_f(..)`, which is always generated"),
    (
        "invalidateon",
        "write `tags = [\"users\"]`, and call `larder::invalidate_tag(\"users\")` where that data changes",
    ),
    ("dependencies", "leave it out; what a cached function calls is tracked by itself"),
    ("prime", "write `helpers = [prime]`"),
    ("peek", "write `helpers = [peek]`"),
    ("withcachedflag", "leave it out; `larder::stats()` counts hits, and `helpers = [peek]` looks without running"),
    ("redis", LAYERS),
    ("disk", "leave it out; there is no layer on disk. Layers belong to a `Cache`: see `Cache::builder`"),
    ("diskdir", "leave it out; there is no layer on disk. Layers belong to a `Cache`: see `Cache::builder`"),
    ("sharedcache", "leave it out; threads always share their results"),
    ("threadlocal", "leave it out; threads always share their results. `local` keeps them in this process"),
    ("maperror", "leave it out; a failing cache never makes a function fail"),
    ("type", LAYERS),
    ("ty", LAYERS),
    ("create", LAYERS),
    ("lru", "write `evict = lru` beside a bound: `max_entries = 10_000, evict = lru`"),
    ("lfu", BOUNDS),
];

/// What to write instead of another library's option.
pub(super) fn instead(name: &str) -> Option<Instead> {
    let name = plain(name);
    let option = OPTIONS.iter().find(|(other, _)| *other == name).map(|(_, option)| Instead::Option(option));
    option.or_else(|| ADVICE.iter().find(|(other, _)| *other == name).map(|(_, advice)| Instead::Advice(advice)))
}

/// `TimeToLive` and `time_to_live` are `timetolive`.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').collect::<String>().to_lowercase()
}

/// The options that advice names.
#[cfg(test)]
pub(super) fn options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(_, option)| *option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelled() {
        for name in ["TimeToLive", "time_to_live", "timeToLive"] {
            assert_eq!(instead(name), Some(Instead::Option("ttl")));
        }
        for name in ["timetoliv", "", "_"] {
            assert_eq!(instead(name), None);
        }
    }

    #[test]
    fn each_name_stands_there_once_and_plainly() {
        let names: Vec<&str> = OPTIONS.iter().chain(ADVICE).map(|(name, _)| *name).collect();
        for name in &names {
            assert_eq!(plain(name), *name);
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
    }
}
