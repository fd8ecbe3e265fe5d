//! A JSON body as a doc. Owns the text as it came, and the value once somebody asks for it; checking the text is
//! left to `codec`.

use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use crate::model::hidden::Hidden;
use crate::model::write::write_value;

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

    /// Whether any member is hidden.
    #[must_use]
    pub const fn hides(&self) -> bool {
        self.hides
    }

    /// The names of the members that a hook may see, in order; none if the value is not an object.
    #[must_use]
    pub fn visible_names(&self) -> Vec<&str> {
        let Some(object) = self.value().as_object() else {
            return Vec::new();
        };
        let names = object.keys().map(String::as_str);
        names.filter(|name| !self.hidden.covers(name)).collect()
    }

    pub(in crate::model) fn visible(&self) -> Value {
        let mut value = self.value().clone();
        if self.hides {
            self.hidden.strip(&mut value);
        }
        value
    }

    pub(in crate::model) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = self.value().clone();
        change(&mut value);
        let mut text = Vec::with_capacity(self.text.len() + 64);
        write_value(&mut text, &value);
        self.text = text.into();
        self.value = OnceLock::from(value);
    }
}
