//! Bodies that must keep coming. Owns the limit on how long a peer may send nothing; what to do when it has passed
//! is left to whoever reads the body.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::wire::clock::Clock;

/// A body from a peer, with a limit on its time.
#[derive(Debug)]
pub struct Paced {
    inner: Incoming,
    pace: Pace,
    /// When the present pause began.
    since: Option<Instant>,
    clock: Clock,
}

/// How long a body may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// No limit here: the connection has one.
    Free,
    /// The longest pause between two pieces.
    Pause(Duration),
    /// All of it must have come by then.
    Until(Instant),
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer sent nothing for too long.
    #[error("nothing came in time")]
    Stalled,
    /// The connection failed, or the peer broke off.
    #[error(transparent)]
    Lost(hyper::Error),
    /// The temporary file could not be read back.
    #[error("the temporary file could not be read: {0}")]
    Spool(#[from] io::Error),
    /// A page is not packed as its content encoding says, or that breaks off.
    #[error("it is not packed as its content encoding says, or breaks off")]
    Packing,
}

impl From<hyper::Error> for Broken {
    /// A connection that gives up on a silent peer says so with an I/O error.
    fn from(error: hyper::Error) -> Self {
        let mut source = error.source();
        while let Some(inner) = source {
            if inner
                .downcast_ref::<io::Error>()
                .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
            {
                return Self::Stalled;
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

    /// The same, with a clock that is there already.
    #[must_use]
    pub const fn with_clock(inner: Incoming, pace: Pace, clock: Clock) -> Self {
        Self {
            inner,
            pace,
            since: None,
            clock,
        }
    }

    /// Takes the clock back.
    pub fn take_clock(&mut self) -> Clock {
        std::mem::take(&mut self.clock)
    }

    /// Limits the time differently from now on.
    pub const fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.pace {
            Pace::Free => return Poll::Pending,
            Pace::Pause(pause) => *self.since.get_or_insert_with(Instant::now) + pause,
            Pace::Until(deadline) => deadline,
        };
        self.clock.poll_until(deadline, cx)
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
            self.since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::from)));
        }
        ready!(self.poll_limit(cx));
        Poll::Ready(Some(Err(Broken::Stalled)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
