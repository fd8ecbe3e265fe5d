//! Asking everybody about an event: local rules, then hooks, in the order written (protocol §4). The one step that
//! serves both sides of the backend. Owns the order, the failure policy and writing down each job; how one hook is
//! called is left to `hooks`, the fold to `model`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::account::leg::Kind;
use crate::account::leg::Leg;
use crate::flow::asked::Asked;
use crate::flow::asked::CalledHook;
use crate::flow::asked::Trail;
use crate::flow::asked::in_words;
use crate::flow::journal;
use crate::flow::local;
use crate::flow::person;
use crate::flow::snapshot::Snapshot;
use crate::hooks::answer;
use crate::hooks::answer::Answered;
use crate::hooks::answer::MAX_REPLY;
use crate::hooks::call;
use crate::hooks::call::Ask;
use crate::hooks::call::Called;
use crate::hooks::target::SHADOWS;
use crate::hooks::target::Target;
use crate::model::call::Occasion;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::doc::Jdoc;
use crate::model::event::Event;
use crate::model::hidden::Hidden;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::model::job::Outcome;
use crate::model::lang::Lang;
use crate::model::redirect::Allowed;
use crate::model::reply::Reply;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::model::trace::Trace;
use crate::model::words::Word;
use crate::rules::case::FAILS;
use crate::rules::form::ChainHook;
use crate::rules::form::Form;
use crate::rules::hook::HookRule;
use crate::rules::hook::Mode;
use crate::rules::hook::OnFailure;
use crate::rules::path;
use crate::rules::pattern::MATCHED;
use crate::rules::place::Place;
use crate::store::writer::Recorder;
use crate::wire::proof::Key;

/// Who answers for hooks.
#[derive(Debug, Clone, Copy)]
pub enum Responders<'a> {
    /// The responders themselves.
    Live {
        /// The hooks, ready to be called.
        snapshot: &'a Arc<Snapshot>,
        /// The gateway's key.
        key: &'a Arc<Key>,
        /// Where shadow calls run on their own.
        tasks: &'a TaskTracker,
        /// Where jobs are recorded, if anywhere.
        recorder: Option<&'a Recorder>,
    },
    /// Replies by hook name, for tests of rule files; a hook without one lets the event go on.
    Canned(&'a Map<String, Value>),
}

/// What came of asking everybody.
#[derive(Debug)]
pub struct Consulted {
    /// The decision.
    pub decision: Decision,
    /// When to try again, if a hook that must be asked could not be.
    pub retry_after: Option<Duration>,
    /// Whether local rules have ended it before any hook was asked.
    pub by_rule: bool,
}

impl Responders<'_> {
    /// Writes down and counts a call of a hook.
    fn note(self, asked: &Asked<'_>, chained: &ChainHook, job: Job) {
        let mut recorder = None;
        if let Self::Live {
            snapshot,
            recorder: kept,
            ..
        } = self
        {
            recorder = kept;
            if let Some(target) = snapshot.targets.get(chained.number) {
                target.meter.note(&job);
            }
        }
        let place = Some(&chained.hook.place);
        write_down(job, place, asked.occasion, recorder);
    }

    /// Counts how much of an event's time was left.
    fn left(self, form: &Form, deadline: Instant) {
        if let Self::Live { snapshot, .. } = self
            && let Some(meter) = snapshot.meter(form)
        {
            let left = deadline.saturating_duration_since(Instant::now());
            meter.budget_left.observe(left, form.budget);
        }
    }
}

/// Asks everybody about an event. The doc is changed as the replies say.
pub async fn consult(
    asked: &Asked<'_>,
    doc: &mut Doc,
    responders: Responders<'_>,
    trail: &mut Trail,
) -> Consulted {
    let mut consulted = Consulted {
        decision: Decision::new(asked.event),
        retry_after: None,
        by_rule: false,
    };
    undisturbed(doc.is_large(), || {
        local::check(asked, doc, &mut consulted.decision, trail);
    });
    if consulted.decision.course() == Course::Continue {
        if !asked.route.form.hooks(asked.event).is_empty() {
            let deadline = Instant::now() + asked.route.form.budget;
            let by = (responders, deadline);
            ask_hooks(asked, doc, by, trail, &mut consulted).await;
            responders.left(&asked.route.form, deadline);
        }
    } else {
        consulted.by_rule = true;
        spare(asked.route.form.hooks(asked.event), trail);
    }
    consulted
}

/// Does work that takes long where there is much to look at: what else waits for this thread goes to another.
fn undisturbed<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    let flavor = is_long.then(|| Handle::try_current().map(|handle| handle.runtime_flavor()));
    match flavor {
        Some(Ok(RuntimeFlavor::MultiThread)) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

async fn ask_hooks(
    asked: &Asked<'_>,
    doc: &mut Doc,
    (responders, deadline): (Responders<'_>, Instant),
    trail: &mut Trail,
    consulted: &mut Consulted,
) {
    let mut rest = asked.route.form.hooks(asked.event);
    while let Some((group, after)) = next_group(rest) {
        rest = after;
        let due = undisturbed(doc.is_large(), || due(asked, doc, group, trail));
        let is_waited_for = |hook: &&ChainHook| hook.hook.mode != Mode::Shadow;
        let waiting = due.iter().any(is_waited_for).then(|| asked.leg.waiting());
        let given = ask_group(asked, doc, &due, responders, deadline).await;
        drop(waiting);
        let mut given = due.iter().zip(given);
        while let Some((hook, one)) = given.next() {
            let told = (&mut *trail, responders);
            if fold(asked, doc, hook, one, told, consulted).is_break() {
                given.for_each(|(hook, unused)| set_aside(asked, hook, unused, responders, trail));
                spare(rest, trail);
                return;
            }
        }
    }
}

/// Writes down a call whose reply came too late to count: a parallel neighbour before it ended the chain.
fn set_aside(
    asked: &Asked<'_>,
    chained: &ChainHook,
    given: Given,
    responders: Responders<'_>,
    trail: &mut Trail,
) {
    let hook = &chained.hook;
    let Some(heard) = Heard::of(given) else {
        return;
    };
    trail.call(|| heard.noted(hook));
    trail.note(&hook.place, || {
        format!("the reply of hook `{}` does not count any more", hook.name)
    });
    if let Some(job) = heard.job {
        responders.note(asked, chained, job);
    }
}

/// Writes a call down: into the log, and where there is a store, there.
pub(in crate::flow) fn write_down(
    mut job: Job,
    place: Option<&Place>,
    occasion: &Occasion,
    recorder: Option<&Recorder>,
) {
    journal::job(&job, place);
    let Some(recorder) = recorder else {
        return;
    };
    let details = job.details.get_or_insert_default();
    details.person = person::id(occasion);
    details.place = place.map(Place::to_string);
    recorder.job(Box::new(job));
}

/// What a reply changes, from what to what.
fn patch(doc: &Doc, jdoc: &Jdoc, hidden: &Hidden) -> Map<String, Value> {
    let shown = jdoc.iter().filter(|(name, _)| !hidden.covers(name));
    let changes = shown.map(|(name, to)| {
        let mut values: Vec<Value> = doc.items(name).iter().map(Item::to_value).collect();
        let from = match values.len() {
            0 => Value::Null,
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        let mut change = json!({"from": from, "to": to});
        hidden.strip(&mut change);
        (name.clone(), change)
    });
    changes.collect()
}

/// Notes that these hooks are not asked any more.
fn spare(hooks: &[ChainHook], trail: &mut Trail) {
    for chained in hooks {
        trail.note(&chained.hook.place, || {
            format!("hook `{}` is not asked any more", chained.hook.name)
        });
    }
}

/// The next hook, or the next parallel neighbours, and the hooks after them.
fn next_group(chain: &[ChainHook]) -> Option<(&[ChainHook], &[ChainHook])> {
    let first = chain.first()?;
    let beside = |hook: &&ChainHook| hook.hook.parallel && hook.own == first.own;
    // Neighbours stand in one file: all of one file come before those of the next.
    let length = chain.iter().take_while(beside).count().max(1);
    Some(chain.split_at(length))
}

/// The hooks of a group that apply to the doc as it is now.
fn due<'h>(
    asked: &Asked<'_>,
    doc: &Doc,
    group: &'h [ChainHook],
    trail: &mut Trail,
) -> Vec<&'h ChainHook> {
    let mut call = None;
    let mut due = Vec::with_capacity(group.len());
    for chained in group {
        let hook = &chained.hook;
        let applies = hook.mode != Mode::Off
            && (hook.when.is_always()
                || asked.applies(
                    &hook.when,
                    &hook.place,
                    call.get_or_insert_with(|| asked.to_value(doc)),
                ));
        let how = match (applies, hook.mode) {
            (true, Mode::Shadow) => "is called in shadow: its reply is recorded, not applied",
            (true, _) => "is called",
            (false, Mode::Off) => "is off",
            (false, _) => "does not apply",
        };
        trail.note(&hook.place, || format!("hook `{}` {how}", hook.name));
        if applies {
            due.push(chained);
        }
        // Nobody waits for a shadow, so this is all that will be heard of it.
        if applies && hook.mode == Mode::Shadow {
            trail.call(|| CalledHook::unheard(hook));
        }
    }
    due
}

/// What one hook gave: nothing from a shadow, which is asked on its own.
enum Given {
    Live(Box<Called>),
    Canned(Option<Box<Reading>>),
    Nothing,
}

async fn ask_group(
    asked: &Asked<'_>,
    doc: &Doc,
    due: &[&ChainHook],
    responders: Responders<'_>,
    deadline: Instant,
) -> Vec<Given> {
    match due {
        [] => Vec::new(),
        [one] => vec![ask_one(asked, doc, one, responders, deadline).await],
        // On the heap, so that one hook has no room for several.
        several => {
            Box::pin(join_all(
                several
                    .iter()
                    .map(|hook| ask_one(asked, doc, hook, responders, deadline)),
            ))
            .await
        }
    }
}

async fn ask_one(
    asked: &Asked<'_>,
    doc: &Doc,
    chained: &ChainHook,
    responders: Responders<'_>,
    deadline: Instant,
) -> Given {
    match responders {
        // A shadow's reply is never applied.
        Responders::Canned(_) if chained.hook.mode == Mode::Shadow => Given::Nothing,
        Responders::Canned(replies) => {
            Given::Canned(canned(asked, doc, chained, replies).map(Box::new))
        }
        Responders::Live {
            snapshot,
            key,
            tasks,
            recorder,
        } => {
            let Some(target) = snapshot.targets.get(chained.number) else {
                return Given::Nothing;
            };
            let hook = &chained.hook;
            let mut leg = asked
                .leg
                .child(Kind::Hook, || format!("call {}", hook.name));
            let own = leg.trace();
            let trace = own.as_ref().unwrap_or(asked.trace);
            let ask = ask(
                asked,
                doc,
                chained,
                (key, trace),
                deadline,
                recorder.is_some(),
            );
            if chained.hook.mode == Mode::Shadow {
                match Arc::clone(&target.shadows).try_acquire_owned() {
                    Ok(place) => {
                        let (snapshot, key) = (Arc::clone(snapshot), Arc::clone(key));
                        let leg = leg.apart();
                        let owned = Owned::of(asked, doc, trace.clone());
                        let work = shadow(
                            snapshot,
                            key,
                            owned,
                            chained.clone(),
                            leg,
                            recorder.cloned(),
                        );
                        tasks.spawn(async move {
                            work.await;
                            drop(place);
                        });
                    }
                    Err(_) => responders.note(asked, chained, crowded_out(target, ask)),
                }
                return Given::Nothing;
            }
            let mut called = Box::pin(call::call(target, ask)).await;
            called.job.warnings.extend(asked.remark.cloned());
            journal::debug(&called);
            note_job(&mut leg, &called.job);
            Given::Live(Box::new(called))
        }
    }
}

fn ask<'a>(
    asked: &'a Asked<'a>,
    doc: &'a Doc,
    chained: &ChainHook,
    (key, trace): (&'a Key, &'a Trace),
    deadline: Instant,
    keep: bool,
) -> Ask<'a> {
    Ask {
        named: asked.named(chained.own),
        form: &asked.route.form,
        form_id: &asked.route.id,
        occasion: asked.occasion,
        doc,
        allowed: asked.allowed,
        deadline,
        trace,
        key,
        id: uuid::Uuid::now_v7(),
        keep,
    }
}

/// A question that outlives its request, for shadow calls.
struct Owned {
    event: Event,
    route: crate::flow::submission::Route,
    occasion: crate::model::call::Occasion,
    own_host: Option<String>,
    here: String,
    trace: Trace,
    remark: Option<Finding>,
    doc: Doc,
}

impl Owned {
    fn of(asked: &Asked<'_>, doc: &Doc, trace: Trace) -> Self {
        Self {
            event: asked.event,
            route: asked.route.clone(),
            occasion: asked.occasion.clone(),
            own_host: asked.allowed.own.map(str::to_owned),
            here: asked.here.to_owned(),
            trace,
            remark: asked.remark.cloned(),
            doc: doc.clone(),
        }
    }
}

/// The record of a shadow that was not called because too many of it are under way: people's traffic is not slowed
/// down, and not multiplied, by a responder that is only tried out.
fn crowded_out(target: &Target, ask: Ask<'_>) -> Job {
    let mut job = call::job(target, ask);
    job.faults.push(Finding::new(
        "shadow",
        format!("{SHADOWS} calls of this hook are under way already, so it was not called"),
    ));
    job
}

/// Calls a hook whose reply is only recorded.
async fn shadow(
    snapshot: Arc<Snapshot>,
    key: Arc<Key>,
    owned: Owned,
    chained: ChainHook,
    mut leg: Leg,
    recorder: Option<Recorder>,
) {
    let Some(target) = snapshot.targets.get(chained.number) else {
        return;
    };
    let asked = Asked {
        event: owned.event,
        route: &owned.route,
        occasion: &owned.occasion,
        allowed: Allowed {
            own: owned.own_host.as_deref(),
            hosts: &owned.route.form.redirect_hosts,
        },
        here: &owned.here,
        lang: Lang::default(), // nobody hears it
        trace: &owned.trace,
        leg: &Leg::none(),
        matched: MATCHED, // what applies has been asked
        remark: owned.remark.as_ref(),
    };
    let deadline = Instant::now() + chained.hook.timeout;
    let keep = recorder.is_some();
    let key = (&*key, &owned.trace);
    let ask = ask(&asked, &owned.doc, &chained, key, deadline, keep);
    let mut called = call::call(target, ask).await;
    called.job.warnings.extend(asked.remark.cloned());
    journal::debug(&called);
    called.job.would = Some(called.job.outcome);
    called.job.outcome = Outcome::Shadow;
    note_job(&mut leg, &called.job);
    target.meter.note(&called.job);
    let place = Some(&chained.hook.place);
    write_down(called.job, place, &owned.occasion, recorder.as_ref());
}

/// Begins the leg of asking about an event.
pub(in crate::flow) fn asking(account: &Account, event: Event) -> Leg {
    let name = match event {
        Event::Load => "consult form_load",
        Event::Preprocess => "consult form_preprocess",
        Event::Submit => "consult form_submit",
    };
    account.leg(name, Kind::Own)
}

/// What the account is told of a decision.
pub(in crate::flow) fn note_decision(leg: &mut Leg, decision: &Decision) {
    leg.note("formgate.decision", journal::course(decision));
    leg.count("formgate.messages", decision.messages().len());
    leg.count("formgate.changed", decision.jdoc().len());
}

/// What the account is told of a call: names, sizes and outcomes.
fn note_job(leg: &mut Leg, job: &Job) {
    leg.note("formgate.outcome", job.outcome.word());
    leg.note_any("formgate.would", job.would.map(Outcome::word));
    leg.note("formgate.run", i64::from(job.run));
    leg.count("http.request.body.size", job.sent);
    leg.count("http.response.body.size", job.received);
    leg.note_any("http.response.status_code", job.status.map(i64::from));
    leg.count("formgate.changed", job.changed.len());
    if job.would.unwrap_or(job.outcome).is_failure() {
        leg.fail(job.would.unwrap_or(job.outcome).word());
    }
}

/// Folds in what a hook gave.
fn fold(
    asked: &Asked<'_>,
    doc: &mut Doc,
    chained: &ChainHook,
    given: Given,
    (trail, responders): (&mut Trail, Responders<'_>),
    consulted: &mut Consulted,
) -> ControlFlow<()> {
    let hook = &chained.hook;
    let Some(mut heard) = Heard::of(given) else {
        return ControlFlow::Continue(());
    };
    heard.check_way_back(asked);
    trail.call(|| heard.noted(hook));
    let must_stop = heard.must_stop(asked.event);
    let Heard { reply, mut job, .. } = heard;
    let Some(reply) = reply else {
        let stops = hook.on_failure == OnFailure::Stop || must_stop;
        trail.note(&hook.place, || {
            let then = match (stops, must_stop) {
                (true, false) => "nothing is submitted (on_failure = \"stop\")",
                (true, true) => "nothing is submitted, as it wanted to send the person elsewhere",
                (false, _) => "the event goes on all the same (on_failure = \"continue\")",
            };
            format!("hook `{}` cannot be relied on: {then}", hook.name)
        });
        if let Some(job) = &mut job {
            job.let_through = !stops;
        }
        if let Some(job) = job {
            responders.note(asked, chained, job);
        }
        if !stops {
            return ControlFlow::Continue(());
        }
        consulted.retry_after = Some(hook.breaker.retry_after);
        return consulted
            .decision
            .unavailable(asked.tongue().say(Word::CheckFailed));
    };
    trail.note(&hook.place, || {
        format!("hook `{}` replies: {}", hook.name, in_words(&reply))
    });
    let conflict = asked.event == Event::Preprocess && reply.contradicts_itself();
    let reply = consulted
        .decision
        .settle(reply, asked.route.form.on_conflict);
    if conflict {
        trail.note(&hook.place, || {
            let word = asked.route.form.on_conflict.word();
            format!(
                "both an error and changes: on_conflict = \"{word}\" makes of it: {}",
                in_words(&reply)
            )
        });
    }
    if let Some(mut job) = job {
        job.conflict = conflict;
        if let Some(details) = &mut job.details {
            details.patch = patch(doc, reply.jdoc(), &asked.route.form.hidden);
        }
        responders.note(asked, chained, job);
    }
    doc.apply(reply.jdoc());
    consulted.decision.take(reply)
}

/// What was heard of a hook.
struct Heard {
    /// `None` if it cannot be relied on.
    reply: Option<Reply>,
    job: Option<Job>,
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Heard {
    /// `None` where the hook is not waited for.
    fn of(given: Given) -> Option<Self> {
        let (reply, job, faults, warnings) = match given {
            Given::Nothing => return None,
            Given::Live(called) => (called.reply, Some(called.job), Vec::new(), Vec::new()),
            Given::Canned(None) => (None, None, Vec::new(), Vec::new()),
            Given::Canned(Some(reading)) => {
                let usable = reading.faults.is_empty();
                let reply = usable.then_some(reading.reply);
                (reply, None, reading.faults, reading.warnings)
            }
        };
        Some(Self {
            reply,
            job,
            faults,
            warnings,
        })
    }

    /// A reply to a load must not redirect to the very page that is being opened: that would never end.
    fn check_way_back(&mut self, asked: &Asked<'_>) {
        let target = self.reply.as_ref().and_then(Reply::redirect);
        let back = asked.event == Event::Load
            && target
                .is_some_and(|target| same_page(target.as_str(), asked.here, asked.allowed.own));
        if !back {
            return;
        }
        self.reply = None;
        let finding = Finding::new(
            "$.redirect",
            "the redirect leads back to the page that is being opened",
        );
        match &mut self.job {
            Some(job) => {
                job.outcome = Outcome::Faulty;
                job.faults.push(finding);
            }
            None => self.faults.push(finding),
        }
    }

    /// Whether a reply that cannot be used must stop a submission whatever `on_failure` says: it wanted to send the
    /// person elsewhere, and a redirect that is not allowed never becomes a go (protocol §5).
    fn must_stop(&self, event: Event) -> bool {
        let redirects = |fault: &Finding| fault.place == "$.redirect";
        event == Event::Preprocess && self.reply.is_none() && self.faults().iter().any(redirects)
    }

    fn faults(&self) -> &[Finding] {
        let job = self.job.as_ref();
        job.map_or(&self.faults, |job| &job.faults)
    }

    fn noted(&self, hook: &HookRule) -> CalledHook {
        let job = self.job.as_ref();
        CalledHook {
            faults: self.faults().to_vec(),
            warnings: job.map_or(&self.warnings, |job| &job.warnings).clone(),
            job: self.job.clone(),
            ..CalledHook::unheard(hook)
        }
    }
}

fn same_page(target: &str, here: &str, own: Option<&str>) -> bool {
    // A path may have a URL in its query.
    let absolute = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'));
    let rest = match absolute {
        None => target,
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if !own.is_some_and(|own| own.eq_ignore_ascii_case(authority)) {
                return false;
            }
            &rest[authority.len()..]
        }
    };
    let parts = |text: &str| {
        let text = text.split('#').next().unwrap_or_default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        (path::canonical(path).into_owned(), query.to_owned())
    };
    parts(rest) == parts(here)
}

/// The reply that a test gives for a hook, read as if it had come over the wire; `"fails"` is none.
fn canned(
    asked: &Asked<'_>,
    doc: &Doc,
    chained: &ChainHook,
    replies: &Map<String, Value>,
) -> Option<Reading> {
    let value = match replies.get(&chained.hook.name) {
        None => return Some(Reading::default()),
        Some(Value::String(word)) if word == FAILS => return None,
        Some(value) => value,
    };
    let limits = Limits {
        nested: asked.route.form.nested || matches!(doc, Doc::Json(_)),
        allowed: asked.allowed,
    };
    let answered = Answered {
        status: 200,
        content_type: Some("application/json"),
        encoding: None,
        location: None,
        body: Some(value.to_string().into()).filter(|body: &Bytes| body.len() <= MAX_REPLY),
    };
    let (mut reading, _) = answer::read(&answered, limits);
    asked.route.form.admit(asked.event, &mut reading, doc);
    Some(reading)
}

#[cfg(test)]
mod tests {
    use super::same_page;

    #[test]
    fn a_load_must_not_lead_back_to_itself() {
        let own = Some("forms.example.org");
        for (target, same) in [
            ("/form?x=1", true),
            ("/form/?x=1#top", true),
            ("https://forms.example.org/form?x=1", true),
            ("/form", false),
            ("/form?x=2", false),
            ("https://other.example.org/form?x=1", false),
            ("https://Forms.Example.org/form?x=1", true),
            ("/login?next=https://forms.example.org/form?x=1", false),
            ("/login/https://forms.example.org/form?x=1", false),
        ] {
            assert_eq!(same_page(target, "/form?x=1", own), same, "{target}");
        }
    }
}
