//! The store: what the gateway keeps, in SQL of its own. Owns both engines – SQLite in one file beside the gateway,
//! PostgreSQL for several of them –, their migrations, the one writer that commits many requests at once, and every
//! statement. What the rows mean to a person is left to whoever asks for them.
//!
//! The synchronous path needs no store: without `[store]` there is none.

pub mod check;
pub mod engine;
pub mod erase;
pub mod jobs;
pub mod postgres;
pub mod retention;
pub mod settings;
pub mod sqlite;
mod tables;
pub mod writer;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::meters::StoreMeter;
use crate::store::engine::Engine;
use crate::store::engine::StoreError;
use crate::store::settings::Place;
use crate::store::settings::Role;
use crate::store::settings::Settings;
use crate::store::writer::Recorder;
use crate::store::writer::Writer;

/// An open store, with its writer at work.
#[derive(Debug)]
pub struct Store {
    /// For reading.
    pub engine: Arc<Engine>,
    /// For jobs, in the background.
    pub recorder: Recorder,
    /// For what must be durable before somebody is answered.
    pub writer: Writer,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Store {
    /// Opens the store as the gateway: brings its tables up to date, and begins to write and to clear away.
    ///
    /// # Errors
    /// It cannot be opened, is another process's, or belongs to a newer version.
    pub async fn begin(settings: &Settings, meter: Arc<StoreMeter>) -> Result<Self, StoreError> {
        let engine = Arc::new(match &settings.place {
            Place::Sqlite(path) => sqlite::open(path, Role::Gateway).await?,
            Place::Postgres(server) => postgres::open(server, Role::Gateway).await?,
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (writer, recorder, work) =
            writer::channel(Arc::clone(&engine), settings, meter, stop.clone());
        tasks.spawn(work.run());
        let clearing = retention::run(Arc::clone(&engine), settings.clone(), stop.clone());
        tasks.spawn(clearing);
        tasks.close();
        Ok(Self {
            engine,
            recorder,
            writer,
            tasks,
            stop,
        })
    }

    /// Writes what waits, and closes.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.engine.close().await;
    }
}

/// Opens the store beside a gateway that may be at work: for commands.
///
/// # Errors
/// There is none, it cannot be opened, or it belongs to another version.
pub async fn open(settings: &Settings) -> Result<Engine, StoreError> {
    match &settings.place {
        Place::Sqlite(path) => sqlite::open(path, Role::Command).await,
        Place::Postgres(server) => postgres::open(server, Role::Command).await,
    }
}
