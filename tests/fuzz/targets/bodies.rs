//! Bodies: what is read is what other parsers read, borders mean nothing, and a change changes its field alone.

use std::io::Read;

use bytes::Bytes;
use formgate::codec;
use formgate::codec::Piece;
use formgate::codec::multipart::Multipart;
use formgate::codec::multipart::Scanner;
use formgate::codec::rejected::Rejected;
use formgate::codec::unpack::Bounds;
use formgate::codec::unpack::Unpacker;
use formgate::model::doc::Doc;
use formgate::model::doc::Item;
use formgate::model::doc::Jdoc;
use formgate::model::flat::Flat;
use formgate::model::hidden::is_password;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::pieces;
use super::settings;
use super::variant;

/// A value that would like to be more than one.
const HOSTILE: &str = "x&evil=1\r\n---Xy\r\nContent-Disposition: form-data; name=\"evil\"\r\n\r\n1\r\n\",\"evil\":1,\"";

fn told(rejected: &Rejected) -> String {
    rejected.to_string()
}

/// Names and their values, in order; a file has no text.
type Fields = Vec<(String, Vec<Option<String>>)>;

fn fields(flat: &Flat) -> Fields {
    let texts = |items: Vec<Item<'_>>| items.iter().map(Item::text).collect();
    flat.fields()
        .map(|(name, items)| (name.to_owned(), texts(items)))
        .collect()
}

/// The fields after the first text field was given the hostile value, and a new one was added.
fn changed(flat: &Flat) -> (Jdoc, Fields) {
    let mut fields = fields(flat);
    let mut jdoc = Jdoc::new();
    let texts = |values: &Vec<Option<String>>| values.iter().all(Option::is_some);
    let charset = |name: &str| name.eq_ignore_ascii_case("_charset_");
    if let Some((name, values)) = fields
        .iter_mut()
        .find(|(name, values)| texts(values) && !charset(name))
    {
        jdoc.insert(name.clone(), HOSTILE.into());
        *values = vec![Some(HOSTILE.to_owned())];
    }
    if !fields.iter().any(|(name, _)| name == "added") {
        jdoc.insert("added".to_owned(), HOSTILE.into());
        fields.push(("added".to_owned(), vec![Some(HOSTILE.to_owned())]));
    }
    (jdoc, fields)
}

pub(super) fn urlencoded(input: &[u8]) -> String {
    assert_eq!(
        codec::urlencoded::patch(input, &Jdoc::new(), encoding_rs::UTF_8),
        input
    );
    let (flat, charset) = match codec::urlencoded::decode(input, None, settings()) {
        Ok(read) => read,
        Err(rejected) => return told(&rejected),
    };
    if !String::from_utf8_lossy(input)
        .to_lowercase()
        .contains("harset")
        && !input.contains(&b'%')
    {
        let theirs = form_urlencoded::parse(input).count();
        let ours: usize = flat.fields().map(|(_, items)| items.len()).sum();
        assert_eq!(ours, theirs);
    }
    let (jdoc, expected) = changed(&flat);
    let patched = codec::urlencoded::patch(input, &jdoc, charset);
    let (again, _) = codec::urlencoded::decode(&patched, None, settings()).expect("still good");
    assert_eq!(
        fields(&again),
        expected,
        "{:?}",
        String::from_utf8_lossy(&patched)
    );
    format!("{} fields of {}", flat.len().min(4), charset.name())
}

pub(super) fn text_plain(input: &[u8]) -> String {
    let (flat, charset) = match codec::text::decode(input, None, settings()) {
        Ok(read) => read,
        Err(rejected) => return told(&rejected),
    };
    assert_eq!(
        codec::text::patch(input, &Jdoc::new(), charset).as_deref(),
        Ok(input)
    );
    let (jdoc, _) = changed(&flat);
    // The format cannot write a value with a line break: it must be refused, not written.
    assert!(jdoc.is_empty() || codec::text::patch(input, &jdoc, charset).is_err());
    let jdoc: Jdoc = jdoc
        .into_iter()
        .map(|(name, _)| (name, json!("y")))
        .collect();
    if let Ok(patched) = codec::text::patch(input, &jdoc, charset) {
        let (again, _) = codec::text::decode(&patched, None, settings()).expect("still good");
        let mut expected = fields(&flat);
        for (name, values) in &mut expected {
            if jdoc.contains_key(name) {
                *values = vec![Some("y".to_owned())];
            }
        }
        if jdoc.contains_key("added") {
            expected.push(("added".to_owned(), vec![Some("y".to_owned())]));
        }
        assert_eq!(
            fields(&again),
            expected,
            "{:?}",
            String::from_utf8_lossy(&patched)
        );
    }
    format!("{} fields of {}", flat.len().min(4), charset.name())
}

const BOUNDARY: &str = "-Xy";

fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Result<Multipart, Rejected> {
    let mut scanner = Scanner::new(BOUNDARY, None, settings());
    for piece in pieces {
        scanner.push(piece)?;
    }
    scanner.finish()
}

fn put_together(body: &[u8], pieces: Vec<Piece>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Kept(range) => {
                let at = |place: u64| usize::try_from(place).expect("small");
                out.extend_from_slice(&body[at(range.start)..at(range.end)]);
            }
            Piece::New(bytes) => out.extend_from_slice(&bytes),
        }
    }
    out
}

/// How many parts `multer` reads; `None` if it refuses.
fn multers(body: &[u8]) -> Option<usize> {
    let body = Bytes::copy_from_slice(body);
    let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut multipart = multer::Multipart::new(stream, BOUNDARY);
    futures_util::FutureExt::now_or_never(async move {
        let mut count = 0;
        while let Some(field) = multipart.next_field().await.ok()? {
            field.name()?;
            field.bytes().await.ok()?;
            count += 1;
        }
        Some(count)
    })?
}

pub(super) fn multipart(input: &[u8]) -> String {
    let whole = read(std::iter::once(input));
    let cut = read(pieces(input));
    let multipart = match (whole, cut) {
        (Ok(whole), Ok(cut)) => {
            assert_eq!(fields(&whole.flat), fields(&cut.flat));
            whole
        }
        (Err(whole), Err(_)) => return told(&whole),
        (whole, cut) => panic!("whole {:?}, cut {:?}", whole.err(), cut.err()),
    };
    let ours: usize = multipart.flat.fields().map(|(_, items)| items.len()).sum();
    if let Some(theirs) = multers(input) {
        assert_eq!(theirs, ours, "another reading for multer");
    }
    let same = multipart
        .layout
        .patch(&Jdoc::new())
        .expect("nothing to change");
    assert_eq!(put_together(input, same), input);
    let (jdoc, expected) = changed(&multipart.flat);
    // It holds a boundary.
    assert!(jdoc.is_empty() || multipart.layout.patch(&jdoc).is_err());
    let tame = |text: &str| text.replace("---Xy", "--Xy");
    let jdoc: Jdoc = jdoc
        .into_iter()
        .map(|(name, _)| (name, tame(HOSTILE).into()))
        .collect();
    if let Ok(pieces) = multipart.layout.patch(&jdoc) {
        let patched = put_together(input, pieces);
        let again = read(std::iter::once(&patched[..])).expect("still good");
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, values)| {
                let values = if jdoc.contains_key(&name) {
                    vec![Some(tame(HOSTILE))]
                } else {
                    values
                };
                (name, values)
            })
            .collect();
        assert_eq!(
            fields(&again.flat),
            expected,
            "{:?}",
            String::from_utf8_lossy(&patched)
        );
    }
    format!(
        "{} fields, {} parts",
        multipart.flat.len().min(4),
        ours.min(4)
    )
}

pub(super) fn part_header(input: &[u8]) -> String {
    match codec::part_header::parse(input, "Part 1") {
        Err(rejected) => told(&rejected),
        Ok(_) => {
            let lower = String::from_utf8_lossy(input).to_ascii_lowercase();
            assert_eq!(lower.matches("content-disposition:").count(), 1);
            assert!(!lower.contains('\0'));
            format!("taken, with {} lines", lower.matches('\n').count())
        }
    }
}

/// RFC 7396, section 2.
fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in changes {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            let now = target.get(key).cloned().unwrap_or(Value::Null);
            target.insert(key.clone(), merge(&now, value));
        }
    }
    Value::Object(target)
}

fn names_a_password(value: &Value) -> bool {
    match value {
        Value::Object(object) => object
            .iter()
            .any(|(name, inner)| is_password(name) || names_a_password(inner)),
        Value::Array(list) => list.iter().any(names_a_password),
        _ => false,
    }
}

pub(super) fn json(input: &[u8]) -> String {
    let body = Bytes::copy_from_slice(input);
    let doc = match codec::json::decode(&body, settings()) {
        Ok(doc) => doc,
        Err(rejected) => return told(&rejected),
    };
    let theirs: Value = serde_json::from_slice(input).expect("what is taken is JSON");
    assert_eq!(doc.value(), &theirs);
    assert_eq!(doc.text(), input.trim_ascii());
    let Value::Object(object) = &theirs else {
        return "taken, but no object".to_owned();
    };
    assert_eq!(codec::json::patch(input, &Jdoc::new(), &[]), input);
    let mut jdoc: Jdoc = Map::new();
    jdoc.insert("added".to_owned(), json!({"of": [HOSTILE]}));
    if let Some(first) = object.keys().next() {
        jdoc.insert(first.clone(), HOSTILE.into());
    }
    if let Some(last) = object.keys().nth(1) {
        jdoc.insert(last.clone(), Value::Null);
    }
    let patched = codec::json::patch(input, &jdoc, &[]);
    let again: Value = serde_json::from_slice(&patched).expect("still JSON");
    assert_eq!(again, merge(&theirs, &Value::Object(jdoc)));
    let shown = Doc::from(doc).visible_value(None);
    assert!(!names_a_password(&shown), "{shown}");
    format!("taken, {} fields", object.len().min(4))
}

pub(super) fn content_type(input: &[u8]) -> String {
    match codec::content_type::ContentType::parse(input) {
        Err(rejected) => told(&rejected),
        Ok(read) => {
            if let Some(boundary) = &read.boundary {
                assert!((1..=70).contains(&boundary.len()), "{boundary:?}");
                assert!(
                    boundary.is_ascii() && !boundary.contains(char::is_control),
                    "{boundary:?}"
                );
                if let Ok(theirs) = multer::parse_boundary(String::from_utf8_lossy(input)) {
                    assert_eq!(&theirs, boundary, "another boundary for multer");
                }
            }
            format!("{:?} {:?}", read.format, read.charset)
        }
    }
}

const CHARSETS: [&encoding_rs::Encoding; 12] = [
    encoding_rs::UTF_8,
    encoding_rs::WINDOWS_1252,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_JP,
    encoding_rs::EUC_KR,
    encoding_rs::GBK,
    encoding_rs::GB18030,
    encoding_rs::BIG5,
    encoding_rs::KOI8_R,
    encoding_rs::IBM866,
    encoding_rs::MACINTOSH,
    encoding_rs::X_USER_DEFINED,
];

/// The text as a form of this charset can say it.
fn sayable(text: &str, charset: &'static encoding_rs::Encoding) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match charset.encode(c.encode_utf8(&mut [0; 4])) {
            (_, _, false) => out.push(c),
            (_, _, true) => out.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    out
}

pub(super) fn charset(input: &[u8]) -> String {
    let (which, bytes) = variant(input);
    let charset = CHARSETS[which % CHARSETS.len()];
    let text = match codec::charset::decode(bytes, charset, String::new) {
        Ok(text) => text,
        Err(rejected) => return format!("{} {}", charset.name(), told(&rejected)),
    };
    let encoded = codec::charset::encode(&text, charset);
    let again =
        codec::charset::decode(&encoded, charset, String::new).expect("what was written is read");
    // Bytes may differ, as some charsets have two for one character; the text may not, but that some charsets have
    // characters which are only read, and written as browsers write what they cannot say.
    let sayable = sayable(&text, charset);
    assert_eq!(again, sayable);
    // And in a form of that charset.
    let body = [b"a=x&_charset_=", charset.name().as_bytes()].concat();
    let jdoc = Jdoc::from_iter([("a".to_owned(), Value::from(&*text))]);
    let patched = codec::urlencoded::patch(&body, &jdoc, charset);
    let (flat, found) = codec::urlencoded::decode(&patched, None, settings()).expect("still good");
    assert_eq!(found, charset);
    assert_eq!(fields(&flat)[0].1, [Some(sayable)]);
    format!(
        "{} {}",
        charset.name(),
        text.chars().map(char::len_utf8).max().unwrap_or(0)
    )
}

const BOUNDS: Bounds = Bounds {
    body: 1 << 18,
    ratio: 100,
};

fn unpacked<'p>(
    encoding: &str,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Result<Vec<u8>, Rejected> {
    let mut unpacker = Unpacker::new(encoding, BOUNDS)?.expect("packed");
    let mut out = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while let Some(piece) = unpacker.next(&mut rest)? {
            assert!(
                (1..=64 << 10).contains(&piece.len()),
                "{} bytes at once",
                piece.len()
            );
            out.extend(piece);
        }
    }
    out.extend(unpacker.finish()?);
    Ok(out)
}

pub(super) fn unpack(input: &[u8]) -> String {
    let (which, packed) = variant(input);
    let encoding = ["gzip", "zstd", "br"][which % 3];
    let whole = unpacked(encoding, std::iter::once(packed));
    let cut = unpacked(encoding, pieces(packed));
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
    let out = match whole {
        Ok(out) => out,
        Err(rejected) => return format!("{encoding} {}", told(&rejected)),
    };
    assert!(out.len() as u64 <= BOUNDS.body);
    let mut theirs = Vec::new();
    match encoding {
        "gzip" => drop(
            flate2::read::MultiGzDecoder::new(packed)
                .read_to_end(&mut theirs)
                .expect("gzip"),
        ),
        "zstd" => theirs = zstd::decode_all(packed).expect("zstd"),
        _ => theirs.clone_from(&out),
    }
    assert_eq!(out, theirs);
    let most = u64::try_from(packed.len()).expect("small") * 1000 + 1000;
    if let Ok(small) = codec::unpack::whole(&Bytes::copy_from_slice(packed), encoding, most) {
        assert_eq!(small, out);
    }
    format!("{encoding} {}", "x".repeat(out.len().to_string().len()))
}
