//! The flow: one request from arrival to response, in one order. Owns that order – recognise, decode, consult,
//! decide, apply, forward, consult again, respond – and the state it runs on; listening is left to `gateway`.

pub mod again;
pub mod answer;
pub mod asked;
pub mod carry;
pub mod consult;
pub mod decode;
pub mod error;
pub mod flash;
pub mod journal;
pub mod load;
pub mod local;
pub mod lookalike;
pub mod meant;
pub mod own_file;
pub mod person;
pub mod places;
pub mod present;
pub mod respond;
mod script;
pub mod show;
pub mod snapshot;
pub mod steps;
pub mod submission;
pub mod submit;
pub mod trial;
pub mod trust;
pub mod viewer;
pub mod wants;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Response;
use http::StatusCode;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::account::leg::Kind;
use crate::account::leg::Leg;
use crate::backend;
use crate::backend::BackendError;
use crate::codec::jwt::Verifier;
use crate::codec::rejected::Rejected;
use crate::flow::answer::Answer;
use crate::flow::carry::After;
use crate::flow::consult::Responders;
use crate::flow::decode::Intake;
use crate::flow::error::FlowError;
use crate::flow::meant::Meant;
use crate::flow::meant::is_api;
use crate::flow::meant::meant;
use crate::flow::respond::respond;
use crate::flow::show::show;
use crate::flow::snapshot::Reach;
use crate::flow::snapshot::Snapshot;
use crate::flow::submission::Route;
use crate::flow::trust::Trust;
use crate::flow::viewer::Viewer;
use crate::flow::wants::Wants;
use crate::metrics::meters::Asked;
use crate::metrics::register::Metrics;
use crate::metrics::word::Ended;
use crate::metrics::word::Flash;
use crate::rules::book::Book;
use crate::store::writer::Recorder;
use crate::wire::arrival::Arrival;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::body::Outgoing;
use crate::wire::caught::Panicked;
use crate::wire::caught::caught;
use crate::wire::proof::Key;
use crate::wire::tempo::Tempo;

/// How requests are treated, whatever form they are for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What hooks are told as `project`.
    pub project: String,
    /// Who is believed about the person's address.
    pub trusted_proxies: Vec<IpNet>,
    /// How much of a submission is taken in.
    pub intake: Intake,
    /// How much text of a submission one pattern is put to.
    pub matched: usize,
    /// How many submissions of one form may be under way, where its rule file does not say.
    pub submissions: usize,
    /// How fast a person's body must come.
    pub upload: Tempo,
    /// How forms' pages are dealt with.
    pub pages: Pages,
    /// How others are reached.
    pub reach: Reach,
    /// Where jobs and timelines are recorded, if anywhere.
    pub recorder: Option<Recorder>,
}

/// How much of a form's page is held, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// The most of a page that is held in memory, in bytes.
    pub held: usize,
    /// How long the backend may take until the form has come, of a page that is fetched again or read first.
    pub wait: Duration,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            held: 4 << 20,
            wait: Duration::from_secs(5),
        }
    }
}

/// Everything that requests run on.
#[derive(Debug)]
pub struct Gate {
    live: ArcSwap<Snapshot>,
    reach: ArcSwap<Reach>,
    settings: Settings,
    trust: ArcSwap<Trust>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

/// A request and the id under which everything about it is written down.
#[derive(Debug)]
pub(in crate::flow) struct Visit {
    pub(in crate::flow) arrival: Box<Arrival>,
    pub(in crate::flow) snapshot: Arc<Snapshot>,
    pub(in crate::flow) request_id: String,
    pub(in crate::flow) viewer: Arc<Viewer>,
    pub(in crate::flow) account: Account,
}

impl Gate {
    /// A gate with its first book.
    #[must_use]
    pub fn new(
        mut settings: Settings,
        key: Key,
        verifier: Option<Verifier>,
        book: Book,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        settings.intake.spool.meter = Arc::clone(&metrics.spool);
        let trust = Arc::new(Trust::new(Arc::new(key), verifier));
        let book = Arc::new(book);
        let snapshot = Snapshot::new(book, &settings.reach, Arc::clone(&trust), &metrics, None);
        Arc::new(Self {
            live: ArcSwap::from_pointee(snapshot),
            reach: ArcSwap::from_pointee(settings.reach.clone()),
            settings,
            trust: ArcSwap::new(trust),
            tasks: TaskTracker::new(),
            metrics,
        })
    }

    /// Puts a new book in force. Requests under way keep the one they began with.
    pub fn replace(&self, book: Book) {
        self.put(Arc::new(book));
    }

    /// Puts in force how others are reached and whom to believe, with the book that is in force.
    pub fn renew(&self) {
        self.put(Arc::clone(&self.live.load().book));
    }

    fn put(&self, book: Arc<Book>) {
        let before = self.live.load();
        let (reach, trust) = (self.reach.load(), self.trust.load_full());
        let next = Snapshot::new(book, &reach, trust, &self.metrics, Some(&before));
        self.live.store(Arc::new(next));
    }

    /// How others are reached once a book is put in force or renewed. Connections are kept where nothing is different.
    pub fn reach_by(&self, reach: Reach) {
        if **self.reach.load() != reach {
            self.reach.store(Arc::new(reach));
        }
    }

    /// Whom to believe once a book is put in force or renewed; without a key of the operator's, the gateway keeps its own.
    pub fn believe(&self, key: Option<Key>, verifier: Option<Verifier>) {
        let own = || Arc::clone(&self.trust.load().key);
        let key = key.map_or_else(own, Arc::new);
        self.trust.store(Arc::new(Trust::new(key, verifier)));
    }

    /// Whether no request is anybody's form.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.load().book.is_empty()
    }

    /// What everything that happens here is counted with.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Work that must be finished before the process ends.
    #[must_use]
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Carries one request from arrival to response. Every exit goes through `respond`.
    pub async fn handle(
        self: &Arc<Self>,
        arrival: Result<Box<Arrival>, Rejected>,
        wants: Wants,
        account: &Account,
    ) -> Response<Outgoing> {
        let mut asked = Asked::new(&self.metrics.gate);
        let answer = match arrival {
            Ok(arrival) => self.run(arrival, wants, (&mut asked, account)).await,
            Err(rejected) => FlowError::from(rejected).into_answer(""),
        };
        let said = answer.said();
        if let Some(limit) = said.and_then(|said| said.limit) {
            self.metrics.hit(limit);
        }
        let ended = asked.end(said.map(|said| said.ended));
        if ended == Ended::Panicked {
            self.metrics.gate.panics.inc();
        }
        account.outcome(ended.word());
        let _leg = account.leg("respond", Kind::Own);
        respond(answer, wants)
    }

    async fn run(
        self: &Arc<Self>,
        mut arrival: Box<Arrival>,
        wants: Wants,
        (asked, account): (&mut Asked<'_>, &Account),
    ) -> Answer {
        if let Some(own) = own_file::answer(&arrival.head) {
            asked.is_of(None, Ended::Own);
            return Answer::Backend(own, None);
        }
        let recognising = account.leg("recognise", Kind::Own);
        let carried = flash::take(&mut arrival);
        let snapshot = self.live.load_full(); // one set of rules for the whole request
        let ours = snapshot.trust.key.check(&mut arrival.head.headers, now);
        let meant = match meant(&snapshot.book, &arrival) {
            Ok(meant) if ours || Self::is_spared(&snapshot.trust, &meant, &arrival) => {
                meant.spared()
            }
            Ok(meant) => meant,
            Err(error) => return error.into_answer(&request_id(&arrival)),
        };
        drop(recognising);
        match meant {
            Meant::Nobody(route) if carried.is_empty() => {
                let passed = self.pass(&snapshot, arrival, route.as_ref(), account);
                let passed = passed.await;
                passed.unwrap_or_else(|error| error.into_answer(""))
            }
            // On the heap, so that a request that only passes through does not carry its room around.
            asks => {
                let book = &snapshot.book;
                let viewer =
                    Viewer::of(&arrival, wants, &carried, book, &snapshot.trust.seal, now());
                let came = match &viewer.carried {
                    Some(_) => Some(Flash::Read),
                    None => viewer.stale.then_some(Flash::Refused),
                };
                if let Some(came) = came {
                    self.metrics.pages.flash[came as usize].inc();
                }
                let request_id = request_id(&arrival);
                account.request_id(&request_id);
                let about = (request_id.clone(), asked, account);
                let mut asking = Box::pin(self.ask(snapshot, arrival, asks, viewer, about));
                let done = poll_fn(|cx| caught(|| asking.as_mut().poll(cx))).await;
                done.unwrap_or_else(|Panicked| FlowError::Panicked.into_answer(&request_id))
            }
        }
    }

    /// A request that is somebody's form – its page is loaded, or it is submitted – or that carries a message.
    async fn ask(
        self: &Arc<Self>,
        snapshot: Arc<Snapshot>,
        mut arrival: Box<Arrival>,
        meant: Meant,
        viewer: Viewer,
        (request_id, asked, account): (String, &mut Asked<'_>, &Account),
    ) -> Answer {
        let viewer = Arc::new(viewer);
        if viewer.carried.is_some() {
            viewer::ask_for_whole(&mut arrival.head.headers);
        }
        let visit = Visit {
            arrival,
            snapshot: Arc::clone(&snapshot),
            request_id: request_id.clone(),
            viewer: Arc::clone(&viewer),
            account: account.clone(),
        };
        let done = match meant {
            Meant::Nobody(route) => {
                let passed = self.pass(&visit.snapshot, visit.arrival, route.as_ref(), account);
                Box::pin(passed).await
            }
            Meant::Page(route) => {
                asked.is_of(snapshot.meter(&route.form).cloned(), Ended::Loaded);
                Box::pin(load::load(self, visit, route)).await
            }
            Meant::Submission(route) => {
                let form = Arc::clone(&route.form);
                asked.is_of(snapshot.meter(&form).cloned(), Ended::Accepted);
                let done = submit::submit(self, visit, route).await;
                if done.as_ref().is_ok_and(|answer| answer.is_refusal(&form)) {
                    asked.means(Ended::Refused);
                }
                done
            }
            Meant::Perhaps(open) => {
                let done = Box::pin(submit::submit_perhaps(self, visit, *open)).await;
                done.map(|(answer, form)| {
                    if let Some(form) = form {
                        let refused = answer.is_refusal(&form);
                        let means = if refused {
                            Ended::Refused
                        } else {
                            Ended::Accepted
                        };
                        asked.is_of(snapshot.meter(&form).cloned(), means);
                    }
                    answer
                })
            }
        };
        let answer = done.unwrap_or_else(|error| error.into_answer(&request_id));
        let pages = self.settings.pages;
        let showing = account.leg("show", Kind::Own);
        let answer = show(answer, &viewer, &snapshot, pages).await;
        drop(showing);
        journal::answered(&answer, &request_id);
        answer
    }

    /// Passes a request through as a stream, untouched.
    async fn pass(
        &self,
        snapshot: &Snapshot,
        arrival: Box<Arrival>,
        route: Option<&Route>,
        account: &Account,
    ) -> Result<Answer, FlowError> {
        let response = self.fetch(snapshot, arrival, route, account).await?;
        Ok(Answer::Backend(response, None))
    }

    async fn fetch(
        &self,
        snapshot: &Snapshot,
        mut arrival: Box<Arrival>,
        route: Option<&Route>,
        account: &Account,
    ) -> Result<Response<Outgoing>, FlowError> {
        let origin = route.and_then(|route| route.form.backend.as_ref());
        let changes = !arrival.head.method.is_safe();
        let backend = snapshot.backends.of(origin);
        let mut leg = account.leg("forward", Kind::Backend);
        leg.announce(&mut arrival.head.headers);
        let response = backend::pass(backend, arrival, self.settings.upload).await;
        note_answer(&mut leg, response.as_ref().map(Response::status));
        response.map_err(|error| FlowError::Pass(error, changes))
    }

    /// Whether a form's request has proved that it is API traffic.
    fn is_spared(trust: &Trust, meant: &Meant, arrival: &Arrival) -> bool {
        let spared = |route: &Route| {
            is_api(
                &route.form.api,
                &arrival.head.headers,
                trust.verifier.as_ref(),
            )
        };
        match meant {
            Meant::Nobody(_) => false,
            Meant::Page(route) | Meant::Submission(route) => spared(route),
            Meant::Perhaps(open) => open.routes().all(spared),
        }
    }

    /// What happens to a request's work whose person has gone.
    fn after(&self, request_id: &str) -> After {
        After {
            tasks: self.tasks.clone(),
            metrics: Arc::clone(&self.metrics),
            request_id: request_id.to_owned(),
        }
    }

    fn responders<'a>(&'a self, snapshot: &'a Arc<Snapshot>) -> Responders<'a> {
        Responders::Live {
            recorder: self.settings.recorder.as_ref(),
            snapshot,
            key: &snapshot.trust.key,
            tasks: &self.tasks,
        }
    }
}

/// What the account is told of a backend's answer.
fn note_answer(leg: &mut Leg, answer: Result<StatusCode, &BackendError>) {
    match answer {
        Ok(status) => leg.note("http.response.status_code", i64::from(status.as_u16())),
        Err(error) => leg.fail(error.broke().word()),
    }
}

/// The id that a trusted proxy gave the request, else a new one.
fn request_id(arrival: &Arrival) -> String {
    let given = arrival.header(&REQUEST_ID).filter(|_| arrival.peer.trusted);
    let good = |id: &&str| {
        !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given
        .filter(good)
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// Seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
