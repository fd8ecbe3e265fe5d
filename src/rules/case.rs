//! `[[case]]`: a test of a rule file. Owns reading one and comparing what came of it with what was expected;
//! running it is left to `flow`.

use serde_json::Map;
use serde_json::Value;

use crate::model::call::SubmitResult;
use crate::model::event::Event;
use crate::rules::form::Form;
use crate::rules::place::Place;
use crate::rules::shapes::ANY_TABLE;
use crate::rules::shapes::EXPECT;
use crate::rules::shapes::RESULT;
use crate::source::page::Page;
use crate::source::shape::Kind;
use crate::source::shape::suggestion;
use crate::source::table::Placed;
use crate::source::table::Table;
use crate::source::table::to_json;

/// The reply of a hook that cannot be relied on.
pub const FAILS: &str = "fails";

/// A test of a rule file.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is being shown.
    pub name: String,
    /// The event.
    pub on: Event,
    /// What happens.
    pub sample: Sample,
    /// What each hook replies; [`FAILS`] for one that cannot be relied on.
    pub replies: Map<String, Value>,
    /// What must come of it.
    pub expect: Map<String, Value>,
    /// Where it was written.
    pub place: Place,
    /// Every hook that it names, where it names it.
    hooks: Vec<Placed<String>>,
}

/// An occasion that somebody made up.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The fields that are submitted.
    pub doc: Map<String, Value>,
    /// How: as JSON, as a form, or whatever fits.
    pub as_json: Option<bool>,
    /// What is known of the person.
    pub user_info: Map<String, Value>,
    /// The path's parameters.
    pub params: Vec<(String, String)>,
    /// The backend's answer, after acceptance.
    pub result: Option<SubmitResult>,
}

impl Case {
    /// Reads `[[case]]`; `None` if it says too little to be one.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let events = Event::ALL.map(|event| (event.word(), event));
        let on = table.word("on", &events).unwrap_or(Event::Preprocess);
        let params = object(table, "params").into_iter();
        let sample = Sample {
            doc: object(table, "doc"),
            as_json: table.word("as", &[("form", false), ("json", true)]),
            user_info: object(table, "user_info"),
            params: params
                .map(|(name, value)| (name, text_of(&value)))
                .collect(),
            result: result(table, on),
        };
        let (mut hooks, replies) = replies(table);
        let Some(expect) = table.table("expect", &EXPECT) else {
            if !table.has("expect") {
                let mend = "add expect = { outcome = \"stopped\" }";
                table
                    .page()
                    .complain(table.span(), "a case without `expect` can never fail", mend);
            }
            return None;
        };
        if expect.entries().next().is_none() {
            let mend = "write { outcome = \"stopped\" }";
            table.complain("expect", "a case that expects nothing can never fail", mend);
        }
        hooks.extend(check_expectations(&expect));
        Some(Self {
            name: table
                .text("name")
                .map_or_else(|| "unnamed".to_owned(), |placed| placed.value),
            on,
            sample,
            replies,
            expect: object(table, "expect"),
            place: Place::on(table.page(), &table.span()),
            hooks,
        })
    }

    /// Complains of names that are no hook of this form and event.
    pub fn check_hooks(&self, page: &Page, form: &Form) {
        let names = |event: Event| {
            let hooks = form.hooks(event).iter();
            hooks.map(|chained| chained.hook.name.as_str())
        };
        for named in &self.hooks {
            if names(self.on).any(|name| name == named.value) {
                continue;
            }
            let other = Event::ALL
                .into_iter()
                .find(|event| names(*event).any(|name| name == named.value));
            let (message, mend) = match other {
                Some(event) => (
                    format!(
                        "the hook `{}` is not asked on {}",
                        named.value,
                        self.on.word()
                    ),
                    format!("it is a hook of on = \"{}\"", event.word()),
                ),
                None if form.hooks(self.on).is_empty() => (
                    format!("there is no hook `{}`", named.value),
                    format!("nobody is called on {}", self.on.word()),
                ),
                None => (
                    format!("there is no hook `{}` on {}", named.value, self.on.word()),
                    suggestion(&named.value, names(self.on).collect::<Vec<_>>()),
                ),
            };
            page.complain(named.span.clone(), message, mend);
        }
    }

    /// What differs between `expect` and what came of the case: key, expected, got.
    #[must_use]
    pub fn differences(&self, came: &Map<String, Value>) -> Vec<(String, Value, Value)> {
        let nothing = Value::Null;
        let wrong = self.expect.iter().filter_map(|(key, expected)| {
            let got = came.get(key).unwrap_or(&nothing);
            (!meets(key, expected, got)).then(|| (key.clone(), expected.clone(), got.clone()))
        });
        wrong.collect()
    }
}

/// `errors = ["age"]` asks only for the fields; everything else is compared as it is.
fn meets(key: &str, expected: &Value, got: &Value) -> bool {
    match (key, expected) {
        ("errors", Value::Array(fields)) => {
            let got: Vec<Value> = got
                .as_object()
                .map(|object| object.keys().cloned().map(Value::String).collect())
                .unwrap_or_default();
            got.len() == fields.len() && fields.iter().all(|field| got.contains(field))
        }
        ("called" | "faulty", Value::String(one)) => got
            .as_array()
            .is_some_and(|got| got.as_slice() == [Value::from(one.as_str())]),
        _ => expected == got,
    }
}

fn replies(table: &Table<'_>) -> (Vec<Placed<String>>, Map<String, Value>) {
    let mut names = Vec::new();
    let mut replies = Map::new();
    let Some(inner) = table.table("replies", &ANY_TABLE) else {
        return (names, replies);
    };
    for (name, value) in inner.entries() {
        let json = to_json(value.get_ref());
        if !json.is_object() && json != FAILS {
            let mend = format!("write {{ msg = \"…\" }}, {{}} or \"{FAILS}\"");
            table
                .page()
                .complain(value.span(), "a reply is a table", mend);
        }
        replies.insert(name.value.clone(), json);
        names.push(name);
    }
    (names, replies)
}

fn result(table: &Table<'_>, on: Event) -> Option<SubmitResult> {
    let inner = table.table("result", &RESULT)?;
    if on != Event::Submit {
        let mend = "add on = \"submit\", or leave `result` out";
        table.page().complain(
            table.key_span("result"),
            "the backend has answered only on submit",
            mend,
        );
    }
    let status = inner.count("status").map_or(200, |placed| placed.value);
    Some(SubmitResult {
        status: u16::try_from(status).unwrap_or(u16::MAX),
        location: inner.text("location").map(|placed| placed.value),
        body: inner.json("body").map(|placed| placed.value),
    })
}

/// Complains of values that could never be met; the hooks that must be called.
fn check_expectations(expect: &Table<'_>) -> Vec<Placed<String>> {
    let words = |words: &[&'static str]| -> Vec<(&'static str, ())> {
        words.iter().map(|word| (*word, ())).collect()
    };
    for key in EXPECT.keys {
        match key.kind {
            Kind::Word(known) => {
                let _ = expect.word(key.name, &words(known));
            }
            Kind::Text => drop(expect.text(key.name)),
            Kind::Count => drop(expect.count(key.name)),
            Kind::Flag => drop(expect.flag(key.name)),
            Kind::Table(shape) => drop(expect.table(key.name, shape)),
            _ => {}
        }
    }
    if let Some(errors) = expect.json("errors") {
        let good = match &errors.value {
            Value::Array(list) => list.iter().all(Value::is_string),
            Value::Object(fields) => fields.values().all(Value::is_string),
            _ => false,
        };
        if !good {
            let mend = "write [\"age\"] or { age = \"You must be 5 or older.\" }";
            expect.complain(
                "errors",
                "`errors` must be a list of fields, or texts by field",
                mend,
            );
        }
    }
    let mut named = expect.texts("called");
    named.extend(expect.texts("faulty"));
    named
}

fn object(table: &Table<'_>, name: &str) -> Map<String, Value> {
    match table.json(name).map(|placed| placed.value) {
        None => Map::new(),
        Some(Value::Object(object)) => object,
        Some(_) => {
            table.complain(
                name,
                format!("`{name}` must be a table"),
                "write { field = \"value\" }",
            );
            Map::new()
        }
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
