//! Bodies that must keep coming. Owns the clock that runs while a peer sends nothing; what to do when it has run
//! out is left to whoever reads the body.

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
use tokio::time::Sleep;

/// A body from a peer, with the longest pause it may make.
#[derive(Debug)]
pub struct Paced {
    inner: Incoming,
    pause: Duration,
    clock: Option<Pin<Box<Sleep>>>,
    running: bool,
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer sent nothing for too long.
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    /// The connection failed, or the peer broke off.
    #[error(transparent)]
    Lost(#[from] hyper::Error),
    /// The temporary file could not be read back.
    #[error("the temporary file could not be read: {0}")]
    Spool(#[from] std::io::Error),
}

impl Paced {
    /// Lets `inner` pause no longer than `pause`.
    #[must_use]
    pub const fn new(inner: Incoming, pause: Duration) -> Self {
        Self {
            inner,
            pause,
            clock: None,
            running: false,
        }
    }

    /// Whether the clock has run out.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = match &mut self.clock {
            Some(clock) => {
                if !self.running {
                    clock
                        .as_mut()
                        .reset(tokio::time::Instant::now() + self.pause);
                }
                clock
            }
            // Made at the first pause only: most bodies are here at once.
            None => self.clock.insert(Box::pin(tokio::time::sleep(self.pause))),
        };
        self.running = true;
        clock.as_mut().poll(cx)
    }
}

use std::future::Future;

impl Body for Paced {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.running = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::Lost)));
        }
        ready!(self.poll_clock(cx));
        Poll::Ready(Some(Err(Broken::Stalled(self.pause))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
