//! The store, the same on both engines: what was written is there, together or not at all, in time; what should not
//! be kept is gone.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use formgate::model::event::Event;
use formgate::model::job::Details;
use formgate::model::job::Job;
use formgate::model::job::JobKind;
use formgate::model::job::Outcome;
use formgate::model::job::Timings;
use formgate::model::timeline::Step;
use formgate::model::timeline::StepKind;
use formgate::model::timeline::Timeline;
use formgate::store;
use formgate::store::Store;
use formgate::store::check;
use formgate::store::engine::Arg;
use formgate::store::engine::Engine;
use formgate::store::engine::Statement;
use formgate::store::engine::StoreError;
use formgate::store::engine::Table;
use formgate::store::erase;
use formgate::store::jobs;
use formgate::store::jobs::Filter;
use formgate::store::retention;
use formgate::store::settings::Place;
use formgate::store::writer;
use formgate::store::writer::Rows;
use http::header;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::log::Log;
use crate::support::stores::Scene;
use crate::support::stores::on_each;
use crate::support::stores::sqlite;
use crate::support::within;

/// A job of a person.
fn job(form: &str, outcome: Outcome, person: &str) -> Job {
    let details = Details {
        person: Some(person.to_owned()),
        place: Some("rules/contact.toml:7".to_owned()),
        method: "POST".to_owned(),
        sent: Bytes::from_static(b"{\"doc\":{\"a\":\"\0\xff\"}}"),
        received: Bytes::from_static(b"{}"),
        patch: serde_json::Map::from_iter([("a".to_owned(), json!({"from": 1, "to": "\0"}))]),
        extracted: serde_json::Map::from_iter([("run".to_owned(), json!(format!("of {person}")))]),
        ..Details::default()
    };
    Job {
        id: uuid::Uuid::now_v7().to_string(),
        kind: JobKind::Hook,
        event: Event::Preprocess,
        form: form.to_owned(),
        hook: "crm".to_owned(),
        request_id: format!("r-{person}"),
        submission_id: (outcome == Outcome::Patched).then(|| "s-1".to_owned()),
        url: "https://crm.example.org/".to_owned(),
        run: 1,
        sent: 20,
        received: 2,
        timings: Timings {
            total: Duration::from_millis(12),
            ..Timings::default()
        },
        status: Some(200),
        outcome,
        would: None,
        faults: Vec::new(),
        warnings: Vec::new(),
        changed: vec!["a".to_owned()],
        let_through: false,
        conflict: false,
        details: Some(Box::new(details)),
    }
}

/// A gateway's store.
async fn begin(scene: &Scene) -> Result<Store, StoreError> {
    Store::begin(&scene.settings, Arc::default()).await
}

/// Writes jobs as a gateway does, and opens the store beside it.
async fn written(scene: &Scene, jobs: Vec<Job>) -> Engine {
    let store = begin(scene).await.expect(scene.name);
    for job in jobs {
        store.recorder.job(Box::new(job));
    }
    within("the end of the store", store.end()).await;
    store::open(&scene.settings).await.expect(scene.name)
}

async fn count(engine: &Engine, table: &str) -> i64 {
    let text = format!("SELECT count(*) FROM {table}");
    let rows = engine.rows(Statement::growing(&text)).await.expect("rows");
    rows[0].int(0).expect("a number")
}

#[tokio::test]
async fn what_was_recorded_is_found_by_what_it_is_about() {
    on_each(async |scene| {
        let made = vec![
            job("contact", Outcome::Continued, "ana"),
            job("contact", Outcome::Patched, "ben"),
            job("order", Outcome::TimedOut, "ana"),
        ];
        let ids: Vec<String> = made.iter().map(|job| job.id.clone()).collect();
        let engine = written(&scene, made).await;
        let found = async |filter: Filter| {
            let filter = Filter { most: 10, ..filter };
            let jobs = jobs::list(&engine, &filter).await.expect("jobs");
            let jobs = jobs.iter().map(|job| {
                let id = job["id"].as_str().expect("an id");
                ids.iter().position(|known| known == id).expect("known")
            });
            jobs.collect::<Vec<usize>>()
        };
        let text = |text: &str| Some(text.to_owned());
        let all = Filter::default;
        assert_eq!(found(all()).await, [2, 1, 0], "the newest first");
        assert_eq!(
            found(Filter {
                form: text("contact"),
                ..all()
            })
            .await,
            [1, 0]
        );
        assert_eq!(
            found(Filter {
                outcome: text("timed_out"),
                ..all()
            })
            .await,
            [2]
        );
        assert_eq!(
            found(Filter {
                submission: text("s-1"),
                ..all()
            })
            .await,
            [1]
        );
        assert_eq!(
            found(Filter {
                request: text("r-ana"),
                ..all()
            })
            .await,
            [2, 0]
        );
        assert_eq!(
            found(Filter {
                hook: text("crm' OR '1'='1"),
                ..all()
            })
            .await,
            [0; 0]
        );
        assert_eq!(
            found(Filter {
                after: Some(ids[0].clone()),
                ..all()
            })
            .await,
            [1, 2]
        );
        let soon = Timestamp::now().as_millisecond() + 60_000;
        assert_eq!(
            found(Filter {
                since: Some(soon),
                ..all()
            })
            .await,
            [0; 0]
        );
        assert_eq!(
            found(Filter {
                until: Some(soon),
                ..all()
            })
            .await
            .len(),
            3
        );

        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_exactly_was_sent_is_kept_to_the_byte() {
    on_each(async |scene| {
        let made = job("contact", Outcome::Patched, "ben");
        let id = made.id.clone();
        let engine = written(&scene, vec![made]).await;
        let one = jobs::find(&engine, &id)
            .await
            .expect("rows")
            .expect("there");
        assert_eq!(one.job["outcome"], "patched");
        assert_eq!(one.job["place"], "rules/contact.toml:7");
        assert_eq!(
            one.sent.as_deref(),
            Some(&b"{\"doc\":{\"a\":\"\0\xff\"}}"[..]),
            "to the byte"
        );
        assert_eq!(one.contents.expect("kept")["patch"]["a"]["to"], "\0");
        assert!(jobs::find(&engine, "none").await.expect("rows").is_none());
        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_timeline_is_kept_in_order() {
    on_each(async |scene| {
        let store = begin(&scene).await.expect(scene.name);
        let step = |kind, at| Step {
            kind,
            at: Duration::from_micros(at),
            took: Duration::ZERO,
            about: serde_json::Map::from_iter([("event".to_owned(), json!("form_preprocess"))]),
        };
        store.recorder.timeline(Box::new(Timeline {
            id: uuid::Uuid::now_v7().to_string(),
            form: "contact".to_owned(),
            request_id: "r-1".to_owned(),
            submission_id: None,
            person: Some("a\0b".to_owned()),
            outcome: "accepted",
            steps: vec![step(StepKind::Arrived, 0), step(StepKind::Decided, 700)],
        }));
        within("the end of the store", store.end()).await;
        let engine = store::open(&scene.settings).await.expect(scene.name);
        let timelines = jobs::timelines(&engine, "r-1").await.expect("rows");
        assert_eq!(timelines.len(), 1);
        assert_eq!(timelines[0]["steps"][0]["step"], "arrived");
        assert_eq!(timelines[0]["steps"][1]["at_us"], 700);
        assert_eq!(timelines[0]["steps"][1]["event"], "form_preprocess");
        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn bodies_go_before_jobs_and_jobs_go_in_their_time() {
    on_each(async |mut scene| {
        scene.settings.keep_bodies = Duration::from_secs(3600);
        scene.settings.keep_jobs = Duration::from_secs(7200);
        let many = (0..3).map(|_| job("contact", Outcome::Continued, "ana"));
        let engine = written(&scene, many.collect()).await;
        let after = async |minutes: i64| {
            let now = Timestamp::now().as_second() + minutes * 60;
            let now = Timestamp::from_second(now).expect("a time");
            let clear = retention::step(&engine, &scene.settings, now);
            assert!(!clear.await.expect("cleared"), "nothing more");
            (
                count(&engine, "jobs").await,
                count(&engine, "contents").await,
            )
        };
        assert_eq!(after(59).await, (3, 3), "{}", scene.name);
        assert_eq!(after(61).await, (3, 0), "{}", scene.name);
        assert_eq!(after(121).await, (0, 0), "{}", scene.name);
        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn where_no_bodies_are_kept_nothing_that_holds_values_is_written() {
    on_each(async |mut scene| {
        scene.settings.keep_bodies = Duration::ZERO;
        let engine = written(&scene, vec![job("contact", Outcome::Patched, "ana")]).await;
        assert_eq!(count(&engine, "contents").await, 0);
        assert_eq!(count(&engine, "jobs").await, 1);
        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_person_is_erased_and_nobody_else() {
    on_each(async |scene| {
        let made = vec![
            job("contact", Outcome::Continued, "ana"),
            job("contact", Outcome::Continued, "ben"),
        ];
        let ids: Vec<String> = made.iter().map(|job| job.id.clone()).collect();
        let engine = written(&scene, made).await;
        let erased = erase::person(&engine, "ana").await.expect("erased");
        assert_eq!(erased.jobs, 1);
        let one = async |id: &str| jobs::find(&engine, id).await.expect("rows").expect("there");
        let (ana, ben) = (one(&ids[0]).await, one(&ids[1]).await);
        assert_eq!(ana.job["extracted"], json!({}));
        assert_eq!(ben.job["extracted"]["run"], "of ben");
        assert_eq!(ana.job["outcome"], "continued", "the rest is as it was");
        assert!(ana.sent.is_none() && ana.contents.is_none() && ana.job["erased"].is_string());
        assert!(ben.sent.is_some() && ben.job["erased"].is_null());
        assert_eq!(erase::times(&engine, "ana").await.expect("rows").len(), 1);
        assert_eq!(erase::times(&engine, "ben").await.expect("rows").len(), 0);
        let stone = Statement::growing("SELECT person FROM erasures");
        let stone = engine.rows(stone).await.expect("rows")[0]
            .text(0)
            .expect("text");
        assert!(stone.len() == 64 && !stone.contains("ana"), "{stone}");
        assert_eq!(erase::person(&engine, "ana").await.expect("again").jobs, 0);
        engine.close().await;
    })
    .await;
}

static ERASURES: Table = Table {
    into: "erasures (id, at, person, jobs)",
};

fn rows(id: &str, person: Arg) -> Rows {
    let mut rows = Rows::default();
    rows.insert(
        &ERASURES,
        vec![Arg::text(id), Arg::int(1), person, Arg::int(0)],
    );
    rows
}

#[tokio::test]
async fn many_requests_share_few_commits_and_each_is_told_when_it_is_written() {
    on_each(async |scene| {
        let store = Arc::new(begin(&scene).await.expect(scene.name));
        let tasks = (0..200).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let written = store
                    .writer
                    .write(rows(&format!("{number:04}"), Arg::text("x")));
                written.await.expect("written");
                // Told only after it can be read by anybody else.
                let text = "SELECT count(*) FROM erasures WHERE id = $1";
                let one = Statement::new(text, [Arg::text(format!("{number:04}"))]);
                let rows = store.engine.rows(one).await.expect("rows");
                assert_eq!(rows[0].int(0).expect("a number"), 1);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            within("a write", task).await.expect("no panic");
        }
        let commits = store.recorder.meter().seconds.read().count;
        assert!(
            (4..=100).contains(&commits),
            "{}: {commits} commits",
            scene.name
        );
        assert_eq!(count(&store.engine, "erasures").await, 200);
        within("the end", Arc::into_inner(store).expect("the last").end()).await;
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_refused_is_reported_and_the_next_one_works() {
    on_each(async |scene| {
        let store = begin(&scene).await.expect(scene.name);
        let refused = store.writer.write(rows("a", Arg::Text(None))).await;
        assert!(refused.is_err(), "{}", scene.name);
        assert_eq!(count(&store.engine, "erasures").await, 0);
        let twice = [rows("b", Arg::text("x")), rows("b", Arg::text("x"))];
        for rows in twice {
            store
                .writer
                .write(rows)
                .await
                .expect("the same twice is once");
        }
        assert_eq!(count(&store.engine, "erasures").await, 1);
        within("the end", store.end()).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_records_never_waits_and_bodies_go_first() {
    let mut scene = sqlite();
    let place = scene.settings.place.clone();
    let engine = begin(&scene).await.expect("a store");
    within("the end", engine.end()).await;
    let weight = job("contact", Outcome::Continued, "ana").details;
    let weight = weight.expect("details").weight();
    scene.settings.queue = weight * 5 / 2;
    let engine = Arc::new(store::open(&scene.settings).await.expect("a store"));
    let log = Log::begin();
    // Nobody empties the queue.
    let (_writer, recorder, work) = writer::channel(
        engine,
        &scene.settings,
        Arc::default(),
        CancellationToken::new(),
    );
    for _ in 0..10_000 {
        recorder.job(Box::new(job("contact", Outcome::Continued, "ana")));
    }
    let meter = recorder.meter();
    let lost = meter.lost.get();
    assert_eq!(lost, 10_000 - 8192, "only what has no place is lost");
    assert_eq!(meter.bodies_dropped.get(), 8192 - 2, "room for two bodies");
    assert_eq!(
        usize::try_from(meter.waiting_bytes.get()),
        Ok(weight * 2),
        "what waits"
    );
    let said = log.of("formgate::store");
    assert_eq!(said.len(), 1, "said, and not for each: {said:?}");
    drop(work);
    assert!(matches!(place, Place::Sqlite(_)));
}

#[tokio::test]
async fn everything_that_may_be_large_counts_to_the_queue() {
    let mut scene = sqlite();
    within("the end", begin(&scene).await.expect("a store").end()).await;
    scene.settings.queue = 100_000;
    let engine = Arc::new(store::open(&scene.settings).await.expect("a store"));
    let (_writer, recorder, mut work) = writer::channel(
        Arc::clone(&engine),
        &scene.settings,
        Arc::default(),
        CancellationToken::new(),
    );
    let large = "x".repeat(60_000);
    let line = || http::HeaderMap::from_iter([(header::ETAG, large.parse().expect("a value"))]);
    let changes = json!({"a": {"from": "", "to": large}});
    let many = json!(vec![0; 60_000 / size_of::<serde_json::Value>() + 1]);
    let larges = [
        Details {
            extracted: changes.as_object().expect("an object").clone(),
            ..Details::default()
        },
        Details {
            patch: changes.as_object().expect("an object").clone(),
            ..Details::default()
        },
        Details {
            debug: Some(many.clone()),
            ..Details::default()
        },
        Details {
            headers: line(),
            ..Details::default()
        },
        Details {
            answer_headers: line(),
            ..Details::default()
        },
    ];
    let meter = Arc::clone(recorder.meter());
    for details in larges {
        let dropped = meter.bodies_dropped.get();
        for _ in 0..2 {
            recorder.job(Box::new(Job {
                details: Some(Box::new(details.clone())),
                ..job("contact", Outcome::Patched, "ana")
            }));
        }
        let waiting = meter.waiting_bytes.get();
        assert!((60_000..=100_000).contains(&waiting), "{waiting} wait");
        assert_eq!(meter.bodies_dropped.get(), dropped + 1, "room for one");
        assert!(work.step().await);
        assert_eq!(meter.waiting_bytes.get(), 0, "written");
    }
    assert_eq!(count(&engine, "jobs").await, 10);
    assert_eq!(count(&engine, "contents").await, 4);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_not_waited_for_for_ever() {
    let scene = sqlite();
    let store = begin(&scene).await.expect("a store");
    let log = Log::begin();
    // Whoever holds the only connection that writes lets nobody else have an answer.
    let held = store.engine.begin().await.expect("the connection");
    tokio::time::pause();
    let began = Instant::now();
    store
        .recorder
        .job(Box::new(job("contact", Outcome::Continued, "ana")));
    let why = store.writer.write(rows("a", Arg::text("x"))).await;
    let why = why.expect_err("no answer").to_string();
    assert!(why.contains("no answer within 10s"), "{why}");
    while store.recorder.meter().lost.get() == 0 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
    let said = log.of("formgate::store");
    assert_eq!(said.len(), 1, "{said:?}");
    tokio::time::resume();
    drop(held);
    let again = store.writer.write(rows("a", Arg::text("x")));
    within("a write", again).await.expect("as before");
    within("the end", store.end()).await;
}

#[tokio::test]
async fn a_second_gateway_on_one_file_is_refused_by_name() {
    let scene = sqlite();
    let first = begin(&scene).await.expect("the first");
    let why = begin(&scene).await.expect_err("the second");
    let why = why.to_string();
    let pid = std::process::id().to_string();
    assert!(why.contains(&pid) && why.contains("end it"), "{why}");
    // A command beside it may.
    let command = store::open(&scene.settings).await.expect("a command");
    command.close().await;
    within("the end", first.end()).await;
    let again = begin(&scene).await.expect("free again");
    within("the end", again.end()).await;
}

#[tokio::test]
async fn several_gateways_share_a_server_and_start_at_once() {
    let Some(scene) = crate::support::stores::postgres() else {
        return;
    };
    let begin = || begin(&scene);
    let (a, b, c) = tokio::join!(begin(), begin(), begin());
    for store in [a, b, c] {
        within("the end", store.expect("a store").end()).await;
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    on_each(async |scene| {
        let engine = written(&scene, Vec::new()).await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (999, 'later', TRUE, $1, 0)";
        let newer = Statement::new(newer, [Arg::Bytes(Some(Bytes::from_static(b"x")))]);
        engine.execute(newer).await.expect("written");
        engine.close().await;
        for why in [
            begin(&scene).await.expect_err("newer").to_string(),
            store::open(&scene.settings).await.expect_err("newer").to_string(),
        ] {
            assert!(why.contains("999"), "{why}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_makes_no_store() {
    on_each(async |scene| {
        assert!(
            store::open(&scene.settings).await.is_err(),
            "{}",
            scene.name
        );
        let left = std::fs::read_dir(scene.folder.path()).expect("a folder");
        assert_eq!(left.count(), 0, "nothing was made");
    })
    .await;
}

#[tokio::test]
async fn a_store_is_checked_made_smaller_and_copied_while_it_is_written() {
    on_each(async |scene| {
        let store = begin(&scene).await.expect(scene.name);
        store
            .recorder
            .job(Box::new(job("contact", Outcome::Continued, "ana")));
        let engine = store::open(&scene.settings).await.expect(scene.name);
        store
            .writer
            .write(rows("a", Arg::text("x")))
            .await
            .expect("written");
        check::vacuum(&engine).await.expect("vacuum");
        let health = check::check(&engine).await.expect("checked");
        assert!(health.faults.is_empty() && health.bytes > 0, "{health:?}");
        assert!(health.engine.contains(scene.name), "{health:?}");
        assert!(health.rows.contains(&("erasures", 1)), "{health:?}");
        let copy = scene.folder.path().join("copy.db");
        match &scene.settings.place {
            Place::Sqlite(_) => {
                check::backup(&engine, &copy).await.expect("copied");
                for file in std::fs::read_dir(scene.folder.path())
                    .expect("a folder")
                    .flatten()
                {
                    let mode = file.metadata().expect("a file").permissions().mode();
                    assert_eq!(mode & 0o077, 0, "{:?} is for others too", file.path());
                }
                let again = check::backup(&engine, &copy)
                    .await
                    .expect_err("there already");
                assert!(again.to_string().contains("there already"), "{again}");
                let mut settings = scene.settings.clone();
                settings.place = Place::Sqlite(copy);
                let copied = store::open(&settings).await.expect("a store");
                assert_eq!(count(&copied, "erasures").await, 1);
                copied.close().await;
            }
            Place::Postgres(_) => {
                let why = check::backup(&engine, &copy).await.expect_err("not ours");
                assert!(why.to_string().contains("pg_dump"), "{why}");
            }
        }
        engine.close().await;
        within("the end", store.end()).await;
    })
    .await;
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_damaged() {
    let scene = sqlite();
    let many = (0..200).map(|_| job("contact", Outcome::Continued, "ana"));
    let engine = written(&scene, many.collect()).await;
    check::vacuum(&engine).await.expect("vacuum");
    engine.close().await;
    let Place::Sqlite(path) = &scene.settings.place else {
        return;
    };
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(path, bytes).expect("writable");
    let engine = store::open(&scene.settings)
        .await
        .expect("it can be opened");
    // Which page it is decides whether it is found by counting or by the check of the whole.
    if let Ok(health) = check::check(&engine).await {
        assert!(!health.faults.is_empty(), "{health:?}");
    }
    engine.close().await;
}
