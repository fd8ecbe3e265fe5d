//! The doc: a form's fields as one JSON object (protocol §7). Owns how a doc is read, written as JSON without its
//! hidden fields, and changed by a jdoc. Its two shapes are [`Flat`] – fields as browsers send them – and
//! [`JsonDoc`]; which bytes became which field, and back, is left to `codec`.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::model::flat::Flat;
use crate::model::json_doc::JsonDoc;
use crate::model::nesting;
use crate::model::write::write_value;

/// Field changes, in the order in which they were asked for; `null` removes.
pub type Jdoc = Map<String, Value>;

/// What the gateway knows of an uploaded file. Its content stays in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name as the browser sent it, unescaped; never to be used as a path.
    pub filename: String,
    /// The part's own type, if it had one.
    pub content_type: Option<String>,
    /// Bytes of content.
    pub size: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
}

impl File {
    /// The JSON object that a hook sees.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("filename".to_owned(), self.filename.clone().into());
        object.insert("content_type".to_owned(), self.content_type.clone().into());
        object.insert("size".to_owned(), self.size.into());
        object.insert("sha256".to_owned(), self.sha256.clone().into());
        Value::Object(object)
    }
}

/// One value of a field, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// Text as the person typed it.
    Text(&'a str),
    /// A value that has a JSON type: from a JSON body, a typed field, or a jdoc.
    Json(&'a Value),
    /// A file.
    File(&'a File),
}

impl Item<'_> {
    /// The value as a person would have typed it; `None` for files, objects and `null`.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some((*text).to_owned()),
            Self::Json(value) => scalar_text(value),
            Self::File(_) => None,
        }
    }

    /// The value as JSON; of a file what a hook sees of it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => (*text).into(),
            Self::Json(value) => (*value).clone(),
            Self::File(file) => file.to_value(),
        }
    }
}

/// How a JSON scalar is written into a form field: `12`, `true`, the string itself.
#[must_use]
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The form's fields. A copy costs nothing until one of the two is changed.
#[derive(Debug, Clone)]
pub enum Doc {
    /// Named fields in the order of their first appearance: urlencoded, multipart, text/plain, query.
    Flat(Arc<Flat>),
    /// A JSON body, or the part of one that `doc_path` selects.
    Json(Arc<JsonDoc>),
}

impl Default for Doc {
    fn default() -> Self {
        Self::Flat(Arc::default())
    }
}

impl From<Flat> for Doc {
    fn from(flat: Flat) -> Self {
        Self::Flat(Arc::new(flat))
    }
}

impl From<JsonDoc> for Doc {
    fn from(json: JsonDoc) -> Self {
        Self::Json(Arc::new(json))
    }
}

impl Doc {
    /// The values of one field, hidden or not; empty if the form does not have it.
    #[must_use]
    pub fn items(&self, name: &str) -> Vec<Item<'_>> {
        match self {
            Self::Flat(flat) => flat.items(name),
            Self::Json(json) => match json.value().get(name) {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(list)) => list.iter().map(Item::Json).collect(),
                Some(value) => vec![Item::Json(value)],
            },
        }
    }

    /// Whether there is so much text that looking at it takes long.
    #[must_use]
    pub fn is_large(&self) -> bool {
        const LARGE: usize = 16 << 10;
        let bytes = match self {
            Self::Flat(flat) => flat.bytes(),
            Self::Json(json) => json.text().len(),
        };
        bytes > LARGE
    }

    /// Whether the form carries this field.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Flat(flat) => flat.has(name) || flat.has_nested(name),
            Self::Json(json) => json.value().get(name).is_some(),
        }
    }

    /// Whether the field holds at least one file.
    #[must_use]
    pub fn has_file(&self, name: &str) -> bool {
        self.items(name)
            .iter()
            .any(|item| matches!(item, Item::File(_)))
    }

    /// The names of the fields that a hook may see, in order; nothing of a doc that is not an object.
    #[must_use]
    pub fn visible_names(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Flat(flat) => flat.visible_names().into_iter().map(Cow::from).collect(),
            Self::Json(json) => json.visible_names(),
        }
    }

    /// Changes under the names that the body uses.
    #[must_use]
    pub fn flat_names<'j>(&self, jdoc: &'j Jdoc) -> Cow<'j, Jdoc> {
        match self {
            Self::Flat(flat) => flat.flattened(jdoc),
            Self::Json(_) => Cow::Borrowed(jdoc),
        }
    }

    /// Writes the doc as JSON, without hidden fields and, where `only` is given, without any other field.
    pub fn write_json(&self, out: &mut Vec<u8>, only: Option<&[String]>) {
        match self {
            Self::Flat(flat) if !flat.is_nested() => flat.write_json(out, only),
            Self::Flat(_) => write_value(out, &self.visible_value(only)),
            Self::Json(json) => json.write_json(out, only),
        }
    }

    /// The doc as a JSON value, without hidden fields and, where `only` is given, without any other field.
    #[must_use]
    pub fn visible_value(&self, only: Option<&[String]>) -> Value {
        let mut value = match self {
            Self::Flat(flat) => flat.to_value(),
            Self::Json(json) => {
                let mut text = Vec::new();
                json.write_json(&mut text, only);
                return serde_json::from_slice(&text).unwrap_or_default();
            }
        };
        if let (Some(only), Value::Object(object)) = (only, &mut value) {
            object.retain(|name, _| only.contains(name));
        }
        value
    }

    /// Gives one field a typed value (`"12"` becomes 12) without counting as a change.
    pub fn set_typed(&mut self, name: &str, values: Vec<Value>) {
        match self {
            Self::Flat(flat) => Arc::make_mut(flat).set(name, values),
            Self::Json(json) => {
                // A list of one stays a list: that is what the backend gets.
                let value = match (json.value().get(name), values.as_slice()) {
                    (None, _) => return,
                    (Some(Value::Array(_)), [Value::Array(_)]) => one_or_list(values),
                    (Some(Value::Array(_)), _) => Value::Array(values),
                    (Some(_), _) => one_or_list(values),
                };
                if !value.is_null() {
                    Arc::make_mut(json).apply(&Jdoc::from_iter([(name.to_owned(), value)]));
                }
            }
        }
    }

    /// Changes the fields that `jdoc` names: a value replaces or adds, `null` removes (RFC 7396 for JSON docs).
    pub fn apply(&mut self, jdoc: &Jdoc) {
        if jdoc.is_empty() {
            return;
        }
        match self {
            Self::Flat(flat) => {
                let jdoc = flat.flattened(jdoc);
                let flat = Arc::make_mut(flat);
                for (name, value) in jdoc.iter() {
                    flat.set(name, list_of(value));
                }
            }
            Self::Json(json) => Arc::make_mut(json).apply(jdoc),
        }
    }

    fn is_already(&self, flat: &Flat, name: &str, value: &Value) -> bool {
        let texts: Option<Vec<String>> = list_of(value).iter().map(scalar_text).collect();
        let now: Option<Vec<String>> = self.items(name).iter().map(Item::text).collect();
        texts.is_some() && texts == now && flat.has(name) != value.is_null()
    }

    /// The change that makes the field `name` what it is in `wanted`, where several changes came to `asked`: an object
    /// that follows a removal says nothing of the members that are gone.
    #[must_use]
    pub fn change_to(&self, wanted: &Self, name: &str, asked: &Value) -> Value {
        let Value::Object(members) = asked else {
            return asked.clone();
        };
        match (self, wanted) {
            (Self::Json(now), Self::Json(wanted)) => {
                let change = difference(now.value().get(name), wanted.value().get(name));
                change.unwrap_or_else(|| asked.clone())
            }
            (Self::Flat(now), Self::Flat(wanted)) => {
                let mut change = members.clone();
                let gone = now.fields().filter(|(known, _)| !wanted.has(known));
                for (known, _) in gone {
                    nesting::remove_member(&mut change, name, known);
                }
                Value::Object(change)
            }
            _ => asked.clone(),
        }
    }

    /// Whether setting `name` to `value` would leave the field as it is.
    #[must_use]
    pub fn already(&self, name: &str, value: &Value) -> bool {
        match self {
            Self::Flat(flat) => {
                let one = Jdoc::from_iter([(name.to_owned(), value.clone())]);
                let flattened = flat.flattened(&one);
                flattened
                    .iter()
                    .all(|(name, value)| self.is_already(flat, name, value))
            }
            Self::Json(json) => match json.value().get(name) {
                None => value.is_null(),
                Some(now) => !value.is_null() && merged(now, value) == *now,
            },
        }
    }
}

/// The merge patch that makes one value of another; `None` if they are the same.
fn difference(now: Option<&Value>, wanted: Option<&Value>) -> Option<Value> {
    match (now, wanted) {
        (None, None) => None,
        (Some(_), None) => Some(Value::Null),
        (Some(Value::Object(now)), Some(Value::Object(wanted))) => {
            let new = wanted.keys().filter(|key| !now.contains_key(*key));
            let changes: Map<String, Value> = now
                .keys()
                .chain(new)
                .filter_map(|key| Some((key.clone(), difference(now.get(key), wanted.get(key))?)))
                .collect();
            (!changes.is_empty()).then_some(Value::Object(changes))
        }
        (now, Some(wanted)) => (now != Some(wanted)).then(|| wanted.clone()),
    }
}

/// Merges `patch` into `target` as RFC 7396 says.
#[must_use]
pub fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut result = match target {
        Value::Object(object) => Value::Object(object.clone()),
        _ => Value::Object(Map::new()),
    };
    for (name, value) in changes {
        merge_member(&mut result, name, value);
    }
    result
}

fn merge_member(root: &mut Value, name: &str, value: &Value) {
    let Value::Object(object) = root else { return };
    if value.is_null() {
        object.shift_remove(name);
    } else {
        let now = object.get(name).unwrap_or(&Value::Null);
        let next = merged(now, value);
        object.insert(name.to_owned(), next);
    }
}

/// Folds a later jdoc into an earlier one, the later value winning; objects are merged. Gives the names whose
/// earlier value was overwritten.
pub fn fold_jdoc(earlier: &mut Jdoc, later: Jdoc) -> Vec<String> {
    let mut overwritten = Vec::new();
    for (name, value) in later {
        match earlier.get_mut(&name) {
            Some(Value::Object(into)) if value.is_object() => {
                if let Value::Object(more) = value {
                    let deeper = fold_jdoc(into, more);
                    overwritten.extend(deeper.into_iter().map(|inner| format!("{name}.{inner}")));
                }
            }
            Some(slot) => {
                if *slot != value {
                    overwritten.push(name);
                }
                *slot = value;
            }
            None => {
                earlier.insert(name, value);
            }
        }
    }
    overwritten
}

pub(in crate::model) fn list_of(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.clone(),
        other => vec![other.clone()],
    }
}

pub(in crate::model) fn one_or_list(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.swap_remove(0),
        _ => Value::Array(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hidden::Hidden;
    use bytes::Bytes;
    use serde_json::json;

    fn flat(pairs: &[(&str, &str)]) -> Doc {
        let mut flat = Flat::new(&Arc::new(Hidden::new(["secret"])), 64);
        for (name, value) in pairs {
            flat.push_text(name, value);
        }
        Doc::from(flat)
    }

    fn jdoc(value: Value) -> Jdoc {
        serde_json::from_value(value).expect("an object")
    }

    fn written(doc: &Doc) -> String {
        let mut out = Vec::new();
        doc.write_json(&mut out, None);
        let text = String::from_utf8(out).expect("JSON is UTF-8");
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("JSON"),
            doc.visible_value(None),
            "both ways of reading agree"
        );
        text
    }

    #[test]
    fn repeated_names_become_a_list_in_place() {
        let doc = flat(&[("a", "1"), ("b", "x"), ("a", "2"), ("a", "\"3\"")]);
        assert_eq!(written(&doc), r#"{"a":["1","2","\"3\""],"b":"x"}"#);
    }

    #[test]
    fn hidden_fields_are_never_written() {
        let doc = flat(&[("password", "hunter2"), ("secret", "s"), ("city", "Bern")]);
        assert_eq!(written(&doc), r#"{"city":"Bern"}"#);
        assert!(doc.has("password"), "but rules can still ask for them");
        let text = Bytes::from_static(br#"{"a":{"password":"x","b":1},"secret":2}"#);
        let doc = Doc::from(JsonDoc::new(text, &Arc::new(Hidden::new(["secret"])), true));
        assert_eq!(written(&doc), r#"{"a":{"b":1}}"#);
    }

    #[test]
    fn a_jdoc_replaces_adds_and_removes() {
        let mut doc = flat(&[("a", "1"), ("b", "2"), ("c", "3")]);
        doc.apply(&jdoc(json!({"b": null, "a": ["x", 2], "d": true})));
        assert_eq!(written(&doc), r#"{"a":["x",2],"c":"3","d":true}"#);
    }

    #[test]
    fn many_fields_are_found_by_index() {
        let names: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let mut doc = flat(&pairs);
        doc.apply(&jdoc(json!({"f3": null, "f99": "new"})));
        assert!(!doc.has("f3"));
        assert_eq!(doc.items("f99"), [Item::Json(&json!("new"))]);
        assert_eq!(doc.items("f4"), [Item::Text("v")]);
    }

    #[test]
    fn a_json_doc_is_merged() {
        let text = Bytes::from_static(br#"{"a": {"b": 1, "c": 12.50}, "d": [1]}"#);
        let mut doc = Doc::from(JsonDoc::new(text, &Arc::new(Hidden::default()), false));
        assert_eq!(
            written(&doc),
            r#"{"a": {"b": 1, "c": 12.50}, "d": [1]}"#,
            "as it came"
        );
        doc.apply(&jdoc(json!({"a": {"b": null, "e": "x"}, "d": [2]})));
        assert_eq!(
            doc.visible_value(None),
            json!({"a": {"c": 12.5, "e": "x"}, "d": [2]})
        );
    }

    #[test]
    fn setting_the_same_is_no_change() {
        let doc = flat(&[("age", "12"), ("tags", "a"), ("tags", "b")]);
        assert!(doc.already("age", &json!(12)));
        assert!(doc.already("tags", &json!(["a", "b"])));
        assert!(doc.already("gone", &Value::Null));
        assert!(!doc.already("age", &Value::Null));
        assert!(!doc.already("tags", &json!("a")));
    }

    #[test]
    fn nested_changes_reach_bracketed_fields() {
        let pairs = [("a[b]", "1"), ("a[c]", "2"), ("t[]", "x"), ("one", "y")];
        let Doc::Flat(form) = flat(&pairs) else {
            unreachable!("flat")
        };
        let mut form = Arc::unwrap_or_clone(form);
        form.nest().expect("names fit");
        let doc = Doc::from(form);
        assert!(doc.has("a") && doc.has("t") && doc.has("a[b]") && !doc.has("o"));
        for (change, already) in [
            (json!({"b": "1"}), true),
            (json!({"b": 2}), false),
            (Value::Null, false),
        ] {
            assert_eq!(doc.already("a", &change), already, "{change}");
        }
        assert!(doc.already("gone", &Value::Null) && doc.already("t", &json!(["x"])));
        let mut changed = doc.clone();
        changed.apply(&jdoc(
            json!({"a": {"b": null, "d": "3"}, "t": ["p", "q"], "one": {"x": "z"}}),
        ));
        assert_eq!(
            changed.visible_value(None),
            json!({"a": {"c": "2", "d": "3"}, "t": ["p", "q"], "one": {"x": "z"}})
        );
    }

    #[test]
    fn numbers_of_a_json_doc_stay_as_they_came() {
        let text =
            br#"{"a": 12.50, "pw": 1, "big": 12345678901234567890123, "c": {"pw": 2, "d": 1E2}}"#;
        let mut doc = Doc::from(JsonDoc::new(
            Bytes::from_static(text),
            &Arc::new(Hidden::default()),
            true,
        ));
        let shown = |doc: &Doc, only: Option<&[String]>| {
            let mut out = Vec::new();
            doc.write_json(&mut out, only);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(
            shown(&doc, None),
            r#"{"a":12.50,"big":12345678901234567890123,"c":{"d":1E2}}"#
        );
        assert_eq!(shown(&doc, Some(&["a".to_owned()])), r#"{"a":12.50}"#);
        doc.apply(&jdoc(json!({"x": {"password": "p", "y": 1}})));
        assert!(shown(&doc, None).ends_with(r#""x":{"y":1}}"#));
        doc.set_typed("a", vec![json!(12)]);
        assert!(shown(&doc, None).starts_with(r#"{"a":12,"#));
        assert_eq!(doc.visible_names(), ["a", "big", "c", "x"]);
    }

    #[test]
    fn later_jdocs_win_field_by_field() {
        let mut first = jdoc(json!({"a": 1, "b": {"x": 1}}));
        let overwritten = fold_jdoc(
            &mut first,
            jdoc(json!({"a": 2, "b": {"x": 3, "y": 2}, "c": null})),
        );
        assert_eq!(
            Value::Object(first),
            json!({"a": 2, "b": {"x": 3, "y": 2}, "c": null})
        );
        assert_eq!(overwritten, ["a", "b.x"]);
    }

    #[test]
    fn brackets_nest() {
        let pairs = [
            ("a[b][]", "1"),
            ("a[b][]", "2"),
            ("list[0][x]", "p"),
            ("list[1][x]", "q"),
            ("t[]", "z"),
            ("odd]", "o"),
        ];
        let Doc::Flat(form) = flat(&pairs) else {
            unreachable!("flat")
        };
        let mut form = Arc::unwrap_or_clone(form);
        form.nest().expect("names fit");
        let doc = Doc::from(form);
        let nested = json!({"a": {"b": ["1", "2"]}, "list": [{"x": "p"}, {"x": "q"}], "t": ["z"], "odd]": "o"});
        assert_eq!(doc.visible_value(None), nested);
        let Doc::Flat(form) = flat(&[("a", "1"), ("a[b]", "2")]) else {
            unreachable!("flat")
        };
        let mut form = Arc::unwrap_or_clone(form);
        assert_eq!(form.nest(), Err("a[b]".to_owned()));
    }
}
