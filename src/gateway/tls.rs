//! TLS towards people. Owns reading certificate and key, and putting new ones in force while connections go on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ProtocolVersion;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate chain in PEM, the server's own first.
    pub cert: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// TLS with the certificate that is in force now.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: ArcSwap<InForce>,
}

/// A certificate that fits its key.
#[derive(Debug)]
struct InForce {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file, never its content.
    pub fn load(files: Files) -> Result<Self, String> {
        let read = read(&files)?;
        Ok(Self {
            files,
            current: ArcSwap::from_pointee(read),
        })
    }

    /// Reads the files again; a bad one never replaces a good one. Says whether the certificate is another.
    ///
    /// # Errors
    /// As [`Tls::load`]; the old certificate stays in force.
    pub fn reload(&self) -> Result<bool, String> {
        let read = read(&self.files)?;
        // Whoever has the same certificate has the same key: they fit.
        let is_other = read.chain != self.current.load().chain;
        self.current.store(Arc::new(read));
        Ok(is_other)
    }

    /// The files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Accepts connections with the certificate that is in force now.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }
}

/// A version as it is written; only those that are spoken here.
pub(in crate::gateway) fn version(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

fn read(files: &Files) -> Result<InForce, String> {
    let open = |path: &PathBuf| {
        fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    let cert = open(&files.cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert).collect();
    let chain = chain.map_err(|_| {
        format!(
            "`{}` is not a certificate chain in PEM",
            files.cert.display()
        )
    })?;
    if chain.is_empty() {
        return Err(format!("`{}` holds no certificate", files.cert.display()));
    }
    let key = PrivateKeyDer::from_pem_slice(&open(&files.key)?);
    let key = key.map_err(|_| format!("`{}` is not a private key in PEM", files.key.display()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key);
    let mut config = config.map_err(|error| format!("certificate and key do not fit: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(InForce {
        chain,
        config: Arc::new(config),
    })
}
