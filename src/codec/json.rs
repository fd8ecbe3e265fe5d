//! JSON bodies. Owns checking that a body has only one reading, and merging changes (RFC 7396) into the original
//! text, so that numbers, escapes, key order and white space of everything else stay as they came.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::codec::Settings;
use crate::codec::rejected::Rejected;
use crate::model::doc::Jdoc;
use crate::model::hidden::Hidden;
use crate::model::json_doc::JsonDoc;
use crate::model::write::write_string;
use crate::model::write::write_value;

/// Checks a body and takes the doc out of it.
///
/// # Errors
/// 400 for what is not JSON or has more than one reading (a key twice), 413 over a limit.
pub fn decode(body: &Bytes, settings: Settings<'_>) -> Result<JsonDoc, Rejected> {
    let limits = settings.limits;
    if body.len() > limits.doc {
        return Err(Rejected::too_large(
            "limits.doc",
            format!("The JSON body has over {} bytes.", limits.doc),
        ));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Rejected::malformed(format!(
            "The JSON body is not UTF-8 (at byte {}).",
            error.valid_up_to() + 1
        ))
    })?;
    let mut check = Check {
        settings,
        fields: 0,
        hides: false,
        limit: None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let checked = Node {
        check: &mut check,
        depth: 0,
    }
    .deserialize(&mut reader)
    .and_then(|()| reader.end());
    if let Err(error) = checked {
        return Err(match check.limit {
            Some(limit) => Rejected::too_large(limit, capitalised(&error)),
            None => Rejected::malformed(format!("The body is not usable JSON: {error}.")),
        });
    }
    let doc = at_path(text, settings.doc_path).map_or_else(
        || Bytes::from_static(b"{}"),
        |part| body.slice_ref(part.as_bytes()),
    );
    Ok(JsonDoc::new(doc, settings.hidden, check.hides))
}

fn capitalised(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

// === checking ===

struct Check<'a> {
    settings: Settings<'a>,
    fields: usize,
    hides: bool,
    limit: Option<&'static str>,
}

struct Node<'c, 'a> {
    check: &'c mut Check<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let most = self.check.settings.limits.field;
        if text.len() > most {
            self.check.limit = Some("limits.field");
            return Err(E::custom(format_args!("a text has over {most} bytes")));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while list
            .next_element_seed(Node {
                check: &mut *self.check,
                depth,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut names = Names::default();
        while let Some(name) = object.next_key_seed(Name)? {
            self.check.count()?;
            self.check.hides |= self.check.settings.hidden.covers(&name);
            if let Some(again) = names.add(name) {
                let shown: String = again.chars().take(40).collect();
                return Err(A::Error::custom(format_args!(
                    "the key `{shown}` is there twice, and programs differ in which one counts"
                )));
            }
            object.next_value_seed(Node {
                check: &mut *self.check,
                depth,
            })?;
        }
        Ok(())
    }
}

impl Node<'_, '_> {
    fn deeper<E: Error>(&mut self) -> Result<usize, E> {
        let most = self.check.settings.limits.depth;
        if self.depth >= most {
            self.check.limit = Some("limits.depth");
            return Err(E::custom(format_args!(
                "the JSON body nests deeper than {most} levels"
            )));
        }
        Ok(self.depth + 1)
    }
}

impl Check<'_> {
    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.fields += 1;
        let most = self.settings.limits.fields;
        if self.fields > most {
            self.limit = Some("limits.fields");
            return Err(E::custom(format_args!(
                "the JSON body has more than {most} members"
            )));
        }
        Ok(())
    }
}

/// A member's name, borrowed from the text where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The names of one object so far; looked through while few, hashed when many.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Adds a name; gives it back if it is there already.
    fn add(&mut self, name: Cow<'de, str>) -> Option<Cow<'de, str>> {
        const FEW: usize = 16;
        if self.few.contains(&name) || self.many.contains(&name) {
            return Some(name);
        }
        if self.few.len() < FEW {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        None
    }
}

/// Whether any member of a value is hidden.
#[must_use]
pub fn hides(value: &Value, hidden: &Hidden) -> bool {
    match value {
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| hidden.covers(name) || hides(value, hidden)),
        Value::Array(list) => list.iter().any(|value| hides(value, hidden)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

// === places ===

/// One member of an object, as places in its text.
struct Member<'t> {
    name: Cow<'t, str>,
    value: &'t str,
}

/// The members of an object; `None` if the text is not one.
fn members(object: &str) -> Option<Vec<Member<'_>>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = object.next_key_seed(Name)? {
                let value: &'de RawValue = object.next_value()?;
                members.push(Member {
                    name,
                    value: value.get(),
                });
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Members)
        .ok()
}

/// The text of the value that names lead to.
fn at_path<'t>(text: &'t str, path: &[String]) -> Option<&'t str> {
    let mut at = text.trim_matches([' ', '\t', '\r', '\n']);
    for name in path {
        let member = members(at)?
            .into_iter()
            .find(|member| member.name == name.as_str())?;
        at = member.value;
    }
    Some(at)
}

// === merging ===

/// Merges a jdoc into a body that has been decoded; `path` leads to the doc in it.
#[must_use]
pub fn patch(body: &[u8], jdoc: &Jdoc, path: &[String]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut changes = jdoc.clone();
    for name in path.iter().rev() {
        changes = Map::from_iter([(name.clone(), Value::Object(changes))]);
    }
    let inner = text.trim_matches([' ', '\t', '\r', '\n']);
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    let mut out = Vec::with_capacity(text.len() + 64);
    out.extend_from_slice(&text.as_bytes()[..start]);
    merge(&mut out, inner, &changes);
    out.extend_from_slice(&text.as_bytes()[start + inner.len()..]);
    out
}

/// Writes `object` with `changes` merged in. A value that is not an object is replaced by one, as RFC 7396 says.
fn merge(out: &mut Vec<u8>, object: &str, changes: &Map<String, Value>) {
    let Some(members) = members(object) else {
        write_value(
            out,
            &crate::model::doc::merged(&Value::Null, &Value::Object(changes.clone())),
        );
        return;
    };
    let layout = Layout::of(object, &members);
    out.extend_from_slice(layout.before.as_bytes());
    let mut written = 0;
    for (member, place) in members.iter().zip(&layout.places) {
        let change = changes.get(member.name.as_ref());
        if change.is_some_and(Value::is_null) {
            continue;
        }
        if written > 0 {
            out.extend_from_slice(place.separator.as_bytes());
        }
        written += 1;
        out.extend_from_slice(place.key.as_bytes());
        match change {
            None => out.extend_from_slice(member.value.as_bytes()),
            Some(change) => merge_value(out, member.value, change),
        }
    }
    let is_new = |name: &str| !members.iter().any(|member| member.name == name);
    for (name, value) in changes
        .iter()
        .filter(|(name, value)| !value.is_null() && is_new(name))
    {
        if written > 0 {
            out.extend_from_slice(layout.usual_separator.as_bytes());
        }
        written += 1;
        write_string(out, name);
        out.extend_from_slice(layout.colon.as_bytes());
        write_value(out, &crate::model::doc::merged(&Value::Null, value));
    }
    out.extend_from_slice(layout.after.as_bytes());
}

fn merge_value(out: &mut Vec<u8>, now: &str, change: &Value) {
    match change {
        Value::Object(deeper) => merge(out, now, deeper),
        // A value that is the same stays as it was written.
        other if serde_json::from_str::<Value>(now).is_ok_and(|value| value == *other) => {
            out.extend_from_slice(now.as_bytes());
        }
        other => write_value(out, other),
    }
}

/// The text of an object around its members' values.
struct Layout<'t> {
    before: &'t str,
    after: &'t str,
    places: Vec<Place<'t>>,
    usual_separator: &'t str,
    colon: &'t str,
}

struct Place<'t> {
    /// From the value before (or the brace) to the key: `, `.
    separator: &'t str,
    /// The key and its colon: `"a": `.
    key: &'t str,
}

impl<'t> Layout<'t> {
    fn of(object: &'t str, members: &[Member<'t>]) -> Self {
        let offset = |part: &str| part.as_ptr() as usize - object.as_ptr() as usize;
        let mut places: Vec<Place<'t>> = Vec::with_capacity(members.len());
        let mut from = 1;
        let mut before = &object[..1];
        for member in members {
            let value = offset(member.value);
            // Between two values there is nothing but white space, a comma, the key and a colon.
            let quote = object[from..value].find('"').map_or(value, |at| from + at);
            if places.is_empty() {
                before = &object[..quote];
            }
            places.push(Place {
                separator: &object[from..quote],
                key: &object[quote..value],
            });
            from = value + member.value.len();
        }
        if members.is_empty() {
            from = object.len() - 1;
            before = &object[..from];
        }
        // The first separator is what stands before the first key, which is no separator.
        let usual_separator = places.get(1).map_or(",", |place| place.separator);
        let colon = places.first().map_or(":", |place| {
            &place.key[place.key.rfind('"').map_or(0, |at| at + 1)..]
        });
        Self {
            before,
            after: &object[from..],
            places,
            usual_separator,
            colon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
    use serde_json::json;
    use std::sync::Arc;

    fn read(body: &str, limits: &Limits, path: &[String]) -> Result<JsonDoc, Rejected> {
        let hidden = Arc::new(Hidden::new(["iban"]));
        let settings = Settings {
            limits,
            hidden: &hidden,
            charset: None,
            nested: false,
            doc_path: path,
        };
        decode(&Bytes::copy_from_slice(body.as_bytes()), settings)
    }

    fn patched(body: &str, jdoc: Value, path: &[String]) -> String {
        let jdoc: Jdoc = serde_json::from_value(jdoc).expect("an object");
        String::from_utf8(patch(body.as_bytes(), &jdoc, path)).expect("UTF-8")
    }

    #[test]
    fn json_with_one_reading_is_taken_as_it_is() {
        let limits = Limits::default();
        let body =
            " {\"a\": 12.50, \"big\": 12345678901234567890123, \"b\": [1, {\"c\": \"\\u00e9\"}]} ";
        let doc = read(body, &limits, &[]).expect("good");
        assert_eq!(doc.text(), body.trim().as_bytes());
        assert!(!doc.hides());
        assert!(
            read(r#"{"x": [{"iban": 1}]}"#, &limits, &[])
                .expect("good")
                .hides()
        );
        assert!(read("[1, 2]", &limits, &[]).is_ok());
    }

    #[test]
    fn json_with_more_than_one_reading_is_refused() {
        let limits = Limits::default();
        for (body, part) in [
            (r#"{"a": 1, "a": 2}"#, "`a` is there twice"),
            (r#"{"a": {"b": 1, "\u0062": 2}}"#, "`b` is there twice"),
            ("{\"a\": 1,}", "line 1"),
            ("{'a': 1}", "line 1"),
            ("{\"a\": NaN}", "line 1"),
            ("{\"a\": 1} x", "trailing"),
            ("{\"a\": \"\\ud800\"}", "hex escape"),
            ("{\"a\": 1e999}", "number out of range"),
            ("", "EOF"),
            ("\u{feff}{}", "line 1"),
            ("{\"a\": \"\u{1}\"}", "control"),
        ] {
            let rejected = read(body, &limits, &[]).expect_err(body);
            assert_eq!(rejected.status, 400, "{body}");
            assert!(rejected.text.contains(part), "{body}: {rejected}");
        }
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert!(
            read(&deep, &limits, &[])
                .expect_err("deep")
                .text
                .contains("deeper than 64 levels")
        );
        let wide: String = (0..20).map(|n| format!("\"k{n}\": 1,")).collect();
        assert!(read(&format!("{{{wide}\"k19\": 2}}"), &limits, &[]).is_err());
    }

    #[test]
    fn limits_have_names() {
        let limits = Limits {
            field: 3,
            fields: 2,
            doc: 40,
            depth: 3,
            ..Limits::default()
        };
        for (body, limit) in [
            ("[[[[]]]]", "limits.depth"),
            (r#"{"a": "1234"}"#, "limits.field"),
            (r#"{"a": 1, "b": {"c": 1}}"#, "limits.fields"),
            (
                r#"{"a":                                        1}"#,
                "limits.doc",
            ),
        ] {
            let rejected = read(body, &limits, &[]).expect_err(body);
            assert_eq!(
                (rejected.status, rejected.limit),
                (413, Some(limit)),
                "{rejected}"
            );
        }
    }

    #[test]
    fn changes_are_spliced_into_the_text() {
        for (body, jdoc, expected) in [
            (
                r#"{"a": 12.50, "b": 2}"#,
                json!({"b": 3}),
                r#"{"a": 12.50, "b": 3}"#,
            ),
            (
                r#"{"a":1,"b":2,"c":3}"#,
                json!({"b": null}),
                r#"{"a":1,"c":3}"#,
            ),
            (r#"{"a":1,"b":2}"#, json!({"a": null}), r#"{"b":2}"#),
            (r#"{"a":1}"#, json!({"a": null}), r"{}"),
            (r#"{"a":1}"#, json!({"a": null, "b": "x"}), r#"{"b":"x"}"#),
            (r"{}", json!({"b": [1, "é"]}), r#"{"b":[1,"é"]}"#),
            (r"{ }", json!({"b": 1}), r#"{ "b":1}"#),
            (
                "{\n  \"a\": 1,\n  \"b\": 2\n}\n",
                json!({"c": 3}),
                "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n",
            ),
            (
                r#"{"a": {"b": 1.10, "c": [ 1 ]}, "d": 1}"#,
                json!({"a": {"b": null}}),
                r#"{"a": {"c": [ 1 ]}, "d": 1}"#,
            ),
            (
                r#"{"a": 5}"#,
                json!({"a": {"b": {"c": null, "d": 1}}}),
                r#"{"a": {"b":{"d":1}}}"#,
            ),
            (
                r#"{"\u0061": "\u00e9", "x": 1}"#,
                json!({"x": 2}),
                r#"{"\u0061": "\u00e9", "x": 2}"#,
            ),
            (
                r#"{"\u0061": 1.0}"#,
                json!({"a": 1.0}),
                r#"{"\u0061": 1.0}"#,
            ),
        ] {
            assert_eq!(patched(body, jdoc, &[]), expected, "{body}");
        }
    }

    #[test]
    fn a_doc_inside_a_body() {
        let path = ["variables".to_owned(), "input".to_owned()];
        let body = r#"{"query": "mutation", "variables": {"input": {"a": 1.0}, "x": 2}}"#;
        let doc = read(body, &Limits::default(), &path).expect("good");
        assert_eq!(doc.text(), br#"{"a": 1.0}"#);
        let expected =
            r#"{"query": "mutation", "variables": {"input": {"a": 1.0, "b": 3}, "x": 2}}"#;
        assert_eq!(
            patched(body, json!({"b": 3}), &path).replace(",\"b\":", ", \"b\":"),
            expected
        );
        assert_eq!(
            read("{}", &Limits::default(), &path).expect("good").text(),
            b"{}"
        );
        assert_eq!(
            patched("{}", json!({"b": 3}), &path),
            r#"{"variables":{"input":{"b":3}}}"#
        );
    }
}
