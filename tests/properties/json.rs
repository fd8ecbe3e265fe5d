//! Laws of JSON bodies; `serde_json` is asked what it reads, and RFC 7396's own algorithm what a merge gives.

use bytes::Bytes;
use formgate::codec::json;
use formgate::model::doc::Doc;
use formgate::model::doc::Jdoc;
use formgate::model::doc::fold_jdoc;
use formgate::model::hidden::Hidden;
use formgate::model::json_text;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::pieces;
use crate::settings;

const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"a\"",
    b"\"b\"",
    b"\"A\"",
    b"1",
    b"1.50",
    b"-0",
    b"1e999",
    b"null",
    b"true",
    b" ",
    b"\n",
    b"\"\\u0061\"",
    b"\"\\ud800\"",
    b"\"}\"",
    b"\"\\\\\"",
    b"\"\\\"\"",
    b"{}",
    b"[]",
    b"{\"a\":",
    b"NaN",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-f]", 1 => "\\PC{0,4}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(|number: f64| json!(number)),
        any::<String>().prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|members| Value::Object(unlike(members))),
        ]
    })
}

/// Members whose keys differ in more than letter case.
fn unlike(members: Vec<(String, Value)>) -> Map<String, Value> {
    let mut map = Map::new();
    let fold = |text: &str| text.to_uppercase().to_lowercase();
    for (key, value) in members {
        if !map.keys().any(|known: &String| fold(known) == fold(&key)) {
            map.insert(key, value);
        }
    }
    map
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), tree()), 0..5).prop_map(unlike)
}

/// RFC 7396, section 2.
fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in changes {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            let now = target.get(key).cloned().unwrap_or(Value::Null);
            target.insert(key.clone(), merge(&now, value));
        }
    }
    Value::Object(target)
}

fn strip(value: &mut Value, hidden: &Hidden) {
    hidden.strip(value);
}

proptest! {
    #[test]
    fn what_was_written_is_taken(value in tree(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("JSON");
        let doc = json::decode(&Bytes::from(text.clone()), settings()).expect("one reading");
        prop_assert_eq!(doc.text(), text.as_bytes());
        prop_assert_eq!(doc.value(), &value);
    }

    #[test]
    fn what_is_taken_serde_reads_alike(body in pieces(PIECES)) {
        let theirs = serde_json::from_slice::<Value>(&body);
        if let Ok(doc) = json::decode(&Bytes::from(body), settings()) {
            prop_assert_eq!(doc.value(), &theirs.expect("JSON"));
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_wherever_it_is(inside in tree(), key in "[a-z]{1,4}", upper in any::<bool>()) {
        let again = if upper { key.to_uppercase() } else { key.clone() };
        let body = format!("{{\"x\": [{{\"{key}\": {inside}, \"{again}\": 1}}]}}");
        prop_assert!(json::decode(&Bytes::from(body), settings()).is_err());
    }

    #[test]
    fn no_change_changes_no_byte(value in tree(), space in "[ \t\r\n]{0,3}") {
        let text = format!("{space}{value}{space}");
        // An empty merge patch makes an object of what is none.
        prop_assume!(value.is_object());
        prop_assert_eq!(json::patch(text.as_bytes(), &Jdoc::new(), &[]), text.into_bytes());
    }

    #[test]
    fn a_change_is_a_merge_patch(target in tree(), changes in object(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&target) } else { serde_json::to_string(&target) };
        let patched = json::patch(text.expect("JSON").as_bytes(), &changes, &[]);
        let patched: Value = serde_json::from_slice(&patched).expect("JSON");
        prop_assert_eq!(patched, merge(&target, &Value::Object(changes)));
    }

    #[test]
    fn a_change_inside_a_path_is_a_merge_patch_there(target in object(), changes in object()) {
        let path = ["v".to_owned(), "in put".to_owned()];
        let body = json!({"v": {"in put": target, "x": 1.5}, "q": [1]});
        let patched = json::patch(body.to_string().as_bytes(), &changes, &path);
        let patched: Value = serde_json::from_slice(&patched).expect("JSON");
        let inner = merge(&body["v"]["in put"], &Value::Object(changes));
        prop_assert_eq!(patched, json!({"v": {"in put": inner, "x": 1.5}, "q": [1]}));
    }

    #[test]
    fn what_is_not_changed_keeps_its_text(numbers in prop::collection::vec("-?[1-9][0-9]{0,30}\\.[0-9]{1,30}([eE][+-]?[0-9])?", 1..6), pick in any::<prop::sample::Index>()) {
        let members: Vec<String> = numbers.iter().enumerate().map(|(at, number)| format!("\"k{at}\" : {number}")).collect();
        let text = format!("{{ {} }}", members.join(" , "));
        let at = pick.index(numbers.len());
        let patched = json::patch(text.as_bytes(), &Jdoc::from_iter([(format!("k{at}"), json!("new"))]), &[]);
        let expected = text.replacen(&members[at], &format!("\"k{at}\" : \"new\""), 1);
        prop_assert_eq!(String::from_utf8(patched).expect("UTF-8"), expected);
    }

    #[test]
    fn the_doc_after_a_change_is_what_the_body_says(target in object(), changes in object()) {
        let text = Bytes::from(Value::Object(target).to_string());
        let mut doc = Doc::from(json::decode(&text, settings()).expect("good"));
        if !changes.is_empty() {
            doc.apply(&changes);
        }
        let body: Value = serde_json::from_slice(&json::patch(&text, &changes, &[])).expect("JSON");
        prop_assert_eq!(doc.visible_value(None), stripped(body));
    }

    #[test]
    fn the_body_gets_what_the_last_hook_would_have_seen(target in object(), first in object(), second in object()) {
        let text = Bytes::from(Value::Object(target).to_string());
        let original = Doc::from(json::decode(&text, settings()).expect("good"));
        let mut doc = original.clone();
        let mut folded = Jdoc::new();
        for changes in [first, second] {
            doc.apply(&changes);
            fold_jdoc(&mut folded, changes);
        }
        let changes = folded.iter().map(|(name, value)| (name.clone(), original.change_to(&doc, name, value)));
        let body: Value = serde_json::from_slice(&json::patch(&text, &changes.collect(), &[])).expect("JSON");
        prop_assert_eq!(stripped(body), doc.visible_value(None));
    }

    #[test]
    fn leaving_out_is_leaving_out_of_the_value(value in tree(), only in prop::option::of(prop::collection::vec("[a-f]", 0..3))) {
        let hidden = Hidden::new(["b"]);
        let mut out = Vec::new();
        json_text::write_visible(&mut out, &serde_json::to_string_pretty(&value).expect("JSON"), &hidden, only.as_deref());
        let shown: Value = serde_json::from_slice(&out).expect("JSON");
        let mut expected = value;
        strip(&mut expected, &hidden);
        if let (Some(only), Value::Object(object)) = (&only, &mut expected) {
            object.retain(|name, _| only.contains(name));
        }
        prop_assert_eq!(shown, expected);
    }
}

fn stripped(mut value: Value) -> Value {
    Hidden::default().strip(&mut value);
    value
}
