//! Laws of text/plain bodies.

use encoding_rs::UTF_8;
use formgate::codec::text;
use formgate::model::doc::Jdoc;
use proptest::prelude::*;

use crate::Fields;
use crate::changed;
use crate::fields;
use crate::grouped;
use crate::jdoc;
use crate::pieces;
use crate::settings;

const PIECES: &[&[u8]] = &[
    b"a",
    b"b",
    b"=",
    b"=",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"{",
    b"x y",
    b"\xc3\xa9",
    b"\0",
];

fn read(body: &[u8]) -> Option<Fields> {
    let (flat, _) = text::decode(body, None, settings()).ok()?;
    Some(fields(&flat))
}

proptest! {
    #[test]
    fn lines_are_fields(pairs in prop::collection::vec(("[a-d]{1,3}", "[^=\r\n]{0,8}"), 0..6)) {
        let body: String = pairs.iter().map(|(name, value)| format!("{name}={value}\r\n")).collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        prop_assert_eq!(read(body.as_bytes()), Some(grouped(pairs)));
    }

    #[test]
    fn no_change_changes_no_byte(body in pieces(PIECES)) {
        if read(&body).is_some() {
            prop_assert_eq!(text::patch(&body, &Jdoc::new(), UTF_8), Ok(body));
        }
    }

    #[test]
    fn a_change_is_refused_or_read_back(body in pieces(PIECES), jdoc in jdoc()) {
        if let (Some(before), Ok(after)) = (read(&body), text::patch(&body, &jdoc, UTF_8)) {
            // What the change made may look like JSON at its front, and is refused then like any other body.
            if let Some(after) = read(&after) {
                prop_assert_eq!(after, changed(&before, &jdoc));
            }
        }
    }
}
