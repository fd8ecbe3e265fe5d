//! Serving the admin listener. Owns its socket and its limits, which are narrow: a few programs ask it a few short
//! questions, and none of them may hold it up for another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::admin::routes;
use crate::metrics::register::Metrics;

/// How many connections there may be; more wait.
const CONNECTIONS: usize = 64;
/// How long a head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);
/// The largest head, in bytes.
const HEAD_SIZE: usize = 16 << 10;
/// How long a connection may last at all, so that whoever reads nothing does not hold a place for ever.
const LIFE: Duration = Duration::from_secs(300);

/// The listening socket.
#[derive(Debug)]
pub struct Admin {
    socket: TcpListener,
}

impl Admin {
    /// Listens on an address.
    ///
    /// # Errors
    /// The address is taken, or is not this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(address).await?,
        })
    }

    /// Listens on a socket that was handed over.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn on(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until it is dropped: it is the last to end, so that it can be asked how the end goes.
    pub async fn run(self, metrics: Arc<Metrics>) {
        let router = routes::router(metrics);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // The places are never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(target: "formgate::admin", %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let router = router.clone();
            tokio::spawn(async move {
                // Whoever asks is there again, or not.
                drop(tokio::time::timeout(LIFE, serve(stream, router)).await);
                drop(place);
            });
        }
    }
}

async fn serve(stream: TcpStream, router: axum::Router) -> hyper::Result<()> {
    let service = TowerToHyperService::new(router);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
