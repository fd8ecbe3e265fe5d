//! HTML's "prescan a byte stream to determine its encoding" (section 13.2.3.2). Owns this algorithm, step for step.

use encoding_rs::Encoding;
use encoding_rs::UTF_8;
use encoding_rs::UTF_16BE;
use encoding_rs::UTF_16LE;
use encoding_rs::WINDOWS_1252;

/// The charset that a `<meta>` in these bytes says.
pub(in crate::page) fn charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut scan = Scan { bytes, at: 0 };
    while scan.at < bytes.len() {
        let rest = &bytes[scan.at..];
        if rest.starts_with(b"<!--") {
            // The two dashes that open a comment may also close it.
            let end = find(&rest[2..], b"-->")?;
            scan.at += 2 + end + 2;
        } else if starts_as(rest, b"<meta")
            && rest
                .get(5)
                .is_some_and(|&byte| is_space(byte) || byte == b'/')
        {
            scan.at += 5;
            if let Some(found) = scan.meta() {
                return Some(found);
            }
        } else if is_tag(rest) {
            scan.skip_name();
            while scan.attribute().is_some() {}
        } else if [b"<!".as_slice(), b"</", b"<?"]
            .iter()
            .any(|opening| rest.starts_with(opening))
        {
            scan.at += find(rest, b">")?;
        }
        scan.at += 1;
    }
    None
}

struct Scan<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Scan<'_> {
    fn meta(&mut self) -> Option<&'static Encoding> {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut is_content_type = false;
        let mut needs_content_type = None;
        let mut charset = None;
        while let Some((name, value)) = self.attribute() {
            if seen.contains(&name) {
                continue;
            }
            match name.as_slice() {
                b"http-equiv" => is_content_type |= value == b"content-type",
                b"content" if charset.is_none() => {
                    if let Some(found) = of_content(&value) {
                        charset = Some(found);
                        needs_content_type = Some(true);
                    }
                }
                b"charset" => {
                    charset = Encoding::for_label(&value);
                    needs_content_type = Some(false);
                }
                _ => {}
            }
            seen.push(name);
        }
        // A tag that is cut off says nothing.
        self.byte()?;
        if needs_content_type? && !is_content_type {
            return None;
        }
        let found = charset?;
        // What was read so far was ASCII, so it cannot be UTF-16.
        Some(if found == UTF_16BE || found == UTF_16LE {
            UTF_8
        } else if found.name() == "x-user-defined" {
            WINDOWS_1252
        } else {
            found
        })
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_name(&mut self) {
        while self
            .byte()
            .is_some_and(|byte| !is_space(byte) && byte != b'>')
        {
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while self.byte().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// "Get an attribute": name and value in lower case; `None` at the end of the tag.
    fn attribute(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        while self
            .byte()
            .is_some_and(|byte| is_space(byte) || byte == b'/')
        {
            self.at += 1;
        }
        if self.byte()? == b'>' {
            return None;
        }
        let mut name = Vec::new();
        loop {
            match self.byte()? {
                b'=' if !name.is_empty() => break,
                byte if is_space(byte) => {
                    self.skip_space();
                    if self.byte()? != b'=' {
                        return Some((name, Vec::new()));
                    }
                    break;
                }
                b'/' | b'>' => return Some((name, Vec::new())),
                byte => name.push(byte.to_ascii_lowercase()),
            }
            self.at += 1;
        }
        self.at += 1;
        self.skip_space();
        Some((name, self.value()?))
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let first = self.byte()?;
        if matches!(first, b'"' | b'\'') {
            loop {
                self.at += 1;
                match self.byte()? {
                    byte if byte == first => break,
                    byte => value.push(byte.to_ascii_lowercase()),
                }
            }
            self.at += 1;
            return Some(value);
        }
        while self
            .byte()
            .is_some_and(|byte| !is_space(byte) && byte != b'>')
        {
            value.push(self.bytes[self.at].to_ascii_lowercase());
            self.at += 1;
        }
        Some(value)
    }
}

/// "Extracting a character encoding from a meta element": of `text/html; charset=…` in lower case.
fn of_content(content: &[u8]) -> Option<&'static Encoding> {
    let mut rest = content;
    loop {
        rest = &rest[find(rest, b"charset")? + 7..];
        let value = rest.trim_ascii_start();
        if let Some(value) = value.strip_prefix(b"=") {
            rest = value.trim_ascii_start();
            break;
        }
    }
    let label = match rest.first()? {
        quote @ (b'"' | b'\'') => rest[1..].split(|byte| byte == quote).next()?,
        _ => rest.split(|&byte| is_space(byte) || byte == b';').next()?,
    };
    Encoding::for_label(label)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_tag(rest: &[u8]) -> bool {
    let name = rest.strip_prefix(b"</").or_else(|| rest.strip_prefix(b"<"));
    name.and_then(<[u8]>::first)
        .is_some_and(u8::is_ascii_alphabetic)
}

fn starts_as(rest: &[u8], opening: &[u8]) -> bool {
    rest.get(..opening.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(opening))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_found_where_browsers_find_them() {
        for (page, expected) in [
            ("<meta charset=iso-8859-2>", Some("ISO-8859-2")),
            ("<META CharSet='Shift_JIS'>", Some("Shift_JIS")),
            ("<meta/charset=\"big5\"/>", Some("Big5")),
            (
                "<!doctype html><html lang=de><head><meta name=x><meta charset = koi8-r >",
                Some("KOI8-R"),
            ),
            (
                "<meta http-equiv=Content-Type content='text/html; charset=euc-kr'>",
                Some("EUC-KR"),
            ),
            (
                "<meta content='text/html; charset = \"gbk\"' http-equiv=content-type>",
                Some("GBK"),
            ),
            ("<meta content='text/html; charset=gbk'>", None),
            ("<!-- <meta charset=utf-8> -->", None),
            ("<!--><meta charset=utf-8>", Some("UTF-8")),
            (
                "<a title='<meta charset=big5>'><meta charset=utf-8>",
                Some("UTF-8"),
            ),
            ("<? <meta charset=big5><meta charset=utf-8>", Some("UTF-8")),
            ("<metaphor charset=big5>", None),
            ("<meta charset=big5 charset=utf-8>", Some("Big5")),
            ("<meta charset=x-user-defined>", Some("windows-1252")),
            ("<meta charset=nonsense><meta charset=utf-8>", Some("UTF-8")),
            ("<meta charset=utf-8", None),
            ("< meta charset=utf-8", None),
        ] {
            assert_eq!(
                charset(page.as_bytes()).map(Encoding::name),
                expected,
                "{page}"
            );
        }
    }
}
