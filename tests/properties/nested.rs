//! Laws of bracketed names that are shown as nested objects.

use formgate::codec::Settings;
use formgate::codec::urlencoded;
use formgate::model::doc::Doc;
use formgate::model::doc::Jdoc;
use formgate::model::doc::fold_jdoc;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::settings;

fn nested() -> Settings<'static> {
    Settings {
        nested: true,
        ..settings()
    }
}

fn doc(body: &[u8]) -> Option<Doc> {
    urlencoded::decode(body, None, nested())
        .ok()
        .map(|(flat, _)| Doc::from(flat))
}

/// An object whose leaves are texts, and lists of texts.
fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        3 => "[a-z]{0,3}".prop_map(Value::from),
        1 => prop::collection::vec("[a-z]{0,3}", 1..3).prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(2, 12, 3, |inner| {
        prop::collection::btree_map("[a-e]", inner, 1..3)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    });
    prop::collection::btree_map("[a-e]", tree, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

/// The object as a form with bracketed names.
fn written(object: &Map<String, Value>) -> String {
    fn pairs(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => members
                .iter()
                .for_each(|(key, value)| pairs(&format!("{name}[{key}]"), value, out)),
            Value::Array(list) => list
                .iter()
                .for_each(|item| pairs(&format!("{name}[]"), item, out)),
            other => out.push((
                name.to_owned(),
                other.as_str().unwrap_or_default().to_owned(),
            )),
        }
    }
    let mut all = Vec::new();
    object
        .iter()
        .for_each(|(name, value)| pairs(name, value, &mut all));
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(all)
        .finish()
}

proptest! {
    #[test]
    fn what_was_written_in_brackets_is_shown_nested(object in object()) {
        let doc = doc(written(&object).as_bytes()).expect("names fit");
        prop_assert_eq!(doc.visible_value(None), Value::Object(object));
    }

    #[test]
    fn a_nested_change_is_read_back_from_the_body(object in object(), changes in object()) {
        let body = written(&object);
        let before = doc(body.as_bytes()).expect("names fit");
        let jdoc: Jdoc = changes;
        let patched = urlencoded::patch(body.as_bytes(), &before.flat_names(&jdoc), encoding_rs::UTF_8);
        let after = doc(&patched).expect("names still fit");
        let mut expected = before;
        expected.apply(&jdoc);
        let shown = after.visible_value(None);
        prop_assert_eq!(&shown, &expected.visible_value(None));
        for (name, value) in &jdoc {
            prop_assert!(includes(&shown[name.as_str()], value), "{shown} lacks {name}: {value}");
        }
    }

    #[test]
    fn the_body_gets_what_the_last_hook_would_have_seen(object in object(), second in object()) {
        let body = written(&object);
        let original = doc(body.as_bytes()).expect("names fit");
        // The first hook removes everything, the second has its own way.
        let first: Jdoc = object.keys().map(|name| (name.clone(), Value::Null)).collect();
        let mut last = original.clone();
        let mut folded = Jdoc::new();
        for changes in [first, second] {
            last.apply(&changes);
            fold_jdoc(&mut folded, changes);
        }
        let changes: Jdoc = folded
            .iter()
            .map(|(name, value)| (name.clone(), original.change_to(&last, name, value)))
            .collect();
        let patched = urlencoded::patch(body.as_bytes(), &original.flat_names(&changes), encoding_rs::UTF_8);
        let shown = doc(&patched).expect("names still fit").visible_value(None);
        for (name, value) in last.visible_value(None).as_object().expect("an object") {
            prop_assert!(includes(&shown[name.as_str()], value) && includes(value, &shown[name.as_str()]), "{shown} is not {name}: {value}");
        }
    }

    #[test]
    fn null_removes_all_below(object in object()) {
        let body = written(&object);
        for name in object.keys() {
            let before = doc(body.as_bytes()).expect("names fit");
            let jdoc = Jdoc::from_iter([(name.clone(), Value::Null)]);
            prop_assert!(!before.already(name, &Value::Null));
            let patched = urlencoded::patch(body.as_bytes(), &before.flat_names(&jdoc), encoding_rs::UTF_8);
            let mut rest = object.clone();
            rest.remove(name);
            prop_assert_eq!(doc(&patched).expect("fits").visible_value(None), json!(rest));
        }
    }

    #[test]
    fn what_is_already_so_is_no_change(object in object()) {
        let doc = doc(written(&object).as_bytes()).expect("names fit");
        for (name, value) in &object {
            prop_assert!(doc.already(name, value));
        }
    }
}

/// Whether a value has everything that a change says.
fn includes(value: &Value, change: &Value) -> bool {
    match (value, change) {
        (value, Value::Object(members)) => members
            .iter()
            .all(|(key, change)| includes(&value[key.as_str()], change)),
        // Where the body has a plain name, a list of one is its one value.
        (Value::Array(one), Value::String(_)) if one.len() == 1 => one[0] == *change,
        (Value::String(_), Value::Array(one)) if one.len() == 1 => one[0] == *value,
        _ => value == change,
    }
}
