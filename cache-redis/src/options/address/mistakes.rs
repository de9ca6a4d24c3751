//! What is wrong with a URL, and what to write instead. Nothing of it is repeated but names of options: it may contain a
//! password.

use url::{ParseError, Url};

pub(super) const SCHEMES: &str = "redis://, rediss://, redis-cluster://, rediss-cluster://, redis-sentinel://, \
                                  rediss-sentinel:// or redis+unix://";

/// What a `/`, `?` or `#` in a password makes of the rest of the URL.
pub(super) const CUT_SHORT: &str = "the Redis URL has an `@` or a `#` where there can't be one: a `/`, `?` or `#` in the \
                                    user name or the password ends them. Percent-encode it as `%2F`, `%3F` or `%23`, or \
                                    leave the password out and give it with `Redis::builder(..).password(..)`";
pub(super) const NO_SCHEME: &str =
    "the Redis URL has no scheme; write `redis://` in front of the host, as in `redis://localhost:6379`";
pub(super) const NO_HOST: &str = "the Redis URL has no host; write one, as in `redis://localhost:6379`";
pub(super) const NO_SOCKET: &str = "the Redis URL doesn't say the absolute path of a unix socket, which takes three slashes: \
                                    `redis+unix:///run/redis.sock`";
/// User name and password can only stand before a host.
const NO_HOST_OF_SOCKET: &str = "the Redis URL has a password but no host to put it before; write \
                                 `redis+unix://:password@localhost/run/redis.sock`, or give it with \
                                 `Redis::builder(..).password(..)`";

/// Of a text that is no URL at all.
pub(super) fn malformed(text: &str, cause: ParseError) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return NO_SCHEME.to_owned() };
    // User name and password end at the first of these, and `@` comes after them.
    let (authority, rest) = rest.split_once(['/', '?', '#']).unwrap_or((rest, ""));
    if rest.contains('@') {
        return CUT_SHORT.to_owned();
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let reason = match cause {
        _ if host.contains(',') => {
            "it has several hosts; write the further ones as `node=`, as in `redis-cluster://a:6379?node=b:6379`"
        }
        _ if host.matches(':').count() > 1 && !host.contains('[') => {
            "an IPv6 address has no brackets; write it as in `redis://[::1]:6379`"
        }
        ParseError::EmptyHost if scheme.ends_with("unix") => return NO_HOST_OF_SOCKET.to_owned(),
        ParseError::EmptyHost => return NO_HOST.to_owned(),
        ParseError::InvalidIpv6Address if !host.contains(']') => {
            "a `[` has no `]`; write it as in `redis://[::1]:6379`"
        }
        ParseError::InvalidIpv6Address => "what is in brackets is no IPv6 address; write it as in `redis://[::1]:6379`",
        ParseError::InvalidPort => "its port is not a number up to 65535; write it as in `redis://localhost:6379`",
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => {
            "its host has a character that no host can have; write it as in `redis://localhost:6379`"
        }
        _ => return format!("the Redis URL is malformed; write {SCHEMES}"),
    };
    format!("the Redis URL is malformed: {reason}")
}

/// Whether a password seems to have ended before its end. A path is the name of a socket, or the number of a database.
pub(super) fn is_cut_short(url: &Url, kind: &str) -> bool {
    url.fragment().is_some() || (kind != "unix" && url.path().contains('@'))
}

/// Of an option that is none of those known for this kind of URL.
pub(super) fn unknown_option(url: &Url, kind: &str, name: &str, known: &[&str]) -> String {
    // It might be a piece of a password.
    if url.query().is_some_and(|query| query.contains('@')) {
        return CUT_SHORT.to_owned();
    }
    let advice = match (name, kind) {
        ("db" | "database", "cluster") => "a cluster has only database 0, so leave it out",
        ("db" | "database", "unix") => "write the database as `db=2`, or as `Redis::builder(..).database(2)`",
        ("db" | "database", _) => "write the database as path, `/2`, or as `Redis::builder(..).database(2)`",
        _ => "further options are methods of `Redis::builder(..)`",
    };
    let known = known.iter().map(|name| format!("`{name}=`")).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "has none".to_owned() } else { format!("has {known}") };
    let scheme = url.scheme();
    format!("the Redis URL has an unknown option `{name}=`: `{scheme}://` {known}; {advice}")
}

#[cfg(test)]
mod tests {
    use cache_core::ErrorKind;

    use crate::options::address::{Address, Place, Secret};

    #[test]
    fn bad_urls_say_what_is_wrong_and_hide_the_password() {
        for url in [
            "http://u:secret@h",
            "redis://u:secret@h:99999",
            "redis://u:secret@h/x",
            "secret",
            "redis-sentinel://u:secret@h",
            "redis://u:secret@h?db=1",
            "redis-cluster://u:secret@h?nodes=b",
            "redis-cluster://u@h?node=b:secret",
            "redis-cluster://u@h?node=u:secret@b:1",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    /// However such a password is cut, no piece of it is shown.
    #[test]
    fn passwords_with_reserved_characters_are_to_be_encoded() {
        for scheme in ["redis", "rediss", "redis-cluster", "redis-sentinel"] {
            for user in ["", "user"] {
                for mark in ['/', '?', '#'] {
                    for password in [format!("sec{mark}ret"), format!("12{mark}ret"), format!("12{mark}x=ret&sec=y")] {
                        for rest in ["host", "host:1/0", "host?service=main", "host?node=h:1"] {
                            let error = Address::parse(&format!("{scheme}://{user}:{password}@{rest}")).unwrap_err();
                            assert_eq!(error.kind(), ErrorKind::Config);
                            let text = error.to_string();
                            assert!(text.contains("Percent-encode") && text.contains(".password(..)"), "{text}");
                            let shown = format!("{error} {error:?}");
                            for piece in ["sec", "ret", "12"] {
                                assert!(!shown.contains(piece), "{shown}");
                            }
                        }
                    }
                }
            }
        }
        let encoded = Address::parse("redis://:a%2Fb%3Fc%23d@host/1").unwrap();
        assert_eq!(encoded.password, Some(Secret("a/b?c#d".into())));
        let error = Address::parse("redis-sentinel://h?service=main&sentinel_password=a#b").unwrap_err();
        assert!(error.to_string().contains("`%23`"), "{error}");
        assert!(Address::parse("redis-sentinel://h?service=main&sentinel_password=a@b").is_ok());
        assert!(Address::parse("unix:///run/a@b.sock").is_ok());
    }

    #[test]
    fn a_host_alone_is_no_url() {
        for text in ["localhost:6379", "localhost", "127.0.0.1:6379", "redis.example.com:6379/0", "::1", ""] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.to_string().contains("`redis://localhost:6379`"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_malformed_is_said() {
        for (url, words) in [
            ("redis://u:secret@h:99999", "its port is not a number up to 65535"),
            ("redis://u:secret@h:port", "its port is not a number"),
            ("redis://u:secret@[::1", "a `[` has no `]`"),
            ("redis://u:secret@[::x]", "what is in brackets is no IPv6 address"),
            ("redis://u:secret@::1:6379", "an IPv6 address has no brackets; write it as in `redis://[::1]:6379`"),
            ("redis://u:secret@fe80::1", "an IPv6 address has no brackets"),
            ("redis://u:secret@a b", "its host has a character"),
            ("redis-sentinel://u:secret@a:1,b:2?service=x", "write the further ones as `node=`"),
            ("redis://u:secret@:6379", "has no host"),
            ("redis://u:secret@", "has no host"),
            ("redis://", "has no host"),
            ("redis+unix://:secret@/run/x.sock", "write `redis+unix://:password@localhost/run/redis.sock`"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.to_string().contains(words), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn paths_of_sockets_take_three_slashes() {
        for url in
            ["redis+unix://tmp/x.sock", "unix://x.sock", "redis+unix://%2Ftmp%2Fx.sock", "unix://", "redis+unix:///"]
        {
            let error = Address::parse(url).unwrap_err();
            assert!(error.to_string().contains("three slashes: `redis+unix:///run/redis.sock`"), "{url}: {error}");
        }
        let with_password = Address::parse("redis+unix://:secret@localhost/run/x.sock").unwrap();
        assert_eq!(with_password.place, Place::Unix("/run/x.sock".into()));
        assert_eq!(with_password.password, Some(Secret("secret".into())));
    }

    #[test]
    fn databases_have_their_place() {
        for (url, words) in [
            ("redis://h?db=2", "as path, `/2`, or as `Redis::builder(..).database(2)`"),
            ("rediss://h?database=2", "as path, `/2`"),
            ("redis-sentinel://h?service=x&db=2", "as path, `/2`"),
            ("redis-cluster://h?db=2", "only database 0"),
            ("redis+unix:///x.sock?database=2", "as `db=2`, or as"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.to_string().contains(words), "{url}: {error}");
        }
    }
}
