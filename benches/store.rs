//! What the store takes: durable writes by many at once, jobs in the background, and what recording one costs a
//! request. On SQLite, in a temporary folder: name a folder on a real disk in TMPDIR.
//!
//! `cargo bench --profile ci --bench store`

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use formgate::metrics::meters::StoreMeter;
use formgate::model::event::Event;
use formgate::model::job::Details;
use formgate::model::job::Job;
use formgate::model::job::JobKind;
use formgate::model::job::Outcome;
use formgate::model::job::Timings;
use formgate::store::Store;
use formgate::store::engine::Arg;
use formgate::store::engine::Table;
use formgate::store::settings::Place;
use formgate::store::settings::Settings;
use formgate::store::writer::Rows;
use tokio::runtime::Runtime;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(4);

static TABLE: Table = Table {
    into: "erasures (id, at, person, jobs)",
};

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    for clients in [1, 16, 64, 256] {
        runtime.block_on(durable(clients));
    }
    runtime.block_on(recorded());
}

/// A store of its own.
async fn store(folder: &tempfile::TempDir) -> (Store, Arc<StoreMeter>) {
    let mut settings = Settings::at(Place::Sqlite(folder.path().join("formgate.db")));
    settings.queue = 1 << 30;
    let meter = Arc::<StoreMeter>::default();
    let store = Store::begin(&settings, Arc::clone(&meter)).await;
    (store.expect("a store"), meter)
}

/// Everybody writes a row of 600 bytes, waits until it is on disk, and writes the next.
async fn durable(clients: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, meter) = store(&folder).await;
    let end = Instant::now() + MEASURED;
    let all = (0..clients).map(|_| {
        let writer = store.writer.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let mut rows = Rows::default();
                let id = uuid::Uuid::now_v7().to_string();
                let row = vec![
                    Arg::text(id),
                    Arg::int(1),
                    Arg::text("x".repeat(600)),
                    Arg::int(0),
                ];
                rows.insert(&TABLE, row);
                let began = Instant::now();
                writer.write(rows).await.expect("written");
                took.push(began.elapsed());
            }
            took
        })
    });
    let mut took = Vec::new();
    for one in all.collect::<Vec<_>>() {
        took.append(&mut one.await.expect("no panic"));
    }
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100 - usize::from(share == 100)];
    let rate = took.len() as f64 / MEASURED.as_secs_f64();
    let shared = took.len() as f64 / meter.seconds.read().count as f64;
    say(&format!(
        "durable, {clients:>3} at once: {rate:>7.0}/s, {shared:>4.1} in a commit, p50 {:?}, p95 {:?}, p99 {:?}",
        at(50),
        at(95),
        at(99)
    ));
    store.end().await;
}

/// Jobs with 1 KiB sent and 200 bytes received, as fast as they are taken.
async fn recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, meter) = store(&folder).await;
    let (sent, received) = (Bytes::from(vec![b'x'; 1024]), Bytes::from(vec![b'y'; 200]));
    let (mut made, mut cost) = (0_u32, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let waiting = u64::from(made) - meter.written.get() - meter.lost.get();
        if waiting > 2000 {
            tokio::task::yield_now().await;
            continue;
        }
        let jobs: Vec<_> = (0..500).map(|_| job(&sent, &received)).collect();
        let start = Instant::now();
        for job in jobs {
            store.recorder.job(job);
        }
        cost += start.elapsed();
        made += 500;
    }
    store.end().await;
    let (took, written) = (began.elapsed(), meter.written.get());
    let size = std::fs::metadata(folder.path().join("formgate.db")).expect("a file");
    say(&format!(
        "recorded: {:.0} jobs/s with bodies, {} lost, {} bytes on disk each; recording one costs a request {:?}",
        written as f64 / took.as_secs_f64(),
        meter.lost.get(),
        size.len() / written.max(1),
        cost / made.max(1)
    ));
}

fn job(sent: &Bytes, received: &Bytes) -> Box<Job> {
    let details = Details {
        person: Some("u-17".to_owned()),
        method: "POST".to_owned(),
        sent: sent.clone(),
        received: received.clone(),
        ..Details::default()
    };
    Box::new(Job {
        id: uuid::Uuid::now_v7().to_string(),
        kind: JobKind::Hook,
        event: Event::Preprocess,
        form: "contact".to_owned(),
        hook: "crm".to_owned(),
        request_id: uuid::Uuid::now_v7().to_string(),
        submission_id: None,
        url: "https://crm.example.org/hooks/contact".to_owned(),
        run: 1,
        sent: sent.len(),
        received: received.len(),
        timings: Timings::default(),
        status: Some(200),
        outcome: Outcome::Continued,
        would: None,
        faults: Vec::new(),
        warnings: Vec::new(),
        changed: Vec::new(),
        let_through: false,
        conflict: false,
        details: Some(Box::new(details)),
    })
}

#[expect(clippy::print_stdout, reason = "a bench says what it found")]
fn say(text: &str) {
    println!("{text}");
}
