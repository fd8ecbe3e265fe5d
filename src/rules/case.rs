//! `[[case]]`: a test of a rule file. Owns reading one and comparing what came of it with what was expected;
//! running it is left to `flow`.

use serde_json::Map;
use serde_json::Value;

use crate::model::event::Event;
use crate::rules::place::Place;
use crate::rules::shapes::EXPECT;
use crate::source::table::Table;

/// A test of a rule file.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is being shown.
    pub name: String,
    /// The event.
    pub on: Event,
    /// The fields that are submitted.
    pub doc: Map<String, Value>,
    /// What is known of the person.
    pub user_info: Map<String, Value>,
    /// The path's parameters.
    pub params: Vec<(String, String)>,
    /// What each hook replies; `"fails"` for one that cannot be relied on.
    pub replies: Map<String, Value>,
    /// What must come of it.
    pub expect: Map<String, Value>,
    /// Where it was written.
    pub place: Place,
}

impl Case {
    /// Reads `[[case]]`; `None` if it says too little to be one.
    #[must_use]
    pub fn read(table: &Table<'_>, hooks: &[&str]) -> Option<Self> {
        let words = Event::ALL.map(|event| (event.word(), event));
        if table.table("expect", &EXPECT).is_none() {
            if !table.has("expect") {
                let mend = "add expect = { outcome = \"stopped\" }";
                table
                    .page()
                    .complain(table.span(), "a case without `expect` can never fail", mend);
            }
            return None;
        }
        let replies = object(table, "replies");
        for name in replies
            .keys()
            .filter(|name| !hooks.contains(&name.as_str()))
        {
            table.complain(
                "replies",
                format!("there is no hook `{name}` in this file"),
                "",
            );
        }
        let params = object(table, "params").into_iter();
        Some(Self {
            name: table
                .text("name")
                .map_or_else(|| "unnamed".to_owned(), |placed| placed.value),
            on: table.word("on", &words).unwrap_or(Event::Preprocess),
            doc: object(table, "doc"),
            user_info: object(table, "user_info"),
            params: params
                .map(|(name, value)| (name, text_of(&value)))
                .collect(),
            replies,
            expect: object(table, "expect"),
            place: Place::on(table.page(), &table.span()),
        })
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
        _ => expected == got,
    }
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
