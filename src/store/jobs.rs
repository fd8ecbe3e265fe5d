//! Jobs and timelines as rows. Owns their tables, writing them, and finding them again; how they are shown is left to
//! whoever asks.

use bytes::Bytes;
use http::HeaderMap;
use http::header;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::model::job::Details;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::model::job::KEPT_OF_ANSWER;
use crate::model::job::Outcome;
use crate::model::timeline::Timeline;
use crate::store::engine::Arg;
use crate::store::engine::Engine;
use crate::store::engine::Row;
use crate::store::engine::Statement;
use crate::store::engine::StoreError;
use crate::store::engine::Table;
use crate::store::writer::Record;
use crate::store::writer::Rows;
use crate::wire::proof::PROOF;

static JOBS: Table = Table {
    into: "jobs (id, at, kind, event, form, hook, outcome, request_id, submission_id, person, record)",
};
static CONTENTS: Table = Table {
    into: "contents (id, at, details, sent, received)",
};
static TIMELINES: Table = Table {
    into: "timelines (id, at, form, outcome, request_id, submission_id, person, record)",
};

/// Adds what was recorded to the rows of a commit.
pub(in crate::store) fn rows(record: Record, rows: &mut Rows) {
    match record {
        Record::Job(job) => job_rows(*job, rows),
        Record::Timeline(timeline) => timeline_row(*timeline, rows),
    }
}

/// Writes down one job at once.
///
/// # Errors
/// The engine refuses.
pub async fn keep(engine: &Engine, job: Job) -> Result<(), StoreError> {
    let mut rows = Rows::default();
    job_rows(job, &mut rows);
    rows.commit(engine).await
}

fn job_rows(mut job: Job, rows: &mut Rows) {
    let details = job.details.take().unwrap_or_default();
    let at = time_of(&job.id);
    let record = record(&job, &details, at);
    if has_contents(&details) {
        let kept = |bytes: &Bytes| (!bytes.is_empty()).then(|| bytes.clone());
        let received = details
            .received
            .slice(..details.received.len().min(KEPT_OF_ANSWER));
        rows.insert(
            &CONTENTS,
            vec![
                Arg::text(job.id.as_str()),
                Arg::int(at),
                Arg::text(contents(&details).to_string()),
                Arg::Bytes(kept(&details.sent)),
                Arg::Bytes(kept(&received)),
            ],
        );
    }
    rows.insert(
        &JOBS,
        vec![
            Arg::text(job.id),
            Arg::int(at),
            Arg::text(job.kind.word()),
            Arg::text(job.event.name()),
            Arg::text(job.form),
            Arg::text(job.hook),
            Arg::text(job.outcome.word()),
            Arg::text(job.request_id),
            Arg::maybe(job.submission_id.as_deref()),
            Arg::maybe(details.person.as_deref()),
            Arg::text(record.to_string()),
        ],
    );
}

fn has_contents(details: &Details) -> bool {
    details.contents_weight() > 0
}

/// Milliseconds since 1970 that an id of version 7 holds; now, for any other.
fn time_of(id: &str) -> i64 {
    let made = uuid::Uuid::parse_str(id).ok();
    let made = made.and_then(|id| id.get_timestamp());
    let millis = made.map(|made| {
        let (seconds, nanos) = made.to_unix();
        let millis = seconds.saturating_mul(1000) + u64::from(nanos / 1_000_000);
        i64::try_from(millis).unwrap_or(i64::MAX)
    });
    millis.unwrap_or_else(|| Timestamp::now().as_millisecond())
}

/// A moment as records have it.
#[must_use]
pub fn shown(at: i64) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.3}")
}

/// What is kept as long as the job.
fn record(job: &Job, details: &Details, at: i64) -> Value {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let list = |findings: &[Finding]| -> Value {
        let texts = findings.iter();
        texts
            .map(|finding| json!({"place": finding.place, "text": finding.text}))
            .collect()
    };
    json!({
        "id": job.id,
        "at": shown(at),
        "kind": job.kind.word(),
        "event": job.event.name(),
        "form": job.form,
        "hook": job.hook,
        "place": details.place,
        "request_id": job.request_id,
        "submission_id": job.submission_id,
        "method": details.method,
        "url": job.url,
        "run": job.run,
        "outcome": job.outcome.word(),
        "would": job.would.map(Outcome::word),
        "status": job.status,
        "sent_bytes": job.sent,
        "received_bytes": job.received,
        "connect_us": job.timings.connect.map(micros),
        "first_byte_us": job.timings.first_byte.map(micros),
        "total_us": micros(job.timings.total),
        "changed": job.changed,
        "faults": list(&job.faults),
        "warnings": list(&job.warnings),
        "let_through": job.let_through,
        "conflict": job.conflict,
        "extracted": details.extracted,
        "replay_of": details.replay_of,
        "bodies_dropped": details.dropped,
    })
}

/// What may hold values, besides the bodies.
fn contents(details: &Details) -> Value {
    json!({
        "sent_headers": headers(&details.headers),
        "received_headers": headers(&details.answer_headers),
        "patch": details.patch,
        "debug": details.debug,
    })
}

/// Headers whose values are nobody's business, whoever set them.
const MASKED: [header::HeaderName; 5] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::WWW_AUTHENTICATE,
];

/// Names and values, secrets masked.
fn headers(map: &HeaderMap) -> Value {
    let lines = map.iter().map(|(name, value)| {
        let secret = value.is_sensitive() || *name == PROOF || MASKED.contains(name);
        let value = if secret {
            "***".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        json!([name.as_str(), value])
    });
    lines.collect()
}

fn timeline_row(timeline: Timeline, rows: &mut Rows) {
    let at = time_of(&timeline.id);
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let steps = timeline.steps.iter().map(|step| {
        let mut one = Map::new();
        one.insert("step".to_owned(), step.kind.word().into());
        one.insert("at_us".to_owned(), micros(step.at).into());
        one.insert("took_us".to_owned(), micros(step.took).into());
        one.extend(step.about.clone());
        Value::Object(one)
    });
    let steps: Vec<Value> = steps.collect();
    let record = json!({
        "id": timeline.id,
        "at": shown(at),
        "form": timeline.form,
        "request_id": timeline.request_id,
        "submission_id": timeline.submission_id,
        "outcome": timeline.outcome,
        "steps": steps,
    });
    rows.insert(
        &TIMELINES,
        vec![
            Arg::text(timeline.id),
            Arg::int(at),
            Arg::text(timeline.form),
            Arg::text(timeline.outcome),
            Arg::text(timeline.request_id),
            Arg::maybe(timeline.submission_id.as_deref()),
            Arg::maybe(timeline.person.as_deref()),
            Arg::text(record.to_string()),
        ],
    );
}

/// Which jobs are wanted; what is not said is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The form.
    pub form: Option<String>,
    /// The hook, or `update`.
    pub hook: Option<String>,
    /// The outcome.
    pub outcome: Option<String>,
    /// The submission.
    pub submission: Option<String>,
    /// The request.
    pub request: Option<String>,
    /// From this moment on, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Before this moment.
    pub until: Option<i64>,
    /// Those after this id, oldest first; else the newest first.
    pub after: Option<String>,
    /// How many at most.
    pub most: u32,
}

/// Jobs that fit.
///
/// # Errors
/// The store cannot be read.
pub async fn list(engine: &Engine, filter: &Filter) -> Result<Vec<Value>, StoreError> {
    let mut wanted = Statement::growing("SELECT record, submission_id, erased FROM jobs");
    let texts = [
        ("form = ", &filter.form),
        ("hook = ", &filter.hook),
        ("outcome = ", &filter.outcome),
        ("submission_id = ", &filter.submission),
        ("request_id = ", &filter.request),
        ("id > ", &filter.after),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(test, text)| Some((test, Arg::text(text.as_deref()?))));
    let times = [("at >= ", filter.since), ("at < ", filter.until)];
    let times = times
        .into_iter()
        .filter_map(|(test, time)| Some((test, Arg::int(time?))));
    for (number, (test, arg)) in texts.chain(times).enumerate() {
        wanted.push(if number == 0 { " WHERE " } else { " AND " });
        wanted.push(test).bind(arg);
    }
    let order = match filter.after {
        Some(_) => " ORDER BY id LIMIT ",
        None => " ORDER BY at DESC, id DESC LIMIT ",
    };
    wanted.push(order).bind(Arg::int(filter.most.into()));
    let rows = engine.rows(wanted).await?;
    rows.iter().map(job_of).collect()
}

fn job_of(row: &Row) -> Result<Value, StoreError> {
    let mut job = parsed(&row.text(0)?);
    let erased = row.int(2)?;
    if let (true, Some(job)) = (erased > 0, job.as_object_mut()) {
        job.insert("erased".to_owned(), shown(erased).into());
    }
    Ok(job)
}

/// A record without the values that were taken out of the answer.
pub(in crate::store) fn without_values(record: &str) -> String {
    let mut record = parsed(record);
    if let Some(record) = record.as_object_mut() {
        record.insert("extracted".to_owned(), json!({}));
    }
    record.to_string()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// A job with everything that is still kept of it.
#[derive(Debug)]
pub struct Found {
    /// The record.
    pub job: Value,
    /// Headers, changes, what was said to the operator.
    pub contents: Option<Value>,
    /// The body that was sent.
    pub sent: Option<Vec<u8>>,
    /// The body of the answer.
    pub received: Option<Vec<u8>>,
}

/// The job of this id.
///
/// # Errors
/// The store cannot be read.
pub async fn find(engine: &Engine, id: &str) -> Result<Option<Found>, StoreError> {
    let text = "SELECT j.record, j.submission_id, j.erased, c.details, c.sent, c.received \
                FROM jobs j LEFT JOIN contents c ON c.id = j.id WHERE j.id = $1";
    let rows = engine.rows(Statement::new(text, [Arg::text(id)])).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Found {
        job: job_of(row)?,
        contents: row.maybe_text(3)?.as_deref().map(parsed),
        sent: row.maybe_bytes(4)?,
        received: row.maybe_bytes(5)?,
    }))
}

/// The timelines of a request: one, unless an id was used again.
///
/// # Errors
/// The store cannot be read.
pub async fn timelines(engine: &Engine, request_id: &str) -> Result<Vec<Value>, StoreError> {
    let text = "SELECT record FROM timelines WHERE request_id = $1 ORDER BY id";
    let rows = engine
        .rows(Statement::new(text, [Arg::text(request_id)]))
        .await?;
    rows.iter().map(|row| Ok(parsed(&row.text(0)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_among_headers_are_masked() {
        let mut map = HeaderMap::new();
        let mut token = header::HeaderValue::from_static("hush");
        token.set_sensitive(true);
        map.insert("x-token", token);
        map.insert("set-cookie", header::HeaderValue::from_static("a=hush"));
        map.insert(&PROOF, header::HeaderValue::from_static("hush"));
        map.insert("x-plain", header::HeaderValue::from_static("plain"));
        let shown = headers(&map).to_string();
        assert!(
            !shown.contains("hush") && shown.contains("plain"),
            "{shown}"
        );
    }

    #[test]
    fn an_id_holds_its_time() {
        let before = Timestamp::now().as_millisecond();
        let at = time_of(&uuid::Uuid::now_v7().to_string());
        assert!((before..=before + 60_000).contains(&at), "{at}");
        assert!(
            shown(0).starts_with("1970-01-01T00:00:00.000"),
            "{}",
            shown(0)
        );
    }
}
