//! Certificates: given, or made for the occasion.

use std::fmt;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::server::ServerError;
use crate::sync::PlainArc;

/// A certificate and its key, for an endpoint over TLS. It speaks HTTP/2 and HTTP/1.1, as the client
/// likes.
#[derive(Clone)]
pub struct Tls {
    config: PlainArc<ServerConfig>,
    certificate_pem: String,
}

impl Tls {
    /// Makes a key and a certificate that it signs itself, for `localhost`, 127.0.0.1, ::1 and the
    /// names that are given. Clients have to be told to trust [`Tls::certificate_pem`].
    ///
    /// # Errors
    ///
    /// [`ServerError::Tls`] if a name cannot be in a certificate.
    pub fn self_made(
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, ServerError> {
        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
        all.extend(names.into_iter().map(Into::into));
        let made = rcgen::generate_simple_self_signed(all).map_err(ServerError::tls)?;
        let key =
            PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(ServerError::tls)?;
        Self::new(vec![made.cert.der().clone()], key, made.cert.pem())
    }

    /// Takes a chain of certificates and a key as they are in PEM files.
    ///
    /// # Errors
    ///
    /// [`ServerError::Tls`] if they cannot be read or do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, ServerError> {
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(ServerError::tls)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(ServerError::tls)?;
        let pem = String::from_utf8_lossy(certificates).into_owned();
        Self::new(chain, key, pem)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        certificate_pem: String,
    ) -> Result<Self, ServerError> {
        let provider = PlainArc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ServerError::tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(ServerError::tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: PlainArc::new(config),
            certificate_pem,
        })
    }

    /// The certificate, as clients that are to trust it want it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(PlainArc::clone(&self.config))
    }
}

impl fmt::Debug for Tls {
    /// The key stays secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
