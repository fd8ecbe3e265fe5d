//! Making a connection: look up, judge each address, connect, and speak TLS where it is asked for. Owns the guard
//! on the address that is really used; keeping connections is left to [`crate::wire::pool`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::model::origin::Origin;
use crate::source::certificate::Certificates;
use crate::wire::client_tls;
use crate::wire::client_tls::ClientTls;
use crate::wire::egress::Networks;
use crate::wire::egress::Refused;
use crate::wire::proxy::Forwarding;
use crate::wire::proxy::Proxy;
use crate::wire::proxy::ProxyError;

/// Makes connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Connector {
    tls: ClientTls,
    timeout: Duration,
    /// Where it may go; `None` for anywhere.
    networks: Option<Arc<Networks>>,
    /// What it goes through.
    proxy: Option<Arc<Proxy>>,
}

/// Why there is no connection; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name `{0}` could not be looked up: {1}")]
    Lookup(String, io::Error),
    /// Every address of the name is one that may not be called.
    #[error("`{0}` may not be called; egress: {1}")]
    Refused(String, Refused),
    /// The proxy makes no tunnel.
    #[error("no way to `{0}` through the proxy: {1}")]
    Proxy(String, ProxyError),
    /// No address answered.
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    /// TLS could not be agreed on.
    #[error("no TLS with `{0}`: {explained}", explained = client_tls::explain(.1))]
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
    pub fn guarded(
        tls: ClientTls,
        timeout: Duration,
        networks: Networks,
        proxy: Option<Proxy>,
    ) -> Self {
        Self {
            tls,
            timeout,
            networks: Some(Arc::new(networks)),
            proxy: proxy.map(Arc::new),
        }
    }

    /// For the operator's own backend, wherever it is.
    #[must_use]
    pub const fn open(tls: ClientTls, timeout: Duration) -> Self {
        Self {
            tls,
            timeout,
            networks: None,
            proxy: None,
        }
    }

    /// The same, but with certificates of its own.
    #[must_use]
    pub fn with(&self, certificates: &Certificates) -> Self {
        Self {
            tls: self.tls.with(certificates),
            ..self.clone()
        }
    }

    /// How requests to a server are addressed where a proxy passes them on one by one.
    #[must_use]
    pub fn forwarding(&self, origin: &Origin) -> Option<Forwarding> {
        let proxy = self.proxy_for(origin).filter(|_| !origin.tls)?;
        Some(proxy.forwarding(origin))
    }

    fn proxy_for(&self, origin: &Origin) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.serves(origin))
    }

    /// Whether a server may be called, asked of everybody who knows: its name is looked up.
    ///
    /// # Errors
    /// [`ConnectError`]: the name leads nowhere, or nowhere where one may call.
    pub async fn ask(&self, origin: &Origin) -> Result<(), ConnectError> {
        self.judge_literal(origin)?;
        let to = self.proxy_for(origin).map_or(origin, Proxy::origin);
        match tokio::time::timeout(self.timeout, self.addresses(to)).await {
            Ok(found) => found.map(drop),
            Err(_) => Err(ConnectError::TimedOut(to.host.clone(), self.timeout)),
        }
    }

    fn judge_literal(&self, origin: &Origin) -> Result<(), ConnectError> {
        let networks = self.networks.as_ref();
        let judged = networks.map_or(Ok(()), |networks| networks.judge_literal(&origin.host));
        judged.map_err(|why| ConnectError::Refused(origin.host.clone(), why))
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
        let Some(proxy) = self.proxy_for(origin) else {
            let stream = self.dial(origin).await?;
            return self.secure(stream, origin).await;
        };
        self.judge_literal(origin)?;
        let stream = self.dial(proxy.origin()).await?;
        if !origin.tls {
            return Ok(Connection::Plain(stream));
        }
        let tunnel = proxy.tunnel(stream, origin).await;
        let tunnel = tunnel.map_err(|error| ConnectError::Proxy(origin.host.clone(), error))?;
        self.secure(tunnel, origin).await
    }

    /// A connection to the first address that answers.
    async fn dial(&self, origin: &Origin) -> Result<TcpStream, ConnectError> {
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
                    return Ok(stream);
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
        let stream = TlsConnector::from(Arc::clone(self.tls.config()))
            .connect(name, stream)
            .await
            .map_err(wrong)?;
        Ok(Connection::Tls(Box::new(stream)))
    }
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
