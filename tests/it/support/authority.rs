//! Authorities that make certificates, and servers that speak TLS with them in front of others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// An authority that makes certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) type Certificate = (String, String);

impl Authority {
    /// A new one, which nobody knows yet.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("random numbers");
        // No two have the same name.
        let name = format!("authority {:02x?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(self.pem().as_bytes()).expect("a certificate");
        roots.add(der).expect("an authority");
        roots
    }

    /// A certificate for a name.
    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        self.certificate_until(name, 4000)
    }

    /// A certificate for a name that is good until this year.
    pub(crate) fn certificate_until(&self, name: &str, year: i32) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server in front of another that speaks TLS.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The certificates that clients have shown, one for each connection.
    shown: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

/// How it speaks TLS.
pub(crate) struct Speaks<'a> {
    /// The certificate it shows.
    pub(crate) certificate: Certificate,
    /// Whose client certificates it wants to see.
    pub(crate) wants: Option<&'a Authority>,
    /// In which versions.
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
}

impl Front {
    /// Starts one.
    pub(crate) async fn start(server: SocketAddr, speaks: Speaks<'_>) -> Self {
        let (certificate, key) = &speaks.certificate;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let builder = ServerConfig::builder_with_protocol_versions(speaks.versions);
        let builder = match speaks.wants {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(authority.roots())).build();
                builder.with_client_cert_verifier(verifier.expect("an authority"))
            }
        };
        let config = builder.with_single_cert(chain, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&shown);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let mut outside = match acceptor.accept(stream).into_fallible().await {
                        Ok(outside) => outside,
                        // What it said must arrive: a socket that is closed with something unread is reset.
                        Err((_, mut stream)) => {
                            let mut rest = Vec::new();
                            return stream.read_to_end(&mut rest).await.ok().map(drop);
                        }
                    };
                    let shown = outside.get_ref().1.peer_certificates();
                    let shown = shown.and_then(<[_]>::first).map(|shown| shown.to_vec());
                    noted.lock().expect("no panic").push(shown);
                    let mut inside = TcpStream::connect(server).await.ok()?;
                    let copied = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    copied.ok().map(drop)
                });
            }
        });
        Self { address, shown }
    }

    /// What clients have shown so far, as PEM would hold it.
    pub(crate) fn shown(&self) -> Vec<Option<Vec<u8>>> {
        self.shown.lock().expect("no panic").clone()
    }
}
