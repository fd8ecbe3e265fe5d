//! `text/plain` form bodies: `name=value` lines. Owns decoding them, and writing changed lines in place. The format
//! has no escapes, so not every value can be written in it.

use std::ops::Range;

use encoding_rs::Encoding;

use crate::codec::Settings;
use crate::codec::charset;
use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::looks_like_json;
use crate::codec::urlencoded::nest;
use crate::codec::urlencoded::short;
use crate::codec::urlencoded::texts;
use crate::model::doc::Jdoc;
use crate::model::flat::Flat;

/// Decodes a body. Also says which charset it was in. A line without `=` goes on with the value before it.
///
/// # Errors
/// 400 for what is no such body, 413 over a limit, 415 for an unknown charset.
pub fn decode(
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
    // A text/plain form whose first field is called `[…` is rarer than a program that reads JSON in any body.
    if looks_like_json(body) || body.trim_ascii_start().starts_with(b"[") {
        return Err(Rejected::malformed(
            "The body looks like JSON, but its content type says text/plain; send JSON as application/json.",
        ));
    }
    let entries = entries(body)?;
    let charset = charset::of_body(declared(body, &entries)?, said, settings.charset)?;
    let mut flat = Flat::new(settings.hidden, body.len());
    for (entry, count) in entries.iter().zip(1..) {
        let name = &body[entry.name.clone()];
        if name.contains(&0) {
            return Err(Rejected::malformed(format!(
                "The name of field {count} has a NUL byte, where some programs end it."
            )));
        }
        let name = charset::decode(name, charset, || format!("The name of field {count}"))?;
        let place = || format!("Field `{}`", short(&name));
        if entry.value.len() > limits.field {
            let text = format!("{} has over {} bytes.", place(), limits.field);
            return Err(Rejected::too_large("limits.field", text));
        }
        let value = &body[entry.value.clone()];
        flat.push_text(&name, &charset::decode(value, charset, place)?);
        limits.check_counts(flat.len(), count)?;
    }
    nest(&mut flat, settings.nested)?;
    Ok((flat, charset))
}

/// Where a field stands.
struct Entry {
    /// From its name to behind its last line break.
    all: Range<usize>,
    name: Range<usize>,
    /// All its lines, without the last line break.
    value: Range<usize>,
}

/// The value of `_charset_`, if the body has it.
fn declared<'b>(body: &'b [u8], entries: &[Entry]) -> Result<Option<&'b [u8]>, Rejected> {
    let mut named = entries
        .iter()
        .filter(|entry| charset::is_charset_field(&body[entry.name.clone()]))
        .map(|entry| &body[entry.value.clone()]);
    let first = named.next();
    if named.any(|other| Some(other) != first) {
        return Err(Rejected::malformed("The field `_charset_` is there twice."));
    }
    Ok(first)
}

/// The fields of a body. In every charset that is taken, the bytes of `=` and of line breaks mean just these.
fn entries(body: &[u8]) -> Result<Vec<Entry>, Rejected> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut from = 0;
    while from < body.len() {
        let end = memchr::memchr(b'\n', &body[from..]).map_or(body.len(), |at| from + at + 1);
        let line = &body[from..end];
        let line = match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => line,
        };
        let text_end = from + line.len();
        match (memchr::memchr(b'=', line), entries.last_mut()) {
            (Some(equals), _) => entries.push(Entry {
                all: from..end,
                name: from..from + equals,
                value: from + equals + 1..text_end,
            }),
            (None, Some(entry)) => {
                entry.all.end = end;
                entry.value.end = text_end;
            }
            (None, None) => {
                return Err(Rejected::malformed(
                    "The first line of the body is not of the form name=value.",
                ));
            }
        }
        from = end;
    }
    Ok(entries)
}

/// Writes changed fields in place: a value stands where the old one stood, more values after the last, and a field
/// that was not there at the end. Every other line stays as it came.
///
/// # Errors
/// 400 if the body was not read before, or a name or value would be read as other fields.
pub fn patch(body: &[u8], jdoc: &Jdoc, charset: &'static Encoding) -> Result<Vec<u8>, Rejected> {
    let entries = entries(body)?;
    let mut changes: Vec<(&str, std::vec::IntoIter<String>)> = jdoc
        .iter()
        .map(|(name, value)| (name.as_str(), texts(value).into_iter()))
        .collect();
    let owners: Vec<Option<usize>> = entries
        .iter()
        .map(|entry| {
            let name = charset::decode(&body[entry.name.clone()], charset, String::new).ok()?;
            changes.iter().position(|(known, _)| *known == name)
        })
        .collect();
    let mut out = Vec::with_capacity(body.len() + 64);
    for (at, (entry, owner)) in entries.iter().zip(&owners).enumerate() {
        let Some(number) = *owner else {
            out.extend_from_slice(&body[entry.all.clone()]);
            continue;
        };
        let name = &body[entry.name.clone()];
        if let Some(text) = changes[number].1.next() {
            let text = encode(&text, charset)?;
            if *text == body[entry.value.clone()] {
                out.extend_from_slice(&body[entry.all.clone()]);
            } else {
                push_line(&mut out, name, &text);
            }
        }
        if !owners[at + 1..].contains(owner) {
            for text in changes[number].1.by_ref() {
                push_line(&mut out, name, &encode(&text, charset)?);
            }
        }
    }
    for (name, texts) in changes {
        for text in texts {
            push_line(
                &mut out,
                &encode_name(name, charset)?,
                &encode(&text, charset)?,
            );
        }
    }
    Ok(out)
}

fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if out.last().is_some_and(|last| *last != b'\n') {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(name);
    out.push(b'=');
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn encode_name(name: &str, charset: &'static Encoding) -> Result<Vec<u8>, Rejected> {
    if name.contains(['=', '\r', '\n', '\0']) {
        return Err(Rejected::malformed(
            "A new field's name cannot be written into a text/plain form; send the form in another encoding.",
        ));
    }
    Ok(charset::encode(name, charset).into_owned())
}

fn encode(value: &str, charset: &'static Encoding) -> Result<Vec<u8>, Rejected> {
    // A later line with `=` would be a field of its own.
    if value.split('\n').skip(1).any(|line| line.contains('=')) {
        return Err(Rejected::malformed(
            "A new value has a line with `=`, which would be another field in a text/plain form; send the form in another \
             encoding.",
        ));
    }
    Ok(charset::encode(value, charset).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
    use crate::model::doc::Doc;
    use crate::model::hidden::Hidden;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn lines_are_fields() {
        let (limits, hidden) = (Limits::default(), Arc::new(Hidden::default()));
        let settings = Settings {
            limits: &limits,
            hidden: &hidden,
            charset: None,
            nested: false,
            doc_path: &[],
        };
        let body = b"a=1\r\nt=line one\r\nline two\r\nb=x=y\r\n";
        let (flat, charset) = decode(body, None, settings).expect("good");
        let expected = json!({"a": "1", "t": "line one\r\nline two", "b": "x=y"});
        assert_eq!(Doc::from(flat).visible_value(None), expected);
        let jdoc: Jdoc = serde_json::from_value(json!({"a": null, "c": 2})).expect("an object");
        let patched = patch(body, &jdoc, charset).expect("good");
        assert_eq!(patched, b"t=line one\r\nline two\r\nb=x=y\r\nc=2\r\n");
        for (body, why) in [
            (&b"no field\r\n"[..], "first line"),
            (b"{\"a\": \"b=c\"}", "looks like JSON"),
            (b" [ {\"a\": \"b=c\"}]", "looks like JSON"),
            (b"a\0b=1", "NUL"),
            (b"_charset_=utf-8\n_Charset_=sjis\n", "twice"),
            (b"a=\xe9", "not UTF-8"),
        ] {
            let rejected = decode(body, None, settings).expect_err(why);
            assert!(rejected.text.contains(why), "{rejected}");
        }
        assert!(decode(b"", None, settings).is_ok());
    }

    #[test]
    fn only_changed_lines_are_rewritten() {
        for (body, jdoc, expected) in [
            ("a=1\nb=2\n\nx", json!({"a": "3"}), "a=3\r\nb=2\n\nx"),
            (
                "a=1\r\nb=2\r\na=3",
                json!({"a": ["1", "9", "8"]}),
                "a=1\r\nb=2\r\na=9\r\na=8\r\n",
            ),
            ("a=1", json!({"c": 3}), "a=1\r\nc=3\r\n"),
            ("", json!({"c": "x\ny"}), "c=x\ny\r\n"),
            ("a=1\nb=2\na=4\n", json!({"a": null}), "b=2\n"),
        ] {
            let jdoc: Jdoc = serde_json::from_value(jdoc).expect("an object");
            let patched = patch(body.as_bytes(), &jdoc, encoding_rs::UTF_8).expect("good");
            assert_eq!(String::from_utf8_lossy(&patched), expected, "{body}");
        }
        for jdoc in [
            json!({"a": "x\r\nadmin=1"}),
            json!({"a=b": 1}),
            json!({"a\n": 1}),
        ] {
            let jdoc: Jdoc = serde_json::from_value(jdoc).expect("an object");
            assert!(patch(b"a=1", &jdoc, encoding_rs::UTF_8).is_err());
        }
    }
}
