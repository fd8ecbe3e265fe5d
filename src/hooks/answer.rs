//! What a responder's answer means (protocol §3): status and bytes in, a reply or a diagnosed fault out. Owns the
//! reading of bytes; the table of keys is [`crate::model::reply_table`]'s.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::StatusCode;
use http::header;
use serde_json::Map;
use serde_json::Value;

use crate::codec;
use crate::codec::Settings;
use crate::codec::unpack;
use crate::model::hidden::Hidden;
use crate::model::job::Finding;
use crate::model::job::Outcome;
use crate::model::reply::MsgType;
use crate::model::reply_table;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::model::reply_table::kind_of;
use crate::rules::condition::Path;

/// The largest reply, unpacked, in bytes.
pub const MAX_REPLY: usize = 256 << 10;
/// How deep a reply may nest.
const MAX_DEPTH: usize = 64;

/// An answer as it came.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// `content-type`.
    pub content_type: Option<&'a str>,
    /// `content-encoding`.
    pub encoding: Option<&'a str>,
    /// `location`, for the finding about a redirect.
    pub location: Option<&'a str>,
    /// The body; `None` if it was over [`MAX_REPLY`].
    pub body: Option<Bytes>,
}

impl<'a> Answered<'a> {
    /// An answer that came.
    #[must_use]
    pub fn of(status: StatusCode, headers: &'a HeaderMap, body: Option<Bytes>) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status: status.as_u16(),
            content_type: text(header::CONTENT_TYPE),
            encoding: text(header::CONTENT_ENCODING),
            location: text(header::LOCATION),
            body,
        }
    }
}

/// Reads an answer. A reading with faults is faulty; one with an outcome beside it failed without being a reply.
#[must_use]
pub fn read(answered: &Answered<'_>, limits: Limits<'_>) -> (Reading, Option<Outcome>) {
    match answered.status {
        204 | 205 => (Reading::default(), None),
        200..=299 => (read_body(answered, limits), None),
        400 | 409 | 422 => read_refusal(answered, limits),
        300..=399 => failed(Finding::new(
            "status",
            format!(
                "{} to `{}`: a redirect of a hook is never followed; write the new address into the rule file",
                answered.status,
                short(without_query(answered.location.unwrap_or("nowhere")))
            ),
        )),
        status => failed(Finding::new(
            "status",
            format!("{status} is no reply; answer 200 with a JSON object, or 204"),
        )),
    }
}

fn failed(finding: Finding) -> (Reading, Option<Outcome>) {
    (faulty(finding), Some(Outcome::Failed))
}

fn faulty(finding: Finding) -> Reading {
    Reading {
        faults: vec![finding],
        ..Reading::default()
    }
}

fn read_body(answered: &Answered<'_>, limits: Limits<'_>) -> Reading {
    let value = match parse(answered) {
        Ok(value) => value,
        Err(finding) => return faulty(finding),
    };
    match value {
        Value::Null => Reading::default(),
        Value::Object(object) => {
            let mut reading = reply_table::read(&object, limits);
            note_type(&mut reading, answered);
            reading
        }
        other => faulty(Finding::new(
            "$",
            format!("the reply is {}, not an object", kind_of(&other)),
        )),
    }
}

/// 400, 409 and 422 are replies if they say something.
fn read_refusal(answered: &Answered<'_>, limits: Limits<'_>) -> (Reading, Option<Outcome>) {
    let status = answered.status;
    let silent = || {
        failed(Finding::new(
            "status",
            format!("{status} without a JSON object that has `msg` or `errors`"),
        ))
    };
    let Ok(Value::Object(mut object)) = parse(answered) else {
        return silent();
    };
    if !object.contains_key("msg") && !object.contains_key("errors") {
        return silent();
    }
    let said = object
        .get("msg_type")
        .and_then(Value::as_str)
        .and_then(MsgType::parse);
    let mut reading = Reading::default();
    if let Some(said) = said.filter(|said| *said != MsgType::Error) {
        let text = format!("\"{said}\" with status {status}, which is always an error");
        reading.warnings.push(Finding::new("$.msg_type", text));
    }
    if said.is_some() || object.get("msg_type").is_none_or(Value::is_null) {
        object.insert("msg_type".to_owned(), MsgType::Error.word().into());
    }
    let mut read = reply_table::read(&object, limits);
    read.warnings.append(&mut reading.warnings);
    note_type(&mut read, answered);
    (read, None)
}

fn note_type(reading: &mut Reading, answered: &Answered<'_>) {
    let kind = answered
        .content_type
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !kind.contains("json") {
        let text = format!(
            "`{}` holds JSON; say `content-type: application/json`",
            short(&kind)
        );
        reading.warnings.push(Finding::new("content-type", text));
    }
}

/// The body as one JSON value; nothing at all is `null`.
fn parse(answered: &Answered<'_>) -> Result<Value, Finding> {
    let too_large = || {
        Finding::new(
            "body",
            format!("the reply has over {MAX_REPLY} bytes; send less, and no files"),
        )
    };
    let body = answered.body.as_ref().ok_or_else(too_large)?;
    let body = match answered.encoding {
        None => body.clone(),
        Some(encoding) => unpacked(body, encoding)?,
    };
    // Some libraries begin UTF-8 with a byte order mark (RFC 8259, section 8.1: it may be ignored).
    let body = match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => body.slice_ref(rest),
        None => body,
    };
    // JSON knows no form feed.
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = body.iter().take_while(|byte| is_space(byte)).count();
    let end = body.iter().rev().take_while(|byte| is_space(byte)).count();
    let trimmed = body.get(start..body.len() - end).unwrap_or_default();
    match trimmed {
        b"" | b"null" => return Ok(Value::Null),
        b"{}" => return Ok(Value::Object(serde_json::Map::new())),
        _ => {}
    }
    if trimmed.starts_with(b"<") {
        return Err(Finding::new(
            "body",
            "the reply is HTML or XML, not JSON; is the URL right?",
        ));
    }
    let limits = codec::Limits {
        field: MAX_REPLY,
        fields: MAX_REPLY,
        values: MAX_REPLY,
        doc: MAX_REPLY,
        depth: MAX_DEPTH,
        ..codec::Limits::default()
    };
    let hidden = Arc::new(Hidden::default());
    let settings = Settings {
        limits: &limits,
        hidden: &hidden,
        charset: None,
        nested: false,
        doc_path: &[],
    };
    let checked = codec::json::decode(&body, settings)
        .map_err(|rejected| Finding::new("body", rejected.text))?;
    Ok(checked.value().clone())
}

/// What the rule file wants taken out of an answer: of each path the first value that it locates.
#[must_use]
pub fn extracted(answered: &Answered<'_>, paths: &[(String, Path)]) -> Map<String, Value> {
    if paths.is_empty() {
        return Map::new();
    }
    // Whatever is wrong with the answer is said elsewhere.
    let Ok(value) = parse(answered) else {
        return Map::new();
    };
    let found = paths.iter().filter_map(|(name, path)| {
        let first = path.locate(&value).ok()?.into_iter().next()?;
        Some((name.clone(), first.clone()))
    });
    found.collect()
}

fn unpacked(body: &Bytes, encoding: &str) -> Result<Bytes, Finding> {
    let most = u64::try_from(MAX_REPLY).unwrap_or(u64::MAX);
    unpack::whole(body, encoding, most).map_err(|rejected| Finding::new("body", rejected.text))
}

/// A query may hold what is nobody's business.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::redirect::Allowed;

    fn answer(status: u16, body: &str) -> (Reading, Option<Outcome>) {
        let limits = Limits {
            nested: false,
            allowed: Allowed {
                own: None,
                hosts: &[],
            },
        };
        let answered = Answered {
            status,
            content_type: Some("application/json"),
            encoding: None,
            location: None,
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
        };
        read(&answered, limits)
    }

    #[test]
    fn nothing_said() {
        for (status, body) in [
            (200, ""),
            (204, "anything"),
            (200, " {} "),
            (201, "null"),
            (200, "\n"),
        ] {
            let (reading, outcome) = answer(status, body);
            assert!(
                reading.reply.is_silent() && reading.faults.is_empty() && outcome.is_none(),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn refusing_statuses_are_errors() {
        for status in [400, 409, 422] {
            let (reading, outcome) = answer(status, r#"{"msg": "no"}"#);
            assert!(reading.reply.is_error() && outcome.is_none());
            let (_, outcome) = answer(status, r#"{"detail": "no"}"#);
            assert_eq!(outcome, Some(Outcome::Failed));
        }
        let (reading, _) = answer(422, r#"{"msg": "no", "msg_type": "success"}"#);
        assert!(reading.reply.is_error() && reading.warnings[0].place == "$.msg_type");
        let (reading, _) = answer(422, r#"{"msg": "no", "msg_type": "err"}"#);
        assert_eq!(reading.faults[0].place, "$.msg_type");
    }

    #[test]
    fn what_is_no_reply() {
        for (status, body, place, part) in [
            (200, "[]", "$", "a list, not an object"),
            (200, "\"ok\"", "$", "a string"),
            (200, "<!doctype html>", "body", "HTML"),
            (200, "{\"msg\": }", "body", "line 1"),
            (200, r#"{"msg": "a", "msg": "b"}"#, "body", "twice"),
            (302, "", "status", "never followed"),
            (500, "", "status", "500 is no reply"),
            (401, r#"{"msg": "no"}"#, "status", "401 is no reply"),
        ] {
            let (reading, _) = answer(status, body);
            let fault = reading
                .faults
                .first()
                .unwrap_or_else(|| panic!("{status} {body} was taken"));
            assert_eq!(fault.place, place, "{body}");
            assert!(fault.text.contains(part), "{fault}");
        }
        let deep = format!("{{\"debug\": {}1{}}}", "[".repeat(64), "]".repeat(64));
        assert!(answer(200, &deep).0.faults[0].text.contains("deeper"));
    }
}
