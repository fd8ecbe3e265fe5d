//! `[[rule]]`: replies without a network call. Owns reading one and answering with it; folding is left to
//! [`crate::model::decision`].

use std::borrow::Cow;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Map;
use serde_json::Value;

use crate::model::event::Event;
use crate::model::redirect::Allowed;
use crate::model::redirect::Redirect;
use crate::model::redirect::Refused;
use crate::model::reply::MsgType;
use crate::model::reply_table;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::model::template::Template;
use crate::model::template::is_call_slot;
use crate::model::template::lookup;
use crate::rules::form::Form;
use crate::rules::place::Place;
use crate::rules::shapes::REPLY;
use crate::rules::when::When;
use crate::source::page::Page;
use crate::source::table::Placed;
use crate::source::table::Table;

/// A local rule.
#[derive(Debug, Clone)]
pub struct LocalRule {
    /// The event.
    pub on: Event,
    /// When it replies.
    pub when: When,
    /// Where it was written.
    pub place: Place,
    reply: Vec<(String, Slotted)>,
    /// Where it sends the person, if no slot is filled before that can be told.
    redirect: Option<Placed<String>>,
}

/// A JSON value whose texts may have slots.
#[derive(Debug, Clone)]
enum Slotted {
    Plain(Value),
    Text(Template),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl LocalRule {
    /// Reads `[[rule]]`; `None` if it says too little to be one.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let when = When::read(table);
        let on = read_on(table)?;
        let Some(reply) = table.table("reply", &REPLY) else {
            if !table.has("reply") {
                table.page().complain(
                    table.span(),
                    "a rule without a `reply` does nothing",
                    "add reply = { msg = \"…\" }",
                );
            }
            return None;
        };
        let value = table.json("reply")?.value;
        let Value::Object(object) = value else {
            return None;
        };
        if object.is_empty() {
            table.complain(
                "reply",
                "a reply that says nothing does nothing",
                "write { msg = \"…\" }",
            );
        }
        let words = MsgType::ALL.map(|kind| (kind.word(), kind));
        let _ = reply.word("msg_type", &words);
        let redirect = redirect(&reply);
        check(&reply, &object);
        let reply = object
            .into_iter()
            .map(|(name, value)| {
                let slotted = Slotted::compile(value).unwrap_or_else(|why| {
                    reply.complain(
                        &name,
                        why,
                        "slots are `{doc.…}`, `{user_info.…}`, `{meta_info.…}`, `{form_info.…}`",
                    );
                    Slotted::Plain(Value::Null)
                });
                (name, slotted)
            })
            .collect();
        Some(Self {
            on,
            when,
            place: Place::on(table.page(), &table.span()),
            reply,
            redirect,
        })
    }

    /// Complains of a redirect to a host that the form's file does not list.
    pub fn check_redirect(&self, page: &Page, form: &Form) {
        let Some(target) = &self.redirect else {
            return;
        };
        let allowed = |own: Option<&str>| {
            let allowed = Allowed {
                own,
                hosts: &form.redirect_hosts,
            };
            Redirect::parse(&target.value, allowed)
        };
        let own = form.hosts.iter().any(|host| allowed(Some(host)).is_ok());
        match allowed(None) {
            Err(refused) if !own => {
                page.complain(target.span.clone(), refused.to_string(), "");
            }
            _ => {}
        }
    }

    /// The reply as it was written.
    #[must_use]
    pub fn written(&self) -> Value {
        let members = self.reply.iter();
        let members = members.map(|(name, value)| (name.clone(), value.written()));
        Value::Object(members.collect())
    }

    /// The rule's reply to `call`. A fault can come only from what was filled into a slot.
    #[must_use]
    pub fn reply(&self, call: &Value, limits: Limits<'_>) -> Reading {
        let filled = self.reply.iter().map(|(name, slotted)| {
            let value = match (name.as_str(), slotted) {
                ("redirect", Slotted::Text(template)) => fill_url(template, call).into(),
                (_, slotted) => slotted.fill(call),
            };
            (name.clone(), value)
        });
        reply_table::read(&filled.collect(), limits)
    }
}

/// Reads `on`, which every rule and hook must have.
pub(in crate::rules) fn read_on(table: &Table<'_>) -> Option<Event> {
    let words = Event::ALL.map(|event| (event.word(), event));
    if !table.has("on") {
        table.page().complain(
            table.span(),
            "`on` is missing",
            "add on = \"preprocess\" (or \"load\", \"submit\")",
        );
    }
    table.word("on", &words)
}

/// Where a reply sends the person; a slot stands for a harmless text, for that is what it is filled with. What is
/// no target, whatever its host, is complained of here.
fn redirect(table: &Table<'_>) -> Option<Placed<String>> {
    let mut target = table
        .text("redirect")
        .filter(|text| !text.value.is_empty())?;
    if let Ok(template) = Template::compile(&target.value, is_call_slot) {
        target.value = template.fill(|_| "x".into());
    }
    let allowed = Allowed {
        own: None,
        hosts: &[],
    };
    match Redirect::parse(&target.value, allowed) {
        Ok(_) => None,
        Err(Refused::Host(_) | Refused::Http(_)) => Some(target),
        Err(refused) => {
            table.page().complain(target.span, refused.to_string(), "");
            None
        }
    }
}

/// What can be checked before any slot is filled. Words, unknown keys and the redirect are looked at elsewhere.
fn check(table: &Table<'_>, object: &Map<String, Value>) {
    let mut object = object.clone();
    object.shift_remove("redirect");
    let limits = Limits {
        nested: true,
        allowed: Allowed {
            own: None,
            hosts: &[],
        },
    };
    let reading = reply_table::read(&object, limits);
    for finding in reading.faults.iter().chain(&reading.warnings) {
        let key = finding
            .place
            .trim_start_matches("$.")
            .split(['.', '['])
            .next()
            .unwrap_or_default();
        if key != "msg_type" && reply_table::KEYS.contains(&key) {
            let mend = match key {
                "errors" => "write { age = \"You must be 5 or older.\" }",
                "jdoc" => "write { city = \"Bern\" }",
                _ => "",
            };
            table.complain(key, format!("`{}`: {}", finding.place, finding.text), mend);
        }
    }
}

impl Slotted {
    fn compile(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => {
                let template = Template::compile(&text, is_call_slot)?;
                match template.plain() {
                    Some(plain) => Self::Plain(plain.into()),
                    None => Self::Text(template),
                }
            }
            Value::Array(list) => Self::List(
                list.into_iter()
                    .map(Self::compile)
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(object) => {
                let members = object
                    .into_iter()
                    .map(|(name, value)| Ok((name, Self::compile(value)?)));
                Self::Object(members.collect::<Result<_, String>>()?)
            }
            other => Self::Plain(other),
        })
    }

    fn written(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => template.fill(|name| format!("{{{name}}}").into()).into(),
            Self::List(list) => list.iter().map(Self::written).collect(),
            Self::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.clone(), value.written()));
                Value::Object(members.collect())
            }
        }
    }

    fn fill(&self, call: &Value) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => template.fill_from(call).into(),
            Self::List(list) => list.iter().map(|item| item.fill(call)).collect(),
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| (name.clone(), value.fill(call)));
                Value::Object(members.collect())
            }
        }
    }
}

/// Everything that could end a path segment or a query value is encoded.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn fill_url(template: &Template, call: &Value) -> String {
    template.fill(|name| Cow::Owned(utf8_percent_encode(&lookup(call, name), IN_URL).to_string()))
}
