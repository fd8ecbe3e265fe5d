//! The table of reply keys (protocol §3): a JSON object in, a reply out, with every fault and warning at its place.
//! Owns what each key may be; how the object came – over the wire, from a rule file – is left to the caller.

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::Jdoc;
use crate::model::job::Finding;
use crate::model::redirect::Allowed;
use crate::model::redirect::Redirect;
use crate::model::reply::MAX_MSG_CHARS;
use crate::model::reply::MsgType;
use crate::model::reply::Reply;

/// The keys of a reply.
pub const KEYS: [&str; 7] = [
    "msg", "msg_type", "jdoc", "focus_on", "redirect", "errors", "debug",
];

/// Shown where a reply is an error but has no words of its own.
const NO_WORDS: &str = "The form was not accepted.";

/// A reply as it was read. With any fault, the reply must not be used.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What could be understood.
    pub reply: Reply,
    /// What breaks the protocol.
    pub faults: Vec<Finding>,
    /// What is odd but works.
    pub warnings: Vec<Finding>,
}

/// What a reply may hold besides what the table says.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Whether the doc has nested objects: a JSON doc, or bracketed names.
    pub nested: bool,
    /// Where the person may be sent.
    pub allowed: Allowed<'a>,
}

/// Reads a reply.
#[must_use]
pub fn read(object: &Map<String, Value>, limits: Limits<'_>) -> Reading {
    let mut reading = Reading::default();
    reading.note_unknown(object);
    let msg_type = reading.msg_type(object);
    let errors = reading.errors(object);
    let msg = reading.text(object, "msg");
    let mut reply = Reply::go_on();
    reply = reading.speak(reply, msg, msg_type, !errors.is_empty());
    for (field, text) in errors {
        reply = reply.refuse(field, text);
    }
    for (field, value) in reading.jdoc(object, limits.nested) {
        reply = reply.change(field, value);
    }
    if let Some(field) = reading.text(object, "focus_on") {
        reply = reply.focus(field);
    }
    if let Some(target) = reading.text(object, "redirect") {
        match Redirect::parse(&target, limits.allowed) {
            Ok(redirect) => reply = reply.send_to(redirect),
            Err(refused) => reading.fault("$.redirect", refused.to_string()),
        }
    }
    if let Some(debug) = object.get("debug") {
        reply = reply.note(debug.clone());
    }
    reading.reply = reply;
    reading
}

impl Reading {
    fn fault(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.faults.push(Finding::new(place, text));
    }

    fn warn(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Finding::new(place, text));
    }

    fn note_unknown(&mut self, object: &Map<String, Value>) {
        for name in object.keys().filter(|name| !KEYS.contains(&name.as_str())) {
            let text = match nearest_key(name) {
                Some(known) => format!("not a key of a reply; did you mean `{known}`?"),
                None => format!("not a key of a reply; there are {}", KEYS.join(", ")),
            };
            self.warn(format!("$.{name}"), text);
        }
    }

    /// A text; `null` and `""` are as good as nothing, since many serialisers write them.
    fn text(&mut self, object: &Map<String, Value>, name: &str) -> Option<String> {
        match object.get(name)? {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => {
                let place = format!("$.{name}");
                self.check_length(&place, text).then(|| text.clone())
            }
            other => {
                self.fault(
                    format!("$.{name}"),
                    format!("{} is not a text; write a string", kind_of(other)),
                );
                None
            }
        }
    }

    fn check_length(&mut self, place: &str, text: &str) -> bool {
        let chars = text.chars().count();
        if chars > MAX_MSG_CHARS {
            self.fault(
                place,
                format!("{chars} characters; at most {MAX_MSG_CHARS} are allowed"),
            );
        }
        chars <= MAX_MSG_CHARS
    }

    fn msg_type(&mut self, object: &Map<String, Value>) -> Option<MsgType> {
        let word = self.text(object, "msg_type")?;
        let known = MsgType::parse(&word);
        if known.is_none() {
            let words = MsgType::ALL.map(MsgType::word);
            let shown: String = word.chars().take(40).collect();
            let text = match nearest_word(&word, &words) {
                Some(near) => {
                    format!("\"{shown}\" is not a message type; did you mean \"{near}\"?")
                }
                None => format!(
                    "\"{shown}\" is not a message type; there are {}",
                    words.join(", ")
                ),
            };
            self.fault("$.msg_type", text);
        }
        known
    }

    fn speak(
        &mut self,
        reply: Reply,
        msg: Option<String>,
        msg_type: Option<MsgType>,
        has_errors: bool,
    ) -> Reply {
        if has_errors && msg_type.is_some_and(|kind| kind != MsgType::Error) {
            self.warn(
                "$.msg_type",
                "`errors` stop the submission whatever the message type; it is read as \"error\"",
            );
        }
        let kind = if has_errors {
            MsgType::Error
        } else {
            msg_type.unwrap_or(MsgType::Information)
        };
        match msg {
            Some(msg) => reply.say(kind, msg),
            None if kind == MsgType::Error && !has_errors => {
                self.warn("$.msg", "an error without a `msg`: the person is told only that the form was not accepted");
                reply.say(kind, NO_WORDS)
            }
            None => reply,
        }
    }

    fn errors(&mut self, object: &Map<String, Value>) -> Vec<(String, String)> {
        match object.get("errors") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(fields)) => {
                let fields = fields.iter();
                fields
                    .filter_map(|(field, text)| {
                        self.error(&format!("$.errors.{field}"), field, text)
                    })
                    .collect()
            }
            Some(Value::Array(list)) => {
                let list = list.iter().enumerate();
                list.filter_map(|(at, item)| self.listed_error(at, item))
                    .collect()
            }
            Some(other) => {
                let text = format!(
                    "{} is neither an object of field texts nor a list",
                    kind_of(other)
                );
                self.fault("$.errors", text);
                Vec::new()
            }
        }
    }

    fn listed_error(&mut self, at: usize, item: &Value) -> Option<(String, String)> {
        let place = format!("$.errors[{at}]");
        match (item.get("field").and_then(Value::as_str), item.get("msg")) {
            (Some(field), Some(text)) => self.error(&place, field, text),
            _ => {
                self.fault(place, "must be an object with `field` and `msg`");
                None
            }
        }
    }

    fn error(&mut self, place: &str, field: &str, text: &Value) -> Option<(String, String)> {
        let text = match text {
            Value::String(text) => text.as_str(),
            // Rails and others give a list of texts for a field; the first is the one to show.
            Value::Array(list) => match list.first() {
                Some(Value::String(text)) => text.as_str(),
                _ => "",
            },
            _ => "",
        };
        if text.is_empty() {
            self.fault(
                place,
                "must be a text that says what is wrong with the field",
            );
            return None;
        }
        self.check_length(place, text)
            .then(|| (field.to_owned(), text.to_owned()))
    }

    fn jdoc(&mut self, object: &Map<String, Value>, nested: bool) -> Jdoc {
        match object.get("jdoc") {
            None | Some(Value::Null) => Jdoc::new(),
            Some(Value::Object(fields)) => {
                for (field, value) in fields {
                    self.check_value(field, value, nested);
                }
                fields.clone()
            }
            Some(other) => {
                self.fault(
                    "$.jdoc",
                    format!("{} is not an object of fields", kind_of(other)),
                );
                Jdoc::new()
            }
        }
    }

    fn check_value(&mut self, field: &str, value: &Value, nested: bool) {
        let flat =
            |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        let good = match value {
            Value::Array(list) => nested || list.iter().all(flat),
            Value::Object(_) => nested,
            other => other.is_null() || flat(other),
        };
        if !good {
            let text = "a form's field takes a string, a number, a boolean, a list of these, or null to remove it";
            self.fault(
                format!("$.jdoc.{field}"),
                format!("{}; {text}", kind_of(value)),
            );
        } else if holds_great_number(value) {
            self.fault(
                format!("$.jdoc.{field}"),
                "a number over 64 bits would lose digits; write it as a string",
            );
        }
    }
}

/// Whether a number in a value is too great to be held digit by digit.
fn holds_great_number(value: &Value) -> bool {
    // Whole numbers of 64 bits are held as they are; what is beyond them, only roughly.
    const GREAT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().is_some_and(|number| number.abs() >= GREAT)
        }
        Value::Array(list) => list.iter().any(holds_great_number),
        Value::Object(members) => members.values().any(holds_great_number),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// What a JSON value is, for a sentence.
#[must_use]
pub const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The key that a wrong one was probably meant to be; integrators know these from other systems.
fn nearest_key(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "message" | "text" | "error" => Some("msg"),
        "type" | "level" | "severity" | "msgtype" | "messagetype" | "message_type" => {
            Some("msg_type")
        }
        "doc" | "data" | "fields" | "values" | "changes" => Some("jdoc"),
        "focus" | "focuson" => Some("focus_on"),
        "url" | "location" | "redirect_url" | "redirect_to" | "redirecturl" => Some("redirect"),
        _ => nearest_word(&lower, &KEYS),
    }
}

fn nearest_word(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let scored = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), *candidate));
    let best = scored
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reading(value: &Value, nested: bool) -> Reading {
        let limits = Limits {
            nested,
            allowed: Allowed {
                own: None,
                hosts: &[],
            },
        };
        read(value.as_object().expect("an object"), limits)
    }

    #[test]
    fn every_key_is_read() {
        let reading = reading(
            &json!({"msg": "Look", "msg_type": "WARNING", "jdoc": {"a": 1, "b": ["x", true], "c": null},
                "focus_on": "a", "redirect": "/there", "debug": {"x": 1}}),
            false,
        );
        assert!(
            reading.faults.is_empty() && reading.warnings.is_empty(),
            "{reading:?}"
        );
        let reply = reading.reply;
        assert_eq!(
            (reply.messages()[0].msg_type, reply.focus_on()),
            (MsgType::Warning, Some("a"))
        );
        assert_eq!(reply.redirect().map(Redirect::as_str), Some("/there"));
        assert_eq!(reply.jdoc().len(), 3);
    }

    #[test]
    fn nothing_said_in_many_ways() {
        for value in [
            json!({}),
            json!({"msg": null, "msg_type": null, "jdoc": null, "focus_on": "", "redirect": "", "errors": {}}),
            json!({"errors": []}),
        ] {
            let reading = reading(&value, false);
            assert!(
                reading.reply.is_silent() && reading.faults.is_empty(),
                "{reading:?}"
            );
        }
    }

    #[test]
    fn faults_name_their_place_and_the_mend() {
        for (value, place, mend) in [
            (
                json!({"msg_type": "err"}),
                "$.msg_type",
                "did you mean \"error\"?",
            ),
            (
                json!({"msg_type": "fatal"}),
                "$.msg_type",
                "there are error, warning",
            ),
            (json!({"msg": 3}), "$.msg", "a number is not a text"),
            (json!({"msg": "x".repeat(4001)}), "$.msg", "at most 4000"),
            (json!({"jdoc": []}), "$.jdoc", "a list is not an object"),
            (
                json!({"jdoc": {"a": {"b": 1}}}),
                "$.jdoc.a",
                "an object; a form's field takes",
            ),
            (
                json!({"jdoc": {"a": [[1]]}}),
                "$.jdoc.a",
                "a list; a form's field takes",
            ),
            (
                json!({"jdoc": {"a": ["b", 1e30]}}),
                "$.jdoc.a",
                "a number over 64 bits would lose digits; write it as a string",
            ),
            (
                json!({"redirect": "//evil"}),
                "$.redirect",
                "starts with `//`",
            ),
            (
                json!({"redirect": "https://evil/"}),
                "$.redirect",
                "`redirect_hosts`",
            ),
            (json!({"errors": "no"}), "$.errors", "a string is neither"),
            (json!({"errors": {"a": 1}}), "$.errors.a", "must be a text"),
            (
                json!({"errors": [{"field": "a"}]}),
                "$.errors[0]",
                "`field` and `msg`",
            ),
            (
                json!({"focus_on": true}),
                "$.focus_on",
                "a boolean is not a text",
            ),
        ] {
            let reading = reading(&value, false);
            let fault = reading
                .faults
                .first()
                .unwrap_or_else(|| panic!("no fault in {value}"));
            assert_eq!(fault.place, place);
            assert!(fault.text.contains(mend), "{fault}");
        }
    }

    #[test]
    fn oddities_are_warnings() {
        for (value, place) in [
            (json!({"message": "x"}), "$.message"),
            (json!({"msg_type": "error"}), "$.msg"),
            (
                json!({"errors": {"a": "no"}, "msg_type": "success", "msg": "x"}),
                "$.msg_type",
            ),
        ] {
            let reading = reading(&value, false);
            assert!(reading.faults.is_empty());
            assert_eq!(reading.warnings[0].place, place);
        }
    }

    #[test]
    fn a_nested_doc_takes_nested_values() {
        assert!(
            reading(&json!({"jdoc": {"a": {"b": [{"c": 1}]}}}), true)
                .faults
                .is_empty()
        );
    }
}
