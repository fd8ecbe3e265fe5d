//! Making a connection: look up, judge each address, connect, and speak TLS where it is asked for. Owns the guard
//! on the address that is really used; keeping connections is left to [`crate::wire::pool`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::model::origin::Origin;
use crate::wire::egress::Networks;
use crate::wire::egress::Refused;

/// Makes connections.
#[derive(Debug, Clone)]
pub struct Connector {
    tls: Arc<ClientConfig>,
    timeout: Duration,
    /// Where it may go; `None` for anywhere.
    networks: Option<Arc<Networks>>,
}

/// Why there is no connection; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name `{0}` could not be looked up: {1}")]
    Lookup(String, io::Error),
    /// Every address of the name is one that may not be called.
    #[error("`{0}` may not be called: {1}")]
    Refused(String, Refused),
    /// No address answered.
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    /// TLS could not be agreed on.
    #[error("no TLS with `{0}`: {1}")]
    Tls(String, io::Error),
    /// Looking up, connecting and TLS took too long.
    #[error("no connection to `{0}` within {1:?}")]
    TimedOut(String, Duration),
}

/// A connection.
#[derive(Debug)]
pub enum Connection {
    /// In plain text.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// For calls to hooks: addresses that are never called are refused, and what the operator has closed.
    #[must_use]
    pub fn guarded(tls: Arc<ClientConfig>, timeout: Duration, networks: Networks) -> Self {
        Self {
            tls,
            timeout,
            networks: Some(Arc::new(networks)),
        }
    }

    /// For the operator's own backend, wherever it is.
    #[must_use]
    pub const fn open(tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self {
            tls,
            timeout,
            networks: None,
        }
    }

    /// Makes a connection to a server.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing was sent.
    pub async fn connect(&self, origin: &Origin) -> Result<Connection, ConnectError> {
        match tokio::time::timeout(self.timeout, self.attempt(origin)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut(origin.host.clone(), self.timeout)),
        }
    }

    async fn attempt(&self, origin: &Origin) -> Result<Connection, ConnectError> {
        let addresses = self.addresses(origin).await?;
        // One address that swallows everything must not use up the time of the others.
        let share = self.timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failed = None;
        for address in addresses {
            let connected = tokio::time::timeout(share, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    // Small writes must not wait for each other; where it cannot be set, they just do.
                    let _ = stream.set_nodelay(true);
                    return self.secure(stream, origin).await;
                }
                Err(error) => failed = Some(ConnectError::Connect(address, error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            ConnectError::Lookup(origin.host.clone(), io::ErrorKind::NotFound.into())
        }))
    }

    /// The addresses of a server that may be called. Literal addresses in whatever notation go the same way.
    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = tokio::net::lookup_host((origin.host.as_str(), origin.port)).await;
        let found = found.map_err(|error| ConnectError::Lookup(origin.host.clone(), error))?;
        let mut allowed = Vec::new();
        let mut refused = None;
        for address in found {
            let judged = self.networks.as_ref().map(|nets| nets.judge(address.ip()));
            match judged {
                Some(Err(why)) => refused = Some(why),
                _ => allowed.push(address),
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(ConnectError::Refused(origin.host.clone(), why)),
            _ => Ok(allowed),
        }
    }

    async fn secure(&self, stream: TcpStream, origin: &Origin) -> Result<Connection, ConnectError> {
        if !origin.tls {
            return Ok(Connection::Plain(stream));
        }
        let wrong = |error| ConnectError::Tls(origin.host.clone(), error);
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|error| wrong(io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(wrong)?;
        Ok(Connection::Tls(Box::new(stream)))
    }
}

/// TLS as a client: the system's certificate authorities, and those of `extra` in PEM.
///
/// # Errors
/// What is wrong with `extra`.
pub fn client_tls(extra: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = RootCertStore::empty();
    // Machines without certificates still talk in plain text; TLS then fails with a clear error when it is used.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra {
        if CertificateDer::pem_slice_iter(pem).next().is_none() {
            return Err("the file holds no certificate in PEM".to_owned());
        }
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|error| format!("not a PEM certificate: {error}"))?;
            roots
                .add(certificate)
                .map_err(|error| format!("not a usable certificate authority: {error}"))?;
        }
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
