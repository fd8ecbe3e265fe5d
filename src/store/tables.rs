//! The tables' versions. Owns bringing them forward – there is no way back – and saying what is wrong with those that
//! another version made.

use sqlx::Acquire;
use sqlx::Database;
use sqlx::Decode;
use sqlx::Executor;
use sqlx::IntoArguments;
use sqlx::Pool;
use sqlx::Type;
use sqlx::migrate::Migrate;
use sqlx::migrate::MigrateError;
use sqlx::migrate::Migrator;

/// Brings the tables up to this version.
pub(in crate::store) async fn update<DB>(
    migrations: &Migrator,
    pool: &Pool<DB>,
) -> Result<(), String>
where
    DB: Database,
    DB::Connection: Migrate,
    for<'a> &'a Pool<DB>: Acquire<'a, Database = DB>,
{
    match migrations.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(format!(
            "it has tables of version {version}, which this formgate does not know; run the newer one, or put back a backup"
        )),
        Err(MigrateError::VersionMismatch(version)) => Err(format!(
            "its tables of version {version} were made by a formgate that was never released"
        )),
        Err(other) => Err(other.to_string()),
    }
}

/// The version of the tables that are there.
pub(in crate::store) async fn version<DB>(pool: &Pool<DB>) -> Result<i64, sqlx::Error>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'a> &'a Pool<DB>: Executor<'a, Database = DB>,
    for<'a> i64: Decode<'a, DB> + Type<DB>,
    usize: sqlx::ColumnIndex<DB::Row>,
{
    let newest = "SELECT max(version) FROM _sqlx_migrations WHERE success";
    sqlx::query_scalar(newest).fetch_one(pool).await
}

/// Whether tables of this version can be worked with.
pub(in crate::store) fn check(
    migrations: &Migrator,
    found: Result<i64, sqlx::Error>,
) -> Result<(), String> {
    let wanted = migrations.iter().map(|one| one.version).max();
    match found {
        Ok(found) if Some(found) == wanted => Ok(()),
        Ok(found) => Err(format!(
            "its tables are of version {found}, this formgate works with version {}; `formgate serve` brings older ones up to date",
            wanted.unwrap_or_default()
        )),
        Err(error) => Err(format!("it is no store of formgate ({error})")),
    }
}
