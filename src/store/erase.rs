//! Erasing what is kept about a person. Owns which rows that concerns, and the tombstone that says it was done without
//! saying to whom.

use aws_lc_rs::digest;
use jiff::Timestamp;

use crate::store::engine::Arg;
use crate::store::engine::Engine;
use crate::store::engine::Row;
use crate::store::engine::Statement;
use crate::store::engine::StoreError;
use crate::store::jobs;

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Jobs whose contents are gone.
    pub jobs: u64,
    /// Timelines that no longer say whose they are.
    pub timelines: u64,
}

/// Erases bodies, headers and changes of all jobs of a person, and their name from jobs and timelines. That the calls
/// were made stays.
///
/// # Errors
/// The engine refuses; then nothing is erased.
pub async fn person(engine: &Engine, id: &str) -> Result<Erased, StoreError> {
    let now = Timestamp::now().as_millisecond();
    let mut transaction = engine.begin().await?;
    let person = || Arg::text(id);
    let contents = "DELETE FROM contents WHERE id IN (SELECT id FROM jobs WHERE person = $1)";
    transaction
        .execute(Statement::new(contents, [person()]))
        .await?;
    let records = "SELECT id, record FROM jobs WHERE person = $1";
    for row in transaction
        .rows(Statement::new(records, [person()]))
        .await?
    {
        let bare = jobs::without_values(&row.text(1)?);
        let bare = [Arg::text(row.text(0)?), Arg::text(bare)];
        let record = "UPDATE jobs SET record = $2 WHERE id = $1";
        transaction.execute(Statement::new(record, bare)).await?;
    }
    let jobs = "UPDATE jobs SET person = NULL, erased = $2 WHERE person = $1";
    let jobs = Statement::new(jobs, [person(), Arg::int(now)]);
    let jobs = transaction.execute(jobs).await?;
    let timelines = "UPDATE timelines SET person = NULL WHERE person = $1";
    let timelines = transaction
        .execute(Statement::new(timelines, [person()]))
        .await?;
    let stone = "INSERT INTO erasures (id, at, person, jobs) VALUES ($1, $2, $3, $4)";
    let stone = Statement::new(
        stone,
        [
            Arg::text(uuid::Uuid::now_v7().to_string()),
            Arg::int(now),
            Arg::text(digest_of(id)),
            Arg::int(i64::try_from(jobs).unwrap_or(i64::MAX)),
        ],
    );
    transaction.execute(stone).await?;
    transaction.commit().await?;
    Ok(Erased { jobs, timelines })
}

/// When a person was erased, in milliseconds since 1970, the last time first.
///
/// # Errors
/// The store cannot be read.
pub async fn times(engine: &Engine, id: &str) -> Result<Vec<i64>, StoreError> {
    let text = "SELECT at FROM erasures WHERE person = $1 ORDER BY at DESC";
    let stones = Statement::new(text, [Arg::text(digest_of(id))]);
    let rows = engine.rows(stones).await?;
    rows.iter().map(|row: &Row| row.int(0)).collect()
}

/// Whoever asks about somebody finds the tombstone; whoever reads it does not find the person.
fn digest_of(id: &str) -> String {
    let digest = digest::digest(&digest::SHA256, id.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
