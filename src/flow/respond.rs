//! The one exit: an answer in, a response out – JSON, a fragment or a page (protocol §6). Owns statuses, content
//! types and the headers of everything the gateway says itself.

use std::time::Duration;

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Map;
use serde_json::Value;

use crate::flow::answer::Answer;
use crate::flow::answer::Outcome;
use crate::flow::answer::Said;
use crate::flow::script;
use crate::flow::wants::Medium;
use crate::flow::wants::Wants;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::reply::MsgType;
use crate::page::entries::Entries;
use crate::page::entries::may_be_typed;
use crate::page::message::Message;
use crate::page::message::Wrong;
use crate::page::plain;
use crate::page::plain::PlainPage;
use crate::wire::body::Outgoing;

/// The header that carries what is said beside a backend's answer.
pub const REPLY: &str = "formgate-reply";
/// The longest value of it; servers and browsers refuse headers much larger.
const MAX_REPLY: usize = 6 << 10;

/// Turns an answer into a response.
#[must_use]
pub fn respond(answer: Answer, wants: Wants) -> Response<Outgoing> {
    match answer {
        Answer::Backend(mut response, said) => {
            let is_script = wants.medium == Medium::Script;
            if is_script && let Some(told) = script::told_redirect(&response, said.as_deref()) {
                return told;
            }
            // A page of the backend's says itself that it was submitted.
            let is_told = is_script && !script::is_page(&response);
            let said = said.filter(|said| !said.is_silent() || (is_told && said.is_saved()));
            if let Some(value) =
                said.and_then(|said| reply_header(&said.spoken_in(wants.lang), is_script))
            {
                response.headers_mut().insert(REPLY, value);
            }
            response
        }
        Answer::Own(said) => own(&said.spoken_in(wants.lang), wants),
        Answer::Again(response, said) => again(response, &said, wants),
    }
}

/// What is said as ASCII JSON; without the lists if it would be too long.
fn reply_header(said: &Said, is_script: bool) -> Option<HeaderValue> {
    let mut json = if is_script {
        script::json(said, said.status)
    } else {
        said.to_json()
    };
    for name in ["type", "title", "status", "detail"] {
        json.shift_remove(name);
    }
    let mut text = ascii_json(&json);
    for name in [
        "suggestions",
        "messages",
        "texts",
        "changed",
        "errors",
        "msg",
    ] {
        if text.len() <= MAX_REPLY {
            break;
        }
        json.shift_remove(name);
        text = ascii_json(&json);
    }
    HeaderValue::from_str(&text).ok()
}

/// JSON with everything beyond ASCII escaped, so that it can stand in a header.
fn ascii_json(json: &Map<String, Value>) -> String {
    let text = Value::Object(json.clone()).to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn own(said: &Said, wants: Wants) -> Response<Outgoing> {
    let status = status(said, wants);
    let (content_type, body) = match wants.medium {
        Medium::Json => json(said, status),
        Medium::Script => {
            let json = script::json(said, status.as_u16());
            (json_type(status), Value::Object(json).to_string().into())
        }
        Medium::Fragment => ("text/html; charset=utf-8", fragment(said).into()),
        Medium::Page => ("text/html; charset=utf-8", page(said).into()),
    };
    let mut response = Response::new(Outgoing::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(said.tongue().lang().tag()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept, accept-language, hx-request"),
    );
    if wants.medium == Medium::Page {
        let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        );
    }
    if let Some(after) = said.retry_after {
        headers.insert(header::RETRY_AFTER, seconds(after));
    }
    for cookie in &said.cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    if let Some(target) = &said.redirect {
        let name = match wants.medium {
            Medium::Page => Some("location"),
            Medium::Fragment => Some("hx-redirect"),
            Medium::Json | Medium::Script => None,
        };
        // A redirect target was checked to be a good header value.
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(target.as_str())) {
            headers.insert(name, value);
        }
    }
    response
}

/// The form's page, with the status of what is said in it.
fn again(mut response: Response<Outgoing>, said: &Said, wants: Wants) -> Response<Outgoing> {
    *response.status_mut() = status(said, wants);
    if let Some(after) = said.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds(after));
    }
    response
}

fn seconds(time: Duration) -> HeaderValue {
    HeaderValue::from(time.as_secs().max(1))
}

/// Only a page can follow a redirect; others are told of it.
fn status(said: &Said, wants: Wants) -> StatusCode {
    let is_error = said
        .main_message()
        .is_some_and(|message| message.msg_type == MsgType::Error);
    let status = match (said.outcome, wants.medium) {
        (Outcome::Redirected, Medium::Page) => 303,
        (Outcome::Redirected, Medium::Json | Medium::Script) if is_error => 422,
        (Outcome::Redirected, _) => 200,
        _ => said.status,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn json(said: &Said, status: StatusCode) -> (&'static str, Vec<u8>) {
    let text = said.to_text(status.as_u16());
    let custom = said.form.as_ref().and_then(|form| form.error_body.as_ref());
    if let Some(shape) = custom.filter(|_| status.as_u16() >= 400) {
        // What was written a moment ago is an object.
        let json = serde_json::from_slice(&text).unwrap_or_default();
        return ("application/json", shape.fill(&json).to_string().into());
    }
    (json_type(status), text)
}

fn json_type(status: StatusCode) -> &'static str {
    if status.as_u16() >= 400 {
        "application/problem+json"
    } else {
        "application/json"
    }
}

fn kind(said: &Said) -> &'static str {
    said.main_message()
        .map_or(MsgType::Information, |message| message.msg_type)
        .word()
}

fn message(said: &Said) -> Message<'_> {
    let errors = said.errors().into_iter();
    Message {
        lang: said.tongue().lang(),
        kind: kind(said),
        takes_focus: false,
        texts: said.texts(),
        errors: errors
            .map(|(field, text)| Wrong::new(field, text))
            .collect(),
        changed: Vec::new(),
        statement: said.statement(),
    }
}

fn fragment(said: &Said) -> String {
    plain::html(&message(said), said.tongue().say(said.title))
}

fn page(said: &Said) -> String {
    let tongue = said.tongue();
    let page = PlainPage {
        tongue,
        title: tongue.say(said.title),
        message: Message {
            statement: None,
            ..message(said)
        },
        statement: said.statement(),
        back: said.back.as_deref(),
        entries: Entries::new(tongue, said.doc.as_ref().map(entries).unwrap_or_default()),
        detail: said.detail.as_deref(),
        request_id: &said.request_id,
    };
    plain::html(&page, page.title)
}

/// What the person typed, as far as it may be shown again.
fn entries(doc: &Doc) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let names = doc.visible_names().into_iter();
    for name in names.filter(|name| may_be_typed(name)) {
        let texts: Vec<String> = doc
            .items(&name)
            .iter()
            .filter_map(Item::text)
            .filter(|text| !text.is_empty())
            .collect();
        if !texts.is_empty() {
            entries.push((name.into_owned(), texts.join(", ")));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Decision;
    use crate::model::event::Event;
    use crate::model::reply::Reply;

    fn said(reply: Reply) -> Said {
        let mut decision = Decision::new(Event::Preprocess);
        let _ = decision.take(reply);
        Said::accepted(&decision, 200)
    }

    #[test]
    fn the_reply_header_is_ascii_and_short() {
        let value = reply_header(
            &said(Reply::go_on().say(MsgType::Warning, "Grüße 😀\r\nx")),
            false,
        )
        .expect("something to say");
        let text = value.to_str().expect("ASCII");
        let json: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(json["msg"], "Grüße 😀\r\nx");
        let long = (0..50).fold(Reply::go_on(), |reply, _| {
            reply.say(MsgType::Information, "x".repeat(1000))
        });
        let value = reply_header(&said(long), false).expect("something to say");
        assert!(value.len() <= MAX_REPLY && value.to_str().expect("ASCII").contains("\"msg\""));
    }
}
