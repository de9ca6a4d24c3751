//! The names of the options, for messages.

use super::elsewhere::{self, Instead};

/// Every option, with an example of how it is written.
const OPTIONS: &[(&str, &str)] = &[
    ("ttl", "ttl = \"5m\""),
    ("memory_ttl", "memory_ttl = \"5s\""),
    ("none_ttl", "none_ttl = \"10s\""),
    ("idle_ttl", "idle_ttl = \"30m\""),
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
    ("evict", "evict = lru"),
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
    ("helpers", "helpers = [refresh, prime, peek]"),
    ("crate", "crate = path::to::larder"),
];

/// How the option is written.
pub(super) fn example(name: &str) -> &'static str {
    OPTIONS.iter().find(|(option, _)| *option == name).map_or("ttl = \"5m\"", |(_, example)| example)
}

/// What to say about a name that is no option.
pub(super) fn unknown(name: &str) -> String {
    if let Some(instead) = elsewhere::instead(name) {
        return match instead {
            Instead::Option(option) => format!("there is no option `{name}`: write `{}`", example(option)),
            Instead::Advice(advice) => format!("there is no option `{name}`: {advice}"),
        };
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
    fn advice_names_options_that_exist() {
        for option in elsewhere::options() {
            assert!(OPTIONS.iter().any(|(name, _)| *name == option), "{option}");
        }
        for (name, example) in OPTIONS {
            assert!(elsewhere::instead(name).is_none(), "{name} is an option");
            assert!(example.starts_with(name), "{example}");
            assert_eq!(super::example(name), *example);
        }
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ttl"), 3);
        assert_eq!(distance("ttl", "ttl"), 0);
    }
}
