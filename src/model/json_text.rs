//! JSON text that has been checked, changed and thinned out without being read into values: numbers, escapes, key
//! order and white space of whatever stays are as they came. Owns finding members in the text, merging changes
//! (RFC 7396) and leaving hidden members out; checking the text is left to `codec`.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::merged;
use crate::model::hidden::Hidden;
use crate::model::write::write_string;
use crate::model::write::write_value;

/// One member of an object, as places in its text.
struct Member<'t> {
    name: Cow<'t, str>,
    key: Range<usize>,
    value: Range<usize>,
}

/// The end of the string whose quote is at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `at`.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => return string_end(text, at),
        b'{' | b'[' => {}
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            let end = text[at..].iter().position(ends);
            return Some(end.map_or(text.len(), |end| at + end));
        }
    }
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' => {
                (depth, at) = (depth - 1, at + 1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

fn name_at(text: &str, key: Range<usize>) -> Cow<'_, str> {
    let quoted = text.get(key).unwrap_or_default();
    let inside = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if inside.contains('\\') {
        Cow::Owned(serde_json::from_str(quoted).unwrap_or_default())
    } else {
        Cow::Borrowed(inside)
    }
}

/// The members of an object; `None` if the text is not one.
fn members(object: &str) -> Option<Vec<Member<'_>>> {
    let text = object.as_bytes();
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    let mut at = skip_space(text, 1);
    while text.get(at) == Some(&b'"') {
        let key = at..string_end(text, at)?;
        let colon = skip_space(text, key.end);
        let start = skip_space(text, colon + 1);
        let value = start..value_end(text, start)?;
        at = skip_space(text, value.end);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
        members.push(Member {
            name: name_at(object, key.clone()),
            key,
            value,
        });
    }
    Some(members)
}

/// The text without the white space around it.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// A path leads through something that is not an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Astray;

/// The text of the value that member names lead to; `None` if there is none.
///
/// # Errors
/// [`Astray`], where there is something else on the way: a list of objects, for example.
pub fn at_path<'t>(text: &'t str, path: &[String]) -> Result<Option<&'t str>, Astray> {
    let mut at = trimmed(text);
    for name in path {
        let found = members(at).ok_or(Astray)?.into_iter();
        let member = found.into_iter().find(|member| member.name == *name);
        match member.and_then(|member| at.get(member.value)) {
            Some(value) if value != "null" => at = value,
            _ => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The names of an object's members, in order; none if the text is not an object.
#[must_use]
pub fn names(object: &str) -> Vec<Cow<'_, str>> {
    let members = members(object).unwrap_or_default();
    members.into_iter().map(|member| member.name).collect()
}

// === leaving out ===

/// Writes a value without the members that are hidden, at any depth, and without those of the outermost object that
/// `only` does not name. What stays keeps its text, but for the white space around it.
pub fn write_visible(out: &mut Vec<u8>, text: &str, hidden: &Hidden, only: Option<&[String]>) {
    let start = out.len();
    let mut writer = Writer { text, hidden, out };
    if writer.value(skip_space(text.as_bytes(), 0), only).is_none() {
        // Cannot happen with checked text; nothing is better than half of it.
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

struct Writer<'w> {
    text: &'w str,
    hidden: &'w Hidden,
    out: &'w mut Vec<u8>,
}

impl Writer<'_> {
    /// Writes the value at a place; gives its end.
    fn value(&mut self, at: usize, only: Option<&[String]>) -> Option<usize> {
        match self.text.as_bytes().get(at)? {
            b'{' => self.object(at, only),
            b'[' => self.list(at),
            _ => {
                let end = value_end(self.text.as_bytes(), at)?;
                self.out.extend_from_slice(&self.text.as_bytes()[at..end]);
                Some(end)
            }
        }
    }

    fn object(&mut self, at: usize, only: Option<&[String]>) -> Option<usize> {
        let text = self.text.as_bytes();
        self.out.push(b'{');
        let mut first = true;
        let mut at = skip_space(text, at + 1);
        while *text.get(at)? == b'"' {
            let key = at..string_end(text, at)?;
            let value = skip_space(text, skip_space(text, key.end) + 1);
            let name = name_at(self.text, key.clone());
            let wanted = only.is_none_or(|only| only.iter().any(|wanted| *wanted == *name));
            at = if !wanted || self.hidden.covers(&name) {
                value_end(text, value)?
            } else {
                if !first {
                    self.out.push(b',');
                }
                first = false;
                self.out.extend_from_slice(&text[key]);
                self.out.push(b':');
                self.value(value, None)?
            };
            at = skip_space(text, at);
            if *text.get(at)? == b',' {
                at = skip_space(text, at + 1);
            }
        }
        self.out.push(b'}');
        Some(at + 1)
    }

    fn list(&mut self, at: usize) -> Option<usize> {
        let text = self.text.as_bytes();
        self.out.push(b'[');
        let mut first = true;
        let mut at = skip_space(text, at + 1);
        while *text.get(at)? != b']' {
            if !first {
                self.out.push(b',');
            }
            first = false;
            at = self.value(at, None)?;
            at = skip_space(text, at);
            if *text.get(at)? == b',' {
                at = skip_space(text, at + 1);
            }
        }
        self.out.push(b']');
        Some(at + 1)
    }
}

// === merging ===

/// The text with `changes` merged in; white space around it stays.
#[must_use]
pub fn merge(text: &str, changes: &Map<String, Value>) -> Vec<u8> {
    let inner = trimmed(text);
    let start = text.find(inner).unwrap_or_default();
    let mut out = Vec::with_capacity(text.len() + 64);
    out.extend_from_slice(&text.as_bytes()[..start]);
    merge_object(&mut out, inner, changes);
    out.extend_from_slice(&text.as_bytes()[start + inner.len()..]);
    out
}

/// Writes `object` with `changes` merged in. A value that is not an object is replaced by one, as RFC 7396 says.
fn merge_object(out: &mut Vec<u8>, object: &str, changes: &Map<String, Value>) {
    let Some(members) = members(object) else {
        write_value(out, &merged(&Value::Null, &Value::Object(changes.clone())));
        return;
    };
    let layout = Layout::of(object, &members);
    out.extend_from_slice(layout.before.as_bytes());
    let mut written = 0;
    for (member, separator) in members.iter().zip(&layout.separators) {
        let change = changes.get(member.name.as_ref());
        if change.is_some_and(Value::is_null) {
            continue;
        }
        if written > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        written += 1;
        out.extend_from_slice(&object.as_bytes()[member.key.start..member.value.start]);
        let value = &object[member.value.clone()];
        match change {
            None => out.extend_from_slice(value.as_bytes()),
            Some(change) => merge_value(out, value, change),
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
        write_value(out, &merged(&Value::Null, value));
    }
    out.extend_from_slice(layout.after.as_bytes());
}

fn merge_value(out: &mut Vec<u8>, now: &str, change: &Value) {
    match change {
        Value::Object(deeper) => merge_object(out, now, deeper),
        // A value that is the same stays as it was written.
        other if serde_json::from_str::<Value>(now).is_ok_and(|value| value == *other) => {
            out.extend_from_slice(now.as_bytes());
        }
        other => write_value(out, other),
    }
}

/// The text of an object around its members.
struct Layout<'t> {
    before: &'t str,
    after: &'t str,
    /// What stands before each member's key, from the value before it.
    separators: Vec<&'t str>,
    usual_separator: &'t str,
    colon: &'t str,
}

impl<'t> Layout<'t> {
    fn of(object: &'t str, members: &[Member<'t>]) -> Self {
        let closing = object.len() - 1;
        let ends = [1]
            .into_iter()
            .chain(members.iter().map(|member| member.value.end));
        let separators: Vec<&str> = ends
            .zip(members)
            .map(|(end, member)| &object[end..member.key.start])
            .collect();
        let first = members.first();
        let last = members.last();
        Self {
            before: &object[..first.map_or(closing, |member| member.key.start)],
            after: &object[last.map_or(closing, |member| member.value.end)..],
            // The first separator is what stands before the first key, which is no separator.
            usual_separator: separators.get(1).copied().unwrap_or(","),
            separators,
            colon: first.map_or(":", |member| &object[member.key.end..member.value.start]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn visible(text: &str, hidden: &[&str], only: Option<&[&str]>) -> String {
        let hidden = Hidden::new(hidden.iter().copied());
        let only: Option<Vec<String>> =
            only.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let mut out = Vec::new();
        write_visible(&mut out, text, &hidden, only.as_deref());
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_is_left_keeps_its_text() {
        let text = r#" { "a" : 12.50 , "password":"x","b":[ 1e2, {"iban":1, "c\u0022":"}]\\"} ], "iban":{"z":[]}} "#;
        assert_eq!(
            visible(text, &["iban"], None),
            r#"{"a":12.50,"b":[1e2,{"c\u0022":"}]\\"}]}"#
        );
        assert_eq!(visible(text, &["iban"], Some(&["a"])), r#"{"a":12.50}"#);
        assert_eq!(visible(r#"{"p\u0061ss": 1}"#, &[], None), "{}");
        assert_eq!(visible("[1,{\"pw\":2}]", &[], None), "[1,{}]");
        assert_eq!(visible(" \"x\" ", &[], None), "\"x\"");
        assert_eq!(
            visible("123456789012345678901234567890", &[], None),
            "123456789012345678901234567890"
        );
    }

    #[test]
    fn changes_are_spliced_into_the_text() {
        for (text, changes, expected) in [
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
            (
                r#" {"a":"\"}","b":["{",{"c":"\\"}] , "d" : 1 } "#,
                json!({"d": 2, "e": "f"}),
                r#" {"a":"\"}","b":["{",{"c":"\\"}] , "d" : 2,"e":"f" } "#,
            ),
            ("[1]", json!({"a": 1}), r#"{"a":1}"#),
        ] {
            let changes = changes.as_object().expect("an object");
            let merged = merge(text, changes);
            assert_eq!(String::from_utf8_lossy(&merged), expected, "{text}");
        }
    }

    #[test]
    fn paths_lead_into_the_text() {
        let text = r#" {"q": 1, "v": {"in\u0070ut": [ 1 ]}} "#;
        let path = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(at_path(text, &path(&["v", "input"])), Ok(Some("[ 1 ]")));
        assert_eq!(at_path(text, &path(&["v", "other"])), Ok(None));
        assert_eq!(at_path(text, &path(&["q", "input"])), Err(Astray));
        assert_eq!(at_path("[{}]", &path(&["q"])), Err(Astray));
        assert_eq!(at_path(text, &[]), Ok(Some(trimmed(text))));
        assert_eq!(names(trimmed(text)), ["q", "v"]);
    }
}
