//! Laws of urlencoded bodies and queries.

use encoding_rs::UTF_8;
use formgate::codec::urlencoded;
use formgate::model::doc::Jdoc;
use proptest::prelude::*;

use crate::Fields;
use crate::changed;
use crate::fields;
use crate::grouped;
use crate::jdoc;
use crate::pairs;
use crate::pieces;
use crate::settings;

const PIECES: &[&[u8]] = &[
    b"a",
    b"b",
    b"city",
    b"=",
    b"=",
    b"&",
    b"&",
    b"+",
    b"%",
    b"%41",
    b"%zz",
    b"%u0041",
    b"%u",
    b"%00",
    b"%c3%a9",
    b"\xc3\xa9",
    b"%E9",
    b";",
    b"{",
    b"[",
    b"\"",
    b"_charset_",
    b"utf-8",
    b"x y",
];

fn read(body: &[u8]) -> Option<Fields> {
    let (flat, _) = urlencoded::decode(body, None, settings()).ok()?;
    Some(fields(&flat))
}

fn written(pairs: &[(String, String)]) -> Vec<u8> {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(pairs);
    out.finish().into_bytes()
}

fn borrowed(pairs: &[(String, String)]) -> Fields {
    grouped(
        pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(pairs in pairs()) {
        prop_assert_eq!(read(&written(&pairs)), Some(borrowed(&pairs)));
    }

    #[test]
    fn what_is_read_is_what_the_url_standard_says(body in pieces(PIECES)) {
        if let Some(fields) = read(&body) {
            let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
            let has_charset = pairs.iter().any(|(name, _)| name.eq_ignore_ascii_case("_charset_"));
            if !has_charset {
                prop_assert_eq!(fields, borrowed(&pairs));
            }
        }
    }

    #[test]
    fn no_change_changes_no_byte(body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(urlencoded::patch(&body, &Jdoc::new(), UTF_8), body);
    }

    #[test]
    fn a_change_is_read_back_and_nothing_else_changed(body in pieces(PIECES), jdoc in jdoc()) {
        if let Some(before) = read(&body) {
            let after = urlencoded::patch(&body, &jdoc, UTF_8);
            prop_assert_eq!(read(&after), Some(changed(&before, &jdoc)));
        }
    }

    #[test]
    fn every_other_byte_stays(body in pieces(PIECES), jdoc in jdoc()) {
        if read(&body).is_none() {
            return Ok(());
        }
        let after = urlencoded::patch(&body, &jdoc, UTF_8);
        let others = |body: &[u8]| -> Vec<Vec<u8>> {
            let segments = body.split(|byte| *byte == b'&').map(<[u8]>::to_vec);
            let is_other = |segment: &Vec<u8>| {
                form_urlencoded::parse(segment).next().is_some_and(|(name, _)| !jdoc.contains_key(name.as_ref()))
            };
            segments.filter(is_other).collect()
        };
        prop_assert_eq!(others(&after), others(&body));
    }

    #[test]
    fn a_change_twice_is_a_change_once(pairs in pairs(), jdoc in jdoc()) {
        let once = urlencoded::patch(&written(&pairs), &jdoc, UTF_8);
        prop_assert_eq!(urlencoded::patch(&once, &jdoc, UTF_8), once);
    }

    #[test]
    fn the_same_value_keeps_its_bytes(body in pieces(PIECES)) {
        if let Some(fields) = read(&body) {
            let same = fields.into_iter().map(|(name, values)| (name, values.into()));
            prop_assert_eq!(urlencoded::patch(&body, &same.collect(), UTF_8), body);
        }
    }

    #[test]
    fn null_removes_and_removes_only_its_field(pairs in pairs(), pick in any::<prop::sample::Index>()) {
        prop_assume!(!pairs.is_empty());
        let gone = &pairs[pick.index(pairs.len())].0;
        let jdoc = Jdoc::from_iter([(gone.clone(), serde_json::Value::Null)]);
        let rest: Vec<(String, String)> = pairs.iter().filter(|(name, _)| name != gone).cloned().collect();
        prop_assert_eq!(urlencoded::patch(&written(&pairs), &jdoc, UTF_8), written(&rest));
    }
}
