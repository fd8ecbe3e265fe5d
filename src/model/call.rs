//! The call: what a hook is told about an event (protocol §2). Owns the blocks and their JSON; where their
//! values come from is left to `flow`, sending them to `hooks`.

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::write::write_string;
use crate::model::write::write_value;

/// Everything about one event except the doc, gathered once per request.
#[derive(Debug, Clone, Default)]
pub struct Occasion {
    /// `user_info`: any keys, from the rule file's `[user_info]`.
    pub user_info: Map<String, Value>,
    /// `meta_info`.
    pub meta: Meta,
    /// `form_info`.
    pub form: FormInfo,
    /// `analytics`: only what the request carried.
    pub analytics: Map<String, Value>,
}

/// The `meta_info` block, in every call.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// The gateway's `project`.
    pub project: String,
    /// One id per request of a person.
    pub request_id: String,
    /// The person's address.
    pub ip: Option<String>,
    /// `user-agent` of the person's request.
    pub user_agent: Option<String>,
    /// `referer` of the person's request.
    pub referer: Option<String>,
    /// The first language of `accept-language`.
    pub locale: Option<String>,
}

/// The `form_info` block, in preprocess and submit.
#[derive(Debug, Clone, Default)]
pub struct FormInfo {
    /// The form's id.
    pub id: String,
    /// Its title, if the rule file has one.
    pub title: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path, as it came.
    pub path: String,
    /// The path's `{name}` parts, decoded.
    pub params: Vec<(String, String)>,
    /// The fields of the query beside the body, if there is one.
    pub query: Option<Doc>,
    /// The body's content type, as it came.
    pub content_type: Option<String>,
    /// When the submission had arrived.
    pub submitted_at: Timestamp,
    /// What the rule file's `submission_id` selected from the backend's answer.
    pub submission_id: Option<String>,
    /// The backend's answer, in `form_submit`.
    pub result: Option<SubmitResult>,
}

/// The backend's answer as a hook sees it.
#[derive(Debug, Clone, Default)]
pub struct SubmitResult {
    /// The status.
    pub status: u16,
    /// The `location` header.
    pub location: Option<String>,
    /// The body, of JSON answers only.
    pub body: Option<Value>,
}

/// What changes from one attempt of a call to the next.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// When it is sent.
    pub sent_at: Timestamp,
    /// 1 for the first attempt.
    pub run: u32,
}

/// Which event a call is about, and whose: the form's own or that of all forms.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The event.
    pub event: Event,
    /// The form's id in the form's own event; `None` in that of all forms.
    pub form: Option<&'a str>,
}

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.event.name())?;
        match self.form {
            Some(form) => write!(f, "_{form}"),
            None => Ok(()),
        }
    }
}

impl Occasion {
    /// Writes the call's JSON, with the fields that `only` names if it names any.
    pub fn write_json(
        &self,
        out: &mut Vec<u8>,
        named: Named<'_>,
        attempt: Attempt,
        doc: &Doc,
        only: Option<&[String]>,
    ) {
        out.extend_from_slice(b"{\"event\":\"");
        out.extend_from_slice(named.event.name().as_bytes());
        if let Some(form) = named.form {
            out.push(b'_');
            write_inside(out, form);
        }
        out.extend_from_slice(b"\",\"user_info\":");
        write_map(out, &self.user_info);
        out.extend_from_slice(b",\"meta_info\":");
        self.meta.write_json(out, attempt);
        if named.event != Event::Load {
            out.extend_from_slice(b",\"form_info\":");
            self.form.write_json(out, only);
        }
        out.extend_from_slice(b",\"doc\":");
        doc.write_json(out, only);
        out.extend_from_slice(b",\"analytics\":");
        write_map(out, &self.analytics);
        out.push(b'}');
    }

    /// The call as a JSON value, for conditions.
    #[must_use]
    pub fn to_value(&self, named: Named<'_>, attempt: Attempt, doc: &Doc) -> Value {
        let mut text = Vec::with_capacity(1024);
        self.write_json(&mut text, named, attempt, doc, None);
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl Meta {
    fn write_json(&self, out: &mut Vec<u8>, attempt: Attempt) {
        let mut object = Object::begin(out);
        object.text("project", &self.project);
        object.text("request_id", &self.request_id);
        object.time("sent_at", attempt.sent_at);
        object.number("run", attempt.run.into());
        object.optional("ip", self.ip.as_deref());
        object.optional("user_agent", self.user_agent.as_deref());
        object.optional("referer", self.referer.as_deref());
        object.optional("locale", self.locale.as_deref());
        object.end();
    }
}

impl FormInfo {
    fn write_json(&self, out: &mut Vec<u8>, only: Option<&[String]>) {
        let mut object = Object::begin(out);
        object.text("id", &self.id);
        object.optional("title", self.title.as_deref());
        object.text("method", &self.method);
        object.text("path", &self.path);
        let out = object.key("params");
        let mut params = Object::begin(out);
        for (name, value) in &self.params {
            params.text(name, value);
        }
        params.end();
        if let Some(query) = &self.query {
            let object = Object { out, first: false };
            query.write_json(object.key("query"), only);
        }
        let mut object = Object { out, first: false };
        object.optional("content_type", self.content_type.as_deref());
        object.time("submitted_at", self.submitted_at);
        object.optional("submission_id", self.submission_id.as_deref());
        let out = object.key("result");
        match &self.result {
            Some(result) => result.write_json(out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

impl SubmitResult {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.number("status", self.status.into());
        object.optional("location", self.location.as_deref());
        let out = object.key("body");
        write_value(out, self.body.as_ref().unwrap_or(&Value::Null));
        out.push(b'}');
    }
}

/// Writes the members of one JSON object, comma by comma.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_string(self.out, name);
        self.out.push(b':');
    }

    fn key(mut self, name: &str) -> &'a mut Vec<u8> {
        self.name(name);
        self.out
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(self.out, value);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => {
                self.name(name);
                self.out.extend_from_slice(b"null");
            }
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        write_value(self.out, &value.into());
    }

    fn time(&mut self, name: &str, at: Timestamp) {
        self.name(name);
        self.out.push(b'"');
        write_time(self.out, at);
        self.out.push(b'"');
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// Writes a time as RFC 3339 in UTC with milliseconds: `2026-11-20T20:37:00.123Z`.
pub fn write_time(out: &mut Vec<u8>, at: Timestamp) {
    let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    // A Vec takes every byte.
    drop(printer.print_timestamp(&at, jiff::fmt::StdIoWrite(out)));
}

fn write_map(out: &mut Vec<u8>, map: &Map<String, Value>) {
    let mut object = Object::begin(out);
    for (name, value) in map {
        object.name(name);
        write_value(object.out, value);
    }
    object.end();
}

/// The inside of a JSON string, without its quotes.
fn write_inside(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    write_string(out, text);
    out.pop();
    out.remove(start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flat::Flat;
    use crate::model::hidden::Hidden;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_call_has_the_shape_of_the_protocol() {
        let mut flat = Flat::new(&Arc::new(Hidden::default()), 64);
        flat.push_text("first_name", "Ana \"A\"");
        flat.push_text("age", "12");
        let at: Timestamp = "2026-11-20T20:37:00.123456Z".parse().expect("a time");
        let occasion = Occasion {
            user_info: Map::from_iter([("id".to_owned(), json!("u-17"))]),
            meta: Meta {
                project: "camp".into(),
                request_id: "r1".into(),
                ip: Some("203.0.113.9".into()),
                ..Meta::default()
            },
            form: FormInfo {
                id: "enroll\"ment".into(),
                method: "POST".into(),
                path: "/camps/lake/enroll".into(),
                params: vec![("camp".into(), "lake".into())],
                submitted_at: at,
                ..FormInfo::default()
            },
            analytics: Map::new(),
        };
        let named = Named {
            event: Event::Preprocess,
            form: Some("enroll\"ment"),
        };
        let value = occasion.to_value(
            named,
            Attempt {
                sent_at: at,
                run: 1,
            },
            &Doc::from(flat),
        );
        let expected = json!({
            "event": "form_preprocess_enroll\"ment",
            "user_info": {"id": "u-17"},
            "meta_info": {"project": "camp", "request_id": "r1", "sent_at": "2026-11-20T20:37:00.123Z", "run": 1,
                "ip": "203.0.113.9", "user_agent": null, "referer": null, "locale": null},
            "form_info": {"id": "enroll\"ment", "title": null, "method": "POST", "path": "/camps/lake/enroll",
                "params": {"camp": "lake"}, "content_type": null, "submitted_at": "2026-11-20T20:37:00.123Z",
                "submission_id": null, "result": null},
            "doc": {"first_name": "Ana \"A\"", "age": "12"},
            "analytics": {},
        });
        assert_eq!(value, expected);
    }
}
