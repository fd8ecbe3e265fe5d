//! `formgate jobs show`: one call with all that is kept of it, and its request from beginning to end as a waterfall.
//! Owns how that looks; finding it is `store`'s.

use std::process::ExitCode;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::cli::jobs::coloured;
use crate::cli::jobs::millis;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::model::timeline::StepKind;
use crate::store::engine::Engine;
use crate::store::jobs;
use crate::store::jobs::Filter;
use crate::store::jobs::Found;

/// How wide a waterfall is, in characters.
const WIDTH: u64 = 40;
/// The most calls of one request that are shown.
const MOST: u32 = 500;

/// Shows a job, or all of a request.
///
/// # Errors
/// There is neither.
pub(in crate::cli) async fn run(
    engine: &Engine,
    id: &str,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let found = jobs::find(engine, id).await?;
    let request = found.as_ref().map_or(id, |found| {
        found.job["request_id"].as_str().unwrap_or_default()
    });
    let filter = Filter {
        request: Some(request.to_owned()),
        after: Some(String::new()),
        most: MOST,
        ..Filter::default()
    };
    let calls = jobs::list(engine, &filter).await?;
    let timelines = jobs::timelines(engine, request).await?;
    if found.is_none() && calls.is_empty() && timelines.is_empty() {
        bail!("there is no job and no request `{id}`");
    }
    if as_json {
        out::json(&json!({
            "job": found.as_ref().map(whole), "timelines": timelines, "jobs": calls,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(found) = &found {
        print(found);
    }
    waterfall(&rows(&timelines, &calls), request);
    Ok(ExitCode::SUCCESS)
}

/// A job with its contents, for machines. A body that is no UTF-8 comes as base64.
pub(in crate::cli) fn whole(found: &Found) -> Value {
    let body = |bytes: &Option<Vec<u8>>| match bytes.as_deref().map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => text.into(),
        Some(Err(_)) => {
            let bytes = bytes.as_deref().unwrap_or_default();
            json!({"base64": STANDARD.encode(bytes)})
        }
    };
    let mut job = found.job.clone();
    if let Some(job) = job.as_object_mut() {
        let contents = found.contents.as_ref().and_then(Value::as_object);
        job.extend(contents.cloned().unwrap_or_default());
        job.insert("sent".to_owned(), body(&found.sent));
        job.insert("received".to_owned(), body(&found.received));
    }
    job
}

pub(in crate::cli) fn print(found: &Found) {
    let job = &found.job;
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    out::line(&format!(
        "{} {} {} {}",
        paint(Paint::Bold, text("id")),
        text("event"),
        text("hook"),
        coloured(text("outcome")),
    ));
    for name in [
        "at",
        "form",
        "place",
        "request_id",
        "submission_id",
        "method",
        "url",
        "run",
        "status",
        "replay_of",
        "erased",
    ] {
        match &job[name] {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => fact(name, text),
            other => fact(name, &other.to_string()),
        }
    }
    let time = |name: &str| job[name].as_u64().map(millis);
    let times = [
        ("connect_us", "connect"),
        ("first_byte_us", "first byte"),
        ("total_us", "total"),
    ];
    let times = times
        .iter()
        .filter_map(|(name, word)| Some(format!("{word} {}", time(name)?)));
    fact("times", &times.collect::<Vec<_>>().join(", "));
    for (name, paint_as) in [("faults", Paint::Red), ("warnings", Paint::Yellow)] {
        for finding in job[name].as_array().into_iter().flatten() {
            let place = finding["place"].as_str().unwrap_or_default();
            let said = finding["text"].as_str().unwrap_or_default();
            fact(
                name,
                &paint(paint_as, &format!("{}: {}", plain(place), plain(said))),
            );
        }
    }
    match &found.contents {
        Some(contents) => {
            for (field, change) in contents["patch"].as_object().into_iter().flatten() {
                let (from, to) = (&change["from"], &change["to"]);
                fact("patch", &plain(&format!("{field}: {from} → {to}")));
            }
            if !contents["debug"].is_null() {
                fact("debug", &plain(&contents["debug"].to_string()));
            }
            message("sent", &contents["sent_headers"], found.sent.as_deref());
            let received = found.received.as_deref();
            message("received", &contents["received_headers"], received);
        }
        None if job["erased"].is_string() => fact("contents", "erased"),
        None => fact("contents", "not kept, or not any longer"),
    }
    for (name, value) in job["extracted"].as_object().into_iter().flatten() {
        fact("extracted", &plain(&format!("{name}: {value}")));
    }
    if job["bodies_dropped"] == true {
        fact("bodies", "dropped: too much waited to be written");
    }
    out::line("");
}

fn fact(name: &str, value: &str) {
    out::line(&format!("  {name:<14} {value}"));
}

/// A message as it went over the wire.
fn message(heading: &str, headers: &Value, body: Option<&[u8]>) {
    out::line(&format!("  {}", paint(Paint::Dim, heading)));
    for line in headers.as_array().into_iter().flatten() {
        let part = |at: usize| line[at].as_str().unwrap_or_default();
        out::line(&format!("    {}: {}", plain(part(0)), plain(part(1))));
    }
    for line in String::from_utf8_lossy(body.unwrap_or_default()).lines() {
        out::line(&format!("    {}", plain(line)));
    }
}

/// Text without what could command a terminal: it may come from anybody.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// The step whose row stands where it ends.
const DECIDED: &str = StepKind::Decided.word();

/// One row of a waterfall, in microseconds from the beginning.
struct Row {
    at: u64,
    took: u64,
    name: String,
    said: String,
}

fn rows(timelines: &[Value], calls: &[Value]) -> Vec<Row> {
    let millis = |value: &Value| {
        let at = value["at"]
            .as_str()
            .and_then(|at| at.parse::<Timestamp>().ok());
        at.unwrap_or_default().as_millisecond()
    };
    let all = timelines.iter().chain(calls).map(millis);
    let first = all.min().unwrap_or_default();
    let offset = |value: &Value| {
        let after = u64::try_from(millis(value) - first).unwrap_or_default();
        after * 1000
    };
    let mut rows: Vec<Row> = Vec::new();
    for timeline in timelines {
        let began = offset(timeline);
        for step in timeline["steps"].as_array().into_iter().flatten() {
            let number = |name: &str| step[name].as_u64().unwrap_or_default();
            rows.push(Row {
                at: began + number("at_us"),
                took: number("took_us"),
                name: step["step"].as_str().unwrap_or_default().to_owned(),
                said: said(step),
            });
        }
    }
    for call in calls {
        let text = |name: &str| call[name].as_str().unwrap_or_default();
        rows.push(Row {
            at: offset(call),
            took: call["total_us"].as_u64().unwrap_or_default(),
            name: format!("{} {}", text("kind"), text("hook")),
            said: coloured(text("outcome")),
        });
    }
    // What was decided stands after what it came from; everything else where it began.
    rows.sort_by_key(|row| {
        if row.name == DECIDED {
            row.at + row.took
        } else {
            row.at
        }
    });
    rows
}

/// What a step says, in a few words.
fn said(step: &Value) -> String {
    let words = [
        "event", "decision", "place", "what", "field", "method", "path", "outcome", "status",
        "error",
    ];
    let words = words.iter().filter_map(|name| match &step[*name] {
        Value::String(text) => Some(plain(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn waterfall(rows: &[Row], request: &str) {
    let whole = rows.iter().map(|row| row.at + row.took).max();
    let whole = whole.unwrap_or_default().max(1);
    out::line(&format!(
        "{} {}",
        paint(Paint::Bold, "request"),
        plain(request)
    ));
    for row in rows {
        let (before, length) = (row.at * WIDTH / whole, row.took * WIDTH / whole);
        let before = before.min(WIDTH - 1);
        let length = length.clamp(1, WIDTH - before);
        let bar = |count: u64, mark: &str| mark.repeat(usize::try_from(count).unwrap_or_default());
        let line = format!(
            "{}{}{}",
            bar(before, " "),
            bar(length, if row.took == 0 { "·" } else { "█" }),
            bar(WIDTH - before - length, " ")
        );
        let took = if row.took == 0 {
            String::new()
        } else {
            millis(row.took)
        };
        out::line(&format!(
            "  {:<20} {line} {took:>10}  {}",
            plain(&row.name),
            row.said
        ));
    }
}
