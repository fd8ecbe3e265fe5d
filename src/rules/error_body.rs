//! `error_body`: the JSON answer of a stop in an application's own shape. Owns the template, which is itself JSON:
//! a text that is one slot alone becomes the slot's value, else its slots are filled as text.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Value;

use crate::model::template::Template;

/// What a slot may name: the members of the gateway's own answer.
const SLOTS: [&str; 11] = [
    "outcome",
    "submitted",
    "msg",
    "msg_type",
    "messages",
    "errors",
    "focus_on",
    "redirect",
    "request_id",
    "status",
    "detail",
];

/// A compiled `error_body`.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorBody(Shape);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Plain(Value),
    Whole(String),
    Text(Template),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl ErrorBody {
    /// Reads the template.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            format!("`error_body` must be JSON, with its slots inside quotes, write for example `{{ \"error\": \"{{msg}}\" }}`: {error}")
        })?;
        Ok(Self(Shape::compile(value)?))
    }

    /// Fills the template from the gateway's own answer.
    #[must_use]
    pub fn fill(&self, answer: &Map<String, Value>) -> Value {
        self.0.fill(answer)
    }
}

impl Shape {
    fn compile(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => {
                let template = Template::compile(&text, |name| SLOTS.contains(&name))
                    .map_err(|why| format!("{why}; the slots are {}", SLOTS.join(", ")))?;
                let slots: Vec<&str> = template.slots().collect();
                match (template.plain(), slots.as_slice()) {
                    (Some(plain), _) => Self::Plain(plain.into()),
                    (None, [one]) if text == format!("{{{one}}}") => Self::Whole((*one).to_owned()),
                    (None, _) => Self::Text(template),
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

    fn fill(&self, answer: &Map<String, Value>) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Whole(name) => answer.get(name).cloned().unwrap_or_default(),
            Self::Text(template) => template
                .fill(|name| Cow::Owned(text_of(answer.get(name))))
                .into(),
            Self::List(list) => list.iter().map(|item| item.fill(answer)).collect(),
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, shape)| (name.clone(), shape.fill(answer)));
                Value::Object(members.collect())
            }
        }
    }
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_shape_of_ones_own() {
        let body = r#"{"errors": [{"message": "{msg}", "at": "field {focus_on}", "all": "{errors}"}], "code": 42}"#;
        let body = ErrorBody::parse(body).expect("good");
        let answer = json!({"msg": "No \"entry\"", "focus_on": "age", "errors": {"age": "x"}});
        let filled = body.fill(answer.as_object().expect("an object"));
        let expected = json!({"errors": [{"message": "No \"entry\"", "at": "field age", "all": {"age": "x"}}], "code": 42});
        assert_eq!(filled, expected);
    }

    #[test]
    fn bad_templates_are_explained() {
        assert!(
            ErrorBody::parse("{msg}")
                .expect_err("not JSON")
                .contains("inside quotes")
        );
        assert!(
            ErrorBody::parse(r#"{"a": "{message}"}"#)
                .expect_err("unknown")
                .contains("the slots are")
        );
    }
}
