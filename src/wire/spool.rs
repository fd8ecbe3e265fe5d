//! Bodies kept until their submission is decided: small ones in memory, large ones in a temporary file. Owns
//! keeping and reading back, whole or in pieces; a file has no name, so it is gone when nobody holds it any more,
//! whatever happens to the process.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::codec::Piece;
use crate::metrics::meters::SpoolMeter;

/// How many bytes are written or read at a time.
const STEP: usize = 256 << 10;

/// Frames below this size are copied together.
const SMALL: usize = 4 << 10;

/// When and where bodies go to disk.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bodies over this size go to a temporary file.
    pub above: u64,
    /// The folder of temporary files.
    pub folder: PathBuf,
    /// What they are counted with.
    pub meter: Arc<SpoolMeter>,
}

/// A temporary file, counted as long as it is there.
#[derive(Debug)]
struct Scratch {
    file: File,
    size: i64,
    meter: Arc<SpoolMeter>,
}

impl Scratch {
    fn new(folder: &Path, meter: Arc<SpoolMeter>) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        meter.files.add(1);
        Ok(Self {
            file,
            size: 0,
            meter,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.size += size;
        self.meter.bytes.add(size);
        self.meter.written.add(size.unsigned_abs());
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.meter.files.add(-1);
        self.meter.bytes.add(-self.size);
    }
}

/// A body being kept.
#[derive(Debug)]
pub struct Spool {
    settings: Settings,
    /// Frames not written yet; all of them, for a body that stays in memory.
    frames: VecDeque<Bytes>,
    /// Small frames that come after them, put together: each alone would cost many times its bytes.
    small: Vec<u8>,
    waiting: usize,
    file: Option<Scratch>,
    length: u64,
}

/// A body that has been kept whole.
#[derive(Debug)]
pub struct Kept {
    place: Place,
    length: u64,
}

#[derive(Debug)]
enum Place {
    Memory(VecDeque<Bytes>),
    Disk(Arc<Scratch>),
}

impl Spool {
    /// Begins to keep a body.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            frames: VecDeque::new(),
            small: Vec::new(),
            waiting: 0,
            file: None,
            length: 0,
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Keeps more.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub async fn push(&mut self, frame: Bytes) -> io::Result<()> {
        self.length += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.waiting += frame.len();
        if frame.len() < SMALL && !self.frames.is_empty() {
            self.small.extend_from_slice(&frame);
            if self.small.len() >= 4 * SMALL {
                self.join_small();
            }
        } else {
            self.join_small();
            self.frames.push_back(frame);
        }
        if self.length > self.settings.above && self.waiting >= STEP {
            self.write_down().await?;
        }
        Ok(())
    }

    fn join_small(&mut self) {
        if !self.small.is_empty() {
            self.frames
                .push_back(std::mem::take(&mut self.small).into());
        }
    }

    async fn write_down(&mut self) -> io::Result<()> {
        self.join_small();
        let frames = std::mem::take(&mut self.frames);
        let file = self.file.take();
        let (folder, meter) = (
            self.settings.folder.clone(),
            Arc::clone(&self.settings.meter),
        );
        self.waiting = 0;
        let written = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => Scratch::new(&folder, meter)?,
            };
            frames.iter().try_for_each(|frame| file.write(frame))?;
            Ok(file)
        });
        let written = written.await;
        if written.is_err() {
            self.settings.meter.failures.inc();
        }
        self.file = Some(written?);
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// As for [`Spool::push`].
    pub async fn finish(mut self) -> io::Result<Kept> {
        self.join_small();
        if self.length > self.settings.above || self.file.is_some() {
            self.write_down().await?;
        }
        let place = match self.file {
            Some(file) => Place::Disk(Arc::new(file)),
            None => Place::Memory(self.frames),
        };
        Ok(Kept {
            place,
            length: self.length,
        })
    }
}

impl Kept {
    /// The same body, to be read one more time; not while it is being read.
    #[must_use]
    pub fn again(&self) -> Self {
        let place = match &self.place {
            Place::Memory(frames) => Place::Memory(frames.clone()),
            Place::Disk(file) => Place::Disk(Arc::clone(file)),
        };
        Self {
            place,
            length: self.length,
        }
    }

    /// A body that is whole already.
    #[must_use]
    pub fn memory(bytes: Bytes) -> Self {
        Self {
            length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            place: Place::Memory(VecDeque::from([bytes])),
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is on disk.
    #[must_use]
    pub const fn is_on_disk(&self) -> bool {
        matches!(self.place, Place::Disk(_))
    }

    /// Reads it back as it came.
    #[must_use]
    pub fn read(self) -> Reader {
        let whole = vec![Piece::Kept(0..self.length)];
        self.read_pieces(whole)
    }

    /// Reads it back with changes: the pieces, in order.
    #[must_use]
    pub fn read_pieces(self, pieces: Vec<Piece>) -> Reader {
        let length = pieces.iter().map(piece_length).sum();
        match self.place {
            Place::Memory(frames) => Reader {
                length,
                source: Source::Memory(gather(&frames, pieces)),
            },
            Place::Disk(file) => Reader {
                length,
                source: Source::Disk {
                    pieces: pieces.into(),
                    file: Some(file),
                    reading: None,
                },
            },
        }
    }
}

fn piece_length(piece: &Piece) -> u64 {
    match piece {
        Piece::Kept(range) => range.end - range.start,
        Piece::New(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    }
}

/// Takes pieces out of frames in memory, without a copy.
fn gather(frames: &VecDeque<Bytes>, pieces: Vec<Piece>) -> VecDeque<Bytes> {
    let mut out = VecDeque::new();
    for piece in pieces {
        match piece {
            Piece::New(bytes) => out.push_back(bytes.into()),
            Piece::Kept(range) => {
                let mut at = 0;
                for frame in frames {
                    let end = at + u64::try_from(frame.len()).unwrap_or(u64::MAX);
                    let (from, to) = (range.start.max(at), range.end.min(end));
                    if from < to {
                        let inside =
                            |offset: u64| usize::try_from(offset - at).unwrap_or(usize::MAX);
                        out.push_back(frame.slice(inside(from)..inside(to)));
                    }
                    at = end;
                }
            }
        }
    }
    out
}

/// Reads a kept body back as frames.
#[derive(Debug)]
pub struct Reader {
    length: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(VecDeque<Bytes>),
    Disk {
        pieces: VecDeque<Piece>,
        file: Option<Arc<Scratch>>,
        reading: Option<Reading>,
    },
}

impl Reader {
    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.length
    }

    /// The next bytes; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let next = match &mut self.source {
            Source::Memory(frames) => frames.pop_front().map(Ok),
            Source::Disk {
                pieces,
                file,
                reading,
            } => ready!(poll_disk(pieces, file, reading, cx)),
        };
        if let Some(Ok(bytes)) = &next {
            self.length -= u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        Poll::Ready(next)
    }
}

type Reading = JoinHandle<io::Result<(Arc<Scratch>, Bytes)>>;

fn poll_disk(
    pieces: &mut VecDeque<Piece>,
    file: &mut Option<Arc<Scratch>>,
    reading: &mut Option<Reading>,
    cx: &mut Context<'_>,
) -> Poll<Option<io::Result<Bytes>>> {
    loop {
        if let Some(running) = reading {
            let read = ready!(Pin::new(running).poll(cx));
            *reading = None;
            return Poll::Ready(Some(match read {
                Ok(Ok((back, bytes))) => {
                    *file = Some(back);
                    Ok(bytes)
                }
                Ok(Err(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
            }));
        }
        match pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::New(bytes)) => return Poll::Ready(Some(Ok(bytes.into()))),
            Some(Piece::Kept(range)) => {
                let Some(open) = file.take() else {
                    return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
                };
                let step = u64::try_from(STEP).unwrap_or(u64::MAX);
                let end = range.end.min(range.start.saturating_add(step));
                if end < range.end {
                    pieces.push_front(Piece::Kept(end..range.end));
                }
                *reading = Some(tokio::task::spawn_blocking(move || {
                    let read = read_range(&open, range.start..end);
                    if read.is_err() {
                        open.meter.failures.inc();
                    }
                    Ok((open, read?))
                }));
            }
        }
    }
}

use std::future::Future;

fn read_range(kept: &Scratch, range: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut file = &kept.file;
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// Disk work away from the threads that serve sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn spooled(above: u64, frames: &[&[u8]]) -> Kept {
        let folder = std::env::temp_dir();
        let mut spool = Spool::new(Settings {
            above,
            folder,
            meter: Arc::default(),
        });
        for frame in frames {
            spool
                .push(Bytes::copy_from_slice(frame))
                .await
                .expect("writable");
        }
        spool.finish().await.expect("writable")
    }

    async fn drain(mut reader: Reader) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(bytes) = std::future::poll_fn(|cx| reader.poll_next(cx)).await {
            out.extend_from_slice(&bytes.expect("readable"));
        }
        assert_eq!(reader.remaining(), 0);
        out
    }

    #[tokio::test]
    async fn what_was_kept_comes_back() {
        let big: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for above in [0, 10, 1 << 30] {
            let kept = spooled(above, &[b"abc", b"", &big, b"xyz"]).await;
            assert_eq!(kept.is_on_disk(), above < 1 << 30);
            let expected = [b"abc".as_slice(), &big, b"xyz"].concat();
            assert_eq!(kept.length(), 700_006);
            assert!(drain(kept.read()).await == expected, "above {above}");
        }
    }

    #[tokio::test]
    async fn small_frames_are_put_together() {
        let body: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let folder = std::env::temp_dir();
        let mut spool = Spool::new(Settings {
            above: 1 << 30,
            folder,
            meter: Arc::default(),
        });
        for (at, chunk) in body.chunks(9).enumerate() {
            let frame = Bytes::copy_from_slice(chunk);
            spool.push(frame).await.expect("in memory");
            let most = 1 + (at + 1) * 9 / (4 * SMALL);
            assert!(spool.frames.len() <= most, "{} frames", spool.frames.len());
        }
        let kept = spool.finish().await.expect("in memory");
        assert!(drain(kept.read()).await == body);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_back_is_counted() {
        let kept = spooled(0, &[b"abc"]).await;
        let Place::Disk(file) = &kept.place else {
            panic!("in memory");
        };
        let meter = Arc::clone(&file.meter);
        file.file.set_len(1).expect("shortened");
        let mut reader = kept.read();
        let read = std::future::poll_fn(|cx| reader.poll_next(cx)).await;
        assert!(read.expect("something").is_err());
        assert_eq!(meter.failures.get(), 1);
    }

    #[tokio::test]
    async fn pieces_are_put_together() {
        for above in [0, 1 << 30] {
            let kept = spooled(above, &[b"abc", b"def", b"ghi"]).await;
            let pieces = vec![
                Piece::Kept(0..2),
                Piece::New(b"--".to_vec()),
                Piece::Kept(2..7),
                Piece::New(b"!".to_vec()),
            ];
            let reader = kept.read_pieces(pieces);
            assert_eq!(reader.remaining(), 10);
            assert_eq!(drain(reader).await, b"ab--cdefg!");
        }
    }
}
