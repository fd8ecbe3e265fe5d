//! The one body type of everything that is sent: to a backend, to a hook, to the person. Owns the choice between
//! bytes in memory, a kept body, a stream from a peer, and a page that is changed on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::wire::caught::Panicked;
use crate::wire::caught::caught;
use crate::wire::paced::Broken;
use crate::wire::paced::Paced;
use crate::wire::peeked::Peeked;
use crate::wire::pool::Received;
use crate::wire::rewritten::Rewritten;
use crate::wire::spool::Reader;

/// A body that is sent.
#[derive(Debug, Default)]
pub enum Outgoing {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A body that was kept.
    Kept(Box<Reader>),
    /// A person's upload, passed on as it comes.
    Upload(Box<Paced>),
    /// A server's answer, passed on as it comes.
    Answer(Box<Received>),
    /// An answer that was looked at before.
    Peeked(Box<Peeked>),
    /// A page that is changed as it comes.
    Rewritten(Box<Rewritten>),
    /// Another body whose progress somebody watches.
    Watched(Box<Self>, Arc<Progress>),
}

/// How far a body is that takes long to send.
#[derive(Debug, Default)]
pub struct Progress {
    frames: AtomicU64,
    waiting: AtomicBool,
}

impl Progress {
    /// How many frames were taken from it.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Whether whoever sends it waits for more to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Bytes(bytes)
        }
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<Reader> for Outgoing {
    fn from(reader: Reader) -> Self {
        if reader.remaining() == 0 {
            Self::Empty
        } else {
            Self::Kept(Box::new(reader))
        }
    }
}

impl From<Paced> for Outgoing {
    fn from(upload: Paced) -> Self {
        if upload.is_end_stream() {
            Self::Empty
        } else {
            Self::Upload(Box::new(upload))
        }
    }
}

impl Outgoing {
    /// Whether it could be sent a second time: nothing of it is used up by sending.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Counts the frames that are sent, where sending may take long.
    #[must_use]
    pub fn watched(self) -> (Self, Option<Arc<Progress>>) {
        match self {
            Self::Empty | Self::Bytes(_) => (self, None),
            long => {
                let progress = Arc::new(Progress::default());
                (
                    Self::Watched(Box::new(long), Arc::clone(&progress)),
                    Some(progress),
                )
            }
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Kept(reader) => {
                let next = std::task::ready!(reader.poll_next(cx));
                Poll::Ready(next.map(|bytes| bytes.map(Frame::data).map_err(Broken::Spool)))
            }
            Self::Upload(upload) => Pin::new(upload).poll_frame(cx),
            Self::Answer(answer) => Pin::new(answer).poll_frame(cx),
            Self::Peeked(answer) => Pin::new(answer).poll_frame(cx),
            // What a fault in changing a page ends is its own answer, and no other on the connection.
            Self::Rewritten(page) => caught(|| Pin::new(page).poll_frame(cx)).map(|next| {
                next.unwrap_or_else(|Panicked| {
                    *this = Self::Empty;
                    Some(Err(Broken::Panicked))
                })
            }),
            Self::Watched(body, progress) => {
                let next = Pin::new(&mut **body).poll_frame(cx);
                progress.waiting.store(next.is_pending(), Ordering::Relaxed);
                if next.is_ready() {
                    progress.frames.fetch_add(1, Ordering::Relaxed);
                }
                next
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(_) => false,
            Self::Kept(reader) => reader.remaining() == 0,
            Self::Upload(upload) => upload.is_end_stream(),
            Self::Answer(answer) => answer.is_end_stream(),
            Self::Peeked(answer) => answer.is_end_stream(),
            Self::Rewritten(page) => page.is_end_stream(),
            Self::Watched(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Kept(reader) => SizeHint::with_exact(reader.remaining()),
            Self::Upload(upload) => upload.size_hint(),
            Self::Answer(answer) => answer.size_hint(),
            Self::Peeked(answer) => answer.size_hint(),
            Self::Rewritten(_) => SizeHint::new(),
            Self::Watched(body, _) => body.size_hint(),
        }
    }
}
