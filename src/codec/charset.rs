//! Text in the form's charset. Owns which charset counts (`_charset_`, the content type, the rule file, UTF-8, in
//! this order) and decoding and encoding with it.

use std::borrow::Cow;

use encoding_rs::Encoding;
use encoding_rs::UTF_8;

use crate::codec::content_type;
use crate::codec::rejected::Rejected;

/// The name of the field in which a browser puts the charset it used (HTML, section 4.10.21.4).
pub const CHARSET_FIELD: &str = "_charset_";

/// The charset of a body. UTF-16 and the like are never used for submissions, so their output encoding counts.
///
/// # Errors
/// 415 if `_charset_` names one that is not known.
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
    let charset = named.or(content_type).or(default).unwrap_or(UTF_8);
    Ok(charset.output_encoding())
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
    fn the_field_goes_before_the_content_type() {
        let sjis = Some(encoding_rs::SHIFT_JIS);
        assert_eq!(
            of_body(Some(b"iso-8859-1"), sjis, None),
            Ok(encoding_rs::WINDOWS_1252)
        );
        assert_eq!(of_body(Some(b""), sjis, None), Ok(encoding_rs::SHIFT_JIS));
        assert_eq!(of_body(None, None, Some(encoding_rs::UTF_16LE)), Ok(UTF_8));
        assert!(of_body(Some(b"klingon"), None, None).is_err());
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
