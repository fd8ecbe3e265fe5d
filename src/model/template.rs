//! Texts with slots: `Welcome, {doc.first_name}`. Owns reading and filling them; which slots there are is said by
//! whoever compiles one.

use std::borrow::Cow;

use serde_json::Value;

/// A text with slots. `{{` and `}}` are plain braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(String),
}

impl Template {
    /// Compiles a text; `knows` says whether a slot's name is one that will be filled.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn compile(text: &str, knows: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let slot = rest.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = slot else {
                return Err(format!(
                    "a single `{brace}`; write `{brace}{brace}` for a plain brace"
                ));
            };
            if !knows(name) {
                return Err(format!("there is no `{{{name}}}` here"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Slot(name.to_owned()));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The text, if it has no slots.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The names of its slots.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Slot(name) => Some(name.as_str()),
        })
    }

    /// The text with every slot filled.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Cow<'v, str>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Slot(name) => out.push_str(&value(name)),
            }
        }
        out
    }

    /// The text with slots such as `doc.first_name` filled from a call; what is not there is empty.
    #[must_use]
    pub fn fill_from(&self, call: &Value) -> String {
        self.fill(|name| Cow::Owned(lookup(call, name)))
    }
}

/// Whether `name` begins with a block of the call that a reply may quote.
#[must_use]
pub fn is_call_slot(name: &str) -> bool {
    let block = name.split('.').next().unwrap_or_default();
    name.contains('.') && ["doc", "user_info", "meta_info", "form_info"].contains(&block)
}

/// The text of a slot such as `doc.first_name`; empty if the call does not have it.
#[must_use]
pub fn lookup(call: &Value, name: &str) -> String {
    let Some((block, field)) = name.split_once('.') else {
        return String::new();
    };
    let block = call.get(block).unwrap_or(&Value::Null);
    // A field's own name may hold dots; only then is the name taken apart.
    let found = block.get(field).or_else(|| {
        field
            .split('.')
            .try_fold(block, |value, part| value.get(part))
    });
    found.map_or_else(String::new, shown)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Object(_) => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slots_are_filled() {
        let template = Template::compile(
            "Dear {doc.name}, {{so}} {doc.tags} {doc.a.b}{doc.gone}!",
            is_call_slot,
        )
        .expect("good");
        let call = json!({"doc": {"name": "Ana", "tags": ["x", 2], "a": {"b": true}}});
        assert_eq!(template.fill_from(&call), "Dear Ana, {so} x, 2 true!");
        assert_eq!(
            Template::compile("plain", is_call_slot)
                .expect("good")
                .plain(),
            Some("plain")
        );
    }

    #[test]
    fn bad_templates_are_explained() {
        for (text, why) in [
            ("{doc.name", "single `{`"),
            ("a}", "single `}`"),
            ("{name}", "no `{name}`"),
            ("{doc}", "no `{doc}`"),
        ] {
            let error = Template::compile(text, is_call_slot).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }
}
