//! `application/x-www-form-urlencoded` bodies and queries. Owns decoding pairs, and writing changed ones in place
//! while every other byte stays as it came.

use std::borrow::Cow;

use encoding_rs::Encoding;
use serde_json::Value;

use crate::codec::Settings;
use crate::codec::charset;
use crate::codec::rejected::Rejected;
use crate::model::doc::Jdoc;
use crate::model::doc::scalar_text;
use crate::model::flat::Flat;

/// Decodes a body. Also says which charset it was in.
///
/// # Errors
/// 400 for what parsers disagree on, 413 over a limit, 415 for an unknown charset.
pub fn decode(
    body: &[u8],
    said: Option<&'static Encoding>,
    settings: Settings<'_>,
) -> Result<(Flat, &'static Encoding), Rejected> {
    if looks_like_json(body) {
        return Err(Rejected::malformed(
            "The body looks like JSON, but its content type says application/x-www-form-urlencoded; send JSON as \
             application/json, or a `{` at the front as %7B.",
        ));
    }
    decode_pairs(body, said, settings)
}

/// Decodes a query.
///
/// # Errors
/// As for [`decode`].
pub fn decode_query(
    query: &str,
    settings: Settings<'_>,
) -> Result<(Flat, &'static Encoding), Rejected> {
    decode_pairs(query.as_bytes(), None, settings)
}

fn decode_pairs(
    body: &[u8],
    said: Option<&'static Encoding>,
    settings: Settings<'_>,
) -> Result<(Flat, &'static Encoding), Rejected> {
    let limits = settings.limits;
    if body.len() > limits.doc {
        return Err(Rejected::too_large(
            "limits.doc",
            format!("The form has over {} bytes of fields.", limits.doc),
        ));
    }
    one_reading(body)?;
    let declared = declared(body)?;
    let charset = charset::of_body(declared.as_deref(), said, settings.charset)?;
    let mut flat = Flat::new(settings.hidden, body.len());
    let (mut name_room, mut value_room) = (Vec::new(), Vec::new());
    for (pair, count) in pairs(body).zip(1..) {
        let (raw_name, value) = split(pair);
        let place = || format!("The name of field {count}");
        let name = unescape(raw_name, &mut name_room, place)?;
        check_name(name, raw_name, count)?;
        let name = charset::decode(name, charset, place)?;
        let place = || format!("Field `{}`", short(&name));
        let value = unescape(value, &mut value_room, place)?;
        if value.len() > limits.field {
            let text = format!("{} has over {} bytes.", place(), limits.field);
            return Err(Rejected::too_large("limits.field", text));
        }
        flat.push_text(&name, &charset::decode(value, charset, place)?);
        limits.check_counts(flat.len(), count)?;
    }
    nest(&mut flat, settings.nested)?;
    Ok((flat, charset))
}

/// Shows bracketed names nested, where the form wants that.
///
/// # Errors
/// 400 if a name cannot stand beside the others.
pub fn nest(flat: &mut Flat, wanted: bool) -> Result<(), Rejected> {
    if !wanted {
        return Ok(());
    }
    flat.nest().map_err(|name| {
        Rejected::malformed(format!(
            "The field `{}` cannot stand beside the others.",
            short(&name)
        ))
    })
}

/// Refuses what some programs would read with other borders between its fields.
fn one_reading(body: &[u8]) -> Result<(), Rejected> {
    if let Some(at) = memchr::memchr(b';', body) {
        return Err(Rejected::malformed(format!(
            "A bare `;` (at byte {}) separates fields for some programs and not for others; send it as %3B.",
            at + 1
        )));
    }
    Ok(())
}

/// Whether a program that reads JSON whatever the content type says would find some. No browser sends a form like
/// this, unless a field of a text/plain form is named so.
#[must_use]
pub fn looks_like_json(body: &[u8]) -> bool {
    let bom = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match bom.trim_ascii_start().split_first() {
        Some((b'{', _)) => true,
        Some((b'[', rest)) => matches!(rest.trim_ascii_start().first(), Some(b'{' | b'[' | b'"')),
        _ => false,
    }
}

fn check_name(name: &[u8], raw: &[u8], count: usize) -> Result<(), Rejected> {
    if name.contains(&0) {
        return Err(Rejected::malformed(format!(
            "The name of field {count} has a NUL byte, where some programs end it."
        )));
    }
    if charset::is_charset_field(name) && name != raw {
        return Err(Rejected::malformed(
            "The name `_charset_` must be sent as it is, without percent-encoding.",
        ));
    }
    Ok(())
}

/// Writes changed fields in place: a value stands where the old one stood, more values after the last, and a field
/// that was not there at the end. Values that do not change keep their bytes, and so does everything between fields.
#[must_use]
pub fn patch(body: &[u8], jdoc: &Jdoc, charset: &'static Encoding) -> Vec<u8> {
    let mut changes: Vec<Change> = jdoc
        .iter()
        .map(|(name, value)| Change::new(name, value))
        .collect();
    let segments: Vec<&[u8]> = body.split(|byte| *byte == b'&').collect();
    // Which segment is which change's: names are decoded once.
    let owners: Vec<Option<usize>> = segments
        .iter()
        .map(|segment| owner(segment, &changes, charset))
        .collect();
    let mut last = vec![None; changes.len()];
    for (at, number) in owners.iter().enumerate() {
        if let Some(number) = number {
            last[*number] = Some(at);
        }
    }
    let mut out: Vec<Vec<u8>> = Vec::with_capacity(segments.len() + changes.len());
    for (at, (segment, number)) in segments.iter().zip(owners).enumerate() {
        let Some(number) = number else {
            out.push(segment.to_vec());
            continue;
        };
        let (name, value) = split(segment);
        let change = &mut changes[number];
        if let Some(text) = change.next() {
            if decoded(value, charset).as_deref() == Some(text.as_str()) {
                out.push(segment.to_vec());
            } else {
                out.push([name, b"=", &escape(&text, charset)].concat());
            }
        }
        if last[number] == Some(at) {
            while let Some(text) = change.next() {
                out.push([name, b"=", &escape(&text, charset)].concat());
            }
        }
    }
    for change in &mut changes {
        let name = escape(&change.name, charset);
        while let Some(text) = change.next() {
            // What is appended goes behind a last `&`, not behind a second one.
            out.pop_if(|last| last.is_empty());
            out.push([&name, &b"="[..], &escape(&text, charset)].concat());
        }
    }
    out.join(&b'&')
}

/// The change that a segment of the body is for.
fn owner(segment: &[u8], changes: &[Change], charset: &'static Encoding) -> Option<usize> {
    if segment.is_empty() {
        return None;
    }
    let name = decoded(split(segment).0, charset)?;
    changes.iter().position(|change| change.name == name)
}

struct Change {
    name: String,
    values: std::vec::IntoIter<String>,
}

impl Change {
    fn new(name: &str, value: &Value) -> Self {
        Self {
            name: name.to_owned(),
            values: texts(value).into_iter(),
        }
    }

    fn next(&mut self) -> Option<String> {
        self.values.next()
    }
}

/// The texts of a jdoc value: none for `null`, one for a scalar, many for a list.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(scalar_text).collect(),
        other => scalar_text(other).into_iter().collect(),
    }
}

fn pairs(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'&', body).chain([body.len()]);
    let mut start = 0;
    let all = ends.map(move |end| {
        let pair = &body[start..end];
        start = end + 1;
        pair
    });
    all.filter(|pair| !pair.is_empty())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

/// The value of `_charset_`, if the body has it.
fn declared(body: &[u8]) -> Result<Option<Vec<u8>>, Rejected> {
    let mut found: Option<Vec<u8>> = None;
    let named = pairs(body)
        .map(split)
        .filter(|(name, _)| charset::is_charset_field(name));
    for (_, value) in named {
        let mut room = Vec::new();
        let value = unescape(value, &mut room, || "Field `_charset_`".to_owned())?.to_vec();
        if found.as_ref().is_some_and(|known| *known != value) {
            return Err(Rejected::malformed("The field `_charset_` is there twice."));
        }
        found = Some(value);
    }
    Ok(found)
}

/// Undoes `+` and `%XX`; in `room` if there are any. A `%` without two hexadecimal digits is itself, as the URL
/// standard says; only `%u` with four digits is read by some programs as a character.
fn unescape<'b>(
    text: &'b [u8],
    room: &'b mut Vec<u8>,
    what: impl Fn() -> String,
) -> Result<&'b [u8], Rejected> {
    let Some(first) = memchr::memchr2(b'+', b'%', text) else {
        return Ok(text);
    };
    room.clear();
    room.extend_from_slice(text);
    for byte in &mut room[first..] {
        *byte = if *byte == b'+' { b' ' } else { *byte };
    }
    // What stands between two escapes moves down over what the escapes took up.
    let (mut from, mut to) = (0, 0);
    while let Some(found) = memchr::memchr(b'%', &room[from..]) {
        let at = from + found;
        let decoded = text.get(at + 1..at + 3).and_then(hex);
        if decoded.is_none() && is_wide_escape(&text[at..]) {
            return Err(Rejected::malformed(format!(
                "{} has a `%u` with four digits, which is a character for some programs and not for others; send UTF-8 \
                 bytes as %XX, or a `%` as %25.",
                what()
            )));
        }
        room.copy_within(from..at, to);
        to += found;
        room[to] = decoded.unwrap_or(b'%');
        (from, to) = (if decoded.is_some() { at + 3 } else { at + 1 }, to + 1);
    }
    let rest = room.len() - from;
    room.copy_within(from.., to);
    room.truncate(to + rest);
    Ok(room)
}

/// `%uXXXX`.
fn is_wide_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', b'u' | b'U', digits @ ..]
        if digits.get(..4).is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)))
}

fn hex(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

fn decoded(text: &[u8], charset: &'static Encoding) -> Option<String> {
    let mut room = Vec::new();
    let raw = unescape(text, &mut room, String::new).ok()?;
    charset::decode(raw, charset, String::new)
        .ok()
        .map(Cow::into_owned)
}

fn escape(text: &str, charset: &'static Encoding) -> Vec<u8> {
    let raw = charset::encode(text, charset);
    form_urlencoded::byte_serialize(&raw)
        .collect::<String>()
        .into_bytes()
}

/// A field's name, short enough for a sentence.
#[must_use]
pub fn short(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    if shown.len() < name.len() {
        format!("{shown}…")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
    use crate::model::doc::Doc;
    use crate::model::hidden::Hidden;
    use serde_json::json;
    use std::sync::Arc;

    fn read(body: &[u8], limits: &Limits) -> Result<Value, Rejected> {
        let hidden = Arc::new(Hidden::default());
        let settings = Settings {
            limits,
            hidden: &hidden,
            charset: None,
            nested: false,
            doc_path: &[],
        };
        decode(body, None, settings).map(|(flat, _)| Doc::from(flat).visible_value(None))
    }

    fn patched(body: &str, jdoc: Value) -> String {
        let jdoc: Jdoc = serde_json::from_value(jdoc).expect("an object");
        String::from_utf8(patch(body.as_bytes(), &jdoc, encoding_rs::UTF_8)).expect("ASCII")
    }

    #[test]
    fn browsers_posts_are_read() {
        let limits = Limits::default();
        for (body, expected) in [
            (
                "a=1&b=x+y%40z&c=%C3%A9%22",
                json!({"a": "1", "b": "x y@z", "c": "é\""}),
            ),
            ("a=1&a=2&a[]=3", json!({"a": ["1", "2"], "a[]": "3"})),
            ("=x&b&c=&&d==", json!({"": "x", "b": "", "c": "", "d": "="})),
            ("", json!({})),
            ("t=a%0D%0Ab&e=\u{e9}", json!({"t": "a\r\nb", "e": "é"})),
            (
                "_charset_=windows-1252&a=%E9",
                json!({"_charset_": "windows-1252", "a": "é"}),
            ),
            (
                "a=%e9&_CHARSET_=iso-8859-1",
                json!({"a": "é", "_CHARSET_": "iso-8859-1"}),
            ),
            (
                "100%=a%zz%4&b=%&c=%%41",
                json!({"100%": "a%zz%4", "b": "%", "c": "%A"}),
            ),
            ("[0]=x", json!({"[0]": "x"})),
            ("c=%u00e&d=%U", json!({"c": "%u00e", "d": "%U"})),
            (
                "a=%93%FA&_charset_=Shift_JIS",
                json!({"a": "日", "_charset_": "Shift_JIS"}),
            ),
        ] {
            assert_eq!(read(body.as_bytes(), &limits), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        let limits = Limits::default();
        for (body, part) in [
            ("a=%u0041", "Field `a` has a `%u`"),
            ("x=1&%u0041=1", "The name of field 2"),
            ("x=1&city%00x=1", "field 2 has a NUL"),
            ("{\"a\": 1}", "looks like JSON"),
            ("\r\n {\"a\": \"b=c\"}", "looks like JSON"),
            ("[{\"a\": 1}]", "looks like JSON"),
            ("a=b&%5fCHARSET_=latin1", "without percent-encoding"),
            ("a=1;admin=1", "bare `;`"),
            ("a=%E9", "not UTF-8"),
            ("_charset_=utf-8&_charset_=latin1", "twice"),
            ("a=b&%5Fcharset_=latin1", "without percent-encoding"),
        ] {
            let rejected = read(body.as_bytes(), &limits).expect_err(body);
            assert_eq!(rejected.status, 400);
            assert!(rejected.text.contains(part), "{body}: {rejected}");
        }
        assert_eq!(
            read(b"_charset_=klingon", &limits)
                .expect_err("unknown")
                .status,
            415
        );
    }

    #[test]
    fn limits_have_names() {
        let limits = Limits {
            field: 3,
            fields: 2,
            values: 3,
            doc: 12,
            ..Limits::default()
        };
        assert!(read(b"a=1&b=2&a=3", &limits).is_ok());
        for (body, limit) in [
            ("a=1&b=2&c=3", "limits.fields"),
            ("a=&a=&a=&a=", "limits.values"),
            ("a=1234", "limits.field"),
            ("aaaaaaaaaaa=1", "limits.doc"),
        ] {
            let rejected = read(body.as_bytes(), &limits).expect_err(body);
            assert_eq!(
                (rejected.status, rejected.limit),
                (413, Some(limit)),
                "{body}"
            );
        }
    }

    #[test]
    fn only_changed_fields_are_rewritten() {
        for (body, jdoc, expected) in [
            (
                "a=1&b=x%20y&c=3",
                json!({"a": "ü &"}),
                "a=%C3%BC+%26&b=x%20y&c=3",
            ),
            ("a=1&b=2", json!({"c": 3, "d": true}), "a=1&b=2&c=3&d=true"),
            ("a=1&b=2&a=3", json!({"a": null}), "b=2"),
            (
                "a=1&b=2&a=3&c=4",
                json!({"a": ["1", "9", "8"]}),
                "a=1&b=2&a=9&a=8&c=4",
            ),
            ("a=1&b=2&a=3", json!({"a": "7"}), "a=7&b=2"),
            ("%61=1&b", json!({"a": "2", "b": "x"}), "%61=2&b=x"),
            ("", json!({"a": "1"}), "a=1"),
            ("a=x%20y", json!({"a": "x y"}), "a=x%20y"),
            ("&a=1&&b=%zz&", json!({"a": 2}), "&a=2&&b=%zz&"),
            ("a=1&&b=2", json!({"b": null}), "a=1&"),
            ("a=1&", json!({"c": 3}), "a=1&c=3"),
            ("a=1&a=2", json!({"a": []}), ""),
        ] {
            assert_eq!(patched(body, jdoc), expected, "{body}");
        }
    }

    #[test]
    fn a_patch_keeps_the_charset() {
        let jdoc: Jdoc = serde_json::from_value(json!({"a": "日本€"})).expect("an object");
        let out = patch(b"a=x", &jdoc, encoding_rs::SHIFT_JIS);
        assert_eq!(out, b"a=%93%FA%96%7B%26%238364%3B");
    }
}
