//! One connection from its first byte to its last. Owns which HTTP is spoken on it, ending it gracefully, tunnels
//! after an upgrade, and what is said to a peer that broke the rules.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tower::Service;

use crate::account::Accounts;
use crate::backend::Tunnel;
use crate::flow::Gate;
use crate::gateway::fault::Fault;
use crate::gateway::guard::Guard;
use crate::gateway::guard::LAST_CALL;
use crate::gateway::guard::Patience;
use crate::gateway::layers;
use crate::gateway::line::Line;
use crate::gateway::preface;
use crate::gateway::preface::Spoken;
use crate::gateway::serve::Limits;
use crate::gateway::stop::Stop;
use crate::wire::arrival::Peer;

/// What a connection is served with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The flow.
    pub gate: Arc<Gate>,
    /// What a connection may do, and for how long.
    pub limits: Limits,
    /// Given when the process is to end.
    pub stop: Stop,
    /// Where each request's account is kept; `None` where nobody is told.
    pub accounts: Option<Arc<Accounts>>,
}

/// Serves a plain connection, in whichever HTTP the client speaks.
pub async fn plain<S>(mut stream: S, peer: Peer, terms: Terms)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let began = Instant::now();
    let first = tokio::select! {
        first = preface::spoken(&mut stream, terms.limits.header_timeout) => first,
        () = last_call(&terms.stop) => None,
    };
    match first {
        None => {}
        // On the heap, so that the usual connection has no room for it.
        Some(Spoken { http2: true, ahead }) => {
            Box::pin(http2(Ahead { ahead, stream }, peer, terms)).await;
        }
        Some(Spoken {
            http2: false,
            ahead,
        }) => http1(stream, ahead, began, peer, terms).await,
    }
}

/// Waits until the process is to end, and a little longer for whoever has asked already.
async fn last_call(stop: &Stop) {
    stop.wait().await;
    tokio::time::sleep(LAST_CALL).await;
}

/// Serves HTTP/1 on a connection that was there at `began`, and of which `ahead` has been read.
pub async fn http1<S>(stream: S, ahead: Bytes, began: Instant, peer: Peer, terms: Terms)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let metrics = Arc::clone(terms.gate.metrics());
    let line = Arc::new(Line::default());
    let guard = Guard::new(
        stream,
        ahead,
        Arc::clone(&line),
        terms.limits.head(),
        terms.limits.patience(),
        began,
    );
    let (peer, accounts) = (Arc::new(peer), terms.accounts.as_ref());
    let service = layers::service(&terms.gate, &peer, &line, accounts, layers::Spoken::Http1);
    // On the heap, so that the connection can be taken apart when it is done.
    let service =
        hyper::service::service_fn(move |request| Box::pin(service.clone().call(request)));
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(terms.limits.header_case)
        .header_read_timeout(None);
    let mut connection = builder.serve_connection(TokioIo::new(guard), service);
    let mut stop = terms.stop.watch();
    let done = std::future::poll_fn(|cx| {
        // hyper's own graceful end closes a connection without an answer under way at once: a request that is on its
        // way would be lost. Here the next answer says that it is the last, and the guard waits for it.
        if stop.is_given(cx) {
            line.end();
            // It is not idle before the last answer is done, and hyper does not look by itself.
            line.wake_when_quiet(cx.waker());
        }
        connection.poll_without_shutdown(cx)
    });
    // What went wrong is known to the guard, or is the peer's own affair.
    let _ = done.await;
    let parts = connection.into_parts();
    let guard = parts.io.into_inner();
    // Its end needs buffers for which a connection that goes on has no room.
    match line.take() {
        Some(tunnel) => Box::pin(carry_tunnel(guard, parts.read_buf, tunnel)).await,
        None => {
            let limit = guard
                .fault()
                .filter(|_| !guard.is_in_body())
                .and_then(Fault::limit);
            if let Some(limit) = limit {
                metrics.hit(limit);
            }
            Box::pin(farewell(guard)).await;
        }
    }
}

/// Carries the bytes of an upgraded connection both ways until one side ends.
async fn carry_tunnel<S>(mut guard: Guard<S>, early: Bytes, tunnel: Tunnel)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(upgraded) = tunnel.0.await else { return };
    let mut backend = TokioIo::new(upgraded);
    if !early.is_empty()
        && (backend.write_all(&early).await.is_err() || backend.flush().await.is_err())
    {
        return;
    }
    // Either side may just go away; there is nobody to tell.
    let _ = tokio::io::copy_bidirectional(&mut guard, &mut backend).await;
}

/// How long a peer that is still sending is listened to after the last answer: in all, and in a pause.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_PAUSE: Duration = Duration::from_secs(1);

/// Says what was wrong, if something was, and closes so that the peer can read it.
async fn farewell<S>(guard: Guard<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fault = guard.fault();
    // What is wrong in a body is said in the answer to its request.
    let words = fault
        .filter(|_| !guard.is_in_body())
        .and_then(Fault::last_words);
    let mut stream = guard.into_inner();
    if let Some(fault) = fault {
        tracing::debug!(target: "formgate::gateway", limit = fault.limit(), %fault, "a connection is closed");
        if matches!(fault, Fault::Unread(_)) {
            return;
        }
    }
    if let Some(words) = words {
        let _ = tokio::time::timeout(LINGER_PAUSE, stream.write_all(&words)).await;
    }
    let _ = tokio::time::timeout(LINGER_PAUSE, stream.shutdown()).await;
    // A reset would make the peer lose the answer if anything is still on its way.
    let _ = tokio::time::timeout(LINGER, until_silent(&mut stream)).await;
}

/// Reads until the peer ends or pauses.
async fn until_silent(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_PAUSE, stream.read(&mut buffer)).await {}
}

/// Tells a peer with too many connections that this one is not served, and closes it; both are over soon. The peer may
/// have asked for something: it is read away, or a reset would make the peer lose what it is told.
pub async fn turn_away<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let words = Fault::Crowded.last_words().unwrap_or_default();
    let told = async {
        if stream.write_all(&words).await.is_ok() && stream.shutdown().await.is_ok() {
            until_silent(&mut stream).await;
        }
    };
    let _ = tokio::time::timeout(LINGER_PAUSE, told).await;
}

/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);
/// How many requests one HTTP/2 connection may have under way.
const STREAMS: u32 = 128;

/// Serves HTTP/2.
pub async fn http2<S>(stream: S, peer: Peer, terms: Terms)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let line = Arc::new(Line::default());
    let spoken = layers::Spoken::Http2(terms.limits.headers);
    let (peer, accounts) = (Arc::new(peer), terms.accounts.as_ref());
    let service = layers::service(&terms.gate, &peer, &line, accounts, spoken);
    let service = TowerToHyperService::new(service);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(terms.limits.header_timeout)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(terms.limits.header_size).unwrap_or(u32::MAX));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut watch = Watch::new(&terms.limits);
    let mut looks = tokio::time::interval(watch.often());
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = line.until_unruly() => {
                tracing::info!(target: "formgate::gateway", "a connection gave up too many requests and is closed");
                return;
            }
            () = terms.stop.wait(), if !watch.is_ending() => {
                watch.stop(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => match watch.look(&line, Instant::now()) {
                Look::Fine => {}
                Look::End => connection.as_mut().graceful_shutdown(),
                Look::Drop => {
                    tracing::debug!(target: "formgate::gateway", "a connection whose peer reads nothing is closed");
                    return;
                }
            },
        }
    }
}

/// Watches over the time of an HTTP/2 connection, whose answers hyper sends out of sight.
struct Watch {
    patience: Patience,
    /// When a request was last under way.
    busy: Instant,
    greeted: bool,
    /// Since when no new requests are taken.
    ending: Option<Instant>,
    /// Whether that is because the process ends; then `limits.drain` bounds it.
    stopping: bool,
}

/// What is to be done about a connection.
enum Look {
    Fine,
    /// Take no new requests.
    End,
    /// Nothing more comes of it.
    Drop,
}

impl Watch {
    fn new(limits: &Limits) -> Self {
        Self {
            patience: limits.patience(),
            busy: Instant::now(),
            greeted: false,
            ending: None,
            stopping: false,
        }
    }

    /// How often to look.
    fn often(&self) -> Duration {
        let Patience {
            header, idle, body, ..
        } = self.patience;
        (header.min(idle).min(body) / 4).max(Duration::from_millis(10))
    }

    const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// The process ends.
    const fn stop(&mut self, now: Instant) {
        self.ending = Some(now);
        self.stopping = true;
    }

    fn look(&mut self, line: &Line, now: Instant) -> Look {
        let Patience {
            header, idle, body, ..
        } = self.patience;
        line.forgive();
        if line.was_busy() || line.is_busy() {
            self.busy = now;
            self.greeted = true;
        }
        let (busy, waiting) = line.under_way();
        let stuck = waiting.iter().filter(|since| now - **since >= body);
        let stuck = stuck.count();
        match self.ending {
            None => {
                // The first request must come as soon as a head; later ones may take their time.
                let patience = if self.greeted { idle } else { header };
                if stuck == 0 && now - self.busy < patience {
                    return Look::Fine;
                }
                self.ending = Some(now);
                Look::End
            }
            // Answers that move go on to their end; what the peer does not read is not waited for.
            Some(since) if stuck > 0 && stuck >= busy && now - since >= header => Look::Drop,
            Some(since) if stuck > 0 && now - since >= 4 * body => Look::Drop,
            // The last bytes may still be on their way, but not for ever.
            Some(since) if busy == 0 && !self.stopping && now - since >= header => Look::Drop,
            Some(_) => Look::Fine,
        }
    }
}

/// A socket some of whose bytes have been read already.
struct Ahead<S> {
    ahead: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let here = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead.split_to(here));
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
