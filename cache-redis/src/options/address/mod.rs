//! Where the server is: what a URL says.

mod mistakes;

use std::fmt;
use std::path::PathBuf;

use cache_core::{Error, ErrorKind};
use url::Url;

use self::mistakes::{CUT_SHORT, NO_HOST, NO_SCHEME, NO_SOCKET, SCHEMES, is_cut_short, malformed, unknown_option};

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

impl Address {
    /// Errors repeat nothing of the URL but names of options: it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|cause| config(malformed(text, cause)).with_source(cause))?;
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
            return Err(config(unknown_option(&url, kind, &name, known)));
        }
        let username = decode(url.username())?.filter(|name| !name.is_empty());
        let password = url.password().map(decode).transpose()?.flatten().map(Secret);
        let place = match kind {
            "unix" => Place::Unix(socket(&url)?),
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

fn host(url: &Url, port: u16) -> Result<Host, Error> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| config(NO_HOST.to_owned()))?;
    Ok((bare(host), url.port().unwrap_or(port)))
}

/// The path. Where there are a user name and a password, there must be a host as well: this one.
fn socket(url: &Url) -> Result<PathBuf, Error> {
    let has_host = url.host_str().is_some_and(|host| !host.is_empty() && host != "localhost");
    if has_host || url.path().len() < 2 {
        return Err(config(NO_SOCKET.to_owned()));
    }
    Ok(decode(url.path())?.unwrap_or_default().into())
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
}
