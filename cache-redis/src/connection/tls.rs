//! TLS: which certificate authorities to trust, and which client certificate to send.

use std::fmt;
use std::sync::Arc;

use cache_core::{Error, ErrorKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Options of a TLS connection. The default trusts what the operating system trusts, and shows no certificate.
///
/// ```no_run
/// # mod larder { pub use cache_redis::Tls; }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use larder::Tls; // with larder's feature `redis-tls`
///
/// let tls = Tls::new().ca_pem(std::fs::read("ca.pem")?).client_pem(std::fs::read("me.pem")?, std::fs::read("me.key")?);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    authorities: Option<Vec<u8>>,
    /// Certificates, key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificate authorities (PEM, one or more) and no others.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows this certificate, its chain after it, and has this key (both PEM).
    pub fn client_pem(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificates.into(), key.into()));
        self
    }

    pub(crate) fn client_config(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for certificate in certificates(pem, "the certificate authorities given with `Tls::ca_pem`")? {
                    roots.add(certificate).map_err(|cause| {
                        config("a certificate given with `Tls::ca_pem` is no authority").with_source(cause)
                    })?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err(config(
                        "no trusted certificates were found on this machine; give some with `Tls::ca_pem`",
                    ));
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| config("TLS can't be set up").with_source(cause))?
            .with_root_certificates(roots);
        let Some((chain, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(chain, "the certificates given with `Tls::client_pem`")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| config("the key given with `Tls::client_pem` is no private key in PEM form"))?;
        builder.with_client_auth_cert(chain, key).map_err(|cause| {
            config("certificate and key given with `Tls::client_pem` don't fit together").with_source(cause)
        })
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(config(&format!("{what} are not in PEM form, or there are none"))),
    }
}

fn config(message: &str) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("own_authorities", &self.authorities.is_some())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}
