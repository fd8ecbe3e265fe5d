//! What formgate.js is told beyond the JSON that every script gets: the very texts that a page would show, and where
//! the backend sends the person. Owns both. A script's own request cannot see a redirect, cannot follow one to another
//! site, and would use up what the next page has to say; so the redirect is told, and the browser goes there.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::header;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::flow::answer::Said;
use crate::model::reply::MsgType;
use crate::model::words::Word;
use crate::wire::body::Outgoing;

/// What is said, with the texts to show: those about no field, and what became of the submission.
pub(in crate::flow) fn json(said: &Said, status: u16) -> Map<String, Value> {
    let tongue = said.tongue();
    let mut texts = said.texts();
    // A success speaks for itself.
    let is_success = |kind| kind == Some(MsgType::Success);
    let kind = said.main_message().map(|message| message.msg_type);
    let saved = (said.is_saved() && !is_success(kind)).then_some(Word::Saved);
    texts.extend(said.statement.or(saved).map(|word| tongue.say(word)));
    // What was written a moment ago is an object.
    let mut json: Map<String, Value> =
        serde_json::from_slice(&said.to_text(status)).unwrap_or_default();
    json.insert("texts".to_owned(), json!(texts));
    if said.is_saved() && said.is_silent() {
        json.insert("msg_type".to_owned(), MsgType::Success.word().into());
    }
    if !said.changed.is_empty() || !said.suggestions.is_empty() {
        // With the slots left open: the page knows what people call the field.
        let open = [("field", "{field}"), ("value", "{value}")];
        let words = json!({
            "changed": tongue.fill(Word::FieldChanged, &open),
            "emptied": tongue.fill(Word::FieldEmptied, &open),
            "use": tongue.fill(Word::UseValue, &open),
        });
        json.insert("words".to_owned(), words);
    }
    json
}

/// Whether the answer is a page, which formgate.js shows as one.
pub(in crate::flow) fn is_page(response: &Response<Outgoing>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("html")))
}

/// The backend's redirect as JSON, with the cookies that came with it; `None` for every other answer.
pub(in crate::flow) fn told_redirect(
    response: &Response<Outgoing>,
    said: Option<&Said>,
) -> Option<Response<Outgoing>> {
    // 307 and 308 would have the form sent again, and that is done where they lead.
    if !matches!(response.status().as_u16(), 301..=303) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let mut json = match said {
        Some(said) => json(said, response.status().as_u16()),
        None => Map::from_iter([
            ("outcome".to_owned(), json!("accepted")),
            ("submitted".to_owned(), Value::Null),
            ("texts".to_owned(), json!([])),
        ]),
    };
    json.insert("redirect".to_owned(), location.into());
    let body = Value::Object(json).to_string();
    let mut told = Response::new(Outgoing::from(Bytes::from(body)));
    let headers = told.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    Some(told)
}
