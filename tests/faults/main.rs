//! Bad networks on every side of the gateway, at every step of a submission: what the person is told is true, the
//! backend gets the submission at most once, whole and unchanged, whatever is asked next works, and nothing is left
//! behind. One process of its own, so that what is left can be counted.
//!
//! `cargo test` tries a share of the table that is always the same; `FORMGATE_FAULTS=all` tries all of it, and together
//! with `UPDATE=1` writes it into docs/FAULTS.md.

#![allow(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "the table is shown with --nocapture")]

#[path = "../it/support/mod.rs"]
mod support;

mod judge;
mod kind;
mod lane;
mod ledger;
mod left;
mod person;
mod table;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::lane::Case;
use self::lane::IDLE;
use self::lane::LIMIT;
use self::lane::Lane;
use self::lane::Outcome;
use self::lane::Side;
use self::ledger::Ledger;
use self::ledger::TOGETHER;
use self::left::Left;
use self::support::App;
use self::support::relay::Fault;
use self::support::relay::Point;
use self::support::relay::Relay;
use self::support::site;
use self::table::Table;

/// How many lanes there are. On most of them somebody waits for a time limit.
const LANES: usize = 64;
/// On how many of them something happens at the same time.
const BUSY: usize = 8;
/// Without `FORMGATE_FAULTS=all`, one of so many kinds is tried at each place.
const SHARE: usize = 48;
/// How many ids a case may use.
const IDS: usize = 2 * TOGETHER;
/// How many connections the gateway takes.
const CONNECTIONS: usize = 100;

/// A gateway, its lanes, and what was seen behind it.
struct Field {
    app: App,
    lanes: Vec<Arc<Lane>>,
    ledger: Arc<Ledger>,
    spool: tempfile::TempDir,
    /// The next number of an id.
    next: Arc<AtomicUsize>,
    /// A socket that is not listening: connections to its address are refused.
    _refusing: TcpSocket,
}

/// The rule file of a form that is asked about twice.
fn rules(path: &str, [before, backend, after]: [&str; 3]) -> String {
    let hook = |on: &str, url: &str| {
        format!(
            "\n[[hook]]\non = \"{on}\"\nname = \"{on}\"\nurl = \"http://{url}/{on}\"\ntimeout = \"{LIMIT:?}\"\n\
             at_once = {TOGETHER}\nbreaker = {{ failures = 1000000 }}\n"
        )
    };
    let form = format!(
        "[form]\nsubmit = \"POST {path}\"\nbackend = \"http://{backend}\"\nat_once = {TOGETHER}\n"
    );
    form + &hook("preprocess", before) + &hook("submit", after)
}

impl Field {
    async fn start() -> Self {
        let ledger = Ledger::new();
        let (backend, responder) = (ledger.backend().await, ledger.responder().await);
        let refusing = TcpSocket::new_v4().expect("a socket");
        refusing
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let nobody = refusing.local_addr().expect("an address").to_string();
        let spool = tempfile::tempdir().expect("a folder");
        let mut site = site().configure(|config| {
            config.backend_connect = LIMIT;
            config.backend_pool.response = LIMIT;
            config.limits.header_timeout = LIMIT;
            config.limits.body_pause = LIMIT;
            config.limits.idle = IDLE;
            config.backend_pool.idle = KEPT;
            config.limits.connections = CONNECTIONS;
            config.intake.spool.above = 1000;
            config.intake.spool.folder = spool.path().to_owned();
        });
        let mut inner = Vec::new();
        for number in 0..LANES {
            let relays = [responder.address(), backend.address(), responder.address()];
            let relays = relays.map(|target| async move { Arc::new(Relay::to(target).await) });
            let [before, between, after] = relays;
            let relays = [before.await, between.await, after.await];
            let urls = relays.each_ref().map(|relay| relay.address().to_string());
            let urls: [&str; 3] = urls.each_ref().map(String::as_str);
            let path = format!("/lane-{number}");
            site = site.rules(&format!("lane-{number}"), &rules(&path, urls));
            for (at, side) in [Side::Before, Side::Backend, Side::After]
                .into_iter()
                .enumerate()
            {
                let mut urls = urls;
                urls[at] = &nobody;
                let path = format!("{path}/refused-{side:?}");
                site = site.rules(&format!("lane-{number}-{side:?}"), &rules(&path, urls));
            }
            inner.push(relays);
        }
        let app = site.start_with(backend, responder).await;
        let mut lanes = Vec::new();
        for (number, inner) in inner.into_iter().enumerate() {
            lanes.push(Arc::new(Lane {
                number,
                person: Relay::to(app.address).await,
                inner,
                ledger: Arc::clone(&ledger),
            }));
        }
        Self {
            app,
            lanes,
            ledger,
            spool,
            next: Arc::default(),
            _refusing: refusing,
        }
    }

    /// Lets things go wrong, one after the other on each lane.
    async fn run(&self, cases: Vec<Case>) -> Vec<Outcome> {
        let cases = Arc::new(Mutex::new(cases));
        let busy = Arc::new(Semaphore::new(BUSY));
        let mut running = JoinSet::new();
        for lane in &self.lanes {
            let (lane, cases, next) =
                (Arc::clone(lane), Arc::clone(&cases), Arc::clone(&self.next));
            let busy = Arc::clone(&busy);
            running.spawn(async move {
                let mut outcomes = Vec::new();
                loop {
                    let case = cases.lock().expect("no panic").pop();
                    let Some(case) = case else { return outcomes };
                    let first_id = next.fetch_add(IDS, Ordering::Relaxed);
                    let waits = case.plan.is_some_and(|plan| plan.fault == Fault::Stall);
                    let _turn = if waits {
                        None
                    } else {
                        busy.acquire().await.ok()
                    };
                    outcomes.push(lane.run(case, first_id).await);
                }
            });
        }
        running.join_all().await.into_iter().flatten().collect()
    }

    /// Waits until nothing is under way any more.
    async fn settle(&self) {
        for lane in &self.lanes {
            lane.sever().await;
        }
    }

    fn left(&self) -> Left {
        Left::now(&self.app.gate, self.spool.path())
    }

    fn next_ids(&self) -> usize {
        self.next.fetch_add(IDS, Ordering::Relaxed)
    }

    /// Nothing is left but what there was.
    async fn is_as_it_was(&self, before: Left) {
        self.settle().await;
        before.comes_back(&self.app.gate, self.spool.path()).await;
    }

    /// The gateway takes as many as at the start.
    async fn takes_as_many(&self) {
        left::all_connections_are_there(&self.app).await;
        for lane in &self.lanes {
            left::all_places_are_there(&self.app, lane, self.next_ids()).await;
        }
    }
}

/// All that can go wrong, with every kind of submission; in an order in which kinds and places are mixed.
fn cases(all: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (side, plan)) in table::places().into_iter().enumerate() {
        for (at, kind) in kind::kinds().into_iter().enumerate() {
            let is_first = plan.is_none_or(|plan| plan.point == Point::Connected);
            // A connection that is used again has been made already.
            if (all || at % SHARE == number % SHARE) && !(kind.reused && is_first) {
                cases.push(Case { side, plan, kind });
            }
        }
    }
    // Any number that has no divisor in common with theirs brings each to another place.
    let count = cases.len();
    (0..count).map(|at| cases[at * 7919 % count]).collect()
}

/// What may be wrong with all of this.
struct Verdict {
    wrong: Vec<String>,
    table: Table,
}

impl Field {
    /// Judges, when nothing is under way any more.
    fn judge(&self, outcomes: &[Outcome], known: Option<&Table>) -> Verdict {
        let mut wrong = Vec::new();
        let mut table = Table::default();
        for outcome in outcomes {
            wrong.extend(judge::faults(outcome, &self.ledger));
            let word = judge::outcome(outcome, &self.ledger);
            if known.is_some_and(|known| !known.knows(&outcome.case, word)) {
                wrong.push(format!("{:?}: not in docs/FAULTS.md: {word}", outcome.case));
            }
            table.note(&outcome.case, word);
        }
        Verdict { wrong, table }
    }

    /// What is not in the table may be a busy machine that took too long: once more, alone.
    async fn try_again(&self, outcomes: &mut [Outcome], known: &Table) {
        for outcome in outcomes {
            let word = judge::outcome(outcome, &self.ledger);
            if !known.knows(&outcome.case, word) {
                let again = self.lanes[0].run(outcome.case, self.next_ids()).await;
                println!(
                    "once more: {word}, {:?}: {:?}",
                    outcome.case, again.submitted
                );
                *outcome = again;
            }
        }
    }
}

/// In how many parts they are tried; after each it is looked at what is left.
const PARTS: usize = 4;
/// How long a connection to the backend is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(1);
/// How much more memory may be resident at the end than after half of them, in KiB.
const GROWTH: usize = 16 << 10;

async fn all_of_it() {
    let all = std::env::var("FORMGATE_FAULTS").is_ok_and(|value| value == "all");
    let update = std::env::var_os("UPDATE").is_some();
    let known = Some(Table::written()).filter(|_| !update);
    let field = Field::start().await;
    let cases = cases(all);
    let count = cases.len();
    let before = field.left();
    field.app.get("/anything").send().await;
    before.comes_back(&field.app.gate, field.spool.path()).await;

    let began = Instant::now();
    let mut outcomes = Vec::with_capacity(count);
    let mut resident = Vec::new();
    for part in cases.chunks(count.div_ceil(PARTS)) {
        outcomes.append(&mut field.run(part.to_vec()).await);
        field.is_as_it_was(before).await;
        resident.push(left::resident());
    }
    let took = began.elapsed();
    if let Some(known) = &known {
        field.try_again(&mut outcomes, known).await;
        field.is_as_it_was(before).await;
    }
    field.takes_as_many().await;
    field.is_as_it_was(before).await;
    let Verdict { wrong, table } = field.judge(&outcomes, known.as_ref());
    println!("{count} faults in {took:?}; KiB resident after each part: {resident:?}\n{table}");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    if update && all {
        table.write();
    }
    // The first parts fill whatever is kept for the next submission.
    let (filled, last) = (resident[PARTS / 2 - 1], resident[PARTS - 1]);
    assert!(last <= filled + GROWTH, "memory: {resident:?}");
}

#[test]
fn whatever_goes_wrong_between_whomever() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(all_of_it());
}
