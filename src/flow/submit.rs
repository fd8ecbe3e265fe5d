//! A submission that has arrived whole, carried to its end: asked about, decided, forwarded, asked about once more.
//! Owns these steps after decoding; every one of them is done even if the person has gone.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header;
use serde_json::Value;
use tokio::time::Instant;

use crate::account::Account;
use crate::account::leg::Kind;
use crate::backend;
use crate::backend::BackendAnswer;
use crate::backend::BackendError;
use crate::codec::rejected::Rejected;
use crate::codec::unpack;
use crate::flow::Gate;
use crate::flow::Visit;
use crate::flow::again;
use crate::flow::answer::Answer;
use crate::flow::answer::Said;
use crate::flow::asked::Asked;
use crate::flow::asked::Trail;
use crate::flow::carry;
use crate::flow::consult::Consulted;
use crate::flow::consult::asking;
use crate::flow::consult::consult;
use crate::flow::consult::note_decision;
use crate::flow::consult::write_down;
use crate::flow::decode::decode;
use crate::flow::decode::decode_again;
use crate::flow::error::FlowError;
use crate::flow::error::Left;
use crate::flow::journal;
use crate::flow::lookalike;
use crate::flow::meant::Open;
use crate::flow::meant::could_hold_fields;
use crate::flow::note_answer;
use crate::flow::now;
use crate::flow::person;
use crate::flow::snapshot::Snapshot;
use crate::flow::steps::Steps;
use crate::flow::submission::Route;
use crate::flow::submission::Submission;
use crate::flow::viewer::Viewer;
use crate::flow::wants::Medium;
use crate::metrics::meters::Submitted;
use crate::metrics::word::Ended;
use crate::model::call::Occasion;
use crate::model::call::SubmitResult;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::doc::Jdoc;
use crate::model::event::Event;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Outcome as JobOutcome;
use crate::model::job::Timings;
use crate::model::redirect::Allowed;
use crate::model::trace::Trace;
use crate::model::words::Word;
use crate::rules::accepted::Update;
use crate::rules::form::Form;
use crate::wire::arrival::Arrival;
use crate::wire::arrival::Peer;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::body::Outgoing;
use crate::wire::paced::Paced;
use crate::wire::tempo::Late;

/// The largest JSON answer that is read for its submission id.
const MAX_RESULT: u64 = 1 << 20;

/// Reads a submission; once it has arrived whole, it is carried to its end. If the person goes away before, reading
/// fails, and that is the end of it.
pub(in crate::flow) async fn submit(
    gate: &Arc<Gate>,
    visit: Visit,
    route: Route,
) -> Result<Answer, FlowError> {
    let gate = Arc::clone(gate);
    carry::to_its_end(gate.after(&visit.request_id), async move {
        visit.account.form(&route.id);
        let left = left(&visit, &route);
        let (submission, visitor) = read(&gate, visit, &left, route.is_get).await?;
        go_on(gate, visitor, route, submission, left).await
    })
    .await
}

/// Reads a request that is a form's only if its body says so; it goes on as what it is. The form is given, if it is one's.
pub(in crate::flow) async fn submit_perhaps(
    gate: &Arc<Gate>,
    visit: Visit,
    open: Open,
) -> Result<(Answer, Option<Arc<Form>>), FlowError> {
    let first = open.routes().next().cloned();
    let is_nobody_s = open.certain.is_none() && !could_hold_fields(&visit.arrival.head.headers);
    let first = match first {
        Some(first) if !is_nobody_s => first,
        beside => {
            let (arrival, account) = (visit.arrival, &visit.account);
            let passing = gate.pass(&visit.snapshot, arrival, beside.as_ref(), account);
            return Ok((passing.await?, None));
        }
    };
    let gate = Arc::clone(gate);
    carry::to_its_end(
        gate.after(&visit.request_id),
        settle(gate, visit, open, first),
    )
    .await
}

async fn settle(
    gate: Arc<Gate>,
    visit: Visit,
    open: Open,
    first: Route,
) -> Result<(Answer, Option<Arc<Form>>), FlowError> {
    // Whichever form it is, the fields that decide stand on top and have the names that were sent.
    let mut plain = Form::clone(&first.form);
    plain.doc_path.clear();
    plain.nested = false;
    let is_get = open.certain.is_some() && first.is_get;
    let mut left = left(&visit, &first);
    left.form = Arc::new(plain);
    let (submission, visitor) = read(&gate, visit, &left, is_get).await?;
    match open.settle(&submission.doc)? {
        None => {
            let passed = pass_on(&gate, &visitor, &first, submission).await;
            Ok((passed?, None))
        }
        Some(route) => {
            let (viewer, snapshot) = (&visitor.viewer, &visitor.snapshot);
            let left = Left::unread(&route, viewer, snapshot, &submission.head.headers);
            let form = Arc::clone(&left.form);
            let reading = decode_again(*submission, form, &gate.settings.intake);
            let submission = reading
                .await
                .map_err(|error| FlowError::reading(error, &left))?;
            let form = Arc::clone(&route.form);
            let answer = go_on(gate, visitor, route, submission, left).await?;
            Ok((answer, Some(form)))
        }
    }
}

/// The form that a request is about, as far as it is known before it is read.
fn left(visit: &Visit, route: &Route) -> Left {
    let headers = &visit.arrival.head.headers;
    Left::unread(route, &visit.viewer, &visit.snapshot, headers)
}

/// Who submits, apart from the request itself.
struct Visitor {
    viewer: Arc<Viewer>,
    snapshot: Arc<Snapshot>,
    request_id: String,
    address: IpAddr,
    /// A place among `limits.connections`, kept to the end.
    place: Arc<Peer>,
    account: Account,
}

async fn read(
    gate: &Gate,
    visit: Visit,
    left: &Left,
    is_get: bool,
) -> Result<(Box<Submission>, Visitor), FlowError> {
    let Visit {
        mut arrival,
        snapshot,
        request_id,
        viewer,
        account,
    } = visit;
    let mut leg = account.leg("decode", Kind::Own);
    let visitor = Visitor {
        viewer,
        snapshot,
        request_id,
        address: arrival.person(&gate.settings.trusted_proxies),
        place: Arc::clone(&arrival.peer),
        account,
    };
    arrival.announce();
    let Arrival {
        head,
        body,
        received,
        ..
    } = *arrival;
    let body = Paced::upload(body, head.version, gate.settings.upload).counted(received);
    let form = Arc::clone(&left.form);
    let reading = decode(form, is_get, head, body, &gate.settings.intake);
    let submission = reading.await.map_err(|error| {
        leg.fail(error.word());
        FlowError::reading(error, left)
    })?;
    Ok((submission, visitor))
}

/// Carries a submission that has been read to its end, and counts what became of it. What goes wrong on the way is
/// answered here, so that it is written down even if the person has gone.
async fn go_on(
    gate: Arc<Gate>,
    visitor: Visitor,
    route: Route,
    submission: Box<Submission>,
    left: Left,
) -> Result<Answer, FlowError> {
    let form = Arc::clone(&route.form);
    let counted = visitor.snapshot.meter(&form).cloned().map(Submitted::new);
    let request_id = visitor.request_id.clone();
    let account = visitor.account.clone();
    account.form(&route.id);
    let done = carry_on(gate, visitor, route, submission, left).await;
    let answer = done.unwrap_or_else(|error| error.into_answer(&request_id));
    let ended = answer.ended(&form);
    account.outcome(ended.word());
    if let Some(counted) = counted {
        counted.end(ended);
    }
    Ok(answer)
}

async fn carry_on(
    gate: Arc<Gate>,
    visitor: Visitor,
    route: Route,
    submission: Box<Submission>,
    mut left: Left,
) -> Result<Answer, FlowError> {
    left.doc = Some(submission.doc.clone());
    if let Err(rejected) = lookalike::check(&route, &submission) {
        return Err(FlowError::Refused(rejected, Box::new(left)));
    }
    // Only now, so that whoever is slow to send takes nobody's place, and what was typed can be shown again.
    let places = &visitor.snapshot.places;
    let _turn = match places.take(&route.form, gate.settings.submissions) {
        Ok(turn) => turn,
        Err(limit) => return Err(FlowError::Crowded(limit, Box::new(left))),
    };
    let _place = visitor.place;
    journal::arrived(&submission, &route.id, &visitor.request_id);
    visitor.account.event(Event::Preprocess);
    let trust = &visitor.snapshot.trust;
    let known = person::known(&gate, trust, &visitor.request_id, visitor.address);
    let mut steps = Steps::begin(gate.settings.recorder.as_ref());
    if let Some(steps) = &mut steps {
        steps.arrived(&submission);
    }
    let carriage = Box::new(Carriage {
        occasion: person::occasion(&route, &submission.head, &submission.doc, known),
        trace: person::trace(&submission.head.headers),
        gate,
        viewer: visitor.viewer,
        snapshot: visitor.snapshot,
        account: visitor.account,
        route,
        left,
        steps,
        is_accepted: false,
    });
    carriage.carry(submission).await
}

/// A request that was read and is no form's goes on as it came.
async fn pass_on(
    gate: &Gate,
    visitor: &Visitor,
    beside: &Route,
    submission: Box<Submission>,
) -> Result<Answer, FlowError> {
    let changes = !submission.head.method.is_safe();
    let (mut head, body) = submission.into_request(&Jdoc::new(), &gate.settings.intake.limits)?;
    let backends = &visitor.snapshot.backends;
    let backend = backends.of(beside.form.backend.as_ref());
    let mut leg = visitor.account.leg("forward", Kind::Backend);
    leg.announce(&mut head.headers);
    let answer = backend::forward(backend, backend::outbound(head, body)).await;
    note_answer(&mut leg, answer.as_ref().map(|answer| answer.head.status));
    let answer = answer.map_err(|error| FlowError::Pass(error, changes))?;
    Ok(Answer::Backend(answer.into(), None))
}

/// One submission under way.
struct Carriage {
    gate: Arc<Gate>,
    viewer: Arc<Viewer>,
    snapshot: Arc<Snapshot>,
    account: Account,
    route: Route,
    occasion: Occasion,
    trace: Trace,
    /// The form as the person left it.
    left: Left,
    /// What has happened, where that is recorded.
    steps: Option<Steps>,
    /// The backend has taken it.
    is_accepted: bool,
}

impl Carriage {
    async fn carry(mut self: Box<Self>, submission: Box<Submission>) -> Result<Answer, FlowError> {
        let done = self.go(submission).await;
        if let (Some(steps), Some(recorder)) = (self.steps, &self.gate.settings.recorder) {
            let word = if self.is_accepted {
                "accepted"
            } else {
                "refused"
            };
            recorder.timeline(steps.end(&done, word, &self.occasion));
        }
        done
    }

    /// Decides about a submission and does what was decided.
    async fn go(&mut self, submission: Box<Submission>) -> Result<Answer, FlowError> {
        let form = Arc::clone(&self.route.form);
        let mut doc = submission.doc.clone();
        let before = self.consult(Event::Preprocess, &mut doc).await;
        if let Some(said) = refusal(&before) {
            return Ok(self.refuse(said, &submission).await);
        }
        let changed = changes(&before.decision, &submission.doc, &doc);
        let person = form
            .update
            .as_ref()
            .map(|_| submission.head.headers.clone());
        let mut request = self.outbound(*submission, &changed)?;
        let backend = self.snapshot.backends.of(form.backend.as_ref());
        let mut leg = self.account.leg("forward", Kind::Backend);
        leg.announce(request.headers_mut());
        let from = Instant::now();
        let answer = backend::forward(backend, request).await;
        note_answer(&mut leg, answer.as_ref().map(|answer| answer.head.status));
        drop(leg);
        if let Some(steps) = &mut self.steps {
            let status = answer.as_ref().map(|answer| answer.head.status.as_u16());
            steps.backend(from, status);
        }
        let mut answer = answer.map_err(|error| FlowError::Forward(error, self.left()))?;
        if !form.accepted.takes(answer.head.status.as_u16()) {
            return Ok(Answer::Backend(answer.into(), None));
        }
        self.is_accepted = true;
        let mut decision = before.decision;
        if form.asks(Event::Submit) {
            // On the heap, so that a form without such hooks has no room for them.
            let after = Box::pin(self.ask_after(&mut answer, doc, person)).await?;
            decision = decision.and_then(after);
        }
        Ok(self.accepted(answer, &decision, self.shown(changed)))
    }

    /// The answer where the submission stops: in the form's page, if the person sees pages and it can be had.
    async fn refuse(&self, said: Said, submission: &Submission) -> Answer {
        let said = self.left.clone().behind(said);
        let mut said = Box::new(said.about(&self.occasion.meta.request_id));
        let viewer = &self.viewer;
        let Some(way) = self.left.way.as_deref().filter(|_| viewer.sees_pages()) else {
            return Answer::Own(said);
        };
        if said.redirect.is_some() {
            return Answer::Own(said);
        }
        // On the heap, so that what is not stopped has no room for it.
        let page = again::page(&self.gate, way, submission, &mut said, &self.account);
        match Box::pin(page).await {
            Ok(page) => Answer::Again(page, said),
            Err(why) => {
                let back = said.back.as_deref().and_then(|back| back.split('?').next());
                if why.is_nowhere() && back == Some(viewer.path()) {
                    // Stopped twice, without `load`: the person comes from where the form was sent to.
                    said.back = None;
                }
                Answer::Own(said)
            }
        }
    }

    fn left(&self) -> Box<Left> {
        Box::new(self.left.clone())
    }

    /// The request as it goes on.
    fn outbound(
        &self,
        submission: Submission,
        changed: &Jdoc,
    ) -> Result<Box<Request<Outgoing>>, FlowError> {
        let mut leg = self.account.leg("apply", Kind::Own);
        leg.count("formgate.changed", changed.len());
        let request = submission.into_request(changed, &self.gate.settings.intake.limits);
        let (mut head, body) =
            request.map_err(|rejected| FlowError::Refused(rejected, self.left()))?;
        if let Ok(id) = HeaderValue::from_str(&self.occasion.meta.request_id) {
            head.headers.insert(&REQUEST_ID, id);
        }
        Ok(backend::outbound(head, body))
    }

    /// Asks once more after acceptance: the submission is saved and cannot be unsaved.
    async fn ask_after(
        &mut self,
        answer: &mut BackendAnswer,
        mut doc: Doc,
        person: Option<HeaderMap>,
    ) -> Result<Decision, FlowError> {
        self.account.event(Event::Submit);
        self.note_result(answer).await?;
        let after = self.consult(Event::Submit, &mut doc).await.decision;
        if !after.jdoc().is_empty() {
            self.update(after.jdoc(), &person.unwrap_or_default()).await;
        }
        Ok(after)
    }

    /// The changes that the person is told of: a hidden field stays hidden if a local rule changes it.
    fn shown(&self, mut changed: Jdoc) -> Jdoc {
        let hidden = &self.route.form.hidden;
        changed.retain(|name, _| !hidden.covers(name));
        changed.values_mut().for_each(|value| hidden.strip(value));
        changed
    }

    /// The backend's answer with what there is to say, or the redirect that replaces it.
    fn accepted(&self, answer: BackendAnswer, decision: &Decision, changed: Jdoc) -> Answer {
        // formgate.js is told in the form's own words that it was submitted.
        let is_script = self.viewer.wants.medium == Medium::Script;
        if decision.is_silent() && changed.is_empty() && !is_script {
            return Answer::Backend(answer.into(), None);
        }
        if let Some(target) = decision.redirect().cloned() {
            let mut said = Said::redirected(decision, target, true);
            said.changed = changed;
            said.cookies = answer
                .head
                .headers
                .get_all(header::SET_COOKIE)
                .iter()
                .cloned()
                .collect();
            return self.own(said);
        }
        let mut said = Said::accepted(decision, answer.head.status.as_u16());
        said.changed = changed;
        said.form = Some(Arc::clone(&self.route.form));
        let said = said.about(&self.occasion.meta.request_id);
        Answer::Backend(Response::from(answer), Some(Box::new(said)))
    }

    fn own(&self, mut said: Said) -> Answer {
        said.form = Some(Arc::clone(&self.route.form));
        Answer::Own(Box::new(said.about(&self.occasion.meta.request_id)))
    }

    async fn consult(&mut self, event: Event, doc: &mut Doc) -> Consulted {
        let (from, mut trail) = (Instant::now(), Trail::of(self.steps.take()));
        let mut leg = asking(&self.account, event);
        let asked = Asked {
            event,
            route: &self.route,
            occasion: &self.occasion,
            allowed: Allowed {
                own: Some(&self.viewer.authority),
                hosts: &self.route.form.redirect_hosts,
            },
            here: "",
            lang: self.viewer.wants.lang,
            trace: &self.trace,
            leg: &leg,
            matched: self.gate.settings().matched,
            remark: None,
        };
        let responders = self.gate.responders(&self.snapshot);
        let consulted = consult(&asked, doc, responders, &mut trail).await;
        self.steps = trail.into_steps();
        note_decision(&mut leg, &consulted.decision);
        if self.route.form.asks(event) {
            journal::decision(
                &consulted.decision,
                &self.route.id,
                &self.occasion.meta.request_id,
            );
            if let Some(steps) = &mut self.steps {
                steps.decided(&consulted.decision, from);
            }
        }
        consulted
    }

    /// What the hooks are told of the backend's answer.
    async fn note_result(&mut self, answer: &mut BackendAnswer) -> Result<(), FlowError> {
        let form = Arc::clone(&self.route.form);
        let text = |name: header::HeaderName| {
            answer
                .head
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let location = text(header::LOCATION).map(str::to_owned);
        let is_json = text(header::CONTENT_TYPE).is_some_and(is_json);
        let encoding = text(header::CONTENT_ENCODING).map(str::to_owned);
        let mut body: Option<Value> = None;
        if is_json {
            let bytes = answer.look_ahead(MAX_RESULT).await;
            let bytes = bytes.map_err(|error| FlowError::Half(error, self.left()))?;
            let bytes = bytes.and_then(|bytes| unpacked(&bytes, encoding.as_deref()));
            body = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        }
        let id = form
            .submission_id
            .as_ref()
            .and_then(|id| id.find(location.as_deref(), body.as_ref()));
        if let Some(body) = &mut body {
            form.hidden.strip(body);
        }
        self.occasion.form.submission_id = id;
        self.occasion.form.result = Some(SubmitResult {
            status: answer.head.status.as_u16(),
            location: location.map(|location| person::without_hidden(location, &form.hidden)),
            body,
        });
        Ok(())
    }

    /// Sends a `form_submit` jdoc to the backend, and writes down how that went.
    async fn update(&self, jdoc: &Jdoc, person: &HeaderMap) {
        let mut job = self.update_job(jdoc);
        let update = self.route.form.update.as_ref();
        let sent = match update {
            None => Err(Finding::new(
                "update",
                "the reply changes fields, but the rule file has no `update` to send them to",
            )),
            Some(update) => self.send_update(update, jdoc, person, &mut job).await,
        };
        match sent {
            Ok(()) => job.outcome = JobOutcome::Delivered,
            Err(finding) if update.is_none() => {
                job.outcome = JobOutcome::Skipped;
                job.warnings.push(finding);
            }
            Err(finding) => {
                job.outcome = JobOutcome::Failed;
                job.faults.push(finding);
            }
        }
        // A local rule may change a hidden field, and the backend is told.
        let hidden = &self.route.form.hidden;
        let is_hidden = |(name, value): (&String, &Value)| {
            hidden.covers(name) || hidden.covers_any_member(value)
        };
        if let Some(details) = &mut job.details
            && jdoc.iter().any(is_hidden)
        {
            details.leave_out();
        }
        write_down(
            job,
            None,
            &self.occasion,
            self.gate.settings.recorder.as_ref(),
        );
    }

    fn update_job(&self, jdoc: &Jdoc) -> Job {
        Job {
            id: uuid::Uuid::now_v7().to_string(),
            kind: JobKind::Update,
            event: Event::Submit,
            form: self.route.id.clone(),
            hook: "update".to_owned(),
            request_id: self.occasion.meta.request_id.clone(),
            submission_id: self.occasion.form.submission_id.clone(),
            url: String::new(),
            run: 1,
            sent: 0,
            received: 0,
            timings: Timings::default(),
            status: None,
            outcome: JobOutcome::Failed,
            would: None,
            faults: Vec::new(),
            warnings: Vec::new(),
            changed: jdoc.keys().cloned().collect(),
            let_through: false,
            conflict: false,
            details: self.gate.settings.recorder.as_ref().map(|_| Box::default()),
        }
    }

    async fn send_update(
        &self,
        update: &Update,
        jdoc: &Jdoc,
        person: &HeaderMap,
        job: &mut Job,
    ) -> Result<(), Finding> {
        let route = &self.route;
        let id = self.occasion.form.submission_id.as_deref();
        let path = update.path(id, &route.id, &route.params).ok_or_else(|| {
            Finding::new("update", "its path has a slot without a value; does `submission_id` find the id in the backend's answer?")
        })?;
        let began = Instant::now();
        let backend = self.snapshot.backends.of(route.form.backend.as_ref());
        let shown = path.split('?').next().unwrap_or_default();
        job.url = format!("{}{shown}", backend.origin());
        let body = Value::Object(jdoc.clone()).to_string();
        job.sent = body.len();
        let method = Method::from_bytes(update.method.as_bytes()).unwrap_or(Method::PATCH);
        let uri = path
            .parse()
            .map_err(|_| Finding::new("update", "its path is not a path"))?;
        let mut leg = self.account.leg("update", Kind::Backend);
        let mut headers = self.update_headers(person);
        leg.announce(&mut headers);
        let body = Bytes::from(body);
        if let Some(details) = &mut job.details {
            details.method = method.to_string();
            details.headers.clone_from(&headers);
            details.sent = body.clone();
        }
        let sent = backend::send(backend, method, uri, headers, body).await;
        match &sent {
            Ok(status) => leg.note("http.response.status_code", i64::from(status.as_u16())),
            Err(error) => leg.fail(backend::unanswered(error).word()),
        }
        drop(leg);
        job.timings.total = began.elapsed();
        let status = sent.map_err(|error| Finding::new("connection", error.to_string()))?;
        job.status = Some(status.as_u16());
        if status.is_success() {
            Ok(())
        } else {
            Err(Finding::new(
                "status",
                format!("the backend answered the update with {}", status.as_u16()),
            ))
        }
    }

    /// The person's own rights, and the proof that the call is the gateway's.
    fn update_headers(&self, person: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in [header::HOST, header::COOKIE, header::AUTHORIZATION] {
            for value in person.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(&self.occasion.meta.request_id) {
            headers.insert(&REQUEST_ID, id);
        }
        self.snapshot.trust.key.mark(&mut headers, now());
        headers
    }
}

/// One JSON value; not one of the types that are a stream of many.
fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// A backend's answer as it was before it was packed; `None` if it cannot be unpacked.
fn unpacked(bytes: &Bytes, encoding: Option<&str>) -> Option<Bytes> {
    unpack::whole(bytes, encoding.unwrap_or_default(), MAX_RESULT).ok()
}

/// The gateway's own answer where the submission stops; `None` where it goes on.
pub(in crate::flow) fn refusal(before: &Consulted) -> Option<Said> {
    let decision = &before.decision;
    match (decision.course(), decision.redirect()) {
        (Course::Continue, _) => None,
        (Course::Unavailable, _) => Some(Said::unavailable(
            decision,
            before.retry_after.unwrap_or_default(),
        )),
        (Course::Stop, Some(target)) => Some(Said::redirected(decision, target.clone(), false)),
        (Course::Stop, None) => {
            let mut said = Said::stopped(decision);
            if before.by_rule {
                said.ended = Ended::StoppedByRule;
            }
            Some(said)
        }
    }
}

/// The changes that really change something of the submission as it came; `doc` is what it has become.
pub(in crate::flow) fn changes(decision: &Decision, original: &Doc, doc: &Doc) -> Jdoc {
    let asked = decision.jdoc().iter();
    asked
        .map(|(name, value)| (name.clone(), original.change_to(doc, name, value)))
        .filter(|(name, value)| !original.already(name, value))
        .collect()
}

/// The answer when the backend gave none. It says what is known about the submission, and nothing more.
pub(in crate::flow) fn backend_failed(
    error: &BackendError,
    is_submission: bool,
    accepted: impl Fn(u16) -> Option<bool>,
) -> Said {
    use crate::wire::pool::SendError;

    let limit = error.limit();
    let mut said = match error {
        BackendError::Send(error) => {
            let (status, word) = match error {
                SendError::Connect(_) | SendError::Unsent(_) => (502, Word::Unreachable),
                SendError::TimedOut(_) => (504, Word::TooSlow),
                SendError::Lost(_) => (502, Word::BrokeOff),
                SendError::Upload(_) => {
                    let mut said = Said::rejected(Rejected::malformed("The upload broke off."));
                    said.ended = Ended::Left;
                    return said;
                }
                SendError::Stalled(late) => {
                    let text = match late {
                        Late::Pause => "The upload stopped coming before it was complete.",
                        Late::Rate => "The upload came too slowly.",
                    };
                    return Said::rejected(Rejected {
                        limit: Some(late.limit()),
                        ..Rejected::with(408, text)
                    });
                }
            };
            let submitted = if error.is_unsent() || !is_submission {
                Some(false)
            } else {
                None
            };
            Said::backend_failed(status, word, submitted)
        }
        BackendError::Switched => Said::backend_failed(
            502,
            Word::BrokeOff,
            if is_submission { None } else { Some(false) },
        ),
        BackendError::Half(status, _) | BackendError::BothLengths(status) => {
            let submitted = if is_submission {
                accepted(status.as_u16())
            } else {
                Some(false)
            };
            Said::backend_failed(502, Word::BrokeOff, submitted)
        }
    };
    said.limit = limit;
    said
}
