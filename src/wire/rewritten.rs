//! A page that is changed while it passes: unpacked if it came packed, rewritten, and sent on as it comes. Owns doing
//! that no faster than the person reads, and looking ahead; what is changed is `page`'s.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use http_body::Body;
use http_body::Frame;

use crate::codec::unpack::Unpacker;
use crate::metrics::meters::PageMeter;
use crate::metrics::word::Page;
use crate::page::change::Change;
use crate::page::charset;
use crate::page::moved::Moved;
use crate::page::rewrite::Limits;
use crate::page::rewrite::Rewriter;
use crate::wire::body::Outgoing;
use crate::wire::paced::Broken;

/// At most so much of a page is rewritten at a time: others want the processor, too.
const PIECE: usize = 32 << 10;

/// A page on its way through a rewriter.
#[derive(Debug)]
pub struct Rewritten {
    page: Outgoing,
    /// What came and was not yet taken.
    came: Bytes,
    unpacker: Option<Unpacker>,
    stage: Stage,
    /// Bytes of the page that were taken so far.
    taken: usize,
    /// Whether the form was found in a page that has ended.
    met_form: bool,
    /// What was made ahead of whoever reads it.
    ahead: VecDeque<Bytes>,
    /// What went wrong after that.
    broken: Option<Broken>,
    /// Whether what was there before that may have been sent.
    waited: bool,
    /// Whether somebody has begun to read it.
    is_read: bool,
    /// What became of it, once that is known.
    became: Option<Page>,
    meter: Arc<PageMeter>,
}

/// How far a page is.
#[derive(Debug)]
enum Stage {
    /// Its beginning is gathered, to see its charset.
    Start {
        start: Vec<u8>,
        content_type: Option<String>,
        change: Box<Change>,
    },
    /// It is rewritten, after it was moved.
    Rewriting(Option<Box<Moved>>, Box<Rewriter>),
    /// Its charset cannot be rewritten, so it goes out as it came.
    AsItCame,
    /// It has come to its end.
    Ended,
}

/// What was seen of a page by looking ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The form that is looked for.
    Form,
    /// All of it, or as much as may be held, without the form.
    NoForm,
}

impl Rewritten {
    /// Changes `page`, which comes through `unpacker` if it is packed.
    #[must_use]
    pub fn new(
        page: Outgoing,
        unpacker: Option<Unpacker>,
        content_type: Option<String>,
        change: Change,
        meter: Arc<PageMeter>,
    ) -> Self {
        Self {
            page,
            came: Bytes::new(),
            unpacker,
            stage: Stage::Start {
                start: Vec::new(),
                content_type,
                change: Box::new(change),
            },
            taken: 0,
            met_form: false,
            ahead: VecDeque::new(),
            broken: None,
            waited: false,
            is_read: false,
            became: None,
            meter,
        }
    }

    /// Reads on until the form has come that the change is for, holding hardly more than `most` bytes. All of it can
    /// still be sent.
    ///
    /// # Errors
    /// The page broke off before.
    pub async fn look_for_form(&mut self, most: usize) -> Result<Seen, Broken> {
        loop {
            match &self.stage {
                Stage::Rewriting(_, rewriter) if rewriter.has_form() => return Ok(Seen::Form),
                Stage::Ended if self.met_form => return Ok(Seen::Form),
                Stage::Ended | Stage::AsItCame => return Ok(Seen::NoForm),
                Stage::Start { .. } | Stage::Rewriting(..) if self.taken > most => {
                    return Ok(Seen::NoForm);
                }
                Stage::Start { .. } | Stage::Rewriting(..) => {}
            }
            let made = std::future::poll_fn(|cx| self.poll_step(cx)).await?;
            if !made.is_empty() {
                self.ahead.push_back(made.into());
            }
        }
    }

    /// Takes the next piece of the page; what may be sent by then, which may be nothing.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Broken>> {
        loop {
            if let Some(piece) = self.next_piece()? {
                return Poll::Ready(Ok(self.take(&piece)));
            }
            match ready!(Pin::new(&mut self.page).poll_frame(cx)) {
                // What trails is about the body as it came.
                Some(frame) => self.came = frame?.into_data().unwrap_or_default(),
                None => return Poll::Ready(self.finish()),
            }
        }
    }

    /// A piece of what came, unpacked; `None` if more must come.
    fn next_piece(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.came.is_empty() {
            return Ok(None);
        }
        let Some(unpacker) = &mut self.unpacker else {
            let length = self.came.len().min(PIECE);
            return Ok(Some(self.came.split_to(length)));
        };
        let mut rest = &self.came[..];
        let piece = unpacker.next(&mut rest).map_err(|_| Broken::Packing)?;
        let used = self.came.len() - rest.len();
        self.came.advance(used);
        Ok(piece.map(Bytes::from))
    }

    fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.taken += piece.len();
        match &mut self.stage {
            Stage::Start {
                start,
                content_type,
                ..
            } => {
                start.extend_from_slice(piece);
                if !charset::needs_more(content_type.as_deref(), start) {
                    self.begin(&mut out);
                }
            }
            Stage::Rewriting(moved, rewriter) => write(moved, rewriter, piece, &mut out),
            Stage::AsItCame | Stage::Ended => out.extend_from_slice(piece),
        }
        out
    }

    /// Begins to rewrite, now that the charset can be told.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let stage = std::mem::replace(&mut self.stage, Stage::AsItCame);
        let Stage::Start {
            start,
            content_type,
            change,
        } = stage
        else {
            self.stage = stage;
            return;
        };
        let Some(charset) = charset::of_page(content_type.as_deref(), &start) else {
            out.extend_from_slice(&start);
            self.became = Some(Page::Charset);
            return;
        };
        let limits = Limits::DEFAULT;
        let shown_at = change.shown_at.as_ref();
        let mut moved = shown_at
            .and_then(|url| Moved::new(&change.page, url, charset, limits))
            .map(Box::new);
        let mut rewriter = Box::new(Rewriter::new(*change, charset, limits));
        write(&mut moved, &mut rewriter, &start, out);
        self.stage = Stage::Rewriting(moved, rewriter);
    }

    fn finish(&mut self) -> Result<Vec<u8>, Broken> {
        let rest = self.unpacker.take().map(Unpacker::finish).transpose();
        let rest = rest.map_err(|_| Broken::Packing)?;
        let mut out = self.take(&rest.unwrap_or_default());
        self.close(&mut out);
        Ok(out)
    }

    /// Nothing more comes of the page.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        if let Stage::Rewriting(moved, rewriter) = &mut self.stage {
            if let Some(moved) = moved {
                let mut last = Vec::new();
                moved.end(&mut last);
                rewriter.write(&last, out);
            }
            let is_whole = rewriter.end(out);
            self.met_form = rewriter.has_form();
            self.became = Some(if is_whole {
                Page::Rewritten
            } else {
                Page::GivenUp
            });
        }
        self.stage = Stage::Ended;
    }
}

/// Sends a piece through what moves it, if there is that, and what changes it.
fn write(moved: &mut Option<Box<Moved>>, rewriter: &mut Rewriter, piece: &[u8], out: &mut Vec<u8>) {
    let Some(moved) = moved else {
        rewriter.write(piece, out);
        return;
    };
    let mut between = Vec::new();
    moved.write(piece, &mut between);
    rewriter.write(&between, out);
}

impl Drop for Rewritten {
    fn drop(&mut self) {
        // One that nobody has read was not shown; of one that the person left nothing can be said.
        if let Some(page) = self.became.filter(|_| self.is_read) {
            self.meter.note(page);
        }
    }
}

impl Body for Rewritten {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        this.is_read = true;
        loop {
            if let Some(made) = this.ahead.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(made))));
            }
            if matches!(this.stage, Stage::Ended) {
                if this.broken.is_some() && !std::mem::replace(&mut this.waited, true) {
                    // hyper sends nothing of what it was given at once with an error, not even the head.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(this.broken.take().map(Err));
            }
            match ready!(this.poll_step(cx)) {
                Ok(made) if made.is_empty() => {}
                Ok(made) => return Poll::Ready(Some(Ok(Frame::data(made.into())))),
                Err(broken) => {
                    // What there is of it is sent.
                    let mut made = Vec::new();
                    this.close(&mut made);
                    this.ahead.extend((!made.is_empty()).then(|| made.into()));
                    this.broken = Some(broken);
                    this.became = Some(Page::Broken);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.broken.is_none() && matches!(self.stage, Stage::Ended)
    }
}
