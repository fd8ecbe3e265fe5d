//! Certificates that files name: whom to believe about other servers, and what to show them. Owns reading both from
//! PEM, and that a certificate and its key belong together; speaking TLS with them is left to `wire`.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;

use crate::model::secret::Secret;
use crate::source::secret;
use crate::source::table::Table;

/// Who is believed about certificates of servers.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

/// A certificate to show, and its key; prints no more than where the key ends.
#[derive(Debug, Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.roots == other.0.roots
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        // One public key has one private key.
        Arc::ptr_eq(&self.0, &other.0) || self.0.cert == other.0.cert
    }
}

impl From<RootCertStore> for Authorities {
    fn from(roots: RootCertStore) -> Self {
        Self(Arc::new(roots))
    }
}

impl Authorities {
    /// Reads them from PEM.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(pem)? {
            roots
                .add(certificate)
                .map_err(|error| format!("not a usable certificate authority: {error}"))?;
        }
        Ok(roots.into())
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Arc<RootCertStore> {
        &self.0
    }
}

impl ClientCertificate {
    /// Reads a certificate, perhaps with those between it and its authority, and its key.
    ///
    /// # Errors
    /// A sentence for the person who wrote it, without anything of the key.
    pub fn from_pem(certificate: &[u8], key: &Secret) -> Result<Self, String> {
        let chain = chain(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| "the key is not a private key in PEM".to_owned())?;
        let both = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let both = both.map_err(|error| format!("certificate and key do not fit: {error}"))?;
        Ok(Self(Arc::new(both)))
    }

    /// Both, as TLS shows them.
    #[must_use]
    pub const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("not a certificate in PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in PEM".to_owned());
    }
    Ok(chain)
}

/// What one table says about certificates, as `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `ca`.
    pub ca: Option<String>,
    /// `client_certificate`.
    pub certificate: Option<String>,
    /// `client_key`.
    pub key: Option<String>,
}

/// The certificates of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Certificates {
    /// Who alone is believed.
    pub ca: Option<Authorities>,
    /// What is shown.
    pub client: Option<ClientCertificate>,
}

/// The keys of a table that name certificates.
pub const KEYS: [&str; 3] = ["ca", "client_certificate", "client_key"];

impl Sources {
    /// Takes over what a table says; files are looked for from `folder`.
    pub fn take(&mut self, table: &Table<'_>, folder: &Path) {
        let [ca, certificate, key] = KEYS;
        let take = |slot: &mut Option<String>, name: &str| {
            if let Some(text) = table.text(name) {
                if !secret::is_reference(&text.value) {
                    table.page().conceal(text.span);
                }
                *slot = Some(secret::from_folder(&text.value, folder));
            }
        };
        take(&mut self.ca, ca);
        take(&mut self.certificate, certificate);
        take(&mut self.key, key);
    }

    /// Each key that is there, with what it says.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let said = [&self.ca, &self.certificate, &self.key];
        let said = KEYS.into_iter().zip(said);
        said.filter_map(|(name, said)| Some((name, said.as_deref()?)))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence for the person who wrote it.
    pub fn read(&self) -> Result<Certificates, (&'static str, String)> {
        let [ca, certificate, key] = KEYS;
        let resolve = |name: &'static str, said: &str| {
            let wanted = || format!("write file:{name}.pem or env:NAME");
            let resolved = secret::resolve(said, Path::new(""));
            let resolved = resolved.unwrap_or_else(|| Err(wanted()));
            resolved.map_err(|why| (name, why))
        };
        let authorities = self.ca.as_ref().map(|said| {
            let pem = resolve(ca, said)?;
            Authorities::from_pem(pem.expose().as_bytes()).map_err(|why| (ca, why))
        });
        let client = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(_), None) => return Err((certificate, format!("needs its key; add `{key}`"))),
            (None, Some(_)) => {
                return Err((key, format!("needs its certificate; add `{certificate}`")));
            }
            (Some(shown), Some(secret)) => {
                let pem = resolve(certificate, shown)?;
                let secret = resolve(key, secret)?;
                let both = ClientCertificate::from_pem(pem.expose().as_bytes(), &secret);
                Some(both.map_err(|why| (certificate, why))?)
            }
        };
        Ok(Certificates {
            ca: authorities.transpose()?,
            client,
        })
    }
}
