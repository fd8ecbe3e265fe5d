//! One call to one hook. Owns its attempts and their time; gives the job and what was replied, and keeps neither.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::hooks::answer;
use crate::hooks::answer::Answered;
use crate::hooks::answer::MAX_REPLY;
use crate::hooks::target;
use crate::hooks::target::Target;
use crate::hooks::turn::Turn;
use crate::model::call::Attempt;
use crate::model::call::Named;
use crate::model::call::Occasion;
use crate::model::doc::Doc;
use crate::model::job::Details;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Outcome;
use crate::model::job::Timings;
use crate::model::redirect::Allowed;
use crate::model::reply::Reply;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::model::trace::Trace;
use crate::rules::form::Form;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::arrival::TRACEPARENT;
use crate::wire::arrival::TRACESTATE;
use crate::wire::body::Outgoing;
use crate::wire::connect::ConnectError;
use crate::wire::paced::Broken;
use crate::wire::pool::Exchange;
use crate::wire::pool::SendError;
use crate::wire::proof::Key;

/// What a hook is asked, and on whose behalf.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The event as the hook is told it.
    pub named: Named<'a>,
    /// The form.
    pub form: &'a Form,
    /// The form's id.
    pub form_id: &'a str,
    /// What the call says besides the doc.
    pub occasion: &'a Occasion,
    /// The doc as changed so far.
    pub doc: &'a Doc,
    /// Where the person may be sent.
    pub allowed: Allowed<'a>,
    /// When the event's budget is spent.
    pub deadline: Instant,
    /// The trace that the call belongs to; where nobody writes down its span, one is named after the call's id.
    pub trace: &'a Trace,
    /// The gateway's key, which marks the call as its own.
    pub key: &'a Key,
    /// A new id: the job's, and the `webhook-id` of every attempt.
    pub id: uuid::Uuid,
    /// Whether the job is to hold what exactly was sent and received.
    pub keep: bool,
}

/// What came of a call.
#[derive(Debug)]
pub struct Called {
    /// The record.
    pub job: Job,
    /// The reply; `None` if the hook cannot be relied on.
    pub reply: Option<Reply>,
    /// What the reply says for the operator only, whether it can be used or not.
    pub debug: Option<Value>,
}

impl Called {
    /// Not called, for the reason that the job names.
    const fn skipped(job: Job) -> Self {
        Self {
            job,
            reply: None,
            debug: None,
        }
    }
}

/// What one attempt gave.
struct Attempted {
    reading: Reading,
    outcome: Option<Outcome>,
    status: Option<u16>,
    received: usize,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    again: Again,
}

/// Whether a second attempt is safe, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    After(Duration),
}

/// How long to wait before a connection is tried once more.
const RECONNECT: Duration = Duration::from_millis(100);

/// Calls a hook.
pub async fn call(target: &Target, ask: Ask<'_>) -> Called {
    let began = Instant::now();
    let mut job = job(target, ask);
    if ask.deadline <= began {
        job.faults.push(Finding::new(
            "budget",
            "the event's budget was spent before this hook's turn",
        ));
        return Called::skipped(job);
    }
    let timeout = target.rule.timeout;
    // Where there is no place at once, on the heap, so that the usual call has no room for it.
    let turn = match target.turns.now() {
        Some(turn) => Ok(turn),
        None => Box::pin(wait_for_turn(target, (began + timeout).min(ask.deadline))).await,
    };
    let _under_way = turn.is_ok().then(|| target.meter.under_way.hold());
    // Asked last: where one call is let through to see whether the hook is back, it must be made.
    let turn = turn.and_then(|turn| {
        let lets_through = target.breaker.lets_through(Instant::now());
        lets_through.then_some(turn).ok_or_else(left_alone)
    });
    let turn = match turn {
        Ok(turn) => turn,
        Err(finding) => {
            job.faults.push(finding);
            return Called::skipped(job);
        }
    };
    job.run = 1;
    let mut attempted = attempt(target, ask, &mut job, timeout.saturating_sub(turn.waited)).await;
    if let Again::After(wait) = attempted.again
        && wait < ask.deadline.saturating_duration_since(Instant::now())
    {
        tokio::time::sleep(wait).await;
        job.run = 2;
        // On the heap, so that a call that succeeds at once has no room for it.
        attempted = Box::pin(attempt(target, ask, &mut job, timeout)).await;
    }
    job.timings = Timings {
        connect: attempted.connect,
        first_byte: attempted.first_byte,
        total: began.elapsed(),
    };
    let mut called = conclude(job, attempted, ask);
    // A hook that ran out of the event's time or of what waiting had left, and not of its own, has not failed.
    let short = ask.deadline < began + timeout || !turn.waited.is_zero();
    let hurried = called.job.outcome == Outcome::TimedOut && short;
    if hurried {
        let why = hurry(turn.waited, timeout);
        called.job.faults.push(why);
    } else {
        let failed = called.job.outcome.is_failure();
        target.breaker.note(failed, Instant::now());
    }
    called
}

/// Why a hook had less than its own time.
fn hurry(waited: Duration, timeout: Duration) -> Finding {
    if waited.is_zero() {
        let why = format!("the event's budget left it less than its `timeout` of {timeout:?}");
        return Finding::new("budget", why);
    }
    let waited = waited.as_millis();
    let why = format!(
        "{waited} ms of its `timeout` of {timeout:?} went by while it waited for its turn (`at_once`)"
    );
    Finding::new("at_once", why)
}

/// Waits for a turn of a call that must be over at `end`; in vain where the hook is left alone.
async fn wait_for_turn(target: &Target, end: Instant) -> Result<Turn<'_>, Finding> {
    if target.breaker.is_open(Instant::now()) {
        return Err(left_alone());
    }
    let _waiting = target.meter.waiting.hold();
    let turn = target.turns.wait(end).await;
    turn.map_err(|none| Finding::new("at_once", none.to_string()))
}

fn left_alone() -> Finding {
    Finding::new(
        "breaker",
        "the hook failed too often in a row and is left alone for a while",
    )
}

/// The record of a call that has not been made yet.
#[must_use]
pub fn job(target: &Target, ask: Ask<'_>) -> Job {
    Job {
        id: ask.id.to_string(),
        kind: JobKind::Hook,
        event: ask.named.event,
        form: ask.form_id.to_owned(),
        hook: target.rule.name.clone(),
        request_id: ask.occasion.meta.request_id.clone(),
        submission_id: ask.occasion.form.submission_id.clone(),
        url: url(target, ask),
        run: 0,
        sent: 0,
        received: 0,
        timings: Timings::default(),
        status: None,
        outcome: Outcome::Skipped,
        would: None,
        faults: Vec::new(),
        warnings: Vec::new(),
        changed: Vec::new(),
        let_through: false,
        conflict: false,
        details: ask.keep.then(Box::default),
    }
}

fn conclude(mut job: Job, attempted: Attempted, ask: Ask<'_>) -> Called {
    let mut reading = attempted.reading;
    if attempted.outcome.is_none() {
        ask.form.admit(ask.named.event, &mut reading, ask.doc);
    }
    job.status = attempted.status;
    job.received = attempted.received;
    job.outcome = match attempted.outcome {
        Some(outcome) => outcome,
        None if !reading.faults.is_empty() => Outcome::Faulty,
        None => outcome_of(&reading.reply),
    };
    job.faults = reading.faults;
    job.warnings = reading.warnings;
    job.changed = reading.reply.jdoc().keys().cloned().collect();
    let usable = !job.outcome.is_failure();
    let debug = reading.reply.debug().cloned();
    if let Some(details) = &mut job.details {
        details.debug.clone_from(&debug);
    }
    Called {
        job,
        debug,
        reply: usable.then_some(reading.reply),
    }
}

/// What a reply comes to, if it is applied.
#[must_use]
pub fn outcome_of(reply: &Reply) -> Outcome {
    if reply.is_error() {
        Outcome::Stopped
    } else if reply.redirect().is_some() {
        Outcome::Redirected
    } else if reply.jdoc().is_empty() {
        Outcome::Continued
    } else {
        Outcome::Patched
    }
}

async fn attempt(target: &Target, ask: Ask<'_>, job: &mut Job, timeout: Duration) -> Attempted {
    let began = Instant::now();
    let allowed = timeout.min(ask.deadline.saturating_duration_since(began));
    let request = request(target, ask, job, allowed);
    let details = job.details.as_deref_mut();
    exchange(target, ask, request, began, allowed, details).await
}

async fn exchange(
    target: &Target,
    ask: Ask<'_>,
    request: Box<Request<Outgoing>>,
    began: Instant,
    allowed: Duration,
    details: Option<&mut Details>,
) -> Attempted {
    let exchange = match target.pool.send(request, allowed).await {
        Ok(exchange) => exchange,
        Err(error) => return Attempted::failed(&error),
    };
    let Exchange {
        response,
        connect,
        waited: first_byte,
    } = exchange;
    let (head, body) = response.into_parts();
    let text =
        |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let again = retry_after(
        head.status.as_u16(),
        text(header::RETRY_AFTER),
        Timestamp::now(),
    );
    let body = match body.until(began + allowed).whole(MAX_REPLY).await {
        Ok(body) => body,
        Err(Broken::Stalled(_)) => return Attempted::failed(&SendError::TimedOut(allowed)),
        Err(broken) => {
            let finding = Finding::new("body", format!("the reply broke off: {broken}"));
            return Attempted::without_answer(Outcome::Failed, finding, Again::No);
        }
    };
    let limits = Limits {
        nested: ask.form.nested || matches!(ask.doc, Doc::Json(_)),
        allowed: ask.allowed,
    };
    let answered = Answered::of(head.status, &head.headers, body);
    let (reading, outcome) = answer::read(&answered, limits);
    if let Some(details) = details {
        details.answer_headers.clone_from(&head.headers);
        details.received = answered.body.clone().unwrap_or_default();
        details.extracted = answer::extracted(&answered, &target.rule.extract);
    }
    Attempted {
        reading,
        outcome,
        status: Some(answered.status),
        received: answered.body.as_ref().map_or(MAX_REPLY, Bytes::len),
        connect,
        first_byte: Some(first_byte),
        again,
    }
}

/// 429 and 503 say when to come back; then nothing was done yet.
fn retry_after(status: u16, value: Option<&str>, now: Timestamp) -> Again {
    match (status, value.and_then(|value| wait(value.trim(), now))) {
        (429 | 503, Some(wait)) => Again::After(wait),
        _ => Again::No,
    }
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let wait = date.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default())
}

impl Attempted {
    fn failed(error: &SendError) -> Self {
        let mut at = "connection";
        let (outcome, again) = match error {
            // It would be refused again.
            SendError::Connect(ConnectError::Refused(..)) => {
                at = "egress";
                (Outcome::Failed, Again::No)
            }
            SendError::Connect(_) | SendError::Unsent(_) => {
                (Outcome::Failed, Again::After(RECONNECT))
            }
            SendError::TimedOut(_) => (Outcome::TimedOut, Again::No),
            SendError::Lost(_) | SendError::Upload(_) | SendError::Stalled(_) => {
                (Outcome::Failed, Again::No)
            }
        };
        Self::without_answer(outcome, Finding::new(at, error.to_string()), again)
    }

    fn without_answer(outcome: Outcome, finding: Finding, again: Again) -> Self {
        Self {
            reading: Reading {
                faults: vec![finding],
                ..Reading::default()
            },
            outcome: Some(outcome),
            status: None,
            received: 0,
            connect: None,
            first_byte: None,
            again,
        }
    }
}

/// The request of one attempt, signed.
pub fn request(
    target: &Target,
    ask: Ask<'_>,
    job: &mut Job,
    allowed: Duration,
) -> Box<Request<Outgoing>> {
    let now = Timestamp::now();
    let attempt = Attempt {
        sent_at: now,
        run: job.run,
    };
    let mut body = Vec::with_capacity(2048);
    let only = target.rule.fields.as_deref();
    ask.occasion
        .write_json(&mut body, ask.named, attempt, ask.doc, only);
    job.sent = body.len();
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let signature = target.signer.sign(&job.id, seconds, &body);
    let body = Bytes::from(body);
    if let Some(details) = &mut job.details {
        details.sent = body.clone();
    }
    let mut request = Box::new(Request::new(Outgoing::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(target, ask);
    let headers = request.headers_mut();
    headers.clone_from(&target.headers);
    headers.insert(header::CONTENT_LENGTH, job.sent.into());
    set(headers, &target::ID, &job.id);
    headers.insert(&target::TIMESTAMP, seconds.into());
    if let Some(signature) = signature {
        set(headers, &target::SIGNATURE, &signature);
    }
    set(headers, &target::EVENT, &encoded(&ask.named.to_string()));
    let millis = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX);
    headers.insert(&target::TIMEOUT_MS, millis.into());
    let (_, low) = ask.id.as_u64_pair();
    set(headers, &TRACEPARENT, &ask.trace.parent(low));
    if let Some(state) = &ask.trace.state {
        set(headers, &TRACESTATE, state);
    }
    set(headers, &REQUEST_ID, &job.request_id);
    ask.key.mark(headers, seconds);
    if let Some(details) = &mut job.details {
        details.method = Method::POST.to_string();
        details.headers.clone_from(headers);
    }
    request
}

/// Ids, numbers and percent-encoded names are always good header values.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The URL as it is written down: with its slots filled, without its query.
fn url(target: &Target, ask: Ask<'_>) -> String {
    match target.uri {
        Some(_) => target.url.clone(),
        None => written(target, &uri(target, ask)),
    }
}

/// The URL of a call to this path and query, as it is written down.
#[must_use]
pub fn written(target: &Target, uri: &Uri) -> String {
    match target.uri {
        Some(_) => target.url.clone(),
        None => format!("{}{}", target.rule.origin, uri.path()),
    }
}

fn uri(target: &Target, ask: Ask<'_>) -> Uri {
    match &target.uri {
        Some(uri) => uri.clone(),
        None => filled_uri(target, ask.form_id, &ask.named.to_string()),
    }
}

/// Path and query of a call about this form and event.
#[must_use]
pub fn filled_uri(target: &Target, form: &str, event: &str) -> Uri {
    let filled = target.rule.target.fill(|slot| {
        let value = if slot == "form" { form } else { event };
        encoded(value).into_owned().into()
    });
    // Checked when the rule file was read; the slots are percent-encoded.
    filled.parse().unwrap_or_default()
}

fn encoded(text: &str) -> Cow<'_, str> {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_busy_servers_are_asked_again() {
        let now: Timestamp = "1994-11-06T08:49:35Z".parse().expect("a time");
        let again = |status, value| retry_after(status, value, now);
        let after = |seconds| Again::After(Duration::from_secs(seconds));
        assert_eq!(again(503, Some("2")), after(2));
        assert_eq!(again(503, Some("Sun, 06 Nov 1994 08:49:37 GMT")), after(2));
        assert_eq!(again(429, Some("Sun, 06 Nov 1994 08:49:30 GMT")), after(0));
        assert_eq!(again(429, Some("soon")), Again::No);
        assert_eq!(again(503, None), Again::No);
        assert_eq!(again(500, Some("1")), Again::No);
    }
}
