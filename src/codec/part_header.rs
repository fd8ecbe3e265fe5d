//! The header lines of one multipart part, read strictly. Owns `content-disposition` with browsers' escapes and
//! RFC 5987's `filename*`; finding the lines is left to [`crate::codec::multipart`].

use encoding_rs::Encoding;
use percent_encoding::percent_decode;

use crate::codec::charset;
use crate::codec::content_type;
use crate::codec::rejected::Rejected;

/// What a part's header says, still in the body's own charset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartHeader {
    /// The field's name, browsers' escapes undone.
    pub name: Vec<u8>,
    /// The file's name, if the part is a file.
    pub filename: Option<Filename>,
    /// The part's own type, as it came.
    pub content_type: Option<String>,
    /// The charset that the part's own type names.
    pub charset: Option<&'static Encoding>,
}

/// A file's name: bytes in the body's charset, or text that named its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filename {
    /// From `filename`.
    Raw(Vec<u8>),
    /// From `filename*`.
    Text(String),
}

impl Filename {
    /// How many bytes it has.
    #[must_use]
    pub const fn size(&self) -> usize {
        match self {
            Self::Raw(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }
}

const DISPOSITION: &[u8] = b"content-disposition:";

/// Reads the lines between a delimiter and the empty line, without their last CRLF.
///
/// # Errors
/// 400 for whatever two parsers could read differently; `place` names the part.
pub fn parse(block: &[u8], place: &str) -> Result<PartHeader, Rejected> {
    let refuse = |why: &str| Rejected::malformed(format!("{place} {why}"));
    let mut header = PartHeader::default();
    let mut disposition = None;
    let mut content_type = None;
    for line in lines(block, place)? {
        let colon = memchr::memchr(b':', line)
            .ok_or_else(|| refuse("has a header line without a colon."))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| content_type::is_token(*byte)) {
            return Err(refuse("has a header line that does not begin with a name."));
        }
        match name.to_ascii_lowercase().as_slice() {
            b"content-disposition" if disposition.is_some() => {
                return Err(refuse("has two content-disposition lines; send one."));
            }
            b"content-disposition" => disposition = Some(value),
            b"content-type" if content_type.is_some() => {
                return Err(refuse("has two content-type lines; send one."));
            }
            b"content-type" => content_type = Some(value),
            b"content-transfer-encoding" if !is_identity(value) => {
                return Err(refuse(
                    "has a transfer encoding, which some programs undo and others do not; send it as it is.",
                ));
            }
            _ => {}
        }
        // Some programs look for the disposition anywhere in the header.
        if holds(value, DISPOSITION) || is_mistaken(&line[..=colon]) {
            return Err(refuse(
                "has `content-disposition:` inside another header line, where some programs find it.",
            ));
        }
    }
    let value = disposition
        .ok_or_else(|| refuse("has no content-disposition line; every part needs one."))?;
    read_disposition(value, &mut header, &refuse)?;
    if let Some(value) = content_type {
        read_type(value, &mut header, &refuse)?;
    }
    Ok(header)
}

/// Whether a header's name, with its colon, ends like the disposition's and is another.
fn is_mistaken(name: &[u8]) -> bool {
    name.len() > DISPOSITION.len() && holds(name, DISPOSITION)
}

fn read_type(
    value: &[u8],
    header: &mut PartHeader,
    refuse: &impl Fn(&str) -> Rejected,
) -> Result<(), Rejected> {
    let text =
        std::str::from_utf8(value).map_err(|_| refuse("has a content-type that is not UTF-8."))?;
    if holds(&value[..value.len().min(16)], b"multipart/mixed") {
        return Err(refuse(
            "is a multipart body of its own (multipart/mixed), which some programs take apart; send each file as a part.",
        ));
    }
    header.content_type = Some(text.to_owned());
    // A file's type is the person's own affair; it is never decoded.
    if header.filename.is_none() {
        header.charset = part_charset(text)?;
    }
    Ok(())
}

/// Whether a text is in a value, in any letter case.
fn holds(value: &[u8], lower: &[u8]) -> bool {
    value.len() >= lower.len()
        && value
            .windows(lower.len())
            .any(|window| window.eq_ignore_ascii_case(lower))
}

fn lines<'b>(block: &'b [u8], place: &str) -> Result<Vec<&'b [u8]>, Rejected> {
    let mut lines = Vec::with_capacity(2);
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n").unwrap_or(rest.len());
        let line = &rest[..end];
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Rejected::malformed(format!(
                "{place} has a header line with a bare line break or a NUL byte."
            )));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Rejected::malformed(format!(
                "{place} has a folded header line; send it as one line."
            )));
        }
        lines.push(line);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    Ok(lines)
}

fn is_identity(value: &[u8]) -> bool {
    [&b"binary"[..], b"8bit", b"7bit"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

fn part_charset(content_type: &str) -> Result<Option<&'static Encoding>, Rejected> {
    let (_, params) = content_type.split_once(';').unwrap_or((content_type, ""));
    // Only a charset that can be read counts.
    let Ok(params) = content_type::params_of(params) else {
        return Ok(None);
    };
    let charset = params.iter().find(|(name, _)| name == "charset");
    charset
        .map(|(_, label)| content_type::charset(label))
        .transpose()
}

fn read_disposition(
    value: &[u8],
    header: &mut PartHeader,
    refuse: &impl Fn(&str) -> Rejected,
) -> Result<(), Rejected> {
    let semicolon = memchr::memchr(b';', value).unwrap_or(value.len());
    if !value[..semicolon]
        .trim_ascii()
        .eq_ignore_ascii_case(b"form-data")
    {
        return Err(refuse(
            "is not form-data; its content-disposition must begin so.",
        ));
    }
    let mut rest = value.get(semicolon + 1..).unwrap_or_default();
    let mut name = None;
    let (mut plain, mut extended) = (None, None);
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        let (key, value, after) = disposition_param(rest, refuse)?;
        let slot = match key.as_slice() {
            b"name" => &mut name,
            b"filename" => &mut plain,
            b"filename*" => &mut extended,
            key if key.starts_with(b"name*") || key.starts_with(b"filename*") => {
                return Err(refuse("gives its name in pieces; give it in one."));
            }
            _ => {
                rest = after;
                continue;
            }
        };
        if slot.is_some() {
            let key = String::from_utf8_lossy(&key);
            return Err(refuse(&format!(
                "gives `{key}` twice in its content-disposition; give it once."
            )));
        }
        if looks_like_a_parameter(&value) {
            return Err(refuse(
                "has a name in which some programs find a second one (` name=`); leave that text out.",
            ));
        }
        *slot = Some(value);
        rest = after;
    }
    header.name =
        browser_unescape(&name.ok_or_else(|| refuse("has no name in its content-disposition."))?);
    header.filename = match (plain, extended) {
        (Some(_), Some(_)) => {
            return Err(refuse(
                "has both `filename` and `filename*`, and programs differ in which one counts.",
            ));
        }
        (Some(plain), None) => Some(Filename::Raw(browser_unescape(&plain))),
        (None, Some(extended)) => Some(Filename::Text(rfc5987(&extended, refuse)?)),
        (None, None) => None,
    };
    Ok(())
}

/// Whether a program that searches for ` name=` or `;filename=` instead of reading parameters would find one here.
fn looks_like_a_parameter(value: &[u8]) -> bool {
    memchr::memchr_iter(b'=', value).any(|equals| {
        let before = value[..equals].trim_ascii_end();
        [&b"name"[..], b"filename", b"name*", b"filename*"]
            .iter()
            .any(|word| {
                before.len() > word.len()
                    && before[before.len() - word.len()..].eq_ignore_ascii_case(word)
                    && matches!(before[before.len() - word.len() - 1], b' ' | b'\t' | b';')
            })
    })
}

type Param<'b> = (Vec<u8>, Vec<u8>, &'b [u8]);

/// One `key=value` or `key="value"` and what follows its semicolon.
fn disposition_param<'b>(
    text: &'b [u8],
    refuse: &impl Fn(&str) -> Rejected,
) -> Result<Param<'b>, Rejected> {
    let broken =
        || refuse("has a content-disposition that cannot be read; write `form-data; name=\"…\"`.");
    let equals = memchr::memchr(b'=', text).ok_or_else(broken)?;
    let key = text[..equals].to_ascii_lowercase();
    if key.is_empty() || !key.iter().all(|byte| is_plain(*byte)) {
        return Err(broken());
    }
    let value = &text[equals + 1..];
    let (value, after) = match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = memchr::memchr(b'"', quoted).ok_or_else(broken)?;
            if end > 0 && quoted[end - 1] == b'\\' {
                return Err(refuse(
                    "has a backslash before a quote, which can be read in two ways; send a quote as %22.",
                ));
            }
            (&quoted[..end], &quoted[end + 1..])
        }
        None => {
            let end = value
                .iter()
                .position(|byte| matches!(byte, b';' | b' ' | b'\t'))
                .unwrap_or(value.len());
            let bare = &value[..end];
            // `filename*` is never quoted and has apostrophes.
            let is_plain = |byte: &u8| is_plain(*byte) || (*byte == b'\'' && key.ends_with(b"*"));
            if bare.is_empty() || !bare.iter().all(is_plain) {
                return Err(broken());
            }
            (bare, &value[end..])
        }
    };
    let after = after.trim_ascii_start();
    match after.split_first() {
        None => Ok((key, value.to_vec(), after)),
        Some((b';', after)) => Ok((key, value.to_vec(), after)),
        Some(_) => Err(broken()),
    }
}

/// A token's byte; but PHP takes an apostrophe for a quote.
fn is_plain(byte: u8) -> bool {
    byte != b'\'' && content_type::is_token(byte)
}

/// Undoes the three escapes of browsers: `%22`, `%0D`, `%0A` (HTML, section 4.10.21.8). Every other `%` is itself.
fn browser_unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match (byte, after.get(..2)) {
            (b'%', Some(b"22")) => Some(b'"'),
            (b'%', Some(b"0D" | b"0d")) => Some(b'\r'),
            (b'%', Some(b"0A" | b"0a")) => Some(b'\n'),
            _ => None,
        };
        out.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    out
}

/// Writes a name as browsers do, for a new part.
#[must_use]
pub fn browser_escape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            other => out.push(*other),
        }
    }
    out
}

/// RFC 5987, section 3.2.1: `UTF-8'en'na%C3%AFve.txt`.
fn rfc5987(value: &[u8], refuse: &impl Fn(&str) -> Rejected) -> Result<String, Rejected> {
    let broken = || refuse("has a `filename*` that is not of the form UTF-8''name.");
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (Some(label), Some(_language), Some(encoded)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(broken());
    };
    let charset = Encoding::for_label(label).ok_or_else(broken)?;
    let raw: Vec<u8> = percent_decode(encoded).collect();
    if raw.contains(&0) {
        return Err(refuse("has a NUL byte in its file name."));
    }
    let text = charset::decode(&raw, charset, || "A file's name".to_owned())?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &str) -> Result<PartHeader, Rejected> {
        parse(block.as_bytes(), "Part 1")
    }

    #[test]
    fn headers_of_browsers() {
        let header = read("Content-Disposition: form-data; name=\"a%22b%0D%0Ac%41\"; filename=\"n%22aïve.txt\"\r\nContent-Type: text/plain").expect("good");
        assert_eq!(header.name, b"a\"b\r\nc%41");
        assert_eq!(header.filename, Some(Filename::Raw("n\"aïve.txt".into())));
        let header =
            read("content-disposition: form-data; name=x; filename*=UTF-8''na%C3%AFve.txt")
                .expect("good");
        assert_eq!(header.filename, Some(Filename::Text("naïve.txt".into())));
        let header = read("Content-Disposition: form-data; name=\"f\"; filename=\"C:\\dir\\x.txt\"\r\nContent-Transfer-Encoding: binary").expect("good");
        assert_eq!(
            header.filename,
            Some(Filename::Raw(b"C:\\dir\\x.txt".to_vec()))
        );
        let header = read("Content-Disposition: form-data; name=\"t\"\r\nContent-Type: text/plain; charset=latin1").expect("good");
        assert_eq!(header.charset, Some(encoding_rs::WINDOWS_1252));
        let odd_file = read("Content-Type: text/x; charset=utf-16\r\nContent-Disposition: form-data; name=\"f\"; filename=\"blob\"").expect("a file's type is its own affair");
        assert_eq!(odd_file.charset, None);
        for harmless in [
            "surname=x",
            "a=name",
            "name",
            "my name is=1",
            "=name",
            "rename = x",
        ] {
            let block = format!("Content-Disposition: form-data; name=\"{harmless}\"");
            assert_eq!(read(&block).expect(harmless).name, harmless.as_bytes());
        }
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        for (block, why) in [
            ("Content-Type: text/plain", "no content-disposition"),
            ("Content-Disposition: form-data", "no name"),
            ("Content-Disposition: form-data; filename=\"x\"", "no name"),
            (
                "Content-Disposition: attachment; name=\"x\"",
                "not form-data",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
                "twice",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"x\"; filename*=UTF-8''y",
                "both",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"; filename*0=\"x\"",
                "in pieces",
            ),
            (
                "Content-Disposition: form-data; name*=UTF-8''a",
                "in pieces",
            ),
            (
                "Content-Disposition: form-data; name=\"a\\\"b\"",
                "backslash",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"b",
                "cannot be read",
            ),
            (
                "Content-Disposition: form-data; name = \"a\"",
                "cannot be read",
            ),
            ("Content-Disposition: form-data; name=\"a", "cannot be read"),
            (
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
                "two content-disposition",
            ),
            ("Content-Disposition: form-data;\r\n name=\"a\"", "folded"),
            (
                "Content-Disposition: form-data; name=\"a\"\nX: y",
                "bare line break",
            ),
            (
                "Content-Disposition : form-data; name=\"a\"",
                "begin with a name",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
                "transfer encoding",
            ),
            ("Content-Disposition", "without a colon"),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"x; name=b\"",
                "find a second one",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"x NAME = b.txt\"",
                "find a second one",
            ),
            (
                "Content-Disposition: form-data; name=\"a;filename=b\"",
                "find a second one",
            ),
            (
                "X: Content-Disposition: form-data; name=\"b\"\r\nContent-Disposition: form-data; name=\"a\"",
                "inside another header line",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"\r\nX-Content-Disposition: form-data; name=\"b\"",
                "inside another header line",
            ),
            ("Content-Disposition: form-data; name='a'", "cannot be read"),
            (
                "Content-Disposition: form-data; x='; name=\"a\"",
                "cannot be read",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''a%00b",
                "NUL",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: Multipart/Mixed; boundary=y",
                "multipart body of its own",
            ),
        ] {
            let rejected = read(block).expect_err(block);
            assert!(rejected.text.contains(why), "{block}: {rejected}");
        }
    }
}
