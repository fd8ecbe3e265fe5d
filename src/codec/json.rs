//! JSON bodies. Owns checking that a body has only one reading, and merging changes (RFC 7396) into the original
//! text, so that numbers, escapes, key order and white space of everything else stay as they came.

use std::borrow::Cow;
use std::collections::HashMap;
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

use crate::codec::Settings;
use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::short;
use crate::model::doc::Jdoc;
use crate::model::json_doc::JsonDoc;
use crate::model::json_text;

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
    if text.starts_with('\u{feff}') {
        return Err(Rejected::malformed(
            "The JSON body begins with a byte-order mark; send it without.",
        ));
    }
    let mut check = Check {
        settings,
        fields: 0,
        values: 0,
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
            Some(limit) => Rejected::too_large(limit, capitalised(&reason(&error))),
            None => {
                Rejected::malformed(format!("The body is not usable JSON: {}.", reason(&error)))
            }
        });
    }
    let doc = json_text::at_path(text, settings.doc_path).map_err(|_| {
        Rejected::malformed(format!(
            "The JSON body has something else than objects on the way to `{}`, where the fields of this form are.",
            short(&settings.doc_path.join("."))
        ))
    })?;
    // Where there is nothing, the hooks are shown that there is nothing.
    let doc = doc.map_or_else(
        || Bytes::from_static(b"{}"),
        |part| body.slice_ref(part.as_bytes()),
    );
    Ok(JsonDoc::new(doc, settings.hidden, check.hides))
}

/// What is wrong, and where.
fn reason(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let what = text
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&text);
    let what = match what {
        "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
            "half of a surrogate pair in an escape"
        }
        other => other,
    };
    format!("{what} (line {line}, column {column})")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

// === checking ===

struct Check<'a> {
    settings: Settings<'a>,
    fields: usize,
    values: usize,
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
        self.check.count_value()?;
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
            if name.contains('\0') {
                return Err(A::Error::custom(
                    "a key has a NUL character, where some programs end it",
                ));
            }
            self.check.hides |= self.check.settings.hidden.covers(&name);
            if let Some((again, before)) = names.add(name) {
                let (again, before) = (short(&again), short(&before));
                return Err(if again == before {
                    A::Error::custom(format_args!(
                        "the key `{again}` is there twice, and programs differ in which one counts"
                    ))
                } else {
                    A::Error::custom(format_args!(
                        "the keys `{before}` and `{again}` are one key for programs that ignore letter case"
                    ))
                });
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
    fn count_value<E: Error>(&mut self) -> Result<(), E> {
        self.values += 1;
        // The outermost value is not one of its own values.
        let most = self.settings.limits.values;
        if self.values > most.saturating_add(1) {
            self.limit = Some("limits.values");
            return Err(E::custom(format_args!(
                "the JSON body has more than {most} values"
            )));
        }
        Ok(())
    }

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

/// The names of one object so far, without their letter case and as they came; looked through while few, hashed when
/// many.
#[derive(Default)]
struct Names<'de> {
    few: Vec<(Cow<'de, str>, Cow<'de, str>)>,
    many: HashMap<Cow<'de, str>, Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Adds a name; gives it back with the one that is there already.
    fn add(&mut self, name: Cow<'de, str>) -> Option<(Cow<'de, str>, Cow<'de, str>)> {
        const FEW: usize = 16;
        let key = folded(name.clone());
        let mut few = self.few.iter();
        let known = few.find(|(known, _)| *known == key).map(|(_, known)| known);
        if let Some(known) = known.or_else(|| self.many.get(&key)) {
            return Some((name, known.clone()));
        }
        if self.few.len() < FEW {
            self.few.push((key, name));
        } else {
            self.many.insert(key, name);
        }
        None
    }
}

/// A name as programs see it that fold letter case: upper case first, since some letters (`ſ`, `K`) meet only there.
fn folded(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name;
    }
    let folded = name
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    Cow::Owned(folded.collect())
}

/// Merges a jdoc into a body that has been decoded; `path` leads to the doc in it.
#[must_use]
pub fn patch(body: &[u8], jdoc: &Jdoc, path: &[String]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut changes = jdoc.clone();
    for name in path.iter().rev() {
        changes = Map::from_iter([(name.clone(), Value::Object(changes))]);
    }
    json_text::merge(text, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
    use crate::model::doc::Doc;
    use crate::model::hidden::Hidden;
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
        let shown = |body: &str| {
            let mut out = Vec::new();
            Doc::from(read(body, &limits, &[]).expect("good")).write_json(&mut out, None);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(shown(body), body.trim());
        assert_eq!(
            shown(r#"{"x": [{"iban": 1, "n": 1.0}]}"#),
            r#"{"x":[{"n":1.0}]}"#
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
            ("{\"a\": \"\\ud800\"}", "surrogate"),
            ("{\"a\": 1e999}", "number out of range"),
            ("", "EOF"),
            ("\u{feff}{}", "byte-order mark"),
            (
                r#"{"email": 1, "Email": 2}"#,
                "`email` and `Email` are one key",
            ),
            (r#"{"a": {"STRASSE": 1, "straße": 2}}"#, "are one key"),
            (r#"{"\u212a": 1, "k": 2}"#, "are one key"),
            (r#"{"ſ": 1, "S": 2}"#, "are one key"),
            ("{\"a\": \"\\udc00\\ud800\"}", "surrogate"),
            ("{\"a\": Infinity}", "line 1"),
            ("{\"a\": 01}", "line 1"),
            ("{\"a\": +1}", "line 1"),
            ("{\"a\": .5}", "line 1"),
            ("{} // x", "trailing"),
            ("{\"a\": \"\u{1}\"}", "control"),
            (r#"{"a\u0000": 1}"#, "NUL"),
            (r#"[{"a": {"\u0000": 1}}]"#, "NUL"),
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
        for body in [
            "{}",
            r#"{"variables": null}"#,
            r#"{"variables": {"input": null}}"#,
        ] {
            let doc = read(body, &Limits::default(), &path).expect("good");
            assert_eq!(doc.text(), b"{}");
        }
        assert_eq!(
            patched("{}", json!({"b": 3}), &path),
            r#"{"variables":{"input":{"b":3}}}"#
        );
        for body in [
            "[]",
            r#"{"variables": 5}"#,
            r#"[{"variables": {"input": {}}}]"#,
        ] {
            let rejected = read(body, &Limits::default(), &path).expect_err(body);
            assert!(
                rejected.text.contains("on the way to `variables.input`"),
                "{rejected}"
            );
        }
    }
}
