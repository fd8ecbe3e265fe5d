//! The demo's live log: for every form that is opened or sent, who was asked, what was decided and why. Owns how it
//! looks in a terminal, and the same as JSON lines; what is said comes from the flow's journal, which knows names and
//! sizes of fields and no values.

use std::fmt;

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::out;
use crate::flow::journal;

/// Begins to log.
///
/// # Errors
/// Something logs already.
pub(in crate::cli::demo) fn begin(as_json: bool) -> Result<(), String> {
    let wanted = Targets::new()
        .with_default(Level::WARN)
        .with_target("formgate", Level::DEBUG)
        .with_target("formgate::gateway", Level::INFO);
    let begun = registry()
        .with(Log { as_json }.with_filter(wanted))
        .try_init();
    begun.map_err(|error| format!("logging could not begin: {error}"))
}

#[derive(Debug)]
struct Log {
    as_json: bool,
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.as_json {
            out::json(&Value::Object(as_json(event.metadata(), fields.0)));
        } else {
            print(event.metadata(), &fields);
        }
    }
}

fn as_json(metadata: &Metadata<'_>, fields: Map<String, Value>) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("at".to_owned(), Timestamp::now().to_string().into());
    line.insert("target".to_owned(), metadata.target().into());
    line.extend(fields);
    line
}

/// What a line is about, for its colour.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Plain,
    Good,
    Notable,
    Bad,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Notable => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "stopped" | "unavailable" | "faulty" | "failed" | "timed_out" | "skipped"
            | "rejected" | "backend_failed" | "refuses" => Self::Bad,
            "patched" | "redirected" | "shadow" | "normalises" => Self::Notable,
            "delivered" | "continued" => Self::Good,
            _ => Self::Plain,
        }
    }
}

/// Prints a line for people.
fn print(metadata: &Metadata<'_>, fields: &Fields) {
    let (who, tone, what) = match metadata.target() {
        journal::ARRIVAL => return head(fields),
        journal::LOCAL => local(fields),
        journal::JOB => job(fields),
        journal::DECISION => decision(fields),
        journal::ANSWER => answer(fields),
        "formgate::demo" => ("site", Tone::Good, fields.text("message")),
        _ => {
            let bad = *metadata.level() <= Level::WARN;
            let tone = if bad { Tone::Bad } else { Tone::Good };
            ("gateway", tone, fields.text("message"))
        }
    };
    let tag = fields.tag();
    out::line(&format!(
        "         \x1b[2m{tag}\x1b[0m  {who:<9} {}{what}\x1b[0m",
        tone.code()
    ));
}

/// The line that begins a request.
fn head(fields: &Fields) {
    let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    let mut about = vec![format!("form {}", fields.text("form"))];
    about.extend(fields.get("content_type").map(shown));
    about.extend(
        fields
            .get("bytes")
            .map(|bytes| format!("{} bytes", shown(bytes))),
    );
    let names = fields.text("fields");
    if !names.is_empty() {
        about.push(out::count(names.split(',').count(), "field"));
    }
    let (tag, method, path) = (fields.tag(), fields.text("method"), fields.text("path"));
    out::line(&format!(
        "{time} \x1b[2m{tag}\x1b[0m  \x1b[1m{method} {path}\x1b[0m  {}",
        about.join(", ")
    ));
}

fn job(fields: &Fields) -> (&'static str, Tone, String) {
    let outcome = fields.text("outcome");
    if fields.text("kind") == "update" {
        return ("update", Tone::of(&outcome), update(fields));
    }
    let hook = fields.text("hook");
    let mut what = match fields.get("would").map(shown) {
        Some(would) => format!("{hook}: in shadow, not applied: {}", verb(fields, &would)),
        None => format!("{hook}: {}", verb(fields, &outcome)),
    };
    what.push_str(&took(fields));
    if fields.text("let_through") == "true" {
        what.push_str("; the form goes on all the same");
    }
    what.push_str(&found(fields));
    if let Some(place) = fields.get("place").map(shown) {
        what.push_str(&format!("\x1b[0m  \x1b[2m{place}"));
    }
    ("hook", Tone::of(&outcome), what)
}
/// What a hook did, as the verb of a sentence.
fn verb(fields: &Fields, outcome: &str) -> String {
    let changed = fields.text("changed").replace(',', ", ");
    match outcome {
        "stopped" if fields.text("conflict") == "true" => {
            format!("gives an error and changes {changed} at once")
        }
        "patched" => format!("changes {changed}"),
        "continued" => "goes on".to_owned(),
        "stopped" => "stops".to_owned(),
        "redirected" => "redirects".to_owned(),
        "faulty" => "gave a faulty reply".to_owned(),
        "timed_out" => "took too long".to_owned(),
        "skipped" => "is not called".to_owned(),
        other => other.to_owned(),
    }
}

/// The update of a submission that the site had taken.
fn update(fields: &Fields) -> String {
    let changed = fields.text("changed").replace(',', ", ");
    let done = if fields.text("outcome") == "delivered" {
        "sent to the site"
    } else {
        "not sent to the site"
    };
    format!("{changed} {done}{}{}", took(fields), found(fields))
}

fn took(fields: &Fields) -> String {
    let status = fields
        .get("status")
        .map(|status| format!(", status {}", shown(status)));
    format!(
        " in {} ms{}",
        fields.text("total_ms"),
        status.unwrap_or_default()
    )
}

/// What was wrong or odd.
fn found(fields: &Fields) -> String {
    let found = ["faults", "warnings"]
        .into_iter()
        .filter_map(|name| fields.get(name));
    found.map(|found| format!("; {}", shown(found))).collect()
}

fn local(fields: &Fields) -> (&'static str, Tone, String) {
    let (what, place) = (fields.text("what"), fields.text("place"));
    let field = fields.get("field").map(shown);
    let who = if field.is_some() { "field" } else { "rule" };
    let about = field
        .map(|field| format!("{what} {field}"))
        .unwrap_or_else(|| what.clone());
    (
        who,
        Tone::of(&what),
        format!("{about}\x1b[0m  \x1b[2m{place}"),
    )
}

fn decision(fields: &Fields) -> (&'static str, Tone, String) {
    let course = fields.text("decision");
    let mut parts = vec![format!("{}: {course}", fields.text("event"))];
    for (name, word) in [
        ("errors", "errors in"),
        ("changed", "changed"),
        ("overwritten", "overwritten"),
    ] {
        parts.extend(
            fields
                .get(name)
                .map(|names| format!("{word} {}", shown(names).replace(',', ", "))),
        );
    }
    let messages = fields
        .get("messages")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if messages > 0 {
        parts.push(out::count(
            usize::try_from(messages).unwrap_or(usize::MAX),
            "message",
        ));
    }
    ("decision", Tone::of(&course), parts.join("; "))
}

fn answer(fields: &Fields) -> (&'static str, Tone, String) {
    let (outcome, status) = (fields.text("outcome"), fields.text("status"));
    let saved = match fields.get("submitted") {
        Some(Value::Bool(false)) => "; nothing was submitted",
        _ => "",
    };
    let what = match outcome.as_str() {
        "backend" => format!("{status}, the site's own"),
        // Pages are sent there by a 303, scripts are told.
        "redirected" => format!("sent elsewhere{saved}"),
        _ => format!("{status} {outcome}{saved}"),
    };
    ("answer", Tone::of(&outcome), what)
}

/// An event's fields by name.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).map(shown).unwrap_or_default()
    }

    /// A few characters that tell requests under way apart.
    fn tag(&self) -> String {
        let id = self.text("request_id");
        let tail = id
            .char_indices()
            .nth_back(3)
            .map_or(id.as_str(), |(at, _)| &id[at..]);
        format!("{tail:<4}")
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }
}
