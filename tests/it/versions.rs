//! Stores that earlier versions made: each is made as it was, with rows as they were written then (`tests/versions`), is
//! brought up to date, and still says the same. A new version of the tables adds a file; a released one never changes.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use formgate::store;
use formgate::store::Store;
use formgate::store::engine::Statement;
use formgate::store::erase;
use formgate::store::jobs;
use formgate::store::postgres;
use formgate::store::settings::Place;
use formgate::store::sqlite;
use sqlx::AssertSqlSafe;
use sqlx::PgPool;
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::stores::Scene;
use crate::support::stores::on_each;
use crate::support::within;

/// The versions that there have been, with the rows that each of them wrote.
fn versions() -> Vec<(i64, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions");
    let files = fs::read_dir(folder).expect("the folder");
    let mut versions: Vec<(i64, String)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let number = path.file_stem().and_then(|stem| stem.to_str());
            let number = number.and_then(|stem| stem.parse().ok());
            let text = fs::read_to_string(&path).expect("text");
            (number.expect("a number"), text)
        })
        .collect();
    versions.sort();
    versions
}

/// The migrations up to a version.
fn up_to(all: &Migrator, version: i64) -> Migrator {
    let some = all.iter().filter(|one| one.version <= version).cloned();
    Migrator {
        migrations: Cow::Owned(some.collect()),
        ..Migrator::DEFAULT
    }
}

/// Makes a store as that version did. Bytes are written differently on each engine.
async fn make(scene: &Scene, version: i64, rows: &str) {
    match &scene.settings.place {
        Place::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path);
            let options = options.create_if_missing(true);
            let pool = SqlitePool::connect_with(options).await.expect("a file");
            let migrations = up_to(&sqlite::MIGRATIONS, version);
            migrations.run(&pool).await.expect("tables");
            let rows = rows.replace("BYTES('", "(X'");
            sqlx::raw_sql(AssertSqlSafe(rows))
                .execute(&pool)
                .await
                .expect("rows");
            pool.close().await;
        }
        Place::Postgres(server) => {
            let pool = PgPool::connect(&server.url).await.expect("a server");
            let migrations = up_to(&postgres::MIGRATIONS, version);
            migrations.run(&pool).await.expect("tables");
            let rows = rows.replace("BYTES('", "('\\x");
            sqlx::raw_sql(AssertSqlSafe(rows))
                .execute(&pool)
                .await
                .expect("rows");
            pool.close().await;
        }
    }
}

#[tokio::test]
async fn what_earlier_versions_wrote_is_still_there() {
    for (version, rows) in versions() {
        on_each(async |scene| {
            make(&scene, version, &rows).await;
            let gateway = Store::begin(&scene.settings, Arc::default())
                .await
                .expect("up to date");
            let engine = store::open(&scene.settings).await.expect("a store");
            let id = "01a2146d-ce36-75e7-87c4-81f60971caa7";
            let job = jobs::find(&engine, id).await.expect("rows").expect("there");
            assert_eq!(job.job["outcome"], "patched", "version {version}");
            assert_eq!(job.sent.as_deref(), Some(&b"{}"[..]));
            let timelines = jobs::timelines(&engine, "r-1").await.expect("rows");
            assert_eq!(timelines[0]["outcome"], "accepted");
            let stones = "SELECT jobs FROM erasures";
            let stones = engine.rows(Statement::growing(stones)).await.expect("rows");
            assert_eq!(stones[0].int(0).expect("a number"), 1);
            let erased = erase::person(&engine, "u-17").await.expect("erased");
            assert_eq!((erased.jobs, erased.timelines), (1, 1));
            engine.close().await;
            within("the end", gateway.end()).await;
        })
        .await;
    }
}

#[test]
fn every_version_has_its_rows_and_is_on_both_engines() {
    let known: Vec<i64> = versions().into_iter().map(|(version, _)| version).collect();
    for migrations in [&sqlite::MIGRATIONS, &postgres::MIGRATIONS] {
        let made: Vec<i64> = migrations.iter().map(|one| one.version).collect();
        assert_eq!(
            made, known,
            "tests/versions has a file for each version of the tables"
        );
    }
}
