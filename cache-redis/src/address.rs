//! Where the server is: what a URL says.

use std::fmt;
use std::path::PathBuf;

use cache_core::{Error, ErrorKind};
use url::Url;

/// A host and a port.
pub(crate) type Host = (String, u16);

/// What kind of deployment, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Server(Host),
    Unix(PathBuf),
    /// Some of the nodes.
    Cluster(Vec<Host>),
    Sentinel {
        sentinels: Vec<Host>,
        service: String,
        username: Option<String>,
        password: Option<Secret>,
    },
}

/// Everything a URL can say.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) tls: bool,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: Option<u8>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

const SCHEMES: &str = "redis://, rediss://, redis-cluster://, rediss-cluster://, redis-sentinel://, \
                       rediss-sentinel:// or redis+unix://";

/// What a `/`, `?` or `#` in a password makes of the rest of the URL.
const CUT_SHORT: &str = "the Redis URL has an `@` or a `#` where there can't be one: a `/`, `?` or `#` in the user name or \
                         the password ends them. Percent-encode it as `%2F`, `%3F` or `%23`, or leave the password out \
                         and give it with `Redis::builder(..).password(..)`";
const NO_SCHEME: &str =
    "the Redis URL has no scheme; write `redis://` in front of the host, as in `redis://localhost:6379`";

impl Address {
    /// Errors repeat nothing of the URL but names of options: it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|cause| config(malformed(text)).with_source(cause))?;
        let (tls, kind) = match url.scheme() {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis-cluster" => (false, "cluster"),
            "rediss-cluster" => (true, "cluster"),
            "redis-sentinel" => (false, "sentinel"),
            "rediss-sentinel" => (true, "sentinel"),
            "unix" | "redis+unix" => (false, "unix"),
            _ if !text.contains("://") => return Err(config(NO_SCHEME.to_owned())),
            _ => return Err(config(format!("the Redis URL has an unknown scheme; write {SCHEMES}"))),
        };
        if is_cut_short(&url, kind) {
            return Err(config(CUT_SHORT.to_owned()));
        }
        let known: &[&str] = match kind {
            "unix" => &["db"],
            "cluster" => &["node"],
            "sentinel" => &["node", "service", "sentinel_username", "sentinel_password"],
            _ => &[],
        };
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !known.contains(&&**name)) {
            let known = known.iter().map(|name| format!("`{name}=`")).collect::<Vec<_>>().join(", ");
            // It might be a piece of a password.
            if url.query().is_some_and(|query| query.contains('@')) {
                return Err(config(CUT_SHORT.to_owned()));
            }
            let known = if known.is_empty() { "has none".to_owned() } else { format!("has {known}") };
            let scheme = url.scheme();
            return Err(config(format!(
                "the Redis URL has an unknown option `{name}=`: `{scheme}://` {known}; further options are methods of \
                 `Redis::builder(..)`"
            )));
        }
        let username = decode(url.username())?.filter(|name| !name.is_empty());
        let password = url.password().map(decode).transpose()?.flatten().map(Secret);
        let place = match kind {
            "unix" => Place::Unix(decode(url.path())?.unwrap_or_default().into()),
            "cluster" => Place::Cluster(hosts(&url, 6379)?),
            "sentinel" => Place::Sentinel {
                sentinels: hosts(&url, 26379)?,
                service: parameter(&url, "service").ok_or_else(|| {
                    config("the sentinel URL doesn't name the service; append `?service=mymaster`".to_owned())
                })?,
                username: parameter(&url, "sentinel_username"),
                password: parameter(&url, "sentinel_password").map(Secret),
            },
            _ => Place::Server(host(&url, 6379)?),
        };
        let database = if kind == "unix" {
            parameter(&url, "db")
        } else {
            Some(url.path().trim_matches('/').to_owned()).filter(|path| !path.is_empty())
        };
        let database = database
            .map(|text| text.parse().map_err(|_| config("the database in the Redis URL is not 0 to 255".to_owned())))
            .transpose()?;
        Ok(Self { place, tls, username, password, database })
    }
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// What to write instead of a text that is no URL at all.
fn malformed(text: &str) -> String {
    match text.split_once("://") {
        None => NO_SCHEME.to_owned(),
        // User name and password end at the first of these, and `@` comes after them.
        Some((_, rest)) if rest.split_once(['/', '?', '#']).is_some_and(|(_, rest)| rest.contains('@')) => {
            CUT_SHORT.to_owned()
        }
        Some(_) => format!("the Redis URL is malformed; write {SCHEMES}"),
    }
}

/// Whether a password seems to have ended before its end. A path is the name of a socket, or the number of a database.
fn is_cut_short(url: &Url, kind: &str) -> bool {
    url.fragment().is_some() || (kind != "unix" && url.path().contains('@'))
}

fn host(url: &Url, port: u16) -> Result<Host, Error> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| config("the Redis URL has no host".to_owned()))?;
    Ok((bare(host), url.port().unwrap_or(port)))
}

/// IPv6 addresses stand in brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// The host and every `node=host:port`.
fn hosts(url: &Url, port: u16) -> Result<Vec<Host>, Error> {
    let mut hosts = vec![host(url, port)?];
    for (_, node) in url.query_pairs().filter(|(name, _)| name == "node") {
        if node.contains('@') {
            return Err(config(
                "a `node=` in the Redis URL has an `@`; user name and password stand once, before the first host"
                    .to_owned(),
            ));
        }
        let (host, port) = match node.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => {
                let port = port.parse().map_err(|_| {
                    config("a `node=` in the Redis URL has no valid port; write `node=host:6379`".to_owned())
                });
                (bare(host), port?)
            }
            None => (bare(&node), port),
        };
        hosts.push((host, port));
    }
    Ok(hosts)
}

fn parameter(url: &Url, wanted: &str) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<Option<String>, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return Err(config("the Redis URL has a `%` without two digits; write it as `%25`".to_owned())),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map(Some).map_err(|_| config("the Redis URL is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let plain = Address::parse("redis://user:p%40ss@localhost/3").unwrap();
        assert_eq!(plain.place, Place::Server(("localhost".into(), 6379)));
        assert_eq!((plain.tls, plain.database), (false, Some(3)));
        assert_eq!((plain.username.as_deref(), plain.password), (Some("user"), Some(Secret("p@ss".into()))));
        let cluster = Address::parse("rediss-cluster://a:1?node=b:2&node=c").unwrap();
        assert_eq!(cluster.place, Place::Cluster(vec![("a".into(), 1), ("b".into(), 2), ("c".into(), 6379)]));
        assert!(cluster.tls);
        let sentinel = Address::parse("redis-sentinel://:pw@a?service=main&node=b:5&sentinel_password=x").unwrap();
        let place = Place::Sentinel {
            sentinels: vec![("a".into(), 26379), ("b".into(), 5)],
            service: "main".into(),
            username: None,
            password: Some(Secret("x".into())),
        };
        assert_eq!(sentinel.place, place);
        let v6 = Address::parse("redis://[::1]:7").unwrap();
        assert_eq!(v6.place, Place::Server(("::1".into(), 7)));
        let v6 = Address::parse("redis-cluster://[::1]:7?node=[::2]:8&node=[::3]").unwrap();
        assert_eq!(v6.place, Place::Cluster(vec![("::1".into(), 7), ("::2".into(), 8), ("::3".into(), 6379)]));
        let unix = Address::parse("redis+unix:///run/redis%20x.sock?db=2").unwrap();
        assert_eq!((unix.place, unix.database), (Place::Unix("/run/redis x.sock".into()), Some(2)));
    }

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
}
