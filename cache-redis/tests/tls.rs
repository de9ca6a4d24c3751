//! TLS: private authorities, client certificates, and servers that must not be trusted.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::{Redis, RedisBuilder, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        // With the authority's name it would look self-signed.
        params.distinguished_name.push(DnType::CommonName, "somebody");
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A server and its certificates.
struct Serving {
    server: Server,
    _files: tempfile::TempDir,
}

/// It speaks TLS only.
fn serve(authority: &Authority, names: &[&str], ask_clients: bool) -> Serving {
    let (certificate, key) = authority.issue(names);
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, certificate, key) =
        (write("ca.pem", &authority.pem()), write("cert.pem", &certificate), write("key.pem", &key));
    let server = Server::with(&[
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        if ask_clients { "yes" } else { "no" },
    ]);
    Serving { server, _files: files }
}

fn builder(serving: &Serving) -> RedisBuilder {
    at(&serving.server)
}

fn at(server: &Server) -> RedisBuilder {
    Redis::builder(format!("rediss://127.0.0.1:{}", server.port())).timeout(Duration::from_secs(2))
}

async fn works(redis: &Redis) {
    redis.put(&key("k"), b"v", &[tag(1)]).await;
    assert!(redis.payload(&key("k")).await.is_some());
    let held = redis.granted(&key("l"), &[]).await;
    let busy = redis.busy(&key("l")).await;
    drop(held);
    within(Duration::from_secs(5), "the wake", redis.wait(&key("l"), busy)).await.unwrap();
}

#[tokio::test]
async fn a_private_authority() {
    let authority = Authority::new();
    let server = serve(&authority, &["127.0.0.1"], false);
    works(&builder(&server).tls(Tls::new().ca_pem(authority.pem())).connect().await.unwrap()).await;
}

#[tokio::test]
async fn servers_that_must_not_be_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(&authority, &["127.0.0.1"], false);
    let elsewhere = serve(&authority, &["redis.example.com"], false);
    let began = Instant::now();
    for (builder, what) in [
        (builder(&server).tls(Tls::new().ca_pem(other.pem())), "another authority"),
        (builder(&server), "the operating system's"),
        (builder(&elsewhere).tls(Tls::new().ca_pem(authority.pem())), "another name"),
    ] {
        let error = builder.connect().await.unwrap_err();
        // A machine without any authorities can't be configured.
        assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::Config), "{what}: {error:?}");
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("certificate"), "{what}: {text}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn client_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(&authority, &["127.0.0.1"], true);
    let trusting = || Tls::new().ca_pem(authority.pem());
    let (certificate, key) = authority.issue(&["me"]);
    works(&builder(&server).tls(trusting().client_pem(certificate, key)).connect().await.unwrap()).await;
    builder(&server).tls(trusting()).connect().await.unwrap_err();
    let (certificate, key) = other.issue(&["me"]);
    builder(&server).tls(trusting().client_pem(certificate, key)).connect().await.unwrap_err();
}

/// The other scheme is named, for each kind of URL.
#[tokio::test]
async fn one_side_only() {
    let authority = Authority::new();
    let (without, timeout) = (Server::start(), Duration::from_millis(200));
    for ask_clients in [false, true] {
        let with = serve(&authority, &["127.0.0.1"], ask_clients);
        for (kind, rest) in [("redis", ""), ("redis-cluster", ""), ("redis-sentinel", "?service=main")] {
            let url = |scheme: &str, server: &Server| format!("{scheme}://127.0.0.1:{}{rest}", server.port());
            let tls = kind.replacen("redis", "rediss", 1);
            let began = Instant::now();
            let error = Redis::builder(url(kind, &with.server)).timeout(timeout).connect().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
            let words = format!("the server expects TLS; write `{tls}://` instead of `{kind}://`");
            assert!(error.to_string().contains(&words), "{error:?}");
            let builder = Redis::builder(url(&tls, &without)).tls(Tls::new().ca_pem(authority.pem()));
            let error = builder.timeout(timeout).connect().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
            let words = format!("speaks Redis without TLS; write `{kind}://` instead of `{tls}://`");
            assert!(error.to_string().contains(&words), "{error:?}");
            assert!(began.elapsed() < Duration::from_secs(6));
        }
    }
}

/// Who doesn't speak TLS at all isn't told about certificates.
#[tokio::test]
async fn what_speaks_no_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = Redis::builder(url).tls(Tls::new().ca_pem(Authority::new().pem())).connect().await.unwrap_err();
    assert!(error.to_string().contains("HTTP server"), "{error:?}");
}

#[test]
fn certificates_that_are_none() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["me"]);
    let (_, other_key) = authority.issue(&["me"]);
    for tls in [
        Tls::new().ca_pem("nonsense"),
        Tls::new().ca_pem(authority.pem()).client_pem("nonsense", key.clone()),
        Tls::new().ca_pem(authority.pem()).client_pem(certificate.clone(), "nonsense"),
        Tls::new().ca_pem(authority.pem()).client_pem(certificate, other_key),
    ] {
        assert!(!format!("{tls:?}").contains("nonsense"));
        let error = Redis::builder("rediss://localhost").tls(tls).connect_lazy().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let error = Redis::builder("redis://localhost").tls(Tls::new()).connect_lazy().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    drop(key);
}
