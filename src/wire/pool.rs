//! Connections to one server, kept open and used again. Owns sending a request over one of them and saying
//! truthfully whether anything was sent when it fails; which requests may be sent twice is decided here alone.
//!
//! A pool of our own on hyper's connections: the general client costs 15 % of a whole pass-through request and
//! does not say whether a byte was sent (docs/adr/0003).

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::model::origin::Origin;
use crate::wire::body::Outgoing;
use crate::wire::body::Progress;
use crate::wire::client_tls;
use crate::wire::clock::Clock;
use crate::wire::connect::ConnectError;
use crate::wire::connect::Connector;
use crate::wire::paced::Broken;
use crate::wire::paced::Pace;
use crate::wire::paced::Paced;
use crate::wire::proxy::Forwarding;
use crate::wire::tempo::Late;

/// How connections are kept, and how long an answer may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many open connections are kept while nobody uses them.
    pub idle_connections: usize,
    /// How long a connection is kept while nobody uses it; less if the server says so.
    pub idle: Duration,
    /// How long a connection is used at all, so that a server that has moved is found.
    pub age: Duration,
    /// The longest wait for an answer's head, and the longest pause in its body.
    pub response: Duration,
    /// Whether header names keep their letter case on the way to the server.
    pub header_case: bool,
    /// The largest head of an answer, in bytes.
    pub head: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_connections: 1024,
            idle: Duration::from_secs(15),
            age: Duration::from_secs(300),
            response: Duration::from_secs(30),
            header_case: false,
            head: 64 << 10,
        }
    }
}

/// The connections to one server.
#[derive(Debug)]
pub struct Pool {
    origin: Origin,
    connector: Connector,
    settings: Settings,
    /// How requests are addressed, where a proxy passes them on.
    forwarding: Option<Box<Forwarding>>,
    kept: Mutex<Kept>,
}

/// The connections that nobody uses.
#[derive(Debug, Default)]
struct Kept {
    /// The last one used is the last.
    idle: Vec<Idle>,
    /// Whether [`sweep`] sees to them.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    clock: Clock,
    sender: SendRequest<Outgoing>,
    born: Instant,
    since: Instant,
    until: Instant,
    /// How long the server says it keeps the connection.
    kept: Option<Duration>,
}

/// An answer's head and its body, and how it came.
#[derive(Debug)]
pub struct Exchange {
    /// The answer.
    pub response: Response<Received>,
    /// How long connecting took, if an open connection was not used.
    pub connect: Option<Duration>,
    /// How long it took in all until the head was there.
    pub waited: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There was no connection; nothing was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was lost after the request was sent, at least in part. The server may have acted.
    #[error("the connection was lost before an answer came: {why}", why = lost(.0))]
    Lost(hyper::Error),
    /// A new connection was closed by the server before anything was sent.
    #[error("the server closed the connection at once: {0}")]
    Unsent(hyper::Error),
    /// The person's upload broke off while it was passed on.
    #[error("the upload broke off: {0}")]
    Upload(hyper::Error),
    /// The person's upload was too slow while it was passed on.
    #[error("the upload: {0}")]
    Stalled(Late),
    /// No answer in time. The server may have acted.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl SendError {
    /// Whether it is certain that the server has seen nothing.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Unsent(_))
    }
}

impl Pool {
    /// No connections yet.
    #[must_use]
    pub fn new(origin: Origin, connector: Connector, settings: Settings) -> Self {
        Self {
            forwarding: connector.forwarding(&origin).map(Box::new),
            origin,
            connector,
            settings,
            kept: Mutex::default(),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What makes its connections.
    #[must_use]
    pub const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The server.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a request, whose URI is its path and query, and waits for the head of the answer: `within` this time
    /// from the moment when nothing of the request is left to send.
    ///
    /// A request goes out a second time only if nothing of the first was sent, or if it may be repeated anyway
    /// (RFC 9110, section 9.2.2), has no body, and the connection had been idle. One that may not be repeated does not
    /// go over a connection that has been idle for long: the server might be closing it at this very moment.
    ///
    /// # Errors
    /// [`SendError`], which knows whether the server may have acted.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Box<Request<Outgoing>>,
        within: Duration,
    ) -> Result<Exchange, SendError> {
        if let Some(forwarding) = &self.forwarding {
            forwarding.address(&mut request);
        }
        let progress = watch(&mut request);
        let began = Instant::now();
        let repeatable = is_repeatable(&request);
        loop {
            // On the heap, so that the usual request over an open connection has no room for it.
            let (mut idle, connect) = match self.take_idle(began, repeatable) {
                Some(idle) => (idle, None),
                None => Box::pin(self.connect(began + within)).await?,
            };
            let spare = (repeatable && connect.is_none() && idle.idle(began) >= MOMENT)
                .then(|| spare(&request));
            let head_only = request.method() == http::Method::HEAD;
            let answer = pin!(idle.sender.try_send_request(*request));
            let answer = in_time(answer, &mut idle.clock, began, within, progress.as_ref()).await;
            match answer.ok_or(SendError::TimedOut(within))? {
                Ok(response) => {
                    let times = (connect, began.elapsed());
                    return Ok(self.exchange(response, idle, times, head_only));
                }
                Err(mut error) => {
                    let unsent = error.take_message().map(Box::new);
                    if connect.is_some() && unsent.is_some() {
                        return Err(SendError::Unsent(error.into_error()));
                    }
                    request = unsent
                        .or(spare)
                        .ok_or_else(|| failure(error.into_error()))?;
                }
            }
        }
    }

    fn exchange(
        self: &Arc<Self>,
        response: Response<Incoming>,
        idle: Idle,
        (connect, waited): (Option<Duration>, Duration),
        head_only: bool,
    ) -> Exchange {
        let mut idle = idle;
        idle.kept = keep_alive(response.headers());
        let clock = std::mem::take(&mut idle.clock);
        let lease = Lease {
            pool: Arc::clone(self),
            idle: Some(idle),
        };
        let pace = Pace::Pause(self.settings.response);
        Exchange {
            response: response
                .map(|body| Received::new(Paced::with_clock(body, pace, clock), lease, head_only)),
            connect,
            waited,
        }
    }

    /// A new connection, and how long it took.
    async fn connect(&self, deadline: Instant) -> Result<(Idle, Option<Duration>), SendError> {
        let began = Instant::now();
        let connected =
            tokio::time::timeout_at(deadline, self.connector.connect(&self.origin)).await;
        let stream = connected.map_err(|_| {
            ConnectError::TimedOut(
                self.origin.host.clone(),
                deadline.saturating_duration_since(began),
            )
        })??;
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder
            .max_header_size(self.settings.head)
            .preserve_header_case(self.settings.header_case);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::Lost)?;
        // How a connection ends is told to whoever waits for its answer. Mapped, because an `async` block would have
        // room for the connection three times.
        tokio::spawn(connection.with_upgrades().map(drop));
        let now = Instant::now();
        let idle = Idle {
            clock: Clock::default(),
            sender,
            born: now,
            since: now,
            until: now,
            kept: None,
        };
        Ok((idle, Some(now - began)))
    }

    /// An open connection; a fresh one where the request could not be repeated.
    fn take_idle(&self, now: Instant, repeatable: bool) -> Option<Idle> {
        let idle = &mut self.kept().idle;
        // The last one back is the first one out, so that the others can grow old.
        while let Some(last) = idle.pop() {
            if last.until <= now || !last.sender.is_ready() {
                continue;
            }
            if repeatable || last.idle(now) < FRESH {
                return Some(last);
            }
            // None of the others is fresher.
            idle.push(last);
            return None;
        }
        None
    }

    fn put_back(self: &Arc<Self>, mut back: Idle) {
        if back.sender.is_closed() {
            return;
        }
        back.since = Instant::now();
        let kept = back
            .kept
            .map_or(self.settings.idle, |said| said.min(self.settings.idle));
        back.until = (back.since + kept).min(back.born + self.settings.age);
        if back.sender.is_ready() {
            self.keep(back);
            return;
        }
        // The connection has not yet noticed that its answer was read.
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if back.sender.ready().await.is_ok() {
                pool.keep(back);
            }
        });
    }

    fn keep(self: &Arc<Self>, back: Idle) {
        if self.settings.idle_connections == 0 {
            return;
        }
        let mut kept = self.kept();
        if kept.idle.len() >= self.settings.idle_connections {
            kept.idle.remove(0);
        }
        kept.idle.push(back);
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.settings.idle));
        }
    }

    /// Closes the connections past their time. Whether there are others.
    fn close_old(&self, now: Instant) -> bool {
        let mut kept = self.kept();
        kept.idle
            .retain(|old| old.until > now && !old.sender.is_closed());
        kept.is_swept = !kept.idle.is_empty();
        kept.is_swept
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the connections that nobody uses, as long as there are any: without requests nobody else does.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    let every = (idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.close_old(Instant::now()) {
            return;
        }
    }
}

/// Waits for an answer as long as something is still being sent, or the person's own upload is being waited for,
/// and then for one time limit.
async fn in_time<T>(
    mut answer: Pin<&mut impl Future<Output = T>>,
    clock: &mut Clock,
    began: Instant,
    within: Duration,
    progress: Option<&Arc<Progress>>,
) -> Option<T> {
    let sent = || progress.map_or(0, |progress| progress.frames());
    let (mut deadline, mut before) = (began + within, sent());
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        loop {
            std::task::ready!(clock.poll_until(deadline, cx));
            let waiting = progress.is_some_and(|progress| progress.is_waiting());
            if sent() == before && !waiting {
                return Poll::Ready(None);
            }
            (deadline, before) = (Instant::now() + within, sent());
        }
    })
    .await
}

/// Counts the frames of a body that may take long to send.
fn watch(request: &mut Request<Outgoing>) -> Option<Arc<Progress>> {
    let (body, progress) = std::mem::take(request.body_mut()).watched();
    *request.body_mut() = body;
    progress
}

/// Why a connection was lost.
fn lost(error: &hyper::Error) -> String {
    client_tls::explain_later(error).unwrap_or_else(|| error.to_string())
}

fn failure(error: hyper::Error) -> SendError {
    if !error.is_user() {
        return SendError::Lost(error);
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(Broken::Stalled(late)) = inner.downcast_ref() {
            return SendError::Stalled(*late);
        }
        source = inner.source();
    }
    SendError::Upload(error)
}

impl Idle {
    /// For how long it has not been used.
    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

/// A connection that was used within this time may well be in use; what breaks then is not just an idle one closed.
const MOMENT: Duration = Duration::from_millis(500);
/// Shorter than any server keeps an unused connection: two seconds are the least that is usual.
const FRESH: Duration = Duration::from_millis(1500);

/// Whether the server may get it twice (RFC 9110, section 9.2.2), and nothing of it is used up by sending.
fn is_repeatable(request: &Request<Outgoing>) -> bool {
    request.method().is_idempotent() && request.body().is_empty()
}

/// A copy of a request that may be repeated.
fn spare(request: &Request<Outgoing>) -> Box<Request<Outgoing>> {
    let mut spare = Box::new(Request::new(Outgoing::Empty));
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    *spare.extensions_mut() = request.extensions().clone();
    spare
}

/// `keep-alive: timeout=5`, less a second for the way.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout="))?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}

/// A connection lent to an answer; it goes back when the answer has been read to its end.
#[derive(Debug)]
struct Lease {
    pool: Arc<Pool>,
    idle: Option<Idle>,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Received {
    body: Paced,
    lease: Lease,
}

impl Received {
    fn new(body: Paced, lease: Lease, head_only: bool) -> Self {
        let mut received = Self { body, lease };
        if head_only || received.body.is_end_stream() {
            received.give_back();
        }
        received
    }

    fn give_back(&mut self) {
        if let Some(mut idle) = self.lease.idle.take() {
            idle.clock = self.body.take_clock();
            self.lease.pool.put_back(idle);
        }
    }

    /// Lets all of it take until `deadline`, and no longer.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.body.set_pace(Pace::Until(deadline));
        self
    }

    /// How many bytes it says it has.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Reads all of it if it has at most `most` bytes; `None` if it has more.
    ///
    /// # Errors
    /// The body broke off.
    pub async fn whole(mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        let mut first = Bytes::new();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await
        {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if first.len() + rest.len() + data.len() > most {
                return Ok(None);
            }
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        if rest.is_empty() {
            return Ok(Some(first));
        }
        let mut all = Vec::with_capacity(first.len() + rest.len());
        all.extend_from_slice(&first);
        all.append(&mut rest);
        Ok(Some(all.into()))
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(cx);
        match &next {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.give_back(),
            Poll::Ready(Some(Err(_))) => drop(this.lease.idle.take()),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
