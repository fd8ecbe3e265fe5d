//! A JSON body as a doc. Owns the text – as it came, or as changed – and the value once somebody asks for it;
//! checking the text is left to `codec`, its places to [`crate::model::json_text`].

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Map;
use serde_json::Value;

use crate::model::hidden::Hidden;
use crate::model::json_text;

/// A JSON body as it came, and its value once somebody asks for it.
#[derive(Debug, Clone)]
pub struct JsonDoc {
    text: Bytes,
    value: OnceLock<Value>,
    hidden: Arc<Hidden>,
    hides: bool,
}

impl JsonDoc {
    /// A doc of checked JSON text; `hides` says whether any member in it is hidden.
    #[must_use]
    pub fn new(text: Bytes, hidden: &Arc<Hidden>, hides: bool) -> Self {
        Self {
            text,
            value: OnceLock::new(),
            hidden: Arc::clone(hidden),
            hides,
        }
    }

    /// The whole value, hidden members included.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.value
            .get_or_init(|| serde_json::from_slice(&self.text).unwrap_or_default())
    }

    /// The JSON text: as it came, or as it is after a change.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The names of the members that a hook may see, in order; none if the value is not an object.
    #[must_use]
    pub fn visible_names(&self) -> Vec<Cow<'_, str>> {
        let names = json_text::names(json_text::trimmed(self.as_str())).into_iter();
        names.filter(|name| !self.hidden.covers(name)).collect()
    }

    /// Writes the text without hidden members and, where `only` is given, without any other member; numbers and
    /// escapes of the rest are as they came.
    pub(in crate::model) fn write_json(&self, out: &mut Vec<u8>, only: Option<&[String]>) {
        if only.is_none() && !self.hides {
            out.extend_from_slice(&self.text);
        } else if only.is_some() && !json_text::trimmed(self.as_str()).starts_with('{') {
            // A value without members has none of the wanted ones.
            out.extend_from_slice(b"{}");
        } else {
            json_text::write_visible(out, self.as_str(), &self.hidden, only);
        }
    }

    /// Merges changes into the text (RFC 7396).
    pub(in crate::model) fn apply(&mut self, changes: &Map<String, Value>) {
        self.hides |= changes
            .iter()
            .any(|(name, value)| self.hidden.covers(name) || self.hidden.covers_any_member(value));
        self.text = json_text::merge(self.as_str(), changes).into();
        self.value = OnceLock::new();
    }
}
