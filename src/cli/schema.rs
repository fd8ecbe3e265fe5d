//! `formgate schema`: JSON Schemas of what people and programs write. Owns the schemas of call and reply; those of
//! files are made from their vocabulary.

use std::process::ExitCode;

use serde_json::Value;
use serde_json::json;

use crate::cli::args;
use crate::cli::args::Described;
use crate::cli::out;
use crate::config::CONFIG;
use crate::model::redirect;
use crate::model::reply::MAX_MSG_CHARS;
use crate::model::reply::MsgType;
use crate::rules::shapes::RULE_FILE;
use crate::source::shape::Shape;

/// Prints a schema.
///
/// # Errors
/// None.
pub fn run(schema: &args::Schema) -> anyhow::Result<ExitCode> {
    out::pretty(&of(schema.what));
    Ok(ExitCode::SUCCESS)
}

/// A schema (draft 2020-12).
#[must_use]
pub fn of(what: Described) -> Value {
    match what {
        Described::Rules => of_file("rules", "A rule file of Formgate", &RULE_FILE),
        Described::Config => of_file("config", "formgate.toml", &CONFIG),
        Described::Call => call(),
        Described::Reply => reply(),
    }
}

fn headed(name: &str, title: &str, mut schema: Value) -> Value {
    let mut head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:formgate:schema:{name}"),
        "title": title,
    });
    if let (Value::Object(head), Value::Object(schema)) = (&mut head, &mut schema) {
        head.append(schema);
    }
    head
}

fn of_file(name: &str, title: &str, shape: &Shape) -> Value {
    headed(name, title, shape.schema())
}

fn reply() -> Value {
    // Words are taken in any letter case.
    let any_case = |word: &str| -> String {
        word.chars()
            .map(|c| format!("[{}{}]", c.to_ascii_uppercase(), c))
            .collect()
    };
    let words: Vec<String> = MsgType::ALL
        .iter()
        .map(|kind| any_case(kind.word()))
        .collect();
    let text = |doc: &str| json!({"type": ["string", "null"], "maxLength": MAX_MSG_CHARS, "description": doc});
    let properties = json!({
        "msg": text("A message to the person, plain text."),
        "msg_type": {
            "type": ["string", "null"], "pattern": format!("^({})?$", words.join("|")),
            "description": "error, warning, notification, information or success, in any letter case. `error` stops the submission. Missing with a `msg`: information.",
        },
        "jdoc": {
            "type": ["object", "null"],
            "description": "Fields to change; the submission continues. A string, a number, a boolean, a list of these, or null to remove the field. Forms whose doc is nested (a JSON body, bracketed names) take nested values as well.",
        },
        "focus_on": text("The field to focus."),
        "redirect": {
            "type": ["string", "null"], "maxLength": redirect::MAX_BYTES,
            "pattern": r"^($|/$|/[^/\\\s][^\\\s]*$|[hH][tT][tT][pP][sS]?://[^\\\s]+$)",
            "description": "Where to send the person: a path that starts with one `/`, or an https URL whose host is the form's own or listed in `redirect_hosts`.",
        },
        "errors": {
            "description": "Several field errors at once; same as `msg_type: error`. Field to text, or a list of field and msg.",
            "anyOf": [
                {"type": "null"},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/problem"}},
                {"type": "array", "items": {
                    "type": "object", "required": ["field", "msg"],
                    "properties": {"field": {"type": "string"}, "msg": {"$ref": "#/$defs/problem"}},
                }},
            ],
        },
        "debug": {"description": "Anything; goes to the job record, never to the person."},
    });
    let problem = json!({
        "description": "What is wrong with the field; of a list, the first text is shown.",
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_MSG_CHARS},
            {"type": "array", "minItems": 1, "prefixItems": [{"type": "string", "minLength": 1, "maxLength": MAX_MSG_CHARS}]},
        ],
    });
    headed(
        "reply",
        "What a hook replies",
        json!({
            "description": "Every key is optional; an empty body, {} or null lets the event go on.",
            "type": ["object", "null"], "properties": properties, "$defs": {"problem": problem},
        }),
    )
}

fn call() -> Value {
    let text = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    let time = json!({"type": "string", "format": "date-time"});
    let meta = json!({
        "type": "object",
        "description": "About the request.",
        "required": ["project", "request_id", "sent_at", "run"],
        "properties": {
            "project": text, "request_id": text, "sent_at": time,
            "run": {"type": "integer", "minimum": 1, "description": "1 for the first attempt of a call."},
            "ip": maybe, "user_agent": maybe, "referer": maybe, "locale": maybe,
        },
    });
    let result = json!({
        "description": "The backend's answer, in form_submit; body of JSON answers only.",
        "type": ["object", "null"],
        "required": ["status", "location", "body"],
        "properties": {"status": {"type": "integer"}, "location": maybe, "body": {}},
    });
    let form = json!({
        "type": "object",
        "description": "About the form, in form_preprocess and form_submit.",
        "required": ["id", "title", "method", "path", "params", "content_type", "submitted_at", "submission_id", "result"],
        "properties": {
            "id": text, "title": maybe, "method": text, "path": text,
            "params": {"type": "object", "additionalProperties": {"type": "string"}},
            "query": {
                "type": "object",
                "description": "The fields of the query beside the body, without hidden ones; only if there is a query.",
                "additionalProperties": {"anyOf": [text, {"type": "array", "items": text}]},
            },
            "content_type": maybe, "submitted_at": time, "submission_id": maybe, "result": result,
        },
    });
    headed(
        "call",
        "What a hook is sent",
        json!({
            "type": "object",
            "required": ["event", "user_info", "meta_info", "doc", "analytics"],
            "properties": {
                "event": {
                    "type": "string", "pattern": "^form_(load|preprocess|submit)(_.+)?$",
                    "description": "The event of all forms, or with the form's id behind it the form's own.",
                },
                "user_info": {"type": "object", "description": "The person, as [user_info] of the rule file says."},
                "meta_info": meta,
                "form_info": form,
                "doc": {"description": "The form's fields without hidden ones; a file is {filename, content_type, size, sha256}."},
                "analytics": {"type": "object", "description": "Only what the request carried: google, facebook, utm."},
            },
        }),
    )
}
