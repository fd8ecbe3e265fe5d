//! Early answers (1xx) on their way to the person. Owns the queue between whoever receives them from a backend and
//! the connection that must write them between two messages; hyper's server cannot send them itself.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Waker;

use http::HeaderMap;
use http::StatusCode;

/// The early answers of one connection.
#[derive(Debug, Default)]
pub struct Early {
    has_some: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Early {
    /// Queues an early answer. `100 Continue` is between the gateway and each side, so it is not passed on.
    pub fn push(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE
            || status == StatusCode::SWITCHING_PROTOCOLS
            || !status.is_informational()
        {
            return;
        }
        let mut queue = self.lock();
        let reason = status.canonical_reason().unwrap_or_default();
        queue
            .bytes
            .extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
        for (name, value) in headers {
            queue.bytes.extend_from_slice(name.as_str().as_bytes());
            queue.bytes.extend_from_slice(b": ");
            queue.bytes.extend_from_slice(value.as_bytes());
            queue.bytes.extend_from_slice(b"\r\n");
        }
        queue.bytes.extend_from_slice(b"\r\n");
        self.has_some.store(true, Ordering::Release);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// What is queued; empty nearly always.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        if !self.has_some.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut self.lock().bytes)
    }

    /// Wakes `waker` at the next early answer.
    pub fn wake_at_next(&self, waker: &Waker) {
        let mut queue = self.lock();
        match &mut queue.waker {
            Some(known) if known.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
