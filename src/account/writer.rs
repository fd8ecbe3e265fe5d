//! Getting lines of the access log to their file, on a thread of its own: a disk that is slow or full holds up nobody.
//! Owns the queue, what is lost when it is full, and opening the file anew when the old one was moved away.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::thread;

use tokio::sync::oneshot;

use crate::account::access::Entry;
use crate::account::access::Format;
use crate::account::crowded::Crowded;
use crate::metrics::meters::TelemetryMeter;

/// How many lines may wait.
const QUEUE: usize = 8192;
/// So many bytes are written at a time, if so many wait.
const PIECE: usize = 64 << 10;

/// Where lines go.
pub(in crate::account) enum Target {
    /// Standard output, or whatever stands for it.
    Output(Box<dyn Write + Send>),
    /// A file that is added to.
    File(PathBuf, File),
}

/// Writes lines in the background.
#[derive(Debug)]
pub(in crate::account) struct Writer {
    to: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What both sides know.
#[derive(Debug)]
struct Shared {
    meter: Arc<TelemetryMeter>,
    crowded: Crowded,
    /// Whether the file is to be opened anew. Not a message, since those can be lost.
    reopen: AtomicBool,
}

enum Message {
    Line(Box<Entry>),
    /// Look whether something else is to be done.
    Wake,
    /// Everything before must be written now.
    Flush(oneshot::Sender<()>),
}

impl Target {
    /// A file that is added to; made if it is not there.
    pub(in crate::account) fn file(path: PathBuf) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(&path)?;
        Ok(Self::File(path, file))
    }

    /// Lets the old file go.
    fn reopen(&mut self) {
        let Self::File(path, file) = self else { return };
        match File::options().append(true).create(true).open(&*path) {
            Ok(anew) => *file = anew,
            Err(error) => {
                let path = path.display();
                tracing::error!(target: "formgate::telemetry", %error, "the access log `{path}` cannot be opened anew; it goes on in the old file");
            }
        }
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        match self {
            Self::Output(output) => {
                output.write_all(lines.as_bytes())?;
                output.flush()
            }
            Self::File(_, file) => file.write_all(lines.as_bytes()),
        }
    }
}

impl Writer {
    pub(in crate::account) fn begin(
        format: Format,
        target: Target,
        meter: Arc<TelemetryMeter>,
    ) -> io::Result<Self> {
        let (to, from) = mpsc::sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            meter,
            crowded: Crowded::new("lines of the access log"),
            reopen: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("access-log".to_owned());
        thread.spawn(move || run(&from, format, target, &theirs))?;
        Ok(Self { to, shared })
    }

    /// Hands over a line; it is lost if too many wait.
    pub(in crate::account) fn write(&self, entry: Entry) {
        if self.to.try_send(Message::Line(Box::new(entry))).is_err() {
            self.shared.meter.lines_lost.inc();
            self.shared.crowded.begins();
        }
    }

    /// Opens the file anew.
    pub(in crate::account) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // Where so much waits that this has no room, the thread is awake.
        let _ = self.to.try_send(Message::Wake);
    }

    /// Waits until everything that was handed over is written.
    pub(in crate::account) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let mut message = Message::Flush(done);
        loop {
            match self.to.try_send(message) {
                Ok(()) => break,
                Err(mpsc::TrySendError::Disconnected(_)) => return,
                Err(mpsc::TrySendError::Full(back)) => message = back,
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Where the thread is gone, nothing more is written.
        let _ = written.await;
    }
}

fn run(from: &Receiver<Message>, format: Format, mut target: Target, shared: &Shared) {
    let mut failing = false;
    let mut lines = String::new();
    while let Ok(first) = from.recv() {
        lines.clear();
        let (mut count, mut waiting) = (0, Vec::new());
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(entry) => {
                    entry.write_to(&mut lines, format);
                    count += 1;
                }
                Message::Wake => {}
                Message::Flush(done) => waiting.push(done),
            }
            next = (lines.len() < PIECE)
                .then(|| from.try_recv().ok())
                .flatten();
        }
        if lines.len() < PIECE {
            // Nothing more waited.
            shared.crowded.ends();
        }
        if shared.reopen.swap(false, Ordering::Acquire) {
            target.reopen();
        }
        let written = if lines.is_empty() {
            Ok(())
        } else {
            target.write(&lines)
        };
        match written {
            Ok(()) if failing && count > 0 => {
                failing = false;
                tracing::info!(target: "formgate::telemetry", "the access log is written again");
            }
            Ok(()) => {}
            Err(error) => {
                shared.meter.lines_lost.add(count);
                if !failing {
                    tracing::error!(target: "formgate::telemetry", %error, "the access log cannot be written");
                }
                failing = true;
            }
        }
        for done in waiting {
            // Whoever waited may have given up.
            let _ = done.send(());
        }
    }
}
