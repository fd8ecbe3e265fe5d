//! Clearing away: bodies and jobs that have been kept long enough, each after its own time. Owns how that is done
//! beside the traffic: a few rows at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::store::engine::Arg;
use crate::store::engine::Engine;
use crate::store::engine::Statement;
use crate::store::engine::StoreError;
use crate::store::settings::Settings;

/// How many rows go in one transaction: the writer waits no longer for it than for a commit of its own.
const SLICE: i64 = 500;
/// How often it is looked whether there is something to clear away.
const EVERY: Duration = Duration::from_secs(60);
/// How long a slice of each table may take.
const STEP: Duration = Duration::from_secs(30);
/// How long to rest between two slices.
const REST: Duration = Duration::from_millis(20);

/// Clears away until the store ends.
pub(in crate::store) async fn run(
    engine: Arc<Engine>,
    settings: Settings,
    stop: CancellationToken,
) {
    loop {
        let done = step(&engine, &settings, Timestamp::now());
        let done = tokio::time::timeout(STEP, done).await;
        let rest = match done.unwrap_or(Err(StoreError::Silent(STEP))) {
            Ok(true) => REST,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::error!(target: "formgate::store", "old jobs could not be cleared away: {error}");
                EVERY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Clears away a slice of each table; whether there may be more.
///
/// # Errors
/// The engine refuses.
pub async fn step(
    engine: &Engine,
    settings: &Settings,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut more = false;
    for (table, kept) in [
        ("contents", settings.keep_bodies.min(settings.keep_jobs)),
        ("jobs", settings.keep_jobs),
        ("timelines", settings.keep_jobs),
    ] {
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.as_millisecond().saturating_sub(kept);
        let mut old = Statement::growing("DELETE FROM ");
        old.push(table).push(" WHERE id IN (SELECT id FROM ");
        old.push(table).push(" WHERE at < ").bind(Arg::int(oldest));
        old.push(" ORDER BY at LIMIT ")
            .bind(Arg::int(SLICE))
            .push(")");
        let gone = engine.execute(old).await?;
        more |= gone == SLICE.unsigned_abs();
    }
    Ok(more)
}
