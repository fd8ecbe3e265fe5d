//! The one writer: many requests' rows in one commit. Owns the two queues – what somebody waits for, and what is only
//! recorded – and when a batch is full enough. Whoever records never waits: bodies are dropped first, then jobs; both
//! are counted, and jobs that are lost are said in the log, for whatever reason they are.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::meters::StoreMeter;
use crate::model::job::Job;
use crate::model::timeline::Timeline;
use crate::store::engine::Arg;
use crate::store::engine::Engine;
use crate::store::engine::Statement;
use crate::store::engine::StoreError;
use crate::store::engine::Table;
use crate::store::engine::inserts;
use crate::store::jobs;
use crate::store::settings::Settings;

/// How many requests share a commit.
const FULL: usize = 64;
/// How long the first of them waits for others.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long a record waits for others: nobody waits for it.
const RECORDS_PATIENCE: Duration = Duration::from_millis(50);
/// How many records share a commit.
const RECORDS: usize = 256;
/// How many records may wait.
const QUEUE: usize = 8192;
/// How long a commit may take. Longer than another process may hold a file, so that it is told apart.
const COMMIT: Duration = Duration::from_secs(10);
/// How often it is said that something could not be written.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What is only recorded.
#[derive(Debug)]
pub enum Record {
    /// A call.
    Job(Box<Job>),
    /// What happened to a request.
    Timeline(Box<Timeline>),
}

/// A record in the queue.
#[derive(Debug)]
struct Queued {
    record: Record,
    /// What it counts for among the bytes that wait.
    bytes: i64,
}

/// Rows that count together.
#[derive(Debug, Default)]
pub struct Rows {
    inserts: Vec<(&'static Table, Vec<Vec<Arg>>)>,
    after: Vec<Statement>,
}

impl Rows {
    /// A row of a table.
    pub fn insert(&mut self, table: &'static Table, row: Vec<Arg>) {
        match self.inserts.iter_mut().find(|(known, _)| *known == table) {
            Some((_, rows)) => rows.push(row),
            None => self.inserts.push((table, vec![row])),
        }
    }

    /// A statement that comes after the rows.
    pub fn then(&mut self, statement: Statement) {
        self.after.push(statement);
    }

    fn append(&mut self, other: Self) {
        for (table, rows) in other.inserts {
            rows.into_iter().for_each(|row| self.insert(table, row));
        }
        self.after.extend(other.after);
    }

    /// How many there are to insert.
    fn len(&self) -> u64 {
        let many: usize = self.inserts.iter().map(|(_, rows)| rows.len()).sum();
        u64::try_from(many).unwrap_or(u64::MAX)
    }

    /// Writes them in one transaction.
    ///
    /// # Errors
    /// The engine refuses; then nothing is written.
    pub async fn commit(self, engine: &Engine) -> Result<(), StoreError> {
        let mut transaction = engine.begin().await?;
        for (table, rows) in self.inserts {
            for statement in inserts(table, rows) {
                transaction.execute(statement).await?;
            }
        }
        for statement in self.after {
            transaction.execute(statement).await?;
        }
        transaction.commit().await
    }
}

/// Rows that somebody waits for.
struct Waiting {
    rows: Rows,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// For what must be on disk before somebody is answered.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    /// Writes rows together with those of other requests; when this returns, they are on disk.
    ///
    /// # Errors
    /// The engine refuses, or the store has ended.
    pub async fn write(&self, rows: Rows) -> Result<(), StoreError> {
        let (done, written) = oneshot::channel();
        let waiting = Waiting { rows, done };
        self.queue
            .send(waiting)
            .await
            .map_err(|_| StoreError::Closed)?;
        written.await.map_err(|_| StoreError::Closed)?
    }
}

/// For what is recorded in the background. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Queued>,
    meter: Arc<StoreMeter>,
    losses: Arc<Losses>,
    most_bytes: i64,
    keeps_bodies: bool,
}

impl Recorder {
    /// Whether bodies are kept at all.
    #[must_use]
    pub const fn keeps_bodies(&self) -> bool {
        self.keeps_bodies
    }

    /// What becomes of records.
    #[must_use]
    pub const fn meter(&self) -> &Arc<StoreMeter> {
        &self.meter
    }

    /// Records a call.
    pub fn job(&self, mut job: Box<Job>) {
        let Ok(place) = self.queue.try_reserve() else {
            self.losses.note(&self.meter, 1, &NoPlace);
            return;
        };
        let mut bytes = 0;
        if let Some(details) = &mut job.details {
            if !self.keeps_bodies {
                details.drop_contents();
            }
            bytes = measured(details.weight());
            let waiting = self.meter.waiting_bytes.get();
            // Jobs are worth more than their bodies.
            let crowded = self.queue.capacity() < self.queue.max_capacity() / 2;
            if bytes > 0 && (crowded || waiting.saturating_add(bytes) > self.most_bytes) {
                self.meter.bodies_dropped.inc();
                details.leave_out();
                bytes = 0;
            }
            self.meter.waiting_bytes.add(bytes);
        }
        let record = Record::Job(job);
        place.send(Queued { record, bytes });
    }

    /// Records what happened to a request.
    pub fn timeline(&self, timeline: Box<Timeline>) {
        let record = Record::Timeline(timeline);
        if self.queue.try_send(Queued { record, bytes: 0 }).is_err() {
            self.losses.note(&self.meter, 1, &NoPlace);
        }
    }
}

/// When it was said last that records are lost.
#[derive(Debug, Default)]
struct Losses {
    said: Mutex<Option<Instant>>,
}

impl Losses {
    /// Counts what is lost, and says so from time to time.
    fn note(&self, meter: &StoreMeter, many: u64, why: &dyn fmt::Display) {
        meter.lost.add(many);
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now >= said + SAID_EVERY) {
            *said = Some(now);
            drop(said);
            let lost = meter.lost.get();
            tracing::error!(target: "formgate::store", lost, "jobs could not be written: {why}");
        }
    }
}

/// Why a record is lost that did not get as far as the engine.
struct NoPlace;

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{QUEUE} wait already, or the store has ended")
    }
}

/// The writer's work.
#[derive(Debug)]
pub struct Work {
    engine: Arc<Engine>,
    waiting: mpsc::Receiver<Waiting>,
    records: mpsc::Receiver<Queued>,
    meter: Arc<StoreMeter>,
    losses: Arc<Losses>,
    stop: CancellationToken,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// The queues, and the work that empties them until `stop`.
#[must_use]
pub fn channel(
    engine: Arc<Engine>,
    settings: &Settings,
    meter: Arc<StoreMeter>,
    stop: CancellationToken,
) -> (Writer, Recorder, Work) {
    let (queue, waiting) = mpsc::channel(FULL * 16);
    let writer = Writer { queue };
    let (queue, records) = mpsc::channel(QUEUE);
    let losses = Arc::<Losses>::default();
    let recorder = Recorder {
        queue,
        losses: Arc::clone(&losses),
        meter: Arc::clone(&meter),
        most_bytes: measured(settings.queue),
        keeps_bodies: !settings.keep_bodies.is_zero(),
    };
    let work = Work {
        engine,
        waiting,
        records,
        meter,
        losses,
        stop,
    };
    (writer, recorder, work)
}

/// A size as gauges count.
fn measured(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What goes into one commit.
#[derive(Debug, Default)]
struct Batch {
    waiting: Vec<Waiting>,
    records: Vec<Queued>,
}

impl Work {
    /// Writes until the store ends; then what still waits.
    pub async fn run(mut self) {
        while self.step().await {}
    }

    /// Writes one batch; `false` when there is nothing to write any more.
    pub async fn step(&mut self) -> bool {
        let mut batch = Batch::default();
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            Some(first) = self.waiting.recv() => batch.waiting.push(first),
            Some(first) = self.records.recv() => batch.records.push(first),
            () = stop.cancelled(), if !self.waiting.is_closed() => {
                // What is in the queues is still written; nothing new gets in.
                self.waiting.close();
                self.records.close();
                return true;
            }
            else => return false,
        }
        if batch.waiting.is_empty() {
            self.gather_records(&mut batch).await;
        }
        if !batch.waiting.is_empty() {
            self.gather_waiting(&mut batch).await;
        }
        while batch.records.len() < RECORDS
            && let Ok(record) = self.records.try_recv()
        {
            batch.records.push(record);
        }
        self.flush(batch).await;
        true
    }

    /// Waits for more to record; not any longer where somebody begins to wait.
    async fn gather_records(&mut self, batch: &mut Batch) {
        let end = Instant::now() + RECORDS_PATIENCE;
        while batch.records.len() < RECORDS {
            tokio::select! {
                biased;
                Some(first) = self.waiting.recv() => {
                    batch.waiting.push(first);
                    return;
                }
                Some(record) = self.records.recv() => batch.records.push(record),
                () = tokio::time::sleep_until(end) => return,
                else => return,
            }
        }
    }

    async fn gather_waiting(&mut self, batch: &mut Batch) {
        let end = Instant::now() + PATIENCE;
        while batch.waiting.len() < FULL {
            match tokio::time::timeout_at(end, self.waiting.recv()).await {
                Ok(Some(more)) => batch.waiting.push(more),
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn flush(&self, batch: Batch) {
        // Apart, so that what is only recorded keeps nobody waiting, and its failure is nobody's.
        if !batch.waiting.is_empty() {
            self.flush_waiting(batch.waiting).await;
        }
        if !batch.records.is_empty() {
            self.flush_records(batch.records).await;
        }
    }

    async fn flush_waiting(&self, waiting: Vec<Waiting>) {
        let (mut rows, mut answers) = (Rows::default(), Vec::with_capacity(waiting.len()));
        for one in waiting {
            rows.append(one.rows);
            answers.push(one.done);
        }
        let why = self.commit(rows).await.err().map(|error| error.to_string());
        for answer in answers {
            // Whoever has gone knows nothing of it.
            let _ = answer.send(match &why {
                None => Ok(()),
                Some(why) => Err(StoreError::Unusable(why.clone())),
            });
        }
    }

    async fn flush_records(&self, records: Vec<Queued>) {
        let many = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let mut rows = Rows::default();
        let mut held = 0;
        for Queued { record, bytes } in records {
            held += bytes;
            jobs::rows(record, &mut rows);
        }
        let done = self.commit(rows).await;
        // Until then they take their memory.
        self.meter.waiting_bytes.add(-held);
        match done {
            Ok(()) => self.meter.written.add(many),
            Err(error) => self.losses.note(&self.meter, many, &error),
        }
    }

    async fn commit(&self, rows: Rows) -> Result<(), StoreError> {
        let (began, many) = (Instant::now(), rows.len());
        // A server that has vanished says nothing, for as long as the system waits for it; what is under way is undone.
        let done = tokio::time::timeout(COMMIT, rows.commit(&self.engine)).await;
        let done = done.unwrap_or(Err(StoreError::Silent(COMMIT)));
        self.meter.seconds.observe(began.elapsed());
        match &done {
            Ok(()) => self.meter.rows.add(many),
            Err(_) => self.meter.failures.inc(),
        }
        done
    }
}
