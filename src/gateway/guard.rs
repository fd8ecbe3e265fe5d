//! The guard between an HTTP/1 socket and hyper. Owns letting only well-formed bytes through, the time a head may
//! take, a connection may be idle and an answer may wait to be read, and writing early answers between two messages.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use crate::gateway::fault::Fault;
use crate::gateway::head::HeadLimits;
use crate::gateway::head::Reader;
use crate::gateway::line::Line;
use crate::wire::clock::Clock;
use crate::wire::tempo::Late;
use crate::wire::tempo::Meter;
use crate::wire::tempo::Tempo;

/// How long a connection that is to end is kept for a request that may be on its way already; it is answered, and told
/// that it was the last. Who is refused in that moment cannot know whether the request was carried out.
pub const LAST_CALL: Duration = Duration::from_secs(1);

/// How long a peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a head, from its first byte; for the first one, from the beginning of the connection.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two pieces of a body that somebody waits for, in either direction.
    pub body: Duration,
    /// How many bytes a second a body must bring.
    pub rate: u64,
}

/// A socket whose bytes are read along.
#[derive(Debug)]
pub struct Guard<S> {
    inner: S,
    /// Bytes that were read before the guard stood here.
    ahead: Bytes,
    line: Arc<Line>,
    reader: Reader,
    patience: Patience,
    fault: Option<Fault>,
    /// How fast the body comes that is coming.
    meter: Meter,
    /// Since when the peer has been expected to say something.
    since: Instant,
    /// Whether the head of a request has come at all.
    greeted: bool,
    /// Whether an answer was under way when the peer was last listened to.
    was_busy: bool,
    /// Whether the peer was being waited for when it was last listened to.
    waiting: bool,
    clock: Clock,
    /// Since when it has been known that the next answer is the last.
    ending: Option<Instant>,
    /// An early answer that is being written.
    early: Bytes,
    /// Since when the peer has not taken what is written for it.
    stuck: Option<Instant>,
    write_clock: Clock,
}

impl<S> Guard<S> {
    /// Guards a socket of which `ahead` has been read already, `since` the beginning of the connection.
    pub fn new(
        inner: S,
        ahead: Bytes,
        line: Arc<Line>,
        limits: HeadLimits,
        patience: Patience,
        since: Instant,
    ) -> Self {
        Self {
            inner,
            ahead,
            line,
            reader: Reader::new(limits),
            patience,
            fault: None,
            meter: Meter::new(Tempo {
                pause: patience.body,
                rate: patience.rate,
            }),
            since,
            greeted: false,
            was_busy: false,
            waiting: false,
            clock: Clock::default(),
            ending: None,
            early: Bytes::new(),
            stuck: None,
            write_clock: Clock::default(),
        }
    }

    /// What the peer did wrong, if anything.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether what the peer did wrong was in the body of a request, which is answered like any other.
    #[must_use]
    pub const fn is_in_body(&self) -> bool {
        self.reader.is_in_body()
    }

    /// The socket itself.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Reads along; what is not well formed is cut off and remembered.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let came = &buf.filled()[before..];
        if came.is_empty() {
            return;
        }
        let waited = std::mem::take(&mut self.waiting);
        let in_body = self.reader.is_in_body();
        // A head must come in time from its first byte on – the first one, from the beginning of the connection –
        // and everything else, from its last.
        let now = Instant::now();
        if in_body {
            let waited = if waited {
                now - self.since
            } else {
                Duration::ZERO
            };
            self.meter.came(came.len(), waited);
        }
        if self.greeted && !self.reader.is_in_head() {
            self.since = now;
        }
        let read = self.reader.read(came);
        self.line.set_open(self.reader.open());
        if in_body && !self.reader.is_in_body() {
            self.meter.begin();
        }
        match read {
            Ok(()) => {
                if !self.reader.is_in_head() {
                    self.since = now;
                    self.greeted = true;
                }
            }
            Err((good, fault)) => {
                self.fault = Some(fault);
                buf.set_filled(before + good);
            }
        }
    }

    /// What hyper is told once something is wrong: the body failed, or – when nothing is being answered – the end.
    fn after_fault(&self, fault: Fault, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.reader.is_in_body() {
            return Poll::Ready(Err(error(fault)));
        }
        self.line.wake_when_quiet(cx.waker());
        if self.line.is_busy() {
            // The request before is still being answered.
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }

    /// Begins to wait for the peer. One that waits for an answer is not idle, it is from when it has got it; and one
    /// whose body nobody took is not slow, it is from when somebody does.
    fn wait(&mut self) {
        let busy = self.line.is_busy();
        let in_body = self.reader.is_in_body();
        if self.ending.is_none() && self.line.is_ending() {
            self.ending = Some(Instant::now());
        }
        if (self.was_busy && !busy) || (in_body && !self.waiting) {
            self.since = Instant::now();
        }
        self.was_busy = busy;
        self.waiting = true;
    }

    /// Until when the peer must have said something.
    fn deadline(&self) -> Option<(Instant, Fault)> {
        let Patience {
            header, idle, body, ..
        } = self.patience;
        let (patience, fault) = if self.reader.is_in_head() {
            (header, Fault::HeaderTimeout(header))
        } else if self.reader.is_raw() {
            return None;
        } else if self.reader.is_in_body() {
            let (deadline, late) = self.meter.deadline(self.since);
            let fault = match late {
                Late::Pause => Fault::BodyPause(body),
                Late::Rate => Fault::BodyRate(self.patience.rate),
            };
            return Some((deadline, fault));
        } else if self.line.is_busy() {
            return None;
        } else if let Some(ending) = self.ending {
            // The end of the last answer may still be on its way out.
            let out = self.stuck.is_none();
            let last = self.since.max(ending) + LAST_CALL;
            return out.then_some((last, Fault::Idle(LAST_CALL)));
        } else if self.greeted {
            (idle, Fault::Idle(idle))
        } else {
            (header, Fault::Idle(header))
        };
        Some((self.since + patience, fault))
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let Some((deadline, fault)) = self.deadline() else {
            // hyper does not read again by itself when an answer is done: then somebody must look how long it is idle.
            let look = match self.ending {
                // Sooner than was thought before: nothing else wakes when the last bytes of the last answer are out.
                Some(_) => Some(LAST_CALL),
                None => (!self.clock.is_set()).then_some(self.patience.idle),
            };
            if let Some(look) = look.filter(|_| !self.reader.is_raw()) {
                let _ = self.clock.poll_until(Instant::now() + look, cx);
            }
            return Poll::Pending;
        };
        ready!(self.clock.poll_until(deadline, cx));
        Poll::Ready(fault)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return this.after_fault(fault, cx);
        }
        let before = buf.filled().len();
        if this.ahead.is_empty() {
            match Pin::new(&mut this.inner).poll_read(cx, buf) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    this.wait();
                    let fault = ready!(this.poll_clock(cx));
                    this.fault = Some(fault);
                    return this.after_fault(fault, cx);
                }
            }
        } else {
            let here = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead[..here]);
            this.ahead.advance(here);
        }
        let came = buf.filled().len() - before;
        this.inspect(buf, before);
        this.waiting = false;
        match this.fault {
            // All that came was cut off: an empty read would look like the end.
            Some(fault) if came > 0 && buf.filled().len() == before => this.after_fault(fault, cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

fn error(fault: Fault) -> io::Error {
    let kind = if fault.is_timeout() {
        io::ErrorKind::TimedOut
    } else {
        io::ErrorKind::InvalidData
    };
    match fault {
        Fault::BodyRate(_) => io::Error::new(kind, Late::Rate),
        _ => io::Error::new(kind, fault),
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.early.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.early))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.early.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Gives up a peer that does not take what is written for it.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let since = *self.stuck.get_or_insert_with(Instant::now);
        let patience = self.patience.body;
        ready!(self.write_clock.poll_until(since + patience, cx));
        let fault = Fault::Unread(patience);
        self.fault = Some(fault);
        Poll::Ready(Err(error(fault)))
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_vectored_now(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_early(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_write_now(cx, buf);
        this.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_vectored_now(cx, bufs);
        this.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes when its own buffer is empty: the one moment at which an early answer can be put in between.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            this.early = this.line.early.take(cx.waker()).into();
        }
        let flushed = this.poll_flush_now(cx);
        this.in_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
