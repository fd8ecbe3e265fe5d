//! Laws of multipart bodies; `multer` is asked what it reads.

use formgate::codec::Piece;
use formgate::codec::multipart::Multipart;
use formgate::codec::multipart::Scanner;
use formgate::codec::part_header::browser_escape;
use formgate::codec::rejected::Rejected;
use formgate::model::doc::Doc;
use formgate::model::doc::Item;
use formgate::model::doc::Jdoc;
use proptest::prelude::*;
use serde_json::Value;

use crate::change;
use crate::cut;
use crate::cuts;
use crate::name;
use crate::pieces;
use crate::settings;

const BOUNDARY: &str = "-Xy";

const PIECES: &[&[u8]] = &[
    b"---Xy",
    b"---Xy",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"--",
    b"-",
    b"\n",
    b"\r",
    b"---X",
    b"Content-Disposition: form-data; name=\"a\"",
    b"; filename=\"f\"",
    b"content-type: text/plain",
    b"---Xy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n",
    b"---Xy--\r\n",
    b"x",
    b"\"",
    b"\\",
    b"\0",
];

/// A part to be: its name, its file name, its content.
type Part = (String, Option<String>, Vec<u8>);

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let filename = "[^\\x00\\\\]{0,8}".prop_filter("no name in it", |name| {
        !name.to_lowercase().contains("name")
    });
    let content = prop_oneof![
        3 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => prop::sample::select(vec!["\r\n---X", "--Xy", "\r\n\r\n", "\n", "-", "\r"]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    let part = (name(), prop::option::of(filename), content)
        .prop_filter("no boundary in it", |(_, _, content)| {
            !holds_boundary(content)
        });
    prop::collection::vec(part, 0..6)
}

fn holds_boundary(content: &[u8]) -> bool {
    let delimiter = format!("--{BOUNDARY}");
    // A line break before the boundary could come from the content's own end.
    content
        .windows(delimiter.len())
        .any(|window| window == delimiter.as_bytes())
}

fn written(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, filename, content) in parts {
        out.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"").as_bytes(),
        );
        out.extend_from_slice(&browser_escape(name.as_bytes()));
        out.push(b'"');
        if let Some(filename) = filename {
            out.extend_from_slice(b"; filename=\"");
            out.extend_from_slice(&browser_escape(filename.as_bytes()));
            out.extend_from_slice(b"\"\r\nContent-Type: application/octet-stream");
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(content);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    out
}

fn read_frames(frames: &[Vec<u8>]) -> Result<Multipart, Rejected> {
    let mut scanner = Scanner::new(BOUNDARY, None, settings());
    for frame in frames {
        scanner.push(frame)?;
    }
    scanner.finish()
}

fn read(body: &[u8]) -> Result<Multipart, Rejected> {
    read_frames(&[body.to_vec()])
}

fn shown(multipart: Multipart) -> Value {
    Doc::from(multipart.flat).visible_value(None)
}

fn put_together(body: &[u8], pieces: Vec<Piece>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Kept(range) => {
                let start = usize::try_from(range.start).expect("small");
                let end = usize::try_from(range.end).expect("small");
                out.extend_from_slice(&body[start..end]);
            }
            Piece::New(bytes) => out.extend_from_slice(&bytes),
        }
    }
    out
}

/// What `multer` reads: names, file names and contents; `None` if it refuses.
fn multer_reads(body: &[u8]) -> Option<Vec<Part>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let body = bytes::Bytes::copy_from_slice(body);
        let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
        let mut multipart = multer::Multipart::new(stream, BOUNDARY);
        let mut parts = Vec::new();
        while let Some(field) = multipart.next_field().await.ok()? {
            let name = field.name()?.to_owned();
            let filename = field.file_name().map(str::to_owned);
            parts.push((name, filename, field.bytes().await.ok()?.to_vec()));
        }
        Some(parts)
    })
}

/// The same of ours.
fn ours(multipart: &Multipart) -> Vec<(String, Vec<Option<String>>)> {
    let texts = |items: Vec<Item<'_>>| items.iter().map(Item::text).collect();
    let fields = multipart.flat.fields();
    fields
        .map(|(name, items)| (name.to_owned(), texts(items)))
        .collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(parts in parts()) {
        let read = read(&written(&parts)).expect("as browsers write it");
        let mut expected: Vec<(String, Vec<Option<String>>)> = Vec::new();
        for (name, filename, content) in &parts {
            let text = filename.is_none().then(|| String::from_utf8_lossy(content).into_owned());
            match expected.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(text),
                None => expected.push((name.clone(), vec![text])),
            }
        }
        prop_assert_eq!(ours(&read), expected);
    }

    #[test]
    fn files_are_told_by_name_size_and_hash(parts in parts()) {
        let read = read(&written(&parts)).expect("as browsers write it");
        for (name, items) in read.flat.fields() {
            let of_name = parts.iter().filter(|(known, ..)| known == name);
            for (item, (_, filename, content)) in items.iter().zip(of_name) {
                if let Item::File(file) = item {
                    prop_assert_eq!(Some(&file.filename), filename.as_ref());
                    prop_assert_eq!(file.size, content.len() as u64);
                    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
                    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                    prop_assert_eq!(&file.sha256, &hex);
                }
            }
        }
    }

    #[test]
    fn borders_between_frames_mean_nothing(parts in parts(), cuts in cuts()) {
        let body = written(&parts);
        let whole = read(&body).map(shown);
        let cut = read_frames(&cut(&body, &cuts)).map(shown);
        prop_assert_eq!(cut, whole);
    }

    #[test]
    fn borders_between_frames_mean_nothing_where_it_is_refused(body in pieces(PIECES), cuts in cuts()) {
        let whole = read(&body).map(shown);
        let cut = read_frames(&cut(&body, &cuts)).map(shown);
        prop_assert_eq!(cut.is_ok(), whole.is_ok());
        if let (Ok(cut), Ok(whole)) = (cut, whole) {
            prop_assert_eq!(cut, whole);
        }
    }

    #[test]
    fn no_change_changes_no_byte(parts in parts()) {
        let body = written(&parts);
        let pieces = read(&body).expect("good").layout.patch(&Jdoc::new()).expect("nothing");
        prop_assert_eq!(put_together(&body, pieces), body);
    }

    #[test]
    fn a_change_is_refused_or_read_back_and_nothing_else_changed(parts in parts(), name in name(), change in change()) {
        let body = written(&parts);
        let before = read(&body).expect("good");
        // A field with files is not to be changed; the form's policy sees to that.
        prop_assume!(!parts.iter().any(|(known, file, _)| *known == name && file.is_some()));
        let jdoc = Jdoc::from_iter([(name, change)]);
        if let Ok(pieces) = before.layout.patch(&jdoc) {
            let after = read(&put_together(&body, pieces)).expect("still good");
            let mut expected = Doc::from(before.flat);
            expected.apply(&as_texts(&jdoc));
            prop_assert_eq!(shown(after), expected.visible_value(None));
        }
    }

    #[test]
    fn the_bytes_of_other_parts_stay(parts in parts(), change in change()) {
        prop_assume!(!parts.iter().any(|(name, ..)| name == "mine"));
        let (front, back) = parts.split_at(parts.len() / 2);
        let mine = ("mine".to_owned(), None, b"old".to_vec());
        let body = written(&[front, &[mine], back].concat());
        let jdoc = Jdoc::from_iter([("mine".to_owned(), change)]);
        if let Ok(pieces) = read(&body).expect("good").layout.patch(&jdoc) {
            let after = put_together(&body, pieces);
            let end = format!("--{BOUNDARY}--\r\n").len();
            let (before_it, after_it) = (written(front), written(back));
            prop_assert!(after.starts_with(&before_it[..before_it.len() - end]));
            prop_assert!(after.ends_with(&after_it));
        }
    }

    #[test]
    fn multer_reads_the_same_of_what_browsers_write(parts in parts()) {
        // multer leaves browsers' escapes as they are, and does not take control characters in names.
        prop_assume!(parts.iter().all(|(name, file, _)| {
            let plain = |text: &str| !text.contains(['"', '%', '\\']) && !text.contains(char::is_control);
            plain(name) && file.as_deref().is_none_or(plain)
        }));
        let theirs = multer_reads(&written(&parts));
        prop_assert_eq!(theirs, Some(parts));
    }

    #[test]
    fn what_is_taken_has_no_other_reading_for_multer(body in pieces(PIECES)) {
        if let Ok(ours) = read(&body) {
            let ours: usize = ours.flat.fields().map(|(_, items)| items.len()).sum();
            if let Some(theirs) = multer_reads(&body) {
                prop_assert_eq!(theirs.len(), ours);
            }
        }
    }

    #[test]
    fn a_value_cannot_break_out(before in "\\PC{0,5}", after in "\\PC{0,5}", name in "[ab]") {
        let body = written(&[("a".to_owned(), None, Vec::new())]);
        let layout = read(&body).expect("good").layout;
        let jdoc = Jdoc::from_iter([(name, format!("{before}\r\n--{BOUNDARY}{after}").into())]);
        prop_assert!(layout.patch(&jdoc).is_err());
    }
}

/// The values of a jdoc as a form holds them.
fn as_texts(jdoc: &Jdoc) -> Jdoc {
    let texts = |value: &Value| match value {
        Value::Null => Value::Null,
        other => formgate::codec::urlencoded::texts(other).into(),
    };
    jdoc.iter()
        .map(|(name, value)| (name.clone(), texts(value)))
        .collect()
}
