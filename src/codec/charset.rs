//! Text in the form's charset. Owns which charset counts (`_charset_`, the content type, the rule file, UTF-8, in
//! this order) and decoding and encoding with it.

use std::borrow::Cow;

use encoding_rs::Encoding;
use encoding_rs::UTF_8;

use crate::codec::content_type;
use crate::codec::rejected::Rejected;

/// The name of the field in which a browser puts the charset it used (HTML, section 4.10.21.4).
pub const CHARSET_FIELD: &str = "_charset_";

/// Whether a field has the name of [`CHARSET_FIELD`]; browsers fill it in whatever its letter case.
#[must_use]
pub fn is_charset_field(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(CHARSET_FIELD.as_bytes())
}

/// The charset of a body.
///
/// # Errors
/// 415 if `_charset_` names one that is not taken, 400 if the content type names another.
pub fn of_body(
    field: Option<&[u8]>,
    content_type: Option<&'static Encoding>,
    default: Option<&'static Encoding>,
) -> Result<&'static Encoding, Rejected> {
    // Without JavaScript a page may leave the field empty; then it says nothing.
    let named = match field.filter(|label| !label.is_empty()) {
        Some(label) => Some(content_type::charset(&String::from_utf8_lossy(label))?),
        None => None,
    };
    if let (Some(named), Some(said)) = (named, content_type)
        && named != said
    {
        return Err(Rejected::malformed(format!(
            "The field `_charset_` says {}, the content type {}; say the same in both, or only one of them.",
            named.name(),
            said.name()
        )));
    }
    Ok(named.or(content_type).or(default).unwrap_or(UTF_8))
}

/// Decodes bytes.
///
/// # Errors
/// 400 if they are not text in this charset; `what` names the place.
pub fn decode<'b>(
    bytes: &'b [u8],
    charset: &'static Encoding,
    what: impl Fn() -> String,
) -> Result<Cow<'b, str>, Rejected> {
    if charset == UTF_8 {
        // No byte-order mark is taken off: it would be put back by nobody.
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(Rejected::malformed(format!(
                "{} is not UTF-8 (at its byte {}); send UTF-8, or say the charset in a `_charset_` field, in the content \
                 type, or as `charset` in the form's rule file.",
                what(),
                error.valid_up_to() + 1
            ))),
        };
    }
    match charset.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text),
        None => Err(Rejected::malformed(format!(
            "{} is not {}, as the form says.",
            what(),
            charset.name()
        ))),
    }
}

/// Encodes text; what the charset does not have becomes `&#…;`, as in browsers.
#[must_use]
pub fn encode<'t>(text: &'t str, charset: &'static Encoding) -> Cow<'t, [u8]> {
    charset.encode(text).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_one_charset() {
        let sjis = Some(encoding_rs::SHIFT_JIS);
        let latin1 = encoding_rs::WINDOWS_1252;
        assert_eq!(of_body(Some(b"iso-8859-1"), None, sjis), Ok(latin1));
        assert_eq!(
            of_body(Some(b"sjis"), sjis, None),
            Ok(encoding_rs::SHIFT_JIS)
        );
        assert_eq!(of_body(Some(b""), sjis, None), Ok(encoding_rs::SHIFT_JIS));
        assert_eq!(of_body(None, None, Some(latin1)), Ok(latin1));
        assert_eq!(of_body(None, None, None), Ok(UTF_8));
        for (label, status) in [("klingon", 415), ("utf-16le", 415), ("iso-8859-1", 400)] {
            let rejected = of_body(Some(label.as_bytes()), sjis, None).expect_err(label);
            assert_eq!(rejected.status, status, "{label}: {rejected}");
        }
    }

    #[test]
    fn text_survives_both_ways() {
        let sjis = encoding_rs::SHIFT_JIS;
        let bytes = encode("日本 \u{e9}", sjis).into_owned();
        assert_eq!(decode(&bytes, sjis, String::new), Ok("日本 &#233;".into()));
        assert!(decode(b"\xff\xff", sjis, || "x".into()).is_err());
        assert!(
            decode(b"\xe9", UTF_8, || "x".into())
                .expect_err("not UTF-8")
                .text
                .contains("byte 1")
        );
    }
}
