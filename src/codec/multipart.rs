//! `multipart/form-data` bodies, read as a stream. Owns finding the parts – strictly, since whatever two parsers
//! read differently is a way around a hook – and writing changed ones while every other byte stays as it came.
//!
//! File contents are only counted and hashed; memory is bounded by the text fields.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use aws_lc_rs::digest;
use encoding_rs::Encoding;
use memchr::memmem::Finder;

use crate::codec::Piece;
use crate::codec::Settings;
use crate::codec::charset;
use crate::codec::part_header;
use crate::codec::part_header::Filename;
use crate::codec::part_header::PartHeader;
use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::nest;
use crate::codec::urlencoded::short;
use crate::codec::urlencoded::texts;
use crate::model::doc::File;
use crate::model::doc::Jdoc;
use crate::model::flat::Flat;

/// Reads a body piece by piece.
pub struct Scanner<'a> {
    settings: Settings<'a>,
    said: Option<&'static Encoding>,
    /// `--boundary`.
    delimiter: Finder<'static>,
    state: State,
    /// Bytes that could not be judged without what follows.
    pending: Vec<u8>,
    /// How many bytes were judged.
    offset: u64,
    /// Names and texts kept so far.
    kept: usize,
    parts: Vec<Part>,
    /// The different names so far.
    names: HashSet<Vec<u8>>,
}

/// A body that has been read.
#[derive(Debug)]
pub struct Multipart {
    /// The fields.
    pub flat: Flat,
    /// Where the parts are.
    pub layout: Layout,
}

/// Where in a body which part is.
#[derive(Debug, Clone)]
pub struct Layout {
    boundary: String,
    charset: &'static Encoding,
    parts: Vec<Located>,
    /// Where the closing delimiter begins.
    end: u64,
    length: u64,
}

#[derive(Debug, Clone)]
struct Located {
    name: String,
    charset: &'static Encoding,
    is_file: bool,
    /// Where the part's delimiter begins.
    start: u64,
    content: Range<u64>,
}

struct Part {
    header: PartHeader,
    start: u64,
    content: Range<u64>,
    body: Content,
}

enum Content {
    Text(Vec<u8>),
    File(digest::Context),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Start,
    /// Right after a delimiter that begins at this offset.
    Delimited { start: u64 },
    /// In the header lines of a part whose delimiter begins at this offset.
    Header { start: u64 },
    /// In the content of the last part.
    Content,
    /// After the closing delimiter that begins at this offset.
    End { start: u64 },
}

/// How many bytes of a new chunk are put behind pending ones at a time.
const JOIN: usize = 4096;

impl fmt::Debug for Scanner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("state", &self.state)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<'a> Scanner<'a> {
    /// Begins to read a body with this boundary, in the charset that the content type said, if any.
    #[must_use]
    pub fn new(boundary: &str, said: Option<&'static Encoding>, settings: Settings<'a>) -> Self {
        Self {
            settings,
            said,
            delimiter: Finder::new(format!("--{boundary}").as_bytes()).into_owned(),
            state: State::Start,
            pending: Vec::new(),
            offset: 0,
            kept: 0,
            parts: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// 400 for what parsers disagree on, 413 over a limit.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), Rejected> {
        while !self.pending.is_empty() && !chunk.is_empty() {
            let before = self.pending.len();
            let (join, rest) = chunk.split_at(chunk.len().min(JOIN));
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(join);
            let used = self.scan(&joined)?;
            if used >= before {
                // What was pending is judged; go on in the chunk itself, without a copy.
                chunk = &chunk[used - before..];
            } else {
                joined.drain(..used);
                self.pending = joined;
                chunk = rest;
            }
        }
        if !chunk.is_empty() {
            let used = self.scan(chunk)?;
            self.pending.extend_from_slice(&chunk[used..]);
        }
        Ok(())
    }

    /// Judges as many bytes as it can; says how many.
    fn scan(&mut self, bytes: &[u8]) -> Result<usize, Rejected> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let used = match self.state {
                State::Start => self.start(rest)?,
                State::Delimited { start } => self.delimited(rest, start)?,
                State::Header { start } => self.header(rest, start)?,
                State::Content => self.content(rest)?,
                State::End { .. } => self.end(rest)?,
            };
            let Some(used) = used else { return Ok(at) };
            at += used;
            self.offset += u64::try_from(used).unwrap_or(u64::MAX);
            if at == bytes.len() {
                return Ok(at);
            }
        }
    }

    /// The first delimiter, after at most one empty line.
    fn start(&mut self, rest: &[u8]) -> Result<Option<usize>, Rejected> {
        let delimiter = self.delimiter.needle();
        let skip = if rest.starts_with(b"\r") { 2 } else { 0 };
        let head = &rest[..rest.len().min(skip + delimiter.len())];
        let mut expected = b"\r\n"[..skip].to_vec();
        expected.extend_from_slice(delimiter);
        if !expected.starts_with(head) {
            return Err(Rejected::malformed(
                "The multipart body does not begin with its boundary (byte 1); nothing may stand before it.",
            ));
        }
        if head.len() < expected.len() {
            return Ok(None);
        }
        self.state = State::Delimited {
            start: self.offset + u64::try_from(skip).unwrap_or_default(),
        };
        Ok(Some(expected.len()))
    }

    fn delimited(&mut self, rest: &[u8], start: u64) -> Result<Option<usize>, Rejected> {
        match rest {
            [b'\r', b'\n', ..] => {
                let limits = self.settings.limits;
                limits.check_counts(self.names.len(), self.parts.len() + 1)?;
                self.state = State::Header { start };
                Ok(Some(2))
            }
            [b'-', b'-', ..] => {
                self.state = State::End { start };
                Ok(Some(2))
            }
            [] | [b'\r' | b'-'] => Ok(None),
            _ => {
                let line = match self.parts.len() {
                    0 => "The first boundary line".to_owned(),
                    number => format!("The line after part {number} is almost the boundary, but"),
                };
                Err(Rejected::malformed(format!(
                    "{line} does not end as it should (at byte {}); it ends with CRLF, or with `--` after the last part.",
                    self.offset + 1
                )))
            }
        }
    }

    fn header(&mut self, rest: &[u8], start: u64) -> Result<Option<usize>, Rejected> {
        let most = self.settings.limits.part_header;
        let number = self.parts.len() + 1;
        if rest.starts_with(b"\r\n") {
            return Err(Rejected::malformed(format!(
                "Part {number} has no content-disposition line."
            )));
        }
        let end = memchr::memmem::find(rest, b"\r\n\r\n");
        if end.unwrap_or(rest.len()) > most {
            let text = format!("The header of part {number} has over {most} bytes.");
            return Err(Rejected::too_large("limits.part_header", text));
        }
        let Some(end) = end else { return Ok(None) };
        let header = part_header::parse(&rest[..end], &format!("Part {number}"))?;
        let filename = header.filename.as_ref().map_or(0, Filename::size);
        let kind = header.content_type.as_ref().map_or(0, String::len);
        self.keep(header.name.len() + filename + kind)?;
        if !self.names.contains(&header.name) {
            self.names.insert(header.name.clone());
        }
        let limits = self.settings.limits;
        limits.check_counts(self.names.len(), self.parts.len() + 1)?;
        let content_at = self.offset + u64::try_from(end + 4).unwrap_or(u64::MAX);
        let body = match header.filename {
            Some(_) => Content::File(digest::Context::new(&digest::SHA256)),
            None => Content::Text(Vec::new()),
        };
        self.parts.push(Part {
            header,
            start,
            content: content_at..content_at,
            body,
        });
        self.state = State::Content;
        Ok(Some(end + 4))
    }

    fn content(&mut self, rest: &[u8]) -> Result<Option<usize>, Rejected> {
        // Two bytes before a delimiter must be seen to judge it, and all of it.
        let margin = self.delimiter.needle().len() + 1;
        let mut from = 0;
        while let Some(found) = self.delimiter.find(&rest[from..]) {
            let at = from + found;
            match rest[..at] {
                [.., b'\r', b'\n'] => {
                    self.take(&rest[..at - 2])?;
                    let start = self.offset + u64::try_from(at).unwrap_or(u64::MAX);
                    self.state = State::Delimited { start };
                    return Ok(Some(at + self.delimiter.needle().len()));
                }
                // Right at the start of the content, or after half a line break.
                [] | [.., b'\r' | b'\n'] if !(at == 0 && self.has_content()) => {
                    return Err(Rejected::malformed(format!(
                        "In part {} the boundary does not stand on a line of its own (at byte {}); lines end with CRLF.",
                        self.parts.len(),
                        self.offset + u64::try_from(at).unwrap_or_default() + 1
                    )));
                }
                _ => from = at + 1,
            }
        }
        let used = rest
            .len()
            .saturating_sub(margin)
            .max(from.saturating_sub(1))
            .min(rest.len());
        if used == 0 {
            return Ok(None);
        }
        self.take(&rest[..used])?;
        Ok(Some(used))
    }

    fn has_content(&self) -> bool {
        self.parts
            .last()
            .is_some_and(|part| !part.content.is_empty())
    }

    /// Takes content bytes of the last part.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        let limits = self.settings.limits;
        let number = self.parts.len();
        let Some(part) = self.parts.last_mut() else {
            return Ok(());
        };
        part.content.end += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match &mut part.body {
            Content::File(hash) => {
                hash.update(bytes);
                Ok(())
            }
            Content::Text(text) => {
                if text.len() + bytes.len() > limits.field {
                    let name = String::from_utf8_lossy(&part.header.name);
                    let text = format!(
                        "Field `{}` (part {number}) has over {} bytes.",
                        short(&name),
                        limits.field
                    );
                    return Err(Rejected::too_large("limits.field", text));
                }
                text.extend_from_slice(bytes);
                self.keep(bytes.len())
            }
        }
    }

    fn keep(&mut self, bytes: usize) -> Result<(), Rejected> {
        self.kept += bytes;
        let most = self.settings.limits.doc;
        if self.kept > most {
            return Err(Rejected::too_large(
                "limits.doc",
                format!("The form has over {most} bytes of fields."),
            ));
        }
        Ok(())
    }

    /// After the end there may be one line break, and nothing else.
    fn end(&mut self, rest: &[u8]) -> Result<Option<usize>, Rejected> {
        let State::End { start } = self.state else {
            return Ok(None);
        };
        let closing = start + u64::try_from(self.delimiter.needle().len() + 2).unwrap_or(u64::MAX);
        let seen = usize::try_from(self.offset - closing).unwrap_or(usize::MAX);
        let allowed = b"\r\n".get(seen..).unwrap_or_default();
        let fits = rest.len() <= allowed.len() && allowed.starts_with(rest);
        if fits {
            Ok(Some(rest.len()))
        } else {
            Err(Rejected::malformed(format!(
                "There is text after the end of the multipart body (at byte {}).",
                self.offset + 1
            )))
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// 400 if it breaks off, or a text is not in its charset.
    pub fn finish(self) -> Result<Multipart, Rejected> {
        let State::End { start: end } = self.state else {
            return Err(Rejected::malformed(format!(
                "The multipart body breaks off before its closing boundary (in part {}, after byte {}).",
                self.parts.len().max(1),
                self.offset + u64::try_from(self.pending.len()).unwrap_or_default()
            )));
        };
        let charset = charset::of_body(self.declared_charset()?, self.said, self.settings.charset)?;
        let mut flat = Flat::new(self.settings.hidden, self.kept);
        let mut parts = Vec::with_capacity(self.parts.len());
        for (part, number) in self.parts.into_iter().zip(1..) {
            parts.push(part.read(&mut flat, charset, number)?);
        }
        nest(&mut flat, self.settings.nested)?;
        let needle = self.delimiter.needle();
        let layout = Layout {
            boundary: String::from_utf8_lossy(&needle[2..]).into_owned(),
            charset,
            parts,
            end,
            length: self.offset,
        };
        Ok(Multipart { flat, layout })
    }

    fn declared_charset(&self) -> Result<Option<&[u8]>, Rejected> {
        let mut found = None;
        for part in &self.parts {
            if let (Content::Text(text), true) =
                (&part.body, charset::is_charset_field(&part.header.name))
            {
                if found.is_some_and(|known| known != text.as_slice()) {
                    return Err(Rejected::malformed("The field `_charset_` is there twice."));
                }
                found = Some(text.as_slice());
            }
        }
        Ok(found)
    }
}

impl Part {
    fn read(
        self,
        flat: &mut Flat,
        charset: &'static Encoding,
        number: usize,
    ) -> Result<Located, Rejected> {
        let place = || format!("The name of part {number}");
        let name = charset::decode(&self.header.name, charset, place)?.into_owned();
        let text_charset = self.header.charset.unwrap_or(charset);
        let is_file = matches!(self.body, Content::File(_));
        match self.body {
            Content::Text(bytes) => {
                let text =
                    charset::decode(&bytes, text_charset, || format!("Field `{}`", short(&name)))?;
                flat.push_text(&name, &text);
            }
            Content::File(hash) => {
                let filename = match self.header.filename {
                    Some(Filename::Text(text)) => text,
                    Some(Filename::Raw(raw)) => charset::decode(&raw, charset, || {
                        format!("The file name of part {number}")
                    })?
                    .into_owned(),
                    None => String::new(),
                };
                let file = File {
                    filename,
                    content_type: self.header.content_type,
                    size: self.content.end - self.content.start,
                    sha256: hex(hash.finish().as_ref()),
                };
                flat.push_file(&name, file);
            }
        }
        Ok(Located {
            name,
            charset: text_charset,
            is_file,
            start: self.start,
            content: self.content,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    });
    digits.map(char::from).collect()
}

impl Layout {
    /// Writes changed fields: a value stands where the old one stood, more values after the last, a field that was
    /// not there before the end. The pieces, put together, are the new body.
    ///
    /// # Errors
    /// 400 if a new value holds the boundary, so that it would be read as more parts.
    pub fn patch(&self, jdoc: &Jdoc) -> Result<Vec<Piece>, Rejected> {
        let mut out = Pieces {
            layout: self,
            pieces: Vec::new(),
            at: 0,
        };
        let mut appended = Vec::new();
        for (name, value) in jdoc {
            let last = self
                .parts
                .iter()
                .rposition(|part| part.name == *name && !part.is_file);
            if last.is_none() {
                appended.extend(texts(value).into_iter().map(|text| (name.as_str(), text)));
            }
        }
        let mut values: Vec<(&str, std::vec::IntoIter<String>)> = jdoc
            .iter()
            .map(|(name, value)| (name.as_str(), texts(value).into_iter()))
            .collect();
        for (number, part) in self
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_file)
        {
            let Some((name, texts)) = values.iter_mut().find(|(name, _)| *name == part.name) else {
                continue;
            };
            match texts.next() {
                Some(text) => out.replace(&part.content, self.encode(&text, part.charset)?),
                None => out.replace(&(part.start..self.start_after(number)), Vec::new()),
            }
            let is_last = !self.parts[number + 1..]
                .iter()
                .any(|later| later.name == part.name && !later.is_file);
            if is_last {
                for text in texts {
                    out.insert(self.start_after(number), name, &text)?;
                }
            }
        }
        for (name, text) in appended {
            out.insert(self.end, name, &text)?;
        }
        Ok(out.finish())
    }

    /// Where what follows a part begins: the next delimiter.
    fn start_after(&self, number: usize) -> u64 {
        self.parts
            .get(number + 1)
            .map_or(self.end, |next| next.start)
    }

    fn encode(&self, text: &str, charset: &'static Encoding) -> Result<Vec<u8>, Rejected> {
        let bytes = charset::encode(text, charset).into_owned();
        let delimiter = format!("--{}", self.boundary);
        if memchr::memmem::find(&bytes, delimiter.as_bytes()).is_some() {
            return Err(Rejected::malformed(
                "The multipart boundary occurs in a value; send the form with another boundary.",
            ));
        }
        Ok(bytes)
    }
}

/// Collects pieces from the front of the body to its end.
struct Pieces<'l> {
    layout: &'l Layout,
    pieces: Vec<Piece>,
    at: u64,
}

impl Pieces<'_> {
    fn keep_until(&mut self, until: u64) {
        if until > self.at {
            self.pieces.push(Piece::Kept(self.at..until));
            self.at = until;
        }
    }

    fn replace(&mut self, range: &Range<u64>, with: Vec<u8>) {
        self.keep_until(range.start);
        self.at = range.end;
        if !with.is_empty() {
            self.pieces.push(Piece::New(with));
        }
    }

    fn insert(&mut self, before: u64, name: &str, text: &str) -> Result<(), Rejected> {
        self.keep_until(before);
        let layout = self.layout;
        let name = part_header::browser_escape(&layout.encode(name, layout.charset)?);
        let mut header = b"Content-Disposition: form-data; name=\"".to_vec();
        header.extend_from_slice(&name);
        header.push(b'"');
        // Not every name can be written so that everybody reads it back: one that ends with a backslash cannot.
        part_header::parse(&header, "A new field")?;
        let mut part = format!("--{}\r\n", layout.boundary).into_bytes();
        part.append(&mut header);
        part.extend_from_slice(b"\r\n\r\n");
        part.extend_from_slice(&layout.encode(text, layout.charset)?);
        part.extend_from_slice(b"\r\n");
        self.pieces.push(Piece::New(part));
        Ok(())
    }

    fn finish(mut self) -> Vec<Piece> {
        self.keep_until(self.layout.length);
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Limits;
    use crate::model::doc::Doc;
    use crate::model::hidden::Hidden;
    use serde_json::Value;
    use serde_json::json;
    use std::sync::Arc;

    const B: &str = "XyZ";

    fn text(name: &str, value: &str) -> String {
        format!("--{B}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(name: &str, filename: &str, content: &str) -> String {
        format!(
            "--{B}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: image/png\r\n\r\n{content}\r\n"
        )
    }

    fn end() -> String {
        format!("--{B}--\r\n")
    }

    fn read_in(body: &[u8], step: usize, limits: &Limits) -> Result<Multipart, Rejected> {
        let hidden = Arc::new(Hidden::default());
        let settings = Settings {
            limits,
            hidden: &hidden,
            charset: None,
            nested: false,
            doc_path: &[],
        };
        let mut scanner = Scanner::new(B, None, settings);
        for chunk in body.chunks(step) {
            scanner.push(chunk)?;
        }
        scanner.finish()
    }

    fn read(body: &str) -> Result<Multipart, Rejected> {
        read_in(body.as_bytes(), usize::MAX, &Limits::default())
    }

    fn doc(body: &str) -> Value {
        Doc::from(read(body).expect("good").flat).visible_value(None)
    }

    fn patched(body: &str, jdoc: Value) -> String {
        let jdoc: Jdoc = serde_json::from_value(jdoc).expect("an object");
        let pieces = read(body).expect("good").layout.patch(&jdoc).expect("good");
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Kept(range) => {
                    let range = usize::try_from(range.start).expect("small")
                        ..usize::try_from(range.end).expect("small");
                    out.extend_from_slice(&body.as_bytes()[range]);
                }
                Piece::New(bytes) => out.extend_from_slice(&bytes),
            }
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn parts_become_fields_however_they_are_cut() {
        let tricky = "\r\n--Xy\r\n-\r--X\n--Xy--XyQ";
        let body = [
            text("a", "1"),
            file("f", "x.png", tricky),
            text("b", ""),
            text("a", "zwei\r\n"),
            end(),
        ]
        .concat();
        let expected = doc(&body);
        assert_eq!(expected["a"], json!(["1", "zwei\r\n"]));
        assert_eq!(expected["b"], json!(""));
        assert_eq!(
            (&expected["f"]["filename"], &expected["f"]["size"]),
            (&json!("x.png"), &json!(tricky.len()))
        );
        for step in 1..body.len() {
            let cut = read_in(body.as_bytes(), step, &Limits::default()).expect("good");
            assert_eq!(
                Doc::from(cut.flat).visible_value(None),
                expected,
                "cut every {step} bytes"
            );
        }
        assert_eq!(doc(&end()), json!({}));
        assert_eq!(doc(&format!("\r\n--{B}--")), json!({}));
    }

    #[test]
    fn a_file_is_hashed() {
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            doc(&[file("f", "x", "abc"), end()].concat())["f"]["sha256"],
            json!(sha)
        );
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        let good = text("a", "1");
        for (body, why) in [
            (good.clone(), "breaks off"),
            (String::new(), "breaks off"),
            (format!("{good}--{B}"), "breaks off"),
            (format!("preamble\r\n{good}{}", end()), "does not begin"),
            (format!("{good}{}junk", end()), "text after the end"),
            (format!("{good}{}\r\n", end()), "text after the end"),
            (format!("{good}--{B}x\r\n"), "does not end as it should"),
            (format!("{good}--{B} \r\n"), "does not end as it should"),
            (format!("{good}--{B}\n"), "does not end as it should"),
            (
                format!("--{B}\nContent-Disposition: form-data; name=\"a\"\n\n1\n--{B}--\n"),
                "does not end as it should",
            ),
            (
                format!(
                    "--{B}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\n--{B}--\r\n"
                ),
                "line of its own",
            ),
            (
                format!("--{B}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--{B}--\r\n"),
                "line of its own",
            ),
            (
                format!("--{B}\r\n\r\n1\r\n{}", end()),
                "no content-disposition",
            ),
        ] {
            for step in [1, 7, usize::MAX] {
                let rejected = read_in(body.as_bytes(), step, &Limits::default()).err();
                let rejected = rejected.unwrap_or_else(|| panic!("taken by {step}: {body:?}"));
                assert!(
                    rejected.text.contains(why),
                    "{body:?} by {step}: {rejected}"
                );
            }
        }
    }

    #[test]
    fn limits_have_names() {
        let limits = Limits {
            field: 8,
            fields: 2,
            doc: 12,
            part_header: 60,
            values: 3,
            ..Limits::default()
        };
        for (body, limit) in [
            (
                [
                    text("a", ""),
                    text("a", ""),
                    text("a", ""),
                    text("a", ""),
                    end(),
                ]
                .concat(),
                "limits.values",
            ),
            (
                [text("a", "1"), text("b", "2"), text("c", "3"), end()].concat(),
                "limits.fields",
            ),
            ([text("a", "123456789"), end()].concat(), "limits.field"),
            (
                [text("a", "1234567"), text("b", "1234567"), end()].concat(),
                "limits.doc",
            ),
            (
                [text(&"n".repeat(60), "1"), end()].concat(),
                "limits.part_header",
            ),
        ] {
            for step in [1, usize::MAX] {
                let rejected = read_in(body.as_bytes(), step, &limits).expect_err(&body);
                assert_eq!(
                    (rejected.status, rejected.limit),
                    (413, Some(limit)),
                    "{rejected}"
                );
            }
        }
    }

    #[test]
    fn what_is_kept_of_files_counts_as_well() {
        let long = "x".repeat(50);
        let upload = |disposition: &str, kind: &str| {
            format!(
                "--{B}\r\nContent-Disposition: form-data; name=\"f\"; {disposition}\r\nContent-Type: {kind}\r\n\r\n\r\n{}",
                end()
            )
        };
        let limits = Limits {
            doc: 50,
            ..Limits::default()
        };
        for body in [
            upload(&format!("filename=\"{long}\""), "a/b"),
            upload(&format!("filename*=UTF-8''{long}"), "a/b"),
            upload("filename=\"x\"", &format!("a/{long}")),
        ] {
            let rejected = read_in(body.as_bytes(), usize::MAX, &limits).expect_err(&body);
            assert_eq!(rejected.limit, Some("limits.doc"), "{body}");
        }
        let small = upload("filename=\"x\"", "a/b");
        assert!(read_in(small.as_bytes(), usize::MAX, &limits).is_ok());
    }

    #[test]
    fn only_changed_parts_are_rewritten() {
        let (a, f, b) = (text("a", "1"), file("f", "x", "\0\u{1}"), text("b", "2"));
        let body = [a.as_str(), &f, &b, &end()].concat();
        for (jdoc, expected) in [
            (json!({}), body.clone()),
            (
                json!({"b": "neu"}),
                [a.as_str(), &f, &text("b", "neu"), &end()].concat(),
            ),
            (json!({"a": null}), [f.as_str(), &b, &end()].concat()),
            (json!({"b": null}), [a.as_str(), &f, &end()].concat()),
            (
                json!({"a": ["x", "y"]}),
                [text("a", "x"), text("a", "y"), f.clone(), b.clone(), end()].concat(),
            ),
            (
                json!({"c\"": 7}),
                [a.as_str(), &f, &b, &text("c%22", "7"), &end()].concat(),
            ),
            (
                json!({"a": "", "b": ["p", "q"]}),
                [
                    text("a", ""),
                    f.clone(),
                    text("b", "p"),
                    text("b", "q"),
                    end(),
                ]
                .concat(),
            ),
        ] {
            assert_eq!(patched(&body, jdoc.clone()), expected, "{jdoc}");
        }
        let repeated = [text("a", "1"), b.clone(), text("a", "2"), end()].concat();
        assert_eq!(
            patched(&repeated, json!({"a": "9"})),
            [text("a", "9"), b.clone(), end()].concat()
        );
        let jdoc = json!({"a": ["9", "8", "7"]});
        assert_eq!(
            patched(&repeated, jdoc),
            [text("a", "9"), b, text("a", "8"), text("a", "7"), end()].concat()
        );
    }

    #[test]
    fn a_value_cannot_break_out_of_its_part() {
        let layout = read(&[text("a", "1"), end()].concat())
            .expect("good")
            .layout;
        for field in ["a", "new"] {
            let jdoc = Jdoc::from_iter([(field.to_owned(), json!(format!("x\r\n--{B}\r\n")))]);
            let rejected = layout.patch(&jdoc).expect_err("refused");
            assert!(rejected.text.contains("another boundary"));
        }
        for name in ["a\\", "a\0", "a; name=b", "a\"; filename=b"] {
            let jdoc = Jdoc::from_iter([(name.to_owned(), json!("x"))]);
            assert!(layout.patch(&jdoc).is_err(), "{name}");
        }
    }
}
