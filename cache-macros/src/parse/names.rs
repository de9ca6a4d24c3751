//! The names of the options, for messages.

/// Every option, with an example of how it is written.
const OPTIONS: &[(&str, &str)] = &[
    ("ttl", "ttl = \"5m\""),
    ("memory_ttl", "memory_ttl = \"5s\""),
    ("none_ttl", "none_ttl = \"10s\""),
    ("cache_none", "cache_none = false"),
    ("cache_if", "cache_if = |value| value.is_complete()"),
    ("cache_err", "cache_err = true"),
    ("tags", "tags = [\"users\", (\"user\", id)]"),
    ("result_tags", "result_tags = |user| [(\"org\", user.org_id)]"),
    ("key", "key = (tenant, user.id)"),
    ("skip", "skip(db, log)"),
    ("name", "name = \"users.get\""),
    ("version", "version = 2"),
    ("max_entries", "max_entries = 10_000"),
    ("max_bytes", "max_bytes = \"64MiB\""),
    ("weigh", "weigh = |value| value.len()"),
    ("scope", "scope = tenant"),
    ("cache", "cache = MY_CACHE"),
    ("local", "local"),
    ("lossy", "lossy = true"),
    ("lease", "lease = \"10s\""),
    ("stale_while_revalidate", "stale_while_revalidate = \"10m\""),
    ("stale_if_error", "stale_if_error = \"1h\""),
    ("refresh_ahead", "refresh_ahead = 0.8"),
    ("jitter", "jitter = 0.1"),
    ("timeout", "timeout = \"200ms\""),
    ("max_wait", "max_wait = \"2s\""),
    ("map", "map = decorate"),
    ("stored", "stored = Raw"),
    ("helpers", "helpers = none"),
    ("crate", "crate = path::to::larder"),
];

/// What other libraries call them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("time", "ttl"),
    ("time_to_live", "ttl"),
    ("ttl_secs", "ttl"),
    ("ttl_millis", "ttl"),
    ("expire", "ttl"),
    ("expires", "ttl"),
    ("expires_in", "ttl"),
    ("expiry", "ttl"),
    ("size", "max_entries"),
    ("capacity", "max_entries"),
    ("max_size", "max_entries"),
    ("max_capacity", "max_entries"),
    ("ignore", "skip"),
    ("exclude", "skip"),
    ("option", "cache_none"),
    ("unless", "cache_if"),
    ("condition", "cache_if"),
    ("weight", "weigh"),
    ("weigher", "weigh"),
    ("prefix", "name"),
    ("cache_prefix_block", "name"),
    ("namespace", "scope"),
    ("tenant", "scope"),
    ("backend", "cache"),
    ("store", "cache"),
    ("swr", "stale_while_revalidate"),
    ("result_fallback", "stale_if_error"),
    ("grace", "stale_if_error"),
    ("lock_ttl", "lease"),
    ("lock_timeout", "max_wait"),
    ("wait_timeout", "max_wait"),
];

/// What they have that is no option here, and what to do about it.
const INSTEAD: &[(&str, &str)] = &[
    ("sync_writes", "leave it out, the body always runs once for all who ask at the same moment"),
    ("sync_lock", "leave it out, there is no lock to choose"),
    ("shards", "leave it out, there are none to choose"),
    ("unbound", "leave it out; `max_entries` sets a bound"),
    ("convert", "`key` takes the expression itself: `key = name.to_lowercase()`"),
    ("in_impl", "leave it out, and write `skip(self)` or `key = (self.id, ..)`"),
    ("result", "leave it out, an `Err` isn't cached unless you write `cache_err = true`"),
    ("refresh", "a further function is `helpers = [refresh]`; `refresh_ahead = 0.8` runs before the `ttl` ends"),
    ("force_refresh", "call `refresh_f(..)`, which `helpers = [refresh]` generates, or `larder::refreshing(f(..))`"),
    ("time_refresh", "leave it out, a hit doesn't prolong the `ttl`; `refresh_ahead = 0.8` renews what is used"),
    ("prime", "write `helpers = [prime]`"),
    ("peek", "write `helpers = [peek]`"),
    ("with_cached_flag", "leave it out; `larder::stats()` counts hits, and `helpers = [peek]` looks without running"),
    ("redis", "leave it out, a `Cache` with a Redis backend serves all functions: see `Cache::builder`"),
    ("disk", "leave it out; layers belong to a `Cache`: see `Cache::builder`"),
    ("map_error", "leave it out, a failing cache never makes a function fail"),
    ("ty", "leave it out; `max_entries` or `max_bytes` bound a function, and layers belong to a `Cache`"),
    ("create", "leave it out; `max_entries` or `max_bytes` bound a function, and layers belong to a `Cache`"),
];

/// How the option is written.
pub(super) fn example(name: &str) -> &'static str {
    OPTIONS.iter().find(|(option, _)| *option == name).map_or("ttl = \"5m\"", |(_, example)| example)
}

/// What to say about a name that is no option.
pub(super) fn unknown(name: &str) -> String {
    if let Some((_, instead)) = INSTEAD.iter().find(|(other, _)| *other == name) {
        return format!("there is no option `{name}`: {instead}");
    }
    let known: Vec<String> = OPTIONS.iter().map(|(option, _)| format!("`{option}`")).collect();
    let known = known.join(", ");
    match closest(name) {
        Some(close) => {
            format!("unknown option `{name}`: did you mean `{close}`? The options are {known}")
        }
        None => format!("unknown option `{name}`. The options are {known}"),
    }
}

/// The option that was probably meant.
fn closest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    if let Some((_, option)) = ELSEWHERE.iter().find(|(other, _)| *other == name) {
        return Some(option);
    }
    OPTIONS
        .iter()
        .map(|(option, _)| (distance(&name, option), *option))
        .filter(|(distance, option)| *distance <= option.len().div_ceil(3))
        .min()
        .map(|(_, option)| option)
}

/// How many letters to insert, remove or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&to) {
            let changed = corner + usize::from(a != *b);
            corner = *cell;
            left = changed.min(left + 1).min(corner + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_proposed() {
        for (given, meant) in [
            ("tll", Some("ttl")),
            ("tag", Some("tags")),
            ("result_tag", Some("result_tags")),
            ("max_entires", Some("max_entries")),
            ("memoryTTL", Some("memory_ttl")),
            ("keys", Some("key")),
            ("Local", Some("local")),
            ("entirely_else", None),
            ("", None),
        ] {
            assert_eq!(closest(given), meant, "{given}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ttl"), 3);
        assert_eq!(distance("ttl", "ttl"), 0);
    }
}
