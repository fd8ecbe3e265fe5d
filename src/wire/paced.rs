//! Bodies that must keep coming. Owns the clock by which a peer is too slow; how slow that is is measured by
//! [`crate::wire::tempo`], and what to do then is left to whoever reads the body.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::wire::clock::Clock;
use crate::wire::tempo::Late;
use crate::wire::tempo::Meter;
use crate::wire::tempo::Tempo;

/// A body from a peer, with a limit on its time.
#[derive(Debug)]
pub struct Paced {
    inner: Incoming,
    pace: Pace,
    /// When the present pause began.
    since: Option<Instant>,
    clock: Clock,
    /// Counts bytes for whoever wants to know.
    counter: Option<Arc<AtomicU64>>,
}

/// How long a body may take.
#[derive(Debug)]
pub enum Pace {
    /// No limit here: the connection has one.
    Free,
    /// The longest pause between two pieces.
    Pause(Duration),
    /// What a person sends. On the heap, as few requests have it.
    Upload(Box<Meter>),
    /// All of it must have come by then.
    Until(Instant),
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer sent nothing, or too little, for too long.
    #[error(transparent)]
    Stalled(Late),
    /// The connection failed, or the peer broke off.
    #[error(transparent)]
    Lost(hyper::Error),
    /// The temporary file could not be read back.
    #[error("the temporary file could not be read: {0}")]
    Spool(#[from] io::Error),
    /// A page is not packed as its content encoding says, or that breaks off.
    #[error("it is not packed as its content encoding says, or breaks off")]
    Packing,
    /// Changing a page panicked, by a fault of the gateway.
    #[error("it could not be changed, by a fault of the gateway")]
    Panicked,
}

impl From<hyper::Error> for Broken {
    /// A connection that gives up on a silent peer says so with an I/O error.
    fn from(error: hyper::Error) -> Self {
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::TimedOut
            {
                let late = io.get_ref().and_then(|inner| inner.downcast_ref());
                return Self::Stalled(late.copied().unwrap_or(Late::Pause));
            }
            source = inner.source();
        }
        Self::Lost(error)
    }
}

impl Paced {
    /// Limits the time of `inner`.
    #[must_use]
    pub fn new(inner: Incoming, pace: Pace) -> Self {
        Self::with_clock(inner, pace, Clock::default())
    }

    /// A person's body. A connection of HTTP/1 watches over its bodies itself.
    #[must_use]
    pub fn upload(inner: Incoming, version: Version, tempo: Tempo) -> Self {
        let free = version != Version::HTTP_2 || inner.is_end_stream();
        let pace = if free {
            Pace::Free
        } else {
            Pace::Upload(Box::new(Meter::new(tempo)))
        };
        Self::new(inner, pace)
    }

    /// The same, with a clock that is there already.
    #[must_use]
    pub const fn with_clock(inner: Incoming, pace: Pace, clock: Clock) -> Self {
        Self {
            inner,
            pace,
            since: None,
            clock,
            counter: None,
        }
    }

    /// Counts what comes here, too.
    #[must_use]
    pub fn counted(mut self, counter: Option<Arc<AtomicU64>>) -> Self {
        self.counter = counter;
        self
    }

    /// Takes the clock back.
    pub fn take_clock(&mut self) -> Clock {
        std::mem::take(&mut self.clock)
    }

    /// Limits the time differently from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        let (deadline, late) = match &self.pace {
            Pace::Free => return Poll::Pending,
            Pace::Pause(pause) => (
                *self.since.get_or_insert_with(Instant::now) + *pause,
                Late::Pause,
            ),
            Pace::Upload(meter) => meter.deadline(*self.since.get_or_insert_with(Instant::now)),
            Pace::Until(deadline) => (*deadline, Late::Pause),
        };
        self.clock.poll_until(deadline, cx).map(|()| late)
    }

    fn note(&mut self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        let since = self.since.take();
        if let (Some(counter), Some(Ok(frame))) = (&self.counter, frame) {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        if let (Pace::Upload(meter), Some(Ok(frame))) = (&mut self.pace, frame) {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
            meter.came(bytes, waited);
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.note(frame.as_ref());
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::from)));
        }
        let late = ready!(self.poll_limit(cx));
        Poll::Ready(Some(Err(Broken::Stalled(late))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
