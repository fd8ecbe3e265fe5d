//! TLS as a client. Owns whom a connection believes and what it shows, and saying in plain words why TLS could not be
//! agreed on: an operator must know whose certificate is wrong, and how. Reading certificates is left to
//! [`crate::source::certificate`].

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::sign::SingleCertAndKey;

use crate::source::certificate::Authorities;
use crate::source::certificate::Certificates;
use crate::source::certificate::ClientCertificate;

/// How TLS is spoken with a server.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    believed: Authorities,
    shown: Option<ClientCertificate>,
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
            || (self.believed == other.believed && self.shown == other.shown)
    }
}

impl ClientTls {
    /// Believes the system's certificate authorities and `extra`, and shows no certificate.
    #[must_use]
    pub fn usual(extra: Option<&Authorities>) -> Self {
        let mut roots = RootCertStore::empty();
        // Machines without certificates still talk in plain text; TLS then fails with a clear error when it is used.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.extend(
            extra
                .into_iter()
                .flat_map(|extra| extra.store().roots.iter().cloned()),
        );
        Self::new(roots.into(), None)
    }

    fn new(believed: Authorities, shown: Option<ClientCertificate>) -> Self {
        let builder = ClientConfig::builder().with_root_certificates(Arc::clone(believed.store()));
        let mut config = match &shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let shown = SingleCertAndKey::from(Arc::clone(shown.certified()));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            config: Arc::new(config),
            believed,
            shown,
        }
    }

    /// The same but for what these certificates say.
    #[must_use]
    pub fn with(&self, own: &Certificates) -> Self {
        if *own == Certificates::default() {
            return self.clone();
        }
        let believed = own.ca.as_ref().unwrap_or(&self.believed);
        let shown = own.client.as_ref().or(self.shown.as_ref());
        Self::new(believed.clone(), shown.cloned())
    }

    /// What the TLS library is configured with.
    #[must_use]
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// Why TLS could not be agreed on, in words; else the error's own.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    let found = tls_error(error);
    found.and_then(words).unwrap_or_else(|| error.to_string())
}

/// What TLS has to say about an error that came of it after the handshake: where a server looks at our certificate
/// only then, it is told as the connection's end.
#[must_use]
pub fn explain_later(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(inner) = next {
        if let Some(error) = inner.downcast_ref::<io::Error>()
            && let Some(error) = tls_error(error)
        {
            return words(error);
        }
        next = inner.source();
    }
    None
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn words(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidCertificate(wrong) => about_theirs(wrong),
        rustls::Error::AlertReceived(alert) => about_ours(*alert).map(str::to_owned),
        rustls::Error::PeerIncompatible(why) => {
            Some(format!("no version or cipher of TLS in common ({why:?})"))
        }
        rustls::Error::InvalidMessage(_) => Some("what it speaks is not TLS".to_owned()),
        _ => None,
    }
}

/// What is wrong with the server's certificate.
fn about_theirs(wrong: &CertificateError) -> Option<String> {
    Some(match wrong {
        CertificateError::UnknownIssuer => {
            "its certificate is of an authority that is not known here (`ca` names more)".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "its certificate is for another host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!(
                "its certificate is for another host: {}",
                presented.join(", ")
            )
        }
        CertificateError::BadSignature => {
            "its certificate is not of the authority of that name that is known here".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        _ => return None,
    })
}

/// What the server says is wrong with ours.
const fn about_ours(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired => {
            "it wants to see a certificate (`client_certificate`)"
        }
        AlertDescription::CertificateExpired => "it says that our client certificate has expired",
        AlertDescription::UnknownCA => "it does not know the authority of our client certificate",
        AlertDescription::CertificateRevoked => "it says that our client certificate was revoked",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it refuses our client certificate, or misses one",
        AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
            "it says that there is no version or cipher of TLS in common, or that it misses a client certificate"
        }
        AlertDescription::UnrecognisedName => "it has no certificate for this name",
        _ => return None,
    })
}
