//! The demo's responder: the program of the camp that the hooks ask. Owns checking that a call is signed, and what
//! each hook is answered. A real one is a small program in any language; see `examples/`.

use bytes::Bytes;
use http::Response;
use http::header;
use http::request::Parts;
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::demo::server::Answers;
use crate::hooks::sign::Signer;

/// How far the clock of a call may be from ours, in seconds.
const TOLERANCE: u64 = 300;

/// The responder.
#[derive(Debug)]
pub(in crate::cli::demo) struct Responder {
    /// Signs as the gateway does; a call must carry the same signature.
    pub(in crate::cli::demo) signer: Signer,
}

impl Answers for Responder {
    fn answer(&self, head: &Parts, body: &Bytes) -> Option<Response<Full<Bytes>>> {
        let hook = head.uri.path();
        let signed = head.headers.contains_key("webhook-signature");
        if signed && !self.is_genuine(head, body) {
            return Some(status(401, &json!({"error": "the signature is not ours"})));
        }
        let Ok(call) = serde_json::from_slice::<Value>(body) else {
            return Some(status(400, &json!({"error": "not JSON"})));
        };
        reply(hook, &call).map(|reply| match reply {
            Some(reply) => status(200, &reply),
            None => status(204, &Value::Null),
        })
    }
}

impl Responder {
    /// Whether a call comes from the gateway, and is not an old one sent again.
    fn is_genuine(&self, head: &Parts, body: &Bytes) -> bool {
        let text = |name: &str| head.headers.get(name)?.to_str().ok();
        let (Some(id), Some(at), Some(given)) = (
            text("webhook-id"),
            text("webhook-timestamp").and_then(|at| at.parse::<u64>().ok()),
            text("webhook-signature"),
        ) else {
            return false;
        };
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let Some(expected) = self.signer.sign(id, at, body) else {
            return false;
        };
        let same = |given: &str| {
            aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), expected.as_bytes())
                .is_ok()
        };
        now.abs_diff(at) <= TOLERANCE && given.split(' ').any(same)
    }
}

fn status(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status.try_into().unwrap_or_default();
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What a hook is answered: `Some(None)` is "nothing to say", `None` is hanging up.
fn reply(hook: &str, call: &Value) -> Option<Option<Value>> {
    let doc = &call["doc"];
    Some(match hook {
        "/places" => Some(places(&call["user_info"]["camp"])),
        "/camp-office/form_preprocess_enrollment" => camp_office(doc),
        "/addresses" => address(text(&doc["zip"]), text(&doc["city"])),
        "/cabins" => Some(cabin(doc)),
        "/payments" => Some(payment(&call["form_info"])),
        "/complaints" => return None,
        "/mood" => Some(json!({"msg": "What a nice day!", "msg_type": "err"})),
        "/helpdesk" => Some(json!({
            "msg": "Thank you! A person reads this, and answers within two days.", "msg_type": "success",
        })),
        "/mailboxes" => mailbox(text(&doc["email"])),
        "/spam-score" => spam(doc),
        _ => None,
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn places(camp: &Value) -> Value {
    match text(camp) {
        "forest" => json!({
            "redirect": "/camps/forest/full", "msg": "The forest camp is full.", "msg_type": "information",
        }),
        _ => json!({"msg": "Three places are left.", "msg_type": "information"}),
    }
}

/// Two things it refuses, each beside its field, and one it changes although it has an objection.
fn camp_office(doc: &Value) -> Option<Value> {
    let mut errors = Map::new();
    if text(&doc["email"]) == "taken@example.org" {
        let msg = "There is an enrolment with this address already.";
        errors.insert("email".to_owned(), msg.into());
    }
    let dives = doc["interests"]
        .as_array()
        .is_some_and(|interests| interests.iter().any(|one| one == "dive"));
    if dives && doc["age"].as_i64().is_some_and(|age| age < 12) {
        let msg = "Diving is for campers of 12 years and more.";
        errors.insert("interests".to_owned(), msg.into());
    }
    if !errors.is_empty() {
        return Some(
            json!({"msg": "The camp office cannot take this enrolment yet.", "errors": errors}),
        );
    }
    (text(&doc["shirt"]) == "XXL").then(|| {
        json!({
            "msg": "T-shirts in XXL are sold out; you get XL.", "msg_type": "error", "jdoc": {"shirt": "XL"},
        })
    })
}

fn address(zip: &str, city: &str) -> Option<Value> {
    let known = match zip {
        "3011" => "Bern",
        "8001" => "Zürich",
        "1003" => "Lausanne",
        _ => return None,
    };
    (city != known).then(|| {
        json!({
            "jdoc": {"city": known}, "msg": format!("We corrected the city to {known}."),
            "msg_type": "notification",
        })
    })
}

fn cabin(doc: &Value) -> Value {
    let cabin = if doc["age"].as_i64().is_some_and(|age| age < 12) {
        "Heron"
    } else {
        "Otter"
    };
    let name = text(&doc["first_name"]);
    json!({
        "jdoc": {"cabin": cabin}, "msg": format!("{name} sleeps in cabin {cabin}."), "msg_type": "success",
    })
}

fn payment(form: &Value) -> Value {
    let id = text(&form["submission_id"]);
    json!({"redirect": format!("/pay/{id}"), "msg": "Please pay now.", "msg_type": "information"})
}

fn mailbox(email: &str) -> Option<Value> {
    let name = email.strip_suffix("@gmial.com")?;
    let meant = format!("{name}@gmail.com");
    Some(json!({
        "msg": format!("Did you mean {meant}?"), "msg_type": "error", "focus_on": "email",
        "jdoc": {"email": meant},
    }))
}

fn spam(doc: &Value) -> Option<Value> {
    let links = doc
        .as_object()?
        .values()
        .any(|value| text(value).contains("http"));
    links.then(|| json!({"msg": "This looks like spam.", "msg_type": "error"}))
}
