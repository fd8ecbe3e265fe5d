//! The demo's backend: the site of a summer camp, which keeps what it receives in memory. Owns its pages and what it
//! stores; it knows nothing of the gateway in front of it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http_body_util::Full;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::demo::server::Answers;
use crate::codec;
use crate::codec::Limits;
use crate::codec::Settings;
use crate::codec::content_type::ContentType;
use crate::codec::content_type::Format;
use crate::codec::multipart::Scanner;
use crate::codec::rejected::Rejected;
use crate::model::doc::Doc;
use crate::model::hidden::Hidden;

const LAYOUT: &str = include_str!("pages/layout.html");
const STYLE: &str = include_str!("pages/site.css");
const SCRIPT: &str = include_str!("pages/site.js");

/// Something a person sent.
#[derive(Debug, Clone)]
struct Entry {
    form: String,
    content_type: String,
    fields: Map<String, Value>,
    /// Fields that were changed after it had been saved.
    updated: Vec<String>,
}

/// The site.
#[derive(Debug)]
pub(in crate::cli::demo) struct Site {
    /// Where people reach it: the gateway.
    origin: String,
    /// The token that API traffic proves itself with, to be shown.
    token: String,
    /// What a forged post does not know.
    csrf: String,
    entries: Mutex<Vec<Entry>>,
}

type Page = Response<Full<Bytes>>;

impl Answers for Site {
    fn answer(&self, head: &Parts, body: &Bytes) -> Option<Page> {
        let path = head.uri.path();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        Some(match (&head.method, parts.as_slice()) {
            (&Method::GET | &Method::HEAD, parts) => self.get(head, path, parts),
            (&Method::POST, ["camps", _, "enroll"]) => self.save("enrollment", head, body),
            (&Method::POST, ["contact"]) => self.save("contact", head, body),
            (&Method::POST, ["newsletter"]) => self.save("newsletter", head, body),
            (&Method::POST, ["forms", form]) => self.save(form, head, body),
            (&Method::PATCH, ["api", "enrolments", id]) => self.update(id, head, body),
            _ => message(StatusCode::NOT_FOUND, "Not found", "There is nothing here."),
        })
    }
}

impl Site {
    /// A site that people reach at `origin`.
    pub(in crate::cli::demo) fn new(origin: String, token: &str) -> Self {
        Self {
            origin,
            token: token.trim().to_owned(),
            csrf: uuid::Uuid::now_v7().to_string(),
            entries: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, head: &Parts, path: &str, parts: &[&str]) -> Page {
        match parts {
            [""] => {
                let slots = [
                    ("origin", escape(&self.origin)),
                    ("token", escape(&self.token)),
                ];
                page(
                    "What to try",
                    &fill(include_str!("pages/start.html"), &slots),
                )
            }
            ["site.css"] => file("text/css; charset=utf-8", STYLE),
            ["site.js"] => file("text/javascript; charset=utf-8", SCRIPT),
            ["camps", camp, "enroll"] => {
                let camp = format!("the {} camp", escape(camp));
                let slots = [
                    ("camp", camp.clone()),
                    ("path", escape(path)),
                    ("csrf", self.csrf.clone()),
                ];
                let main = fill(include_str!("pages/enroll.html"), &slots);
                page(&format!("Enrol for {camp}"), &main)
            }
            ["camps", _, "full"] => page("Full", include_str!("pages/full.html")),
            ["contact"] => page("Contact", include_str!("pages/contact.html")),
            ["newsletter"] => page("Newsletter", include_str!("pages/newsletter.html")),
            ["press"] => page("For the press", include_str!("pages/press.html")),
            ["pay", id] => {
                let slots = [("id", escape(id))];
                page("Payment", &fill(include_str!("pages/pay.html"), &slots))
            }
            ["enrolments" | "entries", id] => self.show(id),
            ["received"] if wants_page(head) => self.list(),
            ["received"] => self.list_json(),
            _ => message(StatusCode::NOT_FOUND, "Not found", "There is no such page."),
        }
    }

    /// Keeps what a form sent, and says where it can be seen.
    fn save(&self, form: &str, head: &Parts, body: &Bytes) -> Page {
        let (kind, fields) = match read(head, body) {
            Ok(read) => read,
            Err(rejected) => {
                return message(StatusCode::BAD_REQUEST, "Not understood", &rejected.text);
            }
        };
        if form == "enrollment"
            && fields.get("csrf_token").and_then(Value::as_str) != Some(&self.csrf)
        {
            let text = "This form does not come from this site, or from before it was started again. Please open it anew.";
            return message(StatusCode::FORBIDDEN, "Not taken", text);
        }
        let mut entries = self.entries();
        let id = entries.len() + 1;
        note(
            head,
            &format!("{form} {id} saved, {kind}: {}", names(&fields)),
        );
        entries.push(Entry {
            form: form.to_owned(),
            content_type: kind,
            fields,
            updated: Vec::new(),
        });
        drop(entries);
        let folder = if form == "enrollment" {
            "enrolments"
        } else {
            "entries"
        };
        let location = format!("/{folder}/{id}");
        let mut answer = if wants_page(head) {
            message(StatusCode::SEE_OTHER, "Saved", "It is saved.")
        } else {
            json_page(StatusCode::CREATED, &json!({ "id": id }))
        };
        if let Ok(location) = HeaderValue::from_str(&location) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }

    /// Changes an entry that has been saved.
    fn update(&self, id: &str, head: &Parts, body: &Bytes) -> Page {
        let mut entries = self.entries();
        let entry = id
            .parse::<usize>()
            .ok()
            .and_then(|id| entries.get_mut(id.checked_sub(1)?));
        let (Some(entry), Ok(Value::Object(changes))) = (entry, serde_json::from_slice(body))
        else {
            return json_page(
                StatusCode::NOT_FOUND,
                &json!({"error": "no such enrolment"}),
            );
        };
        note(
            head,
            &format!("{} {id} updated: {}", entry.form, names(&changes)),
        );
        entry.updated.extend(changes.keys().cloned());
        entry.fields.extend(changes);
        json_page(StatusCode::OK, &json!({ "id": id }))
    }

    fn show(&self, id: &str) -> Page {
        let entries = self.entries();
        let found = id
            .parse::<usize>()
            .ok()
            .and_then(|id| entries.get(id.checked_sub(1)?));
        let Some(entry) = found else {
            return message(
                StatusCode::NOT_FOUND,
                "Not found",
                "There is no such entry.",
            );
        };
        let changed = if entry.updated.is_empty() {
            String::new()
        } else {
            format!(
                ", with {} added by a hook after it was saved",
                escape(&entry.updated.join(", "))
            )
        };
        let slots = [("changed", changed), ("entry", table(id, entry))];
        page("Thank you", &fill(include_str!("pages/entry.html"), &slots))
    }

    fn list(&self) -> Page {
        let entries = self.entries();
        let numbered = entries.iter().enumerate().rev();
        let mut tables: String = numbered
            .map(|(at, entry)| table(&(at + 1).to_string(), entry))
            .collect();
        if tables.is_empty() {
            tables.push_str("<p>Nothing yet.</p>");
        }
        page(
            "Received",
            &fill(include_str!("pages/received.html"), &[("entries", tables)]),
        )
    }

    fn list_json(&self) -> Page {
        let entries = self.entries();
        let all = entries.iter().map(|entry| {
            json!({"form": entry.form, "content_type": entry.content_type, "fields": entry.fields})
        });
        json_page(StatusCode::OK, &all.collect())
    }
}

/// The fields of a body, and what kind of body it is.
fn read(head: &Parts, body: &Bytes) -> Result<(String, Map<String, Value>), Rejected> {
    let nothing = || Rejected::unsupported("The form says no content type.");
    let kind = head.headers.get(header::CONTENT_TYPE).ok_or_else(nothing)?;
    let kind = ContentType::parse(kind.as_bytes())?;
    let (limits, hidden) = (Limits::default(), Arc::new(Hidden::default()));
    let settings = Settings {
        limits: &limits,
        hidden: &hidden,
        charset: None,
        nested: false,
        doc_path: &[],
    };
    let (name, doc) = match (kind.format, &kind.boundary) {
        (Format::Multipart, Some(boundary)) => {
            let mut scanner = Scanner::new(boundary, kind.charset, settings);
            scanner.push(body)?;
            ("multipart", Doc::from(scanner.finish()?.flat))
        }
        (Format::Json, _) => ("JSON", Doc::from(codec::json::decode(body, settings)?)),
        _ => {
            let (flat, _) = codec::urlencoded::decode(body, kind.charset, settings)?;
            ("urlencoded", Doc::from(flat))
        }
    };
    match doc.visible_value(None) {
        Value::Object(fields) => Ok((name.to_owned(), fields)),
        _ => Err(Rejected::malformed("The body holds no fields.")),
    }
}

/// Says what the site did; names only.
fn note(head: &Parts, what: &str) {
    let request_id = head
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    tracing::info!(target: "formgate::demo", request_id, "{what}");
}

fn names(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().map(|(name, value)| match value.get("size") {
        Some(size) => format!("{name} ({size} bytes)"),
        None => name.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn wants_page(head: &Parts) -> bool {
    let accept = head
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn table(id: &str, entry: &Entry) -> String {
    let title = format!(
        "{}. {} ({})",
        escape(id),
        escape(&entry.form),
        entry.content_type
    );
    let mut html = format!("<table><caption>{title}</caption>");
    for (name, value) in &entry.fields {
        if name != "csrf_token" {
            let (name, value) = (escape(name), escape(&shown(value)));
            // Writing to a string cannot fail.
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
            );
        }
    }
    html.push_str("</table>");
    html
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(file) if file.contains_key("sha256") => {
            let name = file.get("filename").map(shown).unwrap_or_default();
            let size = file.get("size").cloned().unwrap_or_default();
            if name.is_empty() {
                "no file".to_owned()
            } else {
                format!("{name}, {size} bytes")
            }
        }
        other => other.to_string(),
    }
}

/// Puts HTML into the places of a page, which are written `{{name}}`.
fn fill(html: &str, slots: &[(&str, String)]) -> String {
    slots.iter().fold(html.to_owned(), |html, (name, value)| {
        html.replace(&format!("{{{{{name}}}}}"), value)
    })
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn page(title: &str, main: &str) -> Page {
    // The main part comes last: what a person sent must not be taken for a place.
    let head = fill(LAYOUT, &[("title", title.to_owned())]);
    respond(
        StatusCode::OK,
        "text/html; charset=utf-8",
        head.replace("{{main}}", main),
    )
}

fn message(status: StatusCode, title: &str, text: &str) -> Page {
    let slots = [("title", escape(title)), ("text", escape(text))];
    let mut answer = page(title, &fill(include_str!("pages/message.html"), &slots));
    *answer.status_mut() = status;
    answer
}

fn file(kind: &'static str, text: &'static str) -> Page {
    respond(StatusCode::OK, kind, text)
}

fn json_page(status: StatusCode, value: &Value) -> Page {
    respond(status, "application/json", value.to_string())
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Page {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let policy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}
