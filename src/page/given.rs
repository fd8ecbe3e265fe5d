//! What the controls of a form are to hold. Owns giving out values one by one, as a browser collects them: the n-th
//! control of a name gets its n-th value. Writing them into tags is left to [`crate::page::state`].

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::doc::scalar_text;
use crate::model::flat::Flat;
use crate::model::hidden::Hidden;
use crate::page::change::Values;

/// One value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::page) enum Entry {
    Text(String),
    Flag(bool),
    /// A file; the flag says whether one was chosen.
    File(bool),
}

impl Entry {
    fn of(item: &Item<'_>) -> Option<Self> {
        match item {
            Item::Text(text) => Some(Self::Text((*text).to_owned())),
            Item::Json(Value::Bool(flag)) => Some(Self::Flag(*flag)),
            Item::Json(value) => scalar_text(value).map(Self::Text),
            Item::File(file) => Some(Self::File(!file.filename.is_empty())),
        }
    }

    /// Whether a control or option with this value is meant by it. A yes or no is meant by the words that a field of
    /// the type `boolean` takes for it.
    pub(in crate::page) fn means(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => same_text(text, value),
            Self::Flag(flag) => {
                let words: &[&str] = if *flag {
                    &["true", "on", "yes", "1"]
                } else {
                    &["false", "off", "no", "0"]
                };
                words.iter().any(|word| word.eq_ignore_ascii_case(value))
            }
            Self::File(_) => false,
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Flag(flag) => flag.to_string(),
            Self::File(_) => String::new(),
        }
    }
}

/// Browsers send every line break as CR LF, whatever the page says.
fn same_text(one: &str, other: &str) -> bool {
    one == other || one.replace("\r\n", "\n") == other.replace("\r\n", "\n")
}

#[derive(Debug, Default)]
struct Field {
    /// Each value, and whether a control holds it already.
    entries: Vec<(Entry, bool)>,
}

impl Field {
    fn take(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let found = self
            .entries
            .iter_mut()
            .find(|(entry, held)| !held && wanted(entry))?;
        found.1 = true;
        Some(found.0.clone())
    }
}

/// The values, as far as they have not been given out.
#[derive(Debug)]
pub(in crate::page) struct Given {
    values: Values,
    hidden: Arc<Hidden>,
    /// Fields that were asked for; `None` for those that are to be left alone.
    fields: HashMap<String, Option<Field>>,
    /// Fields that have been said to be lost.
    lost: HashSet<String>,
}

impl Given {
    pub(in crate::page) fn new(values: Values, hidden: Arc<Hidden>) -> Self {
        Self {
            values,
            hidden,
            fields: HashMap::new(),
            lost: HashSet::new(),
        }
    }

    const fn is_submitted(&self) -> bool {
        matches!(self.values, Values::Submitted(_))
    }

    /// The text of the next control of this name; `None` to leave it as it is.
    pub(in crate::page) fn text(&mut self, name: &str) -> Option<String> {
        let is_submitted = self.is_submitted();
        let field = self.field(name)?;
        let next = field.take(|entry| !matches!(entry, Entry::File(_)));
        match next {
            Some(entry) => Some(entry.into_text()),
            // A control that was disabled was not sent; a field that is to hold less holds nothing more.
            None => (!is_submitted).then(String::new),
        }
    }

    /// Whether the checkbox, radio button or option with this value is to be chosen; `None` to leave it as it is.
    pub(in crate::page) fn is_chosen(
        &mut self,
        name: &str,
        value: &str,
        disabled: bool,
    ) -> Option<bool> {
        let is_submitted = self.is_submitted();
        let field = self.field(name)?;
        if field
            .take(|entry| matches!(entry, Entry::Text(_)) && entry.means(value))
            .is_some()
        {
            return Some(true);
        }
        let flag = field.entries.iter().find_map(|(entry, _)| match entry {
            Entry::Flag(flag) => Some(*flag),
            Entry::Text(_) | Entry::File(_) => None,
        });
        match flag {
            Some(flag) => Some(flag),
            None => (!(is_submitted && disabled)).then_some(false),
        }
    }

    /// As [`Self::is_chosen`], for a radio button: of two, yes and no, a flag means one.
    pub(in crate::page) fn is_radio_chosen(
        &mut self,
        name: &str,
        value: &str,
        disabled: bool,
    ) -> Option<bool> {
        let is_submitted = self.is_submitted();
        let field = self.field(name)?;
        if field.take(|entry| entry.means(value)).is_some() {
            return Some(true);
        }
        (!(is_submitted && disabled)).then_some(false)
    }

    /// What the next choice of this name is to be: `Some(None)` for nothing, `None` to leave it as it is.
    pub(in crate::page) fn choice(&mut self, name: &str) -> Option<Option<Entry>> {
        let is_submitted = self.is_submitted();
        let next = self
            .field(name)?
            .take(|entry| !matches!(entry, Entry::File(_)));
        match next {
            Some(entry) => Some(Some(entry)),
            None => (!is_submitted).then_some(None),
        }
    }

    /// A hidden field holds this: then it is no other control's.
    pub(in crate::page) fn pass(&mut self, name: &str, value: &str) {
        if self.is_submitted()
            && let Some(field) = self.field(name)
        {
            field.take(|entry| matches!(entry, Entry::Text(_)) && entry.means(value));
        }
    }

    /// Whether a file was chosen in the next control of this name, which nobody can put back into it.
    pub(in crate::page) fn had_file(&mut self, name: &str, multiple: bool) -> bool {
        if !self.is_submitted() {
            return false;
        }
        let Some(field) = self.field(name) else {
            return false;
        };
        let mut had = false;
        while let Some(entry) = field.take(|entry| matches!(entry, Entry::File(_))) {
            had |= entry == Entry::File(true);
            if !multiple {
                break;
            }
        }
        had
    }

    /// Whether the person entered something other than `current` in a field that is never put into a page.
    pub(in crate::page) fn is_lost(&self, name: &str, secret: bool, current: &str) -> bool {
        if !self.is_submitted() || !(secret || self.hidden.covers(name)) {
            return false;
        }
        let entries = entries(&self.values, name).unwrap_or_default();
        let mut texts = entries.into_iter().map(Entry::into_text);
        texts.any(|text| !text.is_empty() && !same_text(&text, current))
    }

    /// Whether it is the first time that something is said to be lost.
    pub(in crate::page) fn is_news(&mut self, name: &str) -> bool {
        self.lost.insert(name.to_owned())
    }

    fn field(&mut self, name: &str) -> Option<&mut Field> {
        if matches!(self.values, Values::Keep) || name.is_empty() {
            return None;
        }
        if !self.fields.contains_key(name) {
            let field = if self.hidden.covers(name) {
                None
            } else {
                entries(&self.values, name).map(|entries| Field {
                    entries: entries.into_iter().map(|entry| (entry, false)).collect(),
                })
            };
            self.fields.insert(name.to_owned(), field);
        }
        self.fields.get_mut(name)?.as_mut()
    }
}

/// The values of a field; `None` if nothing is said about it.
fn entries(values: &Values, name: &str) -> Option<Vec<Entry>> {
    match values {
        Values::Keep => None,
        Values::Submitted(Doc::Flat(flat)) => Some(flat_entries(flat, name)),
        Values::Submitted(Doc::Json(json)) => {
            let found = json.value().as_object().and_then(|doc| find(doc, name));
            Some(found.and_then(json_entries).unwrap_or_default())
        }
        Values::Prefill(jdoc) => find(jdoc, name).and_then(json_entries),
    }
}

fn flat_entries(flat: &Flat, name: &str) -> Vec<Entry> {
    let items = flat.items(name);
    items.iter().filter_map(Entry::of).collect()
}

/// Nothing can be made of an object.
fn json_entries(value: &Value) -> Option<Vec<Entry>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => {
            let items = list.iter();
            Some(
                items
                    .filter_map(|value| Entry::of(&Item::Json(value)))
                    .collect(),
            )
        }
        Value::Object(_) => None,
        value => Some(Entry::of(&Item::Json(value)).into_iter().collect()),
    }
}

/// The value of a field in JSON: the member of this name, or the place that its brackets name.
fn find<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('[')?;
    let mut value = object.get(first)?;
    let mut parts = rest.strip_suffix(']')?.split("][").peekable();
    while let Some(part) = parts.next() {
        value = match value {
            // `a[]` is the list itself.
            Value::Array(_) if part.is_empty() && parts.peek().is_none() => value,
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            Value::Object(object) => object.get(part)?,
            _ if part.is_empty() && parts.peek().is_none() => value,
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    use crate::model::json_doc::JsonDoc;

    fn submitted(pairs: &[(&str, &str)]) -> Given {
        let hidden = Arc::new(Hidden::new(["card"]));
        let mut flat = Flat::new(&hidden, 0);
        for (name, value) in pairs {
            flat.push_text(name, value);
        }
        Given::new(Values::Submitted(flat.into()), hidden)
    }

    fn prefill(jdoc: Value) -> Given {
        let Value::Object(jdoc) = jdoc else {
            unreachable!("an object")
        };
        Given::new(Values::Prefill(jdoc), Arc::default())
    }

    #[test]
    fn the_nth_control_gets_the_nth_value() {
        let mut given = submitted(&[("a", "1"), ("b", "x"), ("a", "2")]);
        assert_eq!(given.text("a").as_deref(), Some("1"));
        assert_eq!(given.text("a").as_deref(), Some("2"));
        assert_eq!(given.text("a"), None);
        assert_eq!(given.text("c"), None);
    }

    #[test]
    fn hidden_fields_take_their_own_value_first() {
        let mut given = submitted(&[("agree", "0"), ("agree", "1"), ("card", "4111")]);
        given.pass("agree", "0");
        assert_eq!(given.text("agree").as_deref(), Some("1"));
        assert_eq!(given.text("card"), None);
        assert_eq!(given.is_chosen("card", "x", false), None);
        assert!(!given.is_lost("agree", false, "") && !given.is_lost("card", false, "4111"));
        assert!(given.is_lost("card", false, "") && given.is_lost("agree", true, ""));
    }

    #[test]
    fn what_was_not_sent_is_not_checked_unless_it_was_disabled() {
        let mut given = submitted(&[("a", "on"), ("text", "one\r\ntwo")]);
        assert_eq!(given.is_chosen("a", "on", false), Some(true));
        assert_eq!(given.is_chosen("a", "on", false), Some(false));
        assert_eq!(given.is_chosen("b", "on", false), Some(false));
        assert_eq!(given.is_chosen("b", "on", true), None);
        assert_eq!(given.is_radio_chosen("text", "one\ntwo", false), Some(true));
    }

    #[test]
    fn a_prefill_is_about_its_own_fields_only() {
        let mut given = prefill(
            json!({"a": null, "n": 12, "yes": true, "list": ["x", "y"], "o": {"p": ["q"]}}),
        );
        assert_eq!(given.text("a").as_deref(), Some(""));
        assert_eq!(given.text("n").as_deref(), Some("12"));
        assert_eq!(given.text("n").as_deref(), Some(""));
        assert_eq!(given.text("other"), None);
        assert_eq!(given.text("o"), None);
        assert_eq!(given.is_chosen("yes", "agreed", false), Some(true));
        assert_eq!(given.is_radio_chosen("yes", "no", false), Some(false));
        assert_eq!(given.is_radio_chosen("yes", "yes", false), Some(true));
        assert_eq!(given.is_chosen("list[]", "y", true), Some(true));
        assert_eq!(
            given.choice("o[p][0]"),
            Some(Some(Entry::Text("q".to_owned())))
        );
        assert_eq!(given.choice("a"), Some(None));
        assert_eq!(given.choice("other"), None);
    }

    #[test]
    fn json_docs_are_read_by_name_or_brackets() {
        let doc = JsonDoc::new(
            Bytes::from_static(
                br#"{"user": {"email": "a@b", "tags": [1, 2]}, "ok": false, "x": null}"#,
            ),
            &Arc::default(),
            false,
        );
        let mut given = Given::new(Values::Submitted(doc.into()), Arc::default());
        assert_eq!(given.text("user[email]").as_deref(), Some("a@b"));
        assert_eq!(given.is_chosen("user[tags][]", "2", false), Some(true));
        assert_eq!(given.is_chosen("ok", "on", false), Some(false));
        assert_eq!(given.text("x"), None);
        assert_eq!(given.text("user"), None);
    }
}
