//! Accepting connections until told to stop, then letting what is under way finish. Owns the listener and the number
//! of connections; one connection is left to [`crate::gateway::connection`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::account::Accounts;
use crate::flow::Gate;
use crate::gateway::connection;
use crate::gateway::connection::Terms;
use crate::gateway::guard::Patience;
use crate::gateway::head::HeadLimits;
use crate::gateway::neighbours::Neighbours;
use crate::gateway::stop::Stop;
use crate::gateway::tls;
use crate::gateway::tls::Tls;
use crate::metrics::register::Metrics;
use crate::wire::arrival::Peer;
use crate::wire::tempo::Tempo;

/// What connections may do. Each has the name it has in `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How large it may be, in bytes.
    pub header_size: usize,
    /// How many header lines it may have; hyper takes at most 100.
    pub headers: usize,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// The longest pause in a body, in either direction.
    pub body_pause: Duration,
    /// How many bytes a second a body must bring.
    pub body_rate: u64,
    /// Whether header names keep their letter case.
    pub header_case: bool,
    /// How many connections there may be.
    pub connections: usize,
    /// How many of them one address may have.
    pub connections_per_address: usize,
    /// How long what is under way may take when the process is to end.
    pub drain: Duration,
    /// How long new connections are still taken then, once `/readyz` says that no more should come.
    pub drain_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_size: 32 << 10,
            headers: 100,
            idle: Duration::from_secs(60),
            body_pause: Duration::from_secs(30),
            body_rate: 100,
            header_case: false,
            connections: 10_000,
            connections_per_address: 1000,
            drain: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
        }
    }
}

impl Limits {
    pub(in crate::gateway) const fn head(&self) -> HeadLimits {
        HeadLimits {
            size: self.header_size,
            lines: self.headers,
        }
    }

    /// How fast a person's body must come.
    #[must_use]
    pub const fn upload(&self) -> Tempo {
        Tempo {
            pause: self.body_pause,
            rate: self.body_rate,
        }
    }

    pub(in crate::gateway) const fn patience(&self) -> Patience {
        Patience {
            header: self.header_timeout,
            idle: self.idle,
            body: self.body_pause,
            rate: self.body_rate,
        }
    }
}

/// How many peers are told at a time that they have too many connections; more are closed without a word.
const COURTESY: usize = 64;

/// How many connections may wait to be accepted.
const WAITING: u32 = 1024;

/// A listening gateway.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    /// Whether somebody else holds the sockets, too, and whoever waits there is served by the next process.
    handed: bool,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    accounts: Option<Arc<Accounts>>,
}

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    /// The address is taken, or is not this machine's.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
        limits: Limits,
    ) -> io::Result<Self> {
        Ok(Self {
            sockets: vec![listen(address)?],
            handed: false,
            tls,
            limits,
            accounts: None,
        })
    }

    /// Listens on sockets that were handed over, at least one.
    ///
    /// # Errors
    /// One does not listen.
    pub fn on(
        sockets: Vec<std::net::TcpListener>,
        tls: Option<Arc<Tls>>,
        limits: Limits,
    ) -> io::Result<Self> {
        let sockets: io::Result<Vec<_>> = sockets.into_iter().map(adopt).collect();
        Ok(Self {
            sockets: sockets?,
            handed: true,
            tls,
            limits,
            accounts: None,
        })
    }

    /// Keeps an account of each request.
    #[must_use]
    pub fn telling(mut self, accounts: Option<Arc<Accounts>>) -> Self {
        self.accounts = accounts;
        self
    }

    /// The address it listens on; the first of several.
    ///
    /// # Errors
    /// The socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let first = self.sockets.first().ok_or(io::ErrorKind::NotFound)?;
        first.local_addr()
    }

    /// Serves until `stop` is given; then what is under way is finished, within `limits.drain`. Says whether
    /// all of it was.
    pub async fn run(self, gate: Arc<Gate>, stop: Stop) -> bool {
        let Self {
            sockets,
            handed,
            tls,
            limits,
            accounts,
        } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let mut door = Door {
            neighbours: Neighbours::new(limits.connections_per_address),
            courtesy: Arc::new(Semaphore::new(COURTESY)),
            connections: TaskTracker::new(),
            tls,
            terms: Terms {
                gate: Arc::clone(&gate),
                limits: limits.clone(),
                stop: stop.clone(),
                accounts,
            },
        };
        let mut turn = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.wait() => break,
                accepted = next(&sockets, &mut turn, &places, gate.metrics()) => accepted,
            };
            if let Some((stream, address, place)) = accepted {
                door.admit(stream, address, place);
            }
        }
        if !handed {
            door.admit_waiting(sockets, &places);
        }
        let Door { connections, .. } = door;
        connections.close();
        gate.tasks().close();
        let all = async {
            connections.wait().await;
            gate.tasks().wait().await;
        };
        tokio::time::timeout(limits.drain, all).await.is_ok()
    }
}

/// What everybody passes who comes in.
struct Door {
    neighbours: Neighbours,
    courtesy: Arc<Semaphore>,
    connections: TaskTracker,
    tls: Option<Arc<Tls>>,
    terms: Terms,
}

impl Door {
    /// Serves a connection, if its address does not have too many.
    fn admit(&mut self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        let gate = &self.terms.gate;
        let (trusted, metrics) = (&gate.settings().trusted_proxies, gate.metrics());
        metrics.listener.accepted.inc();
        let mut places = vec![place];
        if self.neighbours.admit(address.ip(), trusted, &mut places) {
            let (tls, terms) = (self.tls.clone(), self.terms.clone());
            self.connections
                .spawn(serve(stream, address, places, tls, terms));
            return;
        }
        metrics.hit("limits.connections_per_address");
        // Its place among all is free again at once. Over TLS there is nobody who could understand a word.
        let place = Arc::clone(&self.courtesy).try_acquire_owned();
        if let (Ok(place), None) = (place, &self.tls) {
            self.connections.spawn(async move {
                connection::turn_away(stream).await;
                drop(place);
            });
        }
    }

    /// Takes in whoever has been let in by the system already: closing the sockets would reset them.
    fn admit_waiting(&mut self, sockets: Vec<TcpListener>, places: &Arc<Semaphore>) {
        // Asked directly: the runtime may not have heard of the last ones yet.
        let sockets = sockets.into_iter().filter_map(|it| it.into_std().ok());
        for socket in sockets {
            for (stream, address) in waiting(&socket) {
                let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                    break;
                };
                let stream = stream
                    .set_nonblocking(true)
                    .and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    self.admit(stream, address, place);
                }
            }
        }
    }
}

/// Whoever waits at a socket that does not block, but no more than fit into its queue: whoever comes again as fast as
/// they are turned away must not keep the end from coming.
fn waiting(
    socket: &std::net::TcpListener,
) -> impl Iterator<Item = (std::net::TcpStream, SocketAddr)> {
    let accepted = std::iter::from_fn(|| socket.accept().ok());
    accepted.take(WAITING as usize)
}

/// The next connection, once there is a place for it.
async fn next(
    sockets: &[TcpListener],
    turn: &mut usize,
    places: &Arc<Semaphore>,
    metrics: &Metrics,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = match Arc::clone(places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            metrics.hit("limits.connections");
            metrics.listener.full.set(true);
            Arc::clone(places).acquire_owned().await.ok()?
        }
    };
    metrics.listener.full.set(false);
    // Each of several is the first to be asked in its turn.
    *turn = (*turn + 1) % sockets.len().max(1);
    let (behind, ahead) = sockets.split_at((*turn).min(sockets.len()));
    let accepted = std::future::poll_fn(|cx| {
        let mut ready = ahead
            .iter()
            .chain(behind)
            .map(|socket| socket.poll_accept(cx));
        ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
    });
    match accepted.await {
        Ok((stream, address)) => Some((stream, address, place)),
        Err(error) => {
            // Out of descriptors, most likely; others must end before it makes sense to try again.
            tracing::warn!(target: "formgate::gateway", %error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Makes a socket that was handed over one of ours.
fn adopt(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    let shown = SockRef::from(&socket);
    if !shown.is_listener()? {
        return Err(io::Error::other("it is a connection and does not listen"));
    }
    shown.set_keepalive(true)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // So that a gateway that ended a moment ago does not keep its address from the next.
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it: a tunnel has no limit on its silence, but its peer may be long gone.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    places: Vec<OwnedSemaphorePermit>,
    tls: Option<Arc<Tls>>,
    terms: Terms,
) {
    let gate = Arc::clone(&terms.gate);
    let _open = gate.metrics().listener.open.hold();
    // Small writes must not wait for each other; where it cannot be set, they just do.
    let _ = stream.set_nodelay(true);
    let trusted = &terms.gate.settings().trusted_proxies;
    let peer = Peer::new(address.ip(), tls.is_some(), trusted).holding(places);
    match tls {
        None => connection::plain(stream, peer, terms).await,
        // On the heap, so that a plain connection has no room for it.
        Some(tls) => Box::pin(secure(stream, peer, &tls, terms)).await,
    }
}

async fn secure(stream: TcpStream, peer: Peer, tls: &Tls, terms: Terms) {
    let handshake = tls.acceptor().accept(stream);
    let handshake = Box::pin(tokio::time::timeout(terms.limits.header_timeout, handshake));
    let Ok(Ok(stream)) = handshake.await else {
        terms.gate.metrics().listener.handshakes.inc();
        tracing::debug!(target: "formgate::gateway", "a connection did not get through its TLS handshake");
        return;
    };
    let session = stream.get_ref().1;
    let peer = peer.over(session.protocol_version().and_then(tls::version));
    if session.alpn_protocol() == Some(b"h2") {
        connection::http2(stream, peer, terms).await;
    } else {
        connection::http1(stream, Bytes::new(), Instant::now(), peer, terms).await;
    }
}
