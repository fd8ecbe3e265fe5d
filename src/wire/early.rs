//! Early answers (1xx) on their way to the person. Owns the queue between whoever receives them from a backend and
//! the connection that must write them between two messages; hyper's server cannot send them itself.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::task::Waker;

use http::HeaderMap;
use http::StatusCode;

use crate::wire::hop;

/// A backend that says more early than this is no longer listened to; the queue must not grow without end.
const MOST: usize = 32 << 10;

/// The early answers of one connection.
#[derive(Debug, Default)]
pub struct Early {
    /// Whether an answer is waited for, so that an early one may still be written.
    open: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Counts the requests, so that what comes late for one is not written for another.
    turn: u64,
    bytes: Vec<u8>,
    /// How much was queued in this turn.
    sent: usize,
    /// Whoever writes.
    writer: Option<Waker>,
    /// Whoever waits until all is written.
    waiting: Option<Waker>,
}

/// The early answers to one request.
#[derive(Debug, Clone)]
pub struct Turn {
    early: Arc<Early>,
    number: u64,
}

impl Early {
    /// Takes early answers for the request that is being answered.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Turn {
        let mut queue = self.lock();
        queue.turn += 1;
        queue.sent = 0;
        self.open.store(true, Ordering::Release);
        Turn {
            early: Arc::clone(self),
            number: queue.turn,
        }
    }

    /// Whatever happens: takes no more when what is returned is dropped, and forgets what was not written.
    #[must_use]
    pub const fn until_dropped(&self) -> Ends<'_> {
        Ends(self)
    }

    /// Takes no more, and waits until what was queued is on its way: the final answer comes next, and nothing may be
    /// written into it.
    pub async fn end(&self) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        self.lock().turn += 1;
        std::future::poll_fn(|cx| {
            let mut queue = self.lock();
            if queue.bytes.is_empty() {
                return Poll::Ready(());
            }
            queue.waiting = Some(cx.waker().clone());
            if let Some(writer) = queue.writer.take() {
                writer.wake();
            }
            Poll::Pending
        })
        .await;
        self.open.store(false, Ordering::Release);
    }

    /// What is to be written now; empty nearly always. If more comes, `writer` is woken.
    #[must_use]
    pub fn take(&self, writer: &Waker) -> Vec<u8> {
        if !self.open.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut queue = self.lock();
        if let Some(waiting) = queue.waiting.take() {
            waiting.wake();
        }
        queue.writer = Some(writer.clone());
        std::mem::take(&mut queue.bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a turn.
#[derive(Debug)]
pub struct Ends<'e>(&'e Early);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if self.0.open.swap(false, Ordering::AcqRel) {
            let mut queue = self.0.lock();
            queue.turn += 1;
            queue.bytes.clear();
        }
    }
}

impl Turn {
    /// Queues an early answer. `100 Continue` is between the gateway and each side, so it is not passed on.
    pub fn push(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE
            || status == StatusCode::SWITCHING_PROTOCOLS
            || !status.is_informational()
        {
            return;
        }
        let bytes = text(status, headers);
        let mut queue = self.early.lock();
        if queue.turn != self.number || queue.sent + bytes.len() > MOST {
            return;
        }
        queue.sent += bytes.len();
        queue.bytes.extend_from_slice(&bytes);
        if let Some(writer) = queue.writer.take() {
            writer.wake();
        }
    }
}

fn text(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    hop::strip(&mut headers);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(turn: &Turn) {
        turn.push(StatusCode::EARLY_HINTS, &HeaderMap::new());
    }

    #[tokio::test]
    async fn what_comes_late_is_not_written() {
        let early = Arc::new(Early::default());
        let first = early.begin();
        hint(&first);
        assert!(!early.take(Waker::noop()).is_empty());
        early.end().await;
        hint(&first);
        let second = early.begin();
        hint(&first);
        assert!(
            early.take(Waker::noop()).is_empty(),
            "not for another request"
        );
        for _ in 0..10_000 {
            hint(&second);
        }
        assert!(early.take(Waker::noop()).len() <= MOST);
    }

    #[tokio::test]
    async fn the_end_waits_for_what_is_queued() {
        let early = Arc::new(Early::default());
        hint(&early.begin());
        let mut end = std::pin::pin!(early.end());
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(end.as_mut().poll(&mut cx).is_pending());
        assert!(!early.take(Waker::noop()).is_empty());
        assert!(end.as_mut().poll(&mut cx).is_ready());
    }
}
