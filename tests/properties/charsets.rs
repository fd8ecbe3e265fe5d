//! Laws of forms that are not UTF-8.

use std::borrow::Cow;

use formgate::codec::charset;
use formgate::codec::urlencoded;
use formgate::model::doc::Jdoc;
use proptest::prelude::*;

use crate::CHARSETS;
use crate::fields;
use crate::settings;

/// A text as the charset can say it: what it does not have is a numeric reference, as browsers send it.
fn sayable(text: &str, charset: &'static encoding_rs::Encoding) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let one = c.to_string();
        let (bytes, _, failed) = charset.encode(&one);
        let back = charset.decode_without_bom_handling_and_without_replacement(&bytes);
        match back {
            Some(back) if !failed => out.push_str(&back),
            _ => out.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    out
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(text in any::<String>(), which in prop::sample::select(&CHARSETS[..])) {
        let bytes = charset::encode(&text, which);
        let back = charset::decode(&bytes, which, String::new);
        prop_assert_eq!(back.map(Cow::into_owned), Ok(sayable(&text, which)));
    }

    #[test]
    fn a_changed_value_is_what_a_browser_would_send(text in "\\PC{0,8}", which in prop::sample::select(&CHARSETS[..])) {
        let body = format!("a=x&_charset_={}", which.name());
        let jdoc = Jdoc::from_iter([("a".to_owned(), text.clone().into())]);
        let patched = urlencoded::patch(body.as_bytes(), &jdoc, which);
        let (flat, found) = urlencoded::decode(&patched, None, settings()).expect("still good");
        prop_assert_eq!(found, which);
        prop_assert_eq!(&fields(&flat)[0].1[0], &sayable(&text, which));
    }

    #[test]
    fn bytes_are_text_in_a_charset_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..16), which in prop::sample::select(&CHARSETS[..])) {
        if let Ok(text) = charset::decode(&bytes, which, String::new) {
            let has_substitute = text.contains(char::REPLACEMENT_CHARACTER);
            let can_say_it = which == encoding_rs::UTF_8 || which == encoding_rs::GB18030;
            prop_assert!(can_say_it || !has_substitute);
        }
    }

    #[test]
    fn ascii_means_the_same_in_every_charset_that_is_taken(text in "[ -~]{0,16}", label in prop::sample::select(vec!["utf-8", "latin1", "sjis", "euc-jp", "gbk", "big5", "euc-kr", "koi8-u", "ibm866", "macintosh", "windows-874", "x-user-defined", "iso-8859-8-i"])) {
        let charset = formgate::codec::content_type::charset(label).expect("taken");
        let read = charset::decode(text.as_bytes(), charset, String::new).map(Cow::into_owned);
        prop_assert_eq!(read, Ok(text));
    }
}
