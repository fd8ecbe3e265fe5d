//! An answer that was looked at before it is passed on. Owns keeping what was read of it, within a limit.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::wire::body::Outgoing;
use crate::wire::paced::Broken;

/// An answer of which the beginning was read ahead of whoever reads it.
#[derive(Debug)]
pub struct Peeked {
    ahead: VecDeque<Frame<Bytes>>,
    /// What went wrong after that.
    broken: Option<Broken>,
    /// Whether what was there before that may have been sent.
    waited: bool,
    rest: Outgoing,
}

/// How far an answer was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// As far as whoever looks wanted to.
    Enough,
    /// All of it.
    Whole,
    /// As far as the limit.
    TooMuch,
    /// It broke off.
    Broken,
    /// As far as it came in time.
    Late,
}

impl Peeked {
    /// Looks at `answer`, at most so many bytes and until then, for as long as `look` wants to see more. It can still
    /// be sent as it came, broken off where it broke off. Without a moment, its own limit is its only one.
    pub async fn look(
        answer: Outgoing,
        (most, until): (usize, Option<Instant>),
        mut look: impl FnMut(&[u8]) -> bool,
    ) -> (Self, Looked) {
        let mut peeked = Self {
            ahead: VecDeque::new(),
            broken: None,
            waited: false,
            rest: answer,
        };
        let mut seen = 0;
        let looked = loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut peeked.rest).poll_frame(cx));
            let next = match until {
                Some(until) => timeout_at(until, next).await,
                None => Ok(next.await),
            };
            let frame = match next {
                Err(_) => break Looked::Late,
                Ok(None) => break Looked::Whole,
                Ok(Some(Err(broken))) => {
                    peeked.broken = Some(broken);
                    break Looked::Broken;
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let data = frame.data_ref().cloned().unwrap_or_default();
            peeked.ahead.push_back(frame);
            seen += data.len();
            if seen > most {
                break Looked::TooMuch;
            }
            if !look(&data) {
                break Looked::Enough;
            }
        };
        (peeked, looked)
    }

    /// What it broke off with; it ends there then.
    pub const fn take_broken(&mut self) -> Option<Broken> {
        self.broken.take()
    }
}

impl Body for Peeked {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if this.broken.is_some() && !std::mem::replace(&mut this.waited, true) {
            // hyper sends nothing of what it was given at once with an error, not even the head.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match this.broken.take() {
            Some(broken) => Poll::Ready(Some(Err(broken))),
            None => Pin::new(&mut this.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.broken.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let ahead = self
            .ahead
            .iter()
            .filter_map(Frame::data_ref)
            .map(Bytes::len);
        let ahead = u64::try_from(ahead.sum::<usize>()).unwrap_or(u64::MAX);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}
