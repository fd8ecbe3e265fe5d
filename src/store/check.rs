//! Looking after a store: is it whole, how large is it, a copy of it, the room of what was deleted. Owns what each
//! engine offers for that.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::store::engine::Engine;
use crate::store::engine::Statement;
use crate::store::engine::StoreError;
use crate::store::sqlite::private;

/// What was found.
#[derive(Debug)]
pub struct Health {
    /// The engine and its version.
    pub engine: String,
    /// How many rows each table has.
    pub rows: Vec<(&'static str, i64)>,
    /// Bytes on disk.
    pub bytes: i64,
    /// What is wrong.
    pub faults: Vec<String>,
}

const TABLES: [&str; 4] = ["jobs", "contents", "timelines", "erasures"];

/// Looks at everything.
///
/// # Errors
/// It cannot be read at all.
pub async fn check(engine: &Engine) -> Result<Health, StoreError> {
    let number = async |text: &str| {
        let rows = engine.rows(Statement::growing(text)).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    };
    let texts = async |text: &str| {
        let rows = engine.rows(Statement::growing(text)).await?;
        let texts = rows.iter().map(|row| row.text(0));
        texts.collect::<Result<Vec<String>, StoreError>>()
    };
    let mut rows = Vec::new();
    for table in TABLES {
        let count = number(&format!("SELECT count(*) FROM {table}")).await?;
        rows.push((table, count));
    }
    let health = if engine.is_shared() {
        Health {
            engine: texts("SELECT version()").await?.concat(),
            rows,
            bytes: number("SELECT pg_database_size(current_database())").await?,
            faults: Vec::new(),
        }
    } else {
        let mut faults = texts("PRAGMA integrity_check").await?;
        faults.retain(|fault| fault != "ok");
        Health {
            engine: format!(
                "SQLite {}",
                texts("SELECT sqlite_version()").await?.concat()
            ),
            rows,
            bytes: number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                .await?,
            faults,
        }
    };
    Ok(health)
}

impl Health {
    /// The same for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter();
        let rows: Value = rows
            .map(|(table, count)| ((*table).to_owned(), (*count).into()))
            .collect::<serde_json::Map<String, Value>>()
            .into();
        json!({"engine": self.engine, "rows": rows, "bytes": self.bytes, "faults": self.faults})
    }
}

/// Gives the room of deleted rows back to the system. Takes long for a large store.
///
/// # Errors
/// The engine refuses, or somebody is reading.
pub async fn vacuum(engine: &Engine) -> Result<(), StoreError> {
    match engine {
        Engine::Sqlite { writer, .. } => {
            sqlx::query("VACUUM").execute(writer).await?;
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(writer)
                .await?;
        }
        Engine::Postgres(pool) => {
            sqlx::query("VACUUM").execute(pool).await?;
        }
    }
    Ok(())
}

/// Writes a copy as it is at this moment, while the gateway goes on.
///
/// # Errors
/// The file is there already or cannot be written, or the engine has tools of its own.
pub async fn backup(engine: &Engine, file: &Path) -> Result<(), StoreError> {
    let refuse =
        |why: &str| StoreError::Unusable(format!("`{}` cannot be written: {why}", file.display()));
    let Engine::Sqlite { readers, .. } = engine else {
        let mend = "a store on PostgreSQL is copied by pg_dump";
        return Err(StoreError::Unusable(mend.to_owned()));
    };
    if file.exists() {
        return Err(refuse("it is there already"));
    }
    let half = half_path(file);
    let Some(name) = half.to_str() else {
        return Err(refuse("its name is not UTF-8"));
    };
    // A copy is as private as the store.
    private()
        .open(&half)
        .and_then(|file| file.set_len(0))
        .map_err(|error| refuse(&error.to_string()))?;
    let copy = sqlx::query("VACUUM INTO $1")
        .bind(name)
        .execute(readers)
        .await;
    let done = copy.map_err(StoreError::from).and_then(|_| {
        // A copy counts when it is on disk, under its own name.
        let synced = File::open(&half).and_then(|file| file.sync_all());
        let named = synced.and_then(|()| std::fs::rename(&half, file));
        named.map_err(|error| refuse(&error.to_string()))
    });
    if done.is_err() {
        // It may not even have begun.
        let _ = std::fs::remove_file(&half);
    }
    done
}

fn half_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}
