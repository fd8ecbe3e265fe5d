//! The `content-type` of a body, read strictly: whatever two parsers could read differently is refused. Owns which
//! types can be decoded.

use encoding_rs::Encoding;

use crate::codec::rejected::Rejected;

/// A body format that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
    /// `multipart/form-data`.
    Multipart,
    /// `application/json`, `text/json` and `application/…+json`.
    Json,
    /// `text/plain`, as forms encode it.
    Text,
}

/// A content type that can be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// The format.
    pub format: Format,
    /// The boundary, of multipart bodies only.
    pub boundary: Option<String>,
    /// The charset, if it says one.
    pub charset: Option<&'static Encoding>,
}

/// The longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

impl ContentType {
    /// Reads the value of the one `content-type` header.
    ///
    /// # Errors
    /// 415 if the type cannot be decoded, 400 if it can be read in more than one way.
    pub fn parse(value: &[u8]) -> Result<Self, Rejected> {
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or_else(|| Rejected::malformed("The content type has characters beyond ASCII."))?;
        let (kind, params) = text.split_once(';').unwrap_or((text, ""));
        let format = format(kind.trim())?;
        let params = params_of(params)?;
        let find = |wanted: &str| {
            params
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        if params.iter().any(|(name, _)| name.starts_with("boundary*")) {
            return Err(Rejected::malformed(
                "The boundary is given in pieces (`boundary*`); give it in one.",
            ));
        }
        let boundary = match format {
            Format::Multipart => {
                only_one_boundary(&params)?;
                Some(boundary(find("boundary"))?)
            }
            Format::Urlencoded | Format::Json | Format::Text => None,
        };
        let charset = find("charset").map(charset).transpose()?;
        if format == Format::Json && charset.is_some_and(|charset| charset != encoding_rs::UTF_8) {
            return Err(Rejected::unsupported(
                "JSON is always UTF-8; leave the charset out.",
            ));
        }
        Ok(Self {
            format,
            boundary,
            charset,
        })
    }
}

fn format(kind: &str) -> Result<Format, Rejected> {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Ok(Format::Urlencoded),
        "multipart/form-data" => Ok(Format::Multipart),
        "application/json" | "text/json" => Ok(Format::Json),
        "text/plain" => Ok(Format::Text),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Format::Json),
        other => {
            let shown: String = other.chars().take(80).collect();
            Err(Rejected::unsupported(format!(
                "A form cannot be submitted as `{shown}`; send application/x-www-form-urlencoded, multipart/form-data, \
                 application/json or text/plain."
            )))
        }
    }
}

/// Refuses what a backend that only looks for the word, as PHP and old Racks do, could take for the boundary: its body
/// would have other parts.
fn only_one_boundary(params: &[(String, String)]) -> Result<(), Rejected> {
    let other = params.iter().find(|(name, value)| {
        let value = value.to_ascii_lowercase();
        if name == "boundary" {
            value.contains("boundary=")
        } else {
            name.contains("boundary") || value.contains("boundary")
        }
    });
    other.map_or(Ok(()), |(name, _)| {
        Err(Rejected::malformed(format!(
            "The parameter `{name}` could be taken for a second boundary; send one `boundary` alone."
        )))
    })
}

fn boundary(value: Option<&str>) -> Result<String, Rejected> {
    let value = value.ok_or_else(|| {
        Rejected::malformed("The content type is multipart/form-data without a boundary.")
    })?;
    // RFC 2046 `bchars`, but for two: a space could be lost at the end of a line, and PHP, Rack and Commons FileUpload
    // end a boundary at a comma.
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_-./:=?".contains(&byte);
    if value.is_empty() || value.len() > MAX_BOUNDARY || !value.bytes().all(good) {
        return Err(Rejected::malformed(format!(
            "The multipart boundary must have 1 to {MAX_BOUNDARY} letters, digits and marks of '()+_-./:=?."
        )));
    }
    Ok(value.to_owned())
}

/// The charset of this label, as a sender may choose it.
///
/// # Errors
/// 415 if there is none, or one in which ASCII bytes can mean something else (UTF-16, ISO-2022-JP): a program that
/// does not know of it would find other fields.
pub fn charset(label: &str) -> Result<&'static Encoding, Rejected> {
    match Encoding::for_label(label.as_bytes()) {
        Some(charset) if charset.is_ascii_compatible() => Ok(charset),
        Some(charset) => Err(Rejected::unsupported(format!(
            "The charset `{}` is not taken for a form; send UTF-8.",
            charset.name()
        ))),
        // Not by its name: `_charset_` is a field, and no value of a field is logged.
        None => Err(Rejected::unsupported(
            "The charset is not known; send UTF-8.",
        )),
    }
}

/// Reads `; name=value; name="value"`; names in lower case.
///
/// # Errors
/// 400 if a name comes twice or the syntax leaves a choice.
pub fn params_of(mut rest: &str) -> Result<Vec<(String, String)>, Rejected> {
    let mut params: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok(params);
        }
        let (name, value, after) = param(rest)?;
        let name = name.to_ascii_lowercase();
        if params.iter().any(|(known, _)| *known == name) {
            return Err(Rejected::malformed(format!(
                "The parameter `{name}` is given twice."
            )));
        }
        params.push((name, value));
        rest = after.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok(params);
        }
        rest = rest.strip_prefix(';').ok_or_else(|| {
            Rejected::malformed("A parameter of a content type does not end where it should.")
        })?;
    }
}

fn param(text: &str) -> Result<(&str, String, &str), Rejected> {
    let broken =
        || Rejected::malformed("A parameter of a content type is not of the form name=value.");
    let (name, value) = text.split_once('=').ok_or_else(broken)?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(broken());
    }
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
        let (value, after) = value.split_at(end);
        let good = !value.is_empty()
            && value
                .bytes()
                .all(|byte| is_token(byte) || b"/:=?()@[]{},".contains(&byte));
        return if good {
            Ok((name, value.to_owned(), after))
        } else {
            Err(broken())
        };
    };
    let end = quoted.find('"').ok_or_else(broken)?;
    let (value, after) = quoted.split_at(end);
    if value.contains('\\') {
        return Err(Rejected::malformed(
            "A backslash in a quoted parameter can be read in two ways.",
        ));
    }
    Ok((name, value.to_owned(), &after[1..]))
}

/// RFC 9110, section 5.6.2.
#[must_use]
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_browsers_and_scripts() {
        for (value, format, boundary) in [
            (
                "application/x-www-form-urlencoded",
                Format::Urlencoded,
                None,
            ),
            (
                "application/x-www-form-urlencoded; charset=UTF-8",
                Format::Urlencoded,
                None,
            ),
            ("Application/JSON", Format::Json, None),
            ("application/vnd.api+json", Format::Json, None),
            ("text/plain;charset=UTF-8", Format::Text, None),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk",
                Format::Multipart,
                Some("----WebKitFormBoundary7MA4YWxk"),
            ),
            (
                "multipart/form-data; boundary=\"a b\"; charset=utf-8",
                Format::Multipart,
                None,
            ),
            (
                "multipart/form-data; boundary=\"=_x(1)\"",
                Format::Multipart,
                Some("=_x(1)"),
            ),
            (
                "multipart/form-data;boundary=x;",
                Format::Multipart,
                Some("x"),
            ),
            // Firefox.
            (
                "multipart/form-data; boundary=----geckoformboundary1a2b3c4d",
                Format::Multipart,
                Some("----geckoformboundary1a2b3c4d"),
            ),
            // curl.
            (
                "multipart/form-data; boundary=------------------------d74496d66958873e",
                Format::Multipart,
                Some("------------------------d74496d66958873e"),
            ),
            // requests, Go and form-data of Node.
            (
                "multipart/form-data; boundary=5fbf10a4d4e3a0f2c4d9b3c8f6e7a1b2",
                Format::Multipart,
                Some("5fbf10a4d4e3a0f2c4d9b3c8f6e7a1b2"),
            ),
            (
                "multipart/form-data; boundary=--------------------------826302193847562910384756",
                Format::Multipart,
                Some("--------------------------826302193847562910384756"),
            ),
            // Java's HttpClient and Jakarta Mail.
            (
                "multipart/form-data; charset=ISO-8859-1; boundary=-_3gT.x9(Q)",
                Format::Multipart,
                Some("-_3gT.x9(Q)"),
            ),
            (
                "multipart/form-data; boundary=\"----=_Part_0_1330.1699\"",
                Format::Multipart,
                Some("----=_Part_0_1330.1699"),
            ),
            // .NET and Apple.
            (
                "multipart/form-data; boundary=\"f3c4a1de-0b6e-4c1c-9e57-2f5f6a3a8a10\"",
                Format::Multipart,
                Some("f3c4a1de-0b6e-4c1c-9e57-2f5f6a3a8a10"),
            ),
            (
                "multipart/form-data; boundary=Boundary+0xAbCdEfGbOuNdArY",
                Format::Multipart,
                Some("Boundary+0xAbCdEfGbOuNdArY"),
            ),
        ] {
            match (ContentType::parse(value.as_bytes()), boundary, format) {
                (Ok(parsed), expected, format) => {
                    assert_eq!(
                        (parsed.format, parsed.boundary.as_deref()),
                        (format, expected),
                        "{value}"
                    );
                }
                (Err(_), None, Format::Multipart) => {}
                (Err(rejected), ..) => panic!("{value}: {rejected}"),
            }
        }
    }

    #[test]
    fn tricks_are_refused() {
        for (value, status) in [
            ("application/xml", 415),
            ("multipart/mixed; boundary=x", 415),
            ("", 415),
            (
                "application/x-www-form-urlencoded, multipart/form-data; boundary=x",
                415,
            ),
            ("application/json; charset=utf-16", 415),
            ("application/x-www-form-urlencoded; charset=utf-99", 415),
            ("application/x-www-form-urlencoded; charset=utf-16", 415),
            ("text/plain; charset=iso-2022-jp", 415),
            ("multipart/form-data; boundary=x; charset=hz-gb-2312", 415),
            ("multipart/form-data", 400),
            ("multipart/form-data; boundary=", 400),
            ("multipart/form-data; boundary=a; boundary=b", 400),
            ("multipart/form-data; boundary=a; Boundary=a", 400),
            ("multipart/form-data; boundary*0=a; boundary*1=b", 400),
            ("multipart/form-data; boundary=\"a\\\"b\"", 400),
            ("multipart/form-data; boundary=\"a\"b", 400),
            ("multipart/form-data; boundary=a b", 400),
            ("multipart/form-data; boundary =a", 400),
            ("multipart/form-data; boundary=a,b; x", 400),
            ("multipart/form-data; boundary=a,b", 400),
            ("multipart/form-data; boundary=\"a,b\"", 400),
            ("multipart/form-data; xboundary=a; boundary=b", 400),
            ("multipart/form-data; boundary=b; X-Boundary=a", 400),
            ("multipart/form-data; x=\"boundary=a\"; boundary=b", 400),
            ("multipart/form-data; boundary=b; x=\"; BOUNDARY=a\"", 400),
            ("multipart/form-data; boundary=\"boundary=a\"", 400),
            ("application/json; charset=\"utf-8", 400),
            ("application/json\u{e9}", 400),
        ] {
            let rejected = ContentType::parse(value.as_bytes()).expect_err(value);
            assert_eq!(rejected.status, status, "{value}: {rejected}");
        }
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        assert!(ContentType::parse(long.as_bytes()).is_err());
    }
}
