//! What the two ends of one connection know of each other: the guard that reads bytes, and the service that answers
//! requests. Owns this little shared state and the mark on an answer that is still being sent.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account::Account;
use crate::backend::Tunnel;
use crate::wire::early::Early;

/// One connection.
#[derive(Debug, Default)]
pub struct Line {
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Whether there was a request since this was last asked.
    recent: AtomicBool,
    /// How many requests have been taken.
    requests: AtomicUsize,
    /// The request whose end has not been seen: its body is still coming, or it asked to upgrade. 0 for none.
    open: AtomicUsize,
    /// Early answers on their way out.
    pub early: Arc<Early>,
    tunnel: Mutex<Option<Tunnel>>,
    /// Whoever waits for the last answer under way.
    quiet: AtomicWaker,
    /// Over HTTP/2: the answers whose last piece waits for the peer to take it, and since when.
    waiting: Mutex<HashMap<usize, Instant>>,
    /// How many answers were given up by the peer since this was last asked.
    given_up: AtomicUsize,
    /// Told when these are too many.
    unruly: Notify,
    /// Whether the answers from now on are the last ones.
    ending: AtomicBool,
}

/// So many answers may be given up between two looks: whoever leaves a page gives up all of its requests at once, at
/// most 128, and may be submitting a form with the next.
const GIVEN_UP: usize = 256;

impl Line {
    /// Marks the beginning of an answer; it ends when the mark is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.recent.store(true, Ordering::Relaxed);
        Busy {
            line: Arc::clone(self),
            number: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            done: false,
        }
    }

    /// Wakes `waker` when no answer is under way any more.
    pub fn wake_when_quiet(&self, waker: &Waker) {
        self.quiet.register(waker);
    }

    /// How many answers are under way, and since when each one that waits for the peer has been waiting.
    #[must_use]
    pub fn under_way(&self) -> (usize, Vec<Instant>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (
            self.busy.load(Ordering::Relaxed),
            waiting.values().copied().collect(),
        )
    }

    fn waits(&self, id: usize, since: Option<Instant>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(since) => waiting.insert(id, since),
            None => waiting.remove(&id),
        };
    }

    /// From now on every answer is the last one of its connection.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether the answers from now on are the last ones.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Ends the connection of a peer that asks too much.
    pub fn call_unruly(&self) {
        self.unruly.notify_one();
    }

    /// Forgets the answers that were given up before.
    pub fn forgive(&self) {
        self.given_up.store(0, Ordering::Relaxed);
    }

    /// Waits until the peer has given up too many answers in too short a time, or has left too much work behind.
    pub async fn until_unruly(&self) {
        self.unruly.notified().await;
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

    /// Notes the request whose end has not been seen, by its number from 1; 0 for none.
    pub fn set_open(&self, request: usize) {
        self.open.store(request, Ordering::Relaxed);
    }

    /// Whether the end of this request has not been seen.
    #[must_use]
    pub fn is_open(&self, request: usize) -> bool {
        self.open.load(Ordering::Relaxed) == request
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
pub struct Busy {
    line: Arc<Line>,
    number: usize,
    /// Whether all of it was handed over.
    done: bool,
}

impl Busy {
    /// The number of the request, from 1.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.line.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.line.quiet.wake();
        }
        if !self.done && self.line.given_up.fetch_add(1, Ordering::Relaxed) == GIVEN_UP {
            self.line.unruly.notify_one();
        }
    }
}

/// An answer's body with its mark.
#[derive(Debug)]
pub struct Marked<B> {
    body: B,
    busy: Busy,
    /// The request's account, which ends with its answer.
    account: Account,
    /// Whether to note how long each piece waits for the peer.
    watched: bool,
}

impl<B: Body> Marked<B> {
    /// Keeps the connection busy as long as the body is being sent.
    pub fn new(body: B, mut busy: Busy, account: Account) -> Self {
        busy.done = body.is_end_stream();
        Self {
            body,
            busy,
            account,
            watched: false,
        }
    }

    /// Notes how long each piece waits for the peer: over HTTP/2, where several answers wait for one.
    #[must_use]
    pub const fn watched(mut self) -> Self {
        self.watched = true;
        self
    }
}

impl<B> Drop for Marked<B> {
    fn drop(&mut self) {
        if self.watched {
            self.busy.line.waits(self.busy.number, None);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Marked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(frame) = &next {
            // A body that broke is not the peer's doing.
            let more = matches!(frame, Some(Ok(_))) && !this.body.is_end_stream();
            this.busy.done |= !more;
            if let Some(Ok(frame)) = frame {
                this.account.sent(frame.data_ref().map_or(0, Bytes::len));
            }
        }
        if this.watched {
            // A piece is taken when the next one is asked for.
            let since = next.is_ready().then(Instant::now);
            this.busy.line.waits(this.busy.number, since);
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
