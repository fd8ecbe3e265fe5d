//! What responders say: a reply or a fault, never something in between, and nobody is sent where they must not go.

use bytes::Bytes;
use formgate::hooks::answer::Answered;
use formgate::hooks::answer::read;
use formgate::model::decision::Course;
use formgate::model::decision::OnConflict;
use formgate::model::decision::decide;
use formgate::model::event::Event;
use formgate::model::redirect::Allowed;
use formgate::model::redirect::Redirect;
use formgate::model::reply_table::Limits;
use http::HeaderValue;
use serde_json::Value;
use url::Url;

use super::variant;

/// As a browser resolves it: the own host, or the one that is listed.
fn check(redirect: &Redirect) {
    let text = redirect.as_str();
    assert!(
        HeaderValue::from_str(text).is_ok() && text.is_ascii(),
        "{text:?}"
    );
    let base = Url::parse("https://a.example/form?x").expect("a URL");
    if let Ok(url) = base.join(text) {
        let leads_to = url.host_str();
        assert!(
            matches!(leads_to, Some("a.example" | "b.example")),
            "{text} leads to {url}"
        );
        assert_eq!(url.scheme(), "https", "{text}");
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{text}"
        );
    }
}

fn hosts() -> [String; 1] {
    ["b.example".to_owned()]
}

pub(super) fn redirect(input: &[u8]) -> String {
    let hosts = hosts();
    let allowed = Allowed {
        own: Some("a.example"),
        hosts: &hosts,
    };
    match Redirect::parse(&String::from_utf8_lossy(input), allowed) {
        Err(refused) => refused.to_string(),
        Ok(redirect) => {
            check(&redirect);
            redirect
                .as_str()
                .split('/')
                .take(3)
                .map(|part| if part.is_empty() { '0' } else { 'x' })
                .collect()
        }
    }
}

const STATUSES: [u16; 8] = [200, 201, 204, 400, 409, 422, 302, 500];
const ENCODINGS: [Option<&str>; 4] = [None, Some("gzip"), Some("zstd"), Some("br")];

pub(super) fn reply(input: &[u8]) -> String {
    let (which, body) = variant(input);
    let status = STATUSES[which % STATUSES.len()];
    let encoding = ENCODINGS[which / STATUSES.len() % ENCODINGS.len()];
    let hosts = hosts();
    let allowed = Allowed {
        own: Some("a.example"),
        hosts: &hosts,
    };
    let answered = Answered {
        status,
        content_type: Some("application/json"),
        encoding,
        location: Some("https://evil.example/?secret"),
        body: Some(Bytes::copy_from_slice(body)),
    };
    let nested = which >= 128;
    let (reading, outcome) = read(&answered, Limits { nested, allowed });
    if outcome.is_some() {
        assert!(!reading.faults.is_empty(), "a failure without a word");
    }
    if let Some(fault) = reading.faults.first() {
        return format!("{status} {} {}", fault.place, fault.text);
    }
    let (is_error, is_silent) = (reading.reply.is_error(), reading.reply.is_silent());
    assert!(is_error || status < 400, "a refusal that refuses nothing");
    // Some responders write a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value = (status != 204 && encoding.is_none() && !body.trim_ascii().is_empty())
        .then(|| serde_json::from_slice::<Value>(body).expect("a reply without a fault is JSON"));
    if !matches!(value, Some(Value::Object(_))) && encoding.is_none() {
        assert!(is_silent, "something out of nothing");
    }
    let decision = decide(
        Event::Preprocess,
        [(reading.reply.clone(), OnConflict::Continue)],
    );
    let (messages, jdoc, redirect) = reading.reply.into_parts();
    let stops = (is_error || redirect.is_some()) && jdoc.is_empty();
    assert_eq!(
        decision.course() == Course::Stop,
        stops,
        "by the table of the protocol"
    );
    redirect.iter().for_each(check);
    assert!(
        messages
            .iter()
            .all(|message| message.msg.chars().count() <= 4000)
    );
    format!(
        "{status} {is_error} {is_silent} {} {}",
        messages.len().min(3),
        redirect.is_some()
    )
}
