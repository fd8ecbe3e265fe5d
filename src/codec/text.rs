//! `text/plain` form bodies: `name=value` lines. Owns decoding them, and writing them anew when a field changes.

use encoding_rs::Encoding;

use crate::codec::Settings;
use crate::codec::charset;
use crate::codec::charset::CHARSET_FIELD;
use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::short;
use crate::codec::urlencoded::texts;
use crate::model::doc::Doc;
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
    let declared = body.strip_prefix(b"_charset_=").or_else(|| {
        let at = memchr::memmem::find(body, b"\n_charset_=")?;
        Some(&body[at + 1 + CHARSET_FIELD.len() + 1..])
    });
    let declared = declared.map(|rest| {
        rest.split(|byte| *byte == b'\r' || *byte == b'\n')
            .next()
            .unwrap_or_default()
    });
    let charset = charset::of_body(declared, said, settings.charset)?;
    let text = charset::decode(body, charset, || "The body".to_owned())?;
    let mut flat = Flat::new(settings.hidden, body.len());
    for (count, (name, value)) in pairs(&text)?.into_iter().enumerate() {
        if count >= limits.fields {
            return Err(Rejected::too_large(
                "limits.fields",
                format!("The form has more than {} fields.", limits.fields),
            ));
        }
        if value.len() > limits.field {
            let text = format!("Field `{}` has over {} bytes.", short(name), limits.field);
            return Err(Rejected::too_large("limits.field", text));
        }
        flat.push_text(name, &value);
    }
    if settings.nested {
        flat.nest().map_err(|name| {
            Rejected::malformed(format!(
                "The field `{}` cannot stand beside the others.",
                short(&name)
            ))
        })?;
    }
    Ok((flat, charset))
}

fn pairs(text: &str) -> Result<Vec<(&str, String)>, Rejected> {
    // What looks like JSON is read as JSON by some backends, whatever its type says.
    if text.trim_start().starts_with(['{', '[']) {
        return Err(Rejected::malformed(
            "The body is said to be text/plain but looks like JSON; send it as application/json.",
        ));
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let body = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(text);
    if body.is_empty() {
        return Ok(pairs);
    }
    for line in body.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.split_once('='), pairs.last_mut()) {
            (Some((name, value)), _) => pairs.push((name, value.to_owned())),
            (None, Some((_, value))) => {
                value.push_str("\r\n");
                value.push_str(line);
            }
            (None, None) => {
                return Err(Rejected::malformed(
                    "The first line of the body is not of the form name=value.",
                ));
            }
        }
    }
    Ok(pairs)
}

/// Writes the body anew with its changed fields.
///
/// # Errors
/// 400 if the body was not read before.
pub fn patch(
    body: &[u8],
    jdoc: &Jdoc,
    charset: &'static Encoding,
    settings: Settings<'_>,
) -> Result<Vec<u8>, Rejected> {
    let (flat, _) = decode(body, Some(charset), settings)?;
    let mut doc = Doc::from(flat);
    doc.apply(jdoc);
    let mut out = String::new();
    if let Doc::Flat(flat) = &doc {
        for (name, items) in flat.fields() {
            let values = jdoc.get(name).map_or_else(
                || {
                    items
                        .iter()
                        .filter_map(crate::model::doc::Item::text)
                        .collect()
                },
                texts,
            );
            for value in values {
                out.push_str(&format!("{name}={value}\r\n"));
            }
        }
    }
    Ok(charset::encode(&out, charset).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
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
        let patched = patch(body, &jdoc, charset, settings).expect("good");
        assert_eq!(patched, b"t=line one\r\nline two\r\nb=x=y\r\nc=2\r\n");
        assert!(decode(b"no field\r\n", None, settings).is_err());
        assert!(decode(b"", None, settings).is_ok());
    }
}
