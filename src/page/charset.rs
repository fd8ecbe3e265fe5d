//! Which charset a page is in, found as browsers find it: a byte-order mark, the content type, a `<meta>` in the first
//! [`START`] bytes. Owns the answer; a page whose charset cannot be rewritten has none.
//!
//! Where none of them says it, browsers do not agree: some find a `<meta>` further down, some guess by what they read.
//! Such a page is taken for `x-user-defined`: ASCII is ASCII, every other byte stands for itself, and what is put in
//! is written in ASCII, with references for everything else. What is compared with it is guessed.

use std::borrow::Cow;

use encoding_rs::Encoding;
use encoding_rs::WINDOWS_1252;
use encoding_rs::X_USER_DEFINED;

use crate::page::prescan;

/// How much of a page is looked through for a `<meta>` that says its charset (HTML, section 13.2.3.2).
pub const START: usize = 1024;

/// The charset of a page that begins with `start`: its first [`START`] bytes, or the whole page if it is shorter.
///
/// `None` for charsets in which markup is not written in ASCII bytes (UTF-16, ISO-2022-JP): such a page goes out as it
/// is.
#[must_use]
pub fn of_page(content_type: Option<&str>, start: &[u8]) -> Option<&'static Encoding> {
    let found = match Encoding::for_bom(start) {
        Some((marked, _)) => marked,
        None => content_type
            .and_then(of_content_type)
            .or_else(|| prescan::charset(&start[..start.len().min(START)]))
            .unwrap_or(X_USER_DEFINED),
    };
    found.is_ascii_compatible().then_some(found)
}

/// What a browser calls the charset of a page.
pub(in crate::page) fn name(charset: &'static Encoding) -> &'static str {
    let known = if charset == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        charset
    };
    known.name()
}

/// Whether more of the page than `start` could make a difference to [`of_page`].
#[must_use]
pub fn needs_more(content_type: Option<&str>, start: &[u8]) -> bool {
    // The longest byte-order mark has three bytes, and goes before everything else.
    let enough = match content_type.and_then(of_content_type) {
        Some(_) => 3,
        None => START,
    };
    start.len() < enough
}

/// What text of a page in no known charset most probably means: UTF-8 if it can be that, else windows-1252.
pub(in crate::page) fn guess(text: &str) -> Cow<'_, str> {
    let is_byte = |c: char| ('\u{f780}'..='\u{f7ff}').contains(&c);
    if text.is_ascii() || !text.contains(is_byte) {
        return text.into();
    }
    let (bytes, _, is_other) = X_USER_DEFINED.encode(text);
    if is_other {
        return text.to_owned().into();
    }
    let guessed = match str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252
            .decode_without_bom_handling(&bytes)
            .0
            .into_owned(),
    };
    guessed.into()
}

fn of_content_type(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1);
    let label = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'))?;
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(content_type: Option<&str>, start: &[u8]) -> Option<&'static str> {
        of_page(content_type, start).map(Encoding::name)
    }

    #[test]
    fn a_mark_goes_before_the_content_type_and_that_before_the_page() {
        let meta = b"<meta charset=utf-8>";
        let latin = Some("text/html; Charset=\"iso-8859-2\"");
        assert_eq!(name(latin, b"\xef\xbb\xbf<p>"), Some("UTF-8"));
        assert_eq!(name(latin, meta), Some("ISO-8859-2"));
        assert_eq!(name(Some("text/html"), meta), Some("UTF-8"));
        assert_eq!(name(None, b"<p>"), Some("x-user-defined"));
        assert_eq!(name(Some("text/html;charset=klingon"), meta), Some("UTF-8"));
    }

    #[test]
    fn what_is_not_written_in_ascii_has_none() {
        assert_eq!(name(None, b"\xff\xfe<\0p\0"), None);
        assert_eq!(name(Some("text/html; charset=utf-16"), b"<p>"), None);
        assert_eq!(name(None, b"<meta charset=iso-2022-jp>"), None);
        // A page that says so in ASCII is not in it.
        assert_eq!(name(None, b"<meta charset=utf-16>"), Some("UTF-8"));
    }

    #[test]
    fn a_meta_counts_in_the_first_kilobyte() {
        let mut page = vec![b' '; START - 22];
        page.extend_from_slice(b"<meta charset=gb18030>");
        assert_eq!(name(None, &page), Some("gb18030"));
        page.insert(0, b' ');
        assert_eq!(name(None, &page), Some("x-user-defined"));
    }

    #[test]
    fn what_nobody_says_is_guessed() {
        for (bytes, expected) in [
            ("Zürich".as_bytes(), "Zürich"),
            (b"Z\xfcrich", "Zürich"),
            (b"plain", "plain"),
        ] {
            let (text, _) = X_USER_DEFINED.decode_without_bom_handling(bytes);
            assert_eq!(guess(&text), expected);
        }
        assert_eq!(guess("Zürich \u{f7c9}"), "Zürich \u{f7c9}");
    }

    #[test]
    fn it_is_known_when_to_stop_waiting() {
        let said = Some("text/html; charset=utf-8");
        assert!(needs_more(said, b"<p") && !needs_more(said, b"<p>"));
        assert!(needs_more(None, &[b' '; START - 1]) && !needs_more(None, &[b' '; START]));
    }
}
