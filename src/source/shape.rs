//! The vocabulary of a file: which keys a table may have, of which kind, and what they are for. Owns the one
//! description from which unknown keys are found, the JSON Schema is made and the reference in docs is checked.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// One table of a file.
#[derive(Debug)]
pub struct Shape {
    /// As complaints name it: `[form]`, `[[hook]]`.
    pub title: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys; empty for a table whose keys are the person's own (then `others` says what they hold).
    pub keys: &'static [Key],
    /// What a key that is not listed holds; `None` where such keys are refused.
    pub others: Option<Kind>,
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is for, in one or two sentences, with its default.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number, not negative.
    Count,
    /// Any number, or a text (bounds of numbers and dates).
    Bound,
    /// `"3s"`.
    Duration,
    /// `"32MiB"`.
    Size,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// One text or a list of them.
    OneOrMore,
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A table.
    Table(&'static Shape),
    /// An array of tables.
    Tables(&'static Shape),
    /// A table whose values are all of this kind of table.
    Named(&'static Shape),
    /// Any JSON-like value.
    Any,
}

impl Shape {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The known key that `name` was probably meant to be.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.keys.iter().map(|key| key.name))
    }

    /// The table as JSON Schema (draft 2020-12).
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: Map<String, Value> = self
            .keys
            .iter()
            .map(|key| (key.name.to_owned(), described(key.kind.schema(), key.doc)))
            .collect();
        let others = self.others.map_or(Value::Bool(false), |kind| kind.schema());
        json!({
            "type": "object", "description": self.doc, "properties": properties, "additionalProperties": others,
        })
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Count => json!({"type": "integer", "minimum": 0}),
            Self::Bound => json!({"type": ["number", "string"]}),
            Self::Duration => {
                json!({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"})
            }
            Self::Size => {
                json!({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(B|KB|KiB|MB|MiB|GB|GiB)\s*$"})
            }
            Self::Word(words) => json!({"enum": words}),
            // One text alone is taken for a list of one.
            Self::Texts | Self::OneOrMore => {
                json!({"type": ["string", "array"], "items": {"type": "string"}})
            }
            Self::Words(words) => {
                json!({"anyOf": [{"enum": words}, {"type": "array", "items": {"enum": words}}]})
            }
            Self::Table(shape) => shape.schema(),
            Self::Tables(shape) => json!({"type": "array", "items": shape.schema()}),
            Self::Named(shape) => json!({"type": "object", "additionalProperties": shape.schema()}),
            Self::Any => json!({}),
        }
    }
}

fn described(mut schema: Value, doc: &str) -> Value {
    if let Value::Object(object) = &mut schema {
        object.insert("description".to_owned(), doc.into());
    }
    schema
}

/// The word among `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|candidate| {
        let (word, known) = (word.to_lowercase(), candidate.to_lowercase());
        let likeness = strsim::jaro_winkler(&word, &known);
        // In a short word, one letter is much, and yet one slip of the finger.
        let slip = word.len() > 2 && strsim::osa_distance(&word, &known) == 1;
        (if slip { likeness.max(0.9) } else { likeness }, candidate)
    });
    scored
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// So many words are not listed in a complaint; so few of them are.
const MANY: usize = 40;
const FEW: usize = 4;

/// "did you mean `x`?" for the nearest word, else the list of what there is.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => {
            let all: Vec<String> = known.into_iter().map(|word| format!("`{word}`")).collect();
            match all.get(..FEW) {
                Some(first) if all.len() > MANY => {
                    format!(
                        "known are {}, and {} more",
                        first.join(", "),
                        all.len() - FEW
                    )
                }
                _ => format!("known are {}", all.join(", ")),
            }
        }
    }
}
