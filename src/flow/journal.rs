//! Writing down what happened: one structured event per job (target `formgate::job`) and per decision (target
//! `formgate::decision`); at the level `debug` also what a form's request carries (`formgate::arrival`), which local
//! rules had something to say (`formgate::local`), what a reply says for the operator (`debug`, `formgate::trail`) and
//! what the person was answered (`formgate::answer`). Owns their fields; how they are shown is left to whoever
//! subscribes.
//!
//! Names and sizes only: no value of a field, no header, no query, no body.

use std::time::Duration;

use http::header;
use http::request::Parts;
use tracing::Level;

use crate::flow::answer::Answer;
use crate::flow::asked::Asked;
use crate::flow::submission::Submission;
use crate::hooks::call::Called;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::rules::condition::TooMuch;
use crate::rules::place::Place;

/// The target of job events.
pub const JOB: &str = "formgate::job";
/// The target of decision events.
pub const DECISION: &str = "formgate::decision";
/// The target of what arrives.
pub const ARRIVAL: &str = "formgate::arrival";
/// The target of what local rules say.
pub const LOCAL: &str = "formgate::local";
/// The target of answers.
pub const ANSWER: &str = "formgate::answer";

/// Writes down that a form's page is opened.
pub(in crate::flow) fn opened(head: &Parts, form: &str, request_id: &str) {
    let path = head.uri.path();
    tracing::debug!(
        target: "formgate::arrival",
        method = %head.method, path, form, request_id,
        "{} {path} opens {form}", head.method,
    );
}

/// Writes down that a form's submission has arrived.
pub(in crate::flow) fn arrived(submission: &Submission, form: &str, request_id: &str) {
    if !tracing::enabled!(target: "formgate::arrival", Level::DEBUG) {
        return;
    }
    let head = &submission.head;
    let text = |name: header::HeaderName| head.headers.get(name)?.to_str().ok();
    let kind = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    let bytes = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let fields = submission.doc.visible_names().into_iter();
    let fields: Vec<String> = fields.map(String::from).collect();
    let path = head.uri.path();
    tracing::debug!(
        target: "formgate::arrival",
        method = %head.method, path, form, request_id,
        content_type = kind, bytes, fields = listed(&fields).as_deref(),
        "{} {path} submits {form}", head.method,
    );
}

/// Writes down that a field or a rule has something to say; `what` is `normalises`, `refuses` or `replies`.
pub(in crate::flow) fn local(asked: &Asked<'_>, place: &Place, what: &str, field: Option<&str>) {
    let (event, form) = (asked.event.name(), asked.route.id.as_str());
    let request_id = asked.occasion.meta.request_id.as_str();
    tracing::debug!(
        target: "formgate::local",
        event, form, request_id, place = %place, what, field,
        "{place} {what}",
    );
}

/// Writes down that a line of a rule file could not be asked in the end: there was too much to look at.
pub(in crate::flow) fn given_up(asked: &Asked<'_>, place: &Place, why: &TooMuch) {
    let (event, form) = (asked.event.name(), asked.route.id.as_str());
    let request_id = asked.occasion.meta.request_id.as_str();
    tracing::warn!(
        target: "formgate::rules",
        event, form, request_id, place = %place,
        "{place} could not be told, so the worst was taken for true: {why}",
    );
}

/// Writes down what the person is answered.
pub(in crate::flow) fn answered(answer: &Answer, request_id: &str) {
    let (outcome, status, submitted) = match answer {
        Answer::Own(said) | Answer::Again(_, said) => {
            (said.outcome.word(), said.status, said.submitted)
        }
        Answer::Backend(response, _) => ("backend", response.status().as_u16(), None),
    };
    tracing::debug!(
        target: "formgate::answer",
        outcome, status, submitted, request_id,
        "answered {outcome} {status}",
    );
}

/// Writes down what a reply says for the operator only.
pub fn debug(called: &Called) {
    let Some(debug) = &called.debug else {
        return;
    };
    let job = &called.job;
    let text = shortened(&debug.to_string(), MAX_DEBUG);
    tracing::debug!(
        target: "formgate::trail",
        id = %job.id, hook = job.hook.as_str(), event = job.event.name(), form = job.form.as_str(), request_id = %job.request_id,
        debug = text.as_str(),
        "{} says: {text}", job.hook,
    );
}

/// How much of a reply's `debug` is written down, in characters.
const MAX_DEBUG: usize = 4000;
/// How many names or findings of one reply are written down.
const MAX_LISTED: usize = 20;
/// How much of each, in characters.
const MAX_TEXT: usize = 300;

/// At most so many characters, without any that could be taken for another line of the log.
pub(in crate::flow) fn shortened(text: &str, most: usize) -> String {
    let mut chars = text.chars().filter(|c| !c.is_control());
    let mut short: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// Writes down a job; `place` is where its hook is written.
pub fn job(job: &Job, place: Option<&Place>) {
    macro_rules! write_down {
        ($level:expr) => {
            tracing::event!(
                target: "formgate::job",
                $level,
                id = %job.id,
                kind = job.kind.word(),
                event = job.event.name(),
                form = job.form.as_str(),
                hook = job.hook.as_str(),
                request_id = %job.request_id,
                submission_id = job.submission_id.as_deref(),
                url = %job.url,
                run = job.run,
                sent_bytes = job.sent,
                received_bytes = job.received,
                connect_ms = job.timings.connect.map(millis),
                first_byte_ms = job.timings.first_byte.map(millis),
                total_ms = millis(job.timings.total),
                status = job.status,
                place = place.map(tracing::field::display),
                outcome = job.outcome.word(),
                would = job.would.map(crate::model::job::Outcome::word),
                changed = listed(&job.changed).as_deref(),
                faults = findings(&job.faults).as_deref(),
                warnings = findings(&job.warnings).as_deref(),
                let_through = job.let_through,
                conflict = job.conflict,
                "{} {} {} {} in {} ms", job.kind.word(), job.hook, job.event.name(), job.outcome.word(), millis(job.timings.total)
            )
        };
    }
    if job.outcome.is_failure() || !job.warnings.is_empty() {
        write_down!(Level::WARN);
    } else {
        write_down!(Level::INFO);
    }
}

/// Writes down what was decided about an event.
pub fn decision(decision: &Decision, form: &str, request_id: &str) {
    if !tracing::enabled!(target: "formgate::decision", Level::INFO) {
        return;
    }
    let course = course(decision);
    let changed: Vec<String> = decision.jdoc().keys().cloned().collect();
    let errors: Vec<String> = decision
        .field_errors()
        .map(|(field, _)| field.to_owned())
        .collect();
    tracing::info!(
        target: "formgate::decision",
        event = decision.event().name(),
        form,
        request_id,
        decision = course,
        messages = decision.messages().len(),
        errors = listed(&errors).as_deref(),
        changed = listed(&changed).as_deref(),
        overwritten = listed(decision.overwritten()).as_deref(),
        conflict = decision.conflict(),
        "{form} {} {course}",
        decision.event().name(),
    );
}

/// What was decided, in one word.
pub(in crate::flow) fn course(decision: &Decision) -> &'static str {
    match (decision.course(), decision.redirect()) {
        (Course::Continue, _) if decision.jdoc().is_empty() => "continued",
        (Course::Continue, _) => "patched",
        (Course::Stop, Some(_)) => "redirected",
        (Course::Stop, None) => "stopped",
        (Course::Unavailable, _) => "unavailable",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn listed(names: &[String]) -> Option<String> {
    some_of(names.iter().map(|name| shortened(name, MAX_TEXT)), ",")
}

fn findings(findings: &[Finding]) -> Option<String> {
    let texts = findings.iter();
    some_of(
        texts.map(|finding| shortened(&finding.to_string(), MAX_TEXT)),
        "; ",
    )
}

/// The first of them, and how many more there are.
fn some_of(texts: impl ExactSizeIterator<Item = String>, between: &str) -> Option<String> {
    let more = texts.len().saturating_sub(MAX_LISTED);
    let mut shown: Vec<String> = texts.take(MAX_LISTED).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    (!shown.is_empty()).then(|| shown.join(between))
}
