//! TLS of a listener: the broker's certificate, and whose certificates it believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::error::Error;
use crate::security::listener_settings::ListenerSettings;

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// Those that have one show it, the others stay anonymous.
    Requested,
    /// Without one nobody comes in.
    Required,
}

impl ClientAuth {
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "requested" => Some(Self::Requested),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// What a TLS listener accepts connections with.
pub(crate) fn acceptor(config: &ListenerSettings) -> Result<TlsAcceptor, Error> {
    let chain_path = given("security.tls_certificate_file", config.tls_certificate_file.as_ref())?;
    let key_path = given("security.tls_key_file", config.tls_key_file.as_ref())?;
    let chain = certificates("security.tls_certificate_file", chain_path)?;
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| bad("security.tls_key_file", key_path, &error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("security.tls_certificate_file", chain_path, &error))?;
    let builder = if config.tls_client_auth == ClientAuth::None {
        builder.with_no_client_auth()
    } else {
        let name = "security.tls_client_ca_file";
        let path = given(name, config.tls_client_ca_file.as_ref())?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(name, path)? {
            roots.add(certificate).map_err(|error| bad(name, path, &error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let optional = config.tls_client_auth == ClientAuth::Requested;
        let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
        builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(name, path, &error))?)
    };
    let server = builder
        .with_single_cert(chain, key)
        .map_err(|error| bad("security.tls_certificate_file", chain_path, &error))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn given<'a>(key: &'static str, path: Option<&'a PathBuf>) -> Result<&'a Path, Error> {
    let missing = || Error::Config { key, reason: "a TLS listener needs it".to_owned() };
    path.map(PathBuf::as_path).ok_or_else(missing)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| bad(key, path, &error))?;
    if certificates.is_empty() {
        return Err(Error::Config { key, reason: format!("there is no certificate in {}", path.display()) });
    }
    Ok(certificates)
}

fn bad(key: &'static str, path: &Path, error: &dyn std::error::Error) -> Error {
    Error::Config { key, reason: format!("{} cannot be used: {error}", path.display()) }
}
