//! What the two ends of one connection know of each other: the guard that reads bytes, and the service that answers
//! requests. Owns this little shared state and the mark on an answer that is still being sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::backend::Tunnel;
use crate::wire::early::Early;

/// One connection.
#[derive(Debug, Default)]
pub struct Line {
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Whether there was a request since this was last asked.
    recent: AtomicBool,
    /// Whether the last request asked to upgrade.
    raw: AtomicBool,
    /// Early answers on their way out.
    pub early: Arc<Early>,
    tunnel: Mutex<Option<Tunnel>>,
}

impl Line {
    /// Marks the beginning of an answer; it ends when the mark is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.recent.store(true, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether an answer is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Whether a request came since this was last asked.
    #[must_use]
    pub fn was_busy(&self) -> bool {
        self.recent.swap(false, Ordering::Relaxed)
    }

    /// Notes whether the last request asked to upgrade.
    pub fn set_raw(&self, raw: bool) {
        self.raw.store(raw, Ordering::Relaxed);
    }

    /// Whether the last request asked to upgrade.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.raw.load(Ordering::Relaxed)
    }

    /// Leaves the backend's side of an upgraded connection.
    pub fn leave(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// Takes what was left.
    #[must_use]
    pub fn take(&self) -> Option<Tunnel> {
        self.tunnel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The mark of an answer under way.
#[derive(Debug)]
pub struct Busy(Arc<Line>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body with its mark.
#[derive(Debug)]
pub struct Marked<B> {
    body: B,
    _busy: Busy,
}

impl<B> Marked<B> {
    /// Keeps the connection busy as long as the body is being sent.
    pub const fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Marked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
