//! Nothing that comes from outside makes a panic: every parser is given what it is made for in pieces, and anything.

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use formgate::codec;
use formgate::codec::content_type::ContentType;
use formgate::codec::jwt;
use formgate::codec::part_header;
use formgate::flow::person::Cookies;
use formgate::flow::wants::Wants;
use formgate::hooks::answer::Answered;
use formgate::model::doc::Doc;
use formgate::model::origin::Origin;
use formgate::model::redirect::Allowed;
use formgate::model::redirect::Redirect;
use formgate::model::reply_table::Limits;
use formgate::model::secret::Secret;
use formgate::model::template::Template;
use formgate::rules::accepted::SubmissionId;
use formgate::rules::accepted::Update;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::condition::Condition;
use formgate::rules::error_body::ErrorBody;
use formgate::rules::kind::FieldType;
use formgate::rules::path;
use formgate::rules::pattern;
use formgate::rules::pattern::MATCHED;
use formgate::rules::pattern::Room;
use formgate::rules::recognise::Asked;
use formgate::rules::recognise::query_pairs;
use formgate::rules::route::Route;
use formgate::source::measure;
use http::HeaderMap;
use http::HeaderValue;
use http::header;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use crate::pieces;
use crate::settings;

/// The demo's rule files.
static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let loaded = Book::load(&folder, &[]);
    loaded.expect("the demo's own rule files").book
});

/// Text of pieces in any order, and anything.
fn words(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word =
        prop_oneof![6 => prop::sample::select(of).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

const HEADERS: &[&[u8]] = &[
    b"multipart/form-data",
    b"application/json",
    b"text/plain",
    b"; ",
    b";",
    b"boundary",
    b"charset",
    b"=",
    b"\"",
    b"\\",
    b"utf-8",
    b"x",
    b"*",
    b"*0",
    b" ",
    b"\t",
    b",",
    b"name",
    b"filename",
    b"filename*",
    b"UTF-8''a%zz%41",
    b"form-data",
    b"Content-Disposition",
    b"Content-Type",
    b":",
    b"\r\n",
    b"\n",
    b"\0",
    b"%22",
    b"'",
    b"\xff",
];

const CONDITIONS: &[&str] = &[
    "@", "$", ".", "..", ".doc", ".a", "[", "]", "'a'", "\"a\"", "*", "0", "-1", "1:2", "?", "(",
    ")", "==", "!=", "<", ">=", "&&", "||", "!", " ", "true", "null", "1.5e3", "match(", "search(",
    "length(", "count(", "value(", ", ", "'[a-'", "in", "é", "\\", "\\u0041",
];

const RULES: &[&str] = &[
    "[form]\n",
    "[[hook]]\n",
    "[[rule]]\n",
    "[fields.a]\n",
    "[[case]]\n",
    "[user_info]\n",
    "submit = ",
    "load = ",
    "on = ",
    "\"POST /a/{b}\"\n",
    "\"GET /a/{b...}\"\n",
    "\"preprocess\"\n",
    "url = ",
    "\"http://127.0.0.1:1/{form}\"\n",
    "when = ",
    "\"@.doc.a == 1\"\n",
    "matches = ",
    "{ \"$.doc.a\" = 'x' }\n",
    "reply = ",
    "{ msg = \"x {doc.a}\" }\n",
    "pattern = ",
    "'[a-z]+'\n",
    "type = ",
    "\"integer\"\n",
    "min = ",
    "1\n",
    "\"1\"\n",
    "timeout = ",
    "\"3s\"\n",
    "nested = \"brackets\"\n",
    "charset = \"sjis\"\n",
    "doc_path = \"$.a.b\"\n",
    "expect = ",
    "{ outcome = \"stopped\" }\n",
    "secrets = ",
    "[\"env:NOT_SET\"]\n",
    "=",
    "\n",
    "[",
    "]",
    "'",
    "\"\"\"",
    "#",
    "😀",
    "breaker = { failures = 1 }\n",
];

const URLS: &[&str] = &[
    "http://",
    "https://",
    "//",
    "/",
    "a",
    "b.example",
    ":80",
    ":",
    "@",
    "\\",
    "?",
    "#",
    "%2f",
    "%5c",
    "%00",
    "%",
    "..",
    ".",
    ";x=1",
    "é",
    "[::1]",
    "[",
    "javascript:",
    " ",
    "\t",
    "\r\n",
    "&",
    "=",
    "+",
    "%c3%a9",
    "%e9",
];

const TEXTS: &[&str] = &[
    "{",
    "}",
    "{{",
    "doc.a",
    "msg",
    "errors",
    "\"",
    ":",
    ",",
    "[",
    "]",
    "location:",
    "/a/(\\d+)$",
    "$.id",
    "$['a']",
    "PATCH ",
    "POST ",
    "/api/{submission_id}",
    " ",
    "(",
    ")",
    "*",
    "+",
    "\\d",
    "\\p{L}",
    "[^",
    "(?i)",
    "{1000}",
];

const VALUES: &[&str] = &[
    "1",
    "-",
    "0",
    ".",
    "e",
    "E",
    "+",
    "2026",
    "-02-30",
    "-11-20",
    "a",
    "@",
    "example",
    ".org",
    "https://",
    "on",
    "true",
    "10",
    "s",
    "ms",
    "MiB",
    "KiB",
    " ",
    "é",
    "NaN",
    "inf",
    "9999999999999999999999",
];

const COOKIES: &[&str] = &[
    "a",
    "sid",
    "=",
    ";",
    " ",
    "\"",
    "text/html",
    "q=0",
    ",",
    "*/*",
    ";q=",
    "1",
];

fn answered(status: u16, body: Vec<u8>, encoding: Option<&str>) {
    let answered = Answered {
        status,
        content_type: Some("application/json"),
        encoding,
        location: Some("http://x/?a"),
        body: Some(Bytes::from(body)),
    };
    let allowed = Allowed {
        own: Some("x"),
        hosts: &[],
    };
    for nested in [false, true] {
        let (reading, _) = formgate::hooks::answer::read(&answered, Limits { nested, allowed });
        drop(format!("{:?}", reading.reply));
    }
}

fn written(text: String) -> Vec<Written> {
    vec![Written {
        name: "rules/a.toml".to_owned(),
        stem: "a".to_owned(),
        text,
    }]
}

fn compile(text: String) {
    match Book::compile(written(text), Path::new("."), &[]) {
        Ok(loaded) => drop(format!("{:?}", loaded.book.forms())),
        // The picture points into the text, which is where it could go wrong.
        Err(complaints) => complaints
            .iter()
            .for_each(|complaint| drop((complaint.picture(false), complaint.to_json()))),
    }
}

proptest! {
    #[test]
    fn content_types_are_read_or_refused(value in pieces(HEADERS)) {
        drop(ContentType::parse(&value));
    }

    #[test]
    fn part_headers_are_read_or_refused(block in pieces(HEADERS)) {
        drop(part_header::parse(&block, "Part 1"));
    }

    #[test]
    fn a_part_header_that_is_read_has_one_name_for_searching_programs(block in pieces(HEADERS)) {
        if part_header::parse(&block, "Part 1").is_ok() {
            let lower = String::from_utf8_lossy(&block).to_ascii_lowercase();
            prop_assert_eq!(lower.matches("content-disposition:").count(), 1);
        }
    }

    #[test]
    fn bodies_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(codec::urlencoded::decode(&body, None, settings()).map(|(flat, _)| Doc::from(flat).visible_value(None)));
        drop(codec::text::decode(&body, None, settings()).map(|(flat, _)| Doc::from(flat).visible_value(None)));
        drop(codec::json::decode(&Bytes::from(body), settings()).map(|doc| Doc::from(doc).visible_value(None)));
    }

    #[test]
    fn changes_of_anything_end(body in prop::collection::vec(any::<u8>(), 0..60), jdoc in crate::jdoc()) {
        drop(codec::urlencoded::patch(&body, &jdoc, encoding_rs::SHIFT_JIS));
        drop(codec::text::patch(&body, &jdoc, encoding_rs::SHIFT_JIS));
        drop(codec::json::patch(&body, &jdoc, &["a".to_owned()]));
    }

    #[test]
    fn answers_of_hooks_are_read_or_faulty(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..100), encoding in prop::sample::select(vec![None, Some("gzip"), Some("br"), Some("zstd"), Some("x")])) {
        answered(status, body, encoding);
    }

    #[test]
    fn replies_of_any_shape_are_read_or_faulty(key in prop::sample::select(vec!["msg", "msg_type", "jdoc", "focus_on", "redirect", "errors", "debug", "x"]), other in "[a-z_]{0,8}", value in "\\PC{0,12}", shape in 0..9) {
        let inner = match shape {
            0 => json!(value),
            1 => json!(1.5),
            2 => json!([value, null]),
            3 => json!({ value.clone(): value }),
            4 => json!({"a": {"b": [1]}}),
            5 => Value::Null,
            6 => json!([{"field": value, "msg": value}]),
            7 => json!(true),
            _ => json!({}),
        };
        answered(200, json!({key: inner, other: 1}).to_string().into_bytes(), None);
    }

    #[test]
    fn rule_files_are_taken_or_complained_of(text in words(RULES)) {
        compile(text);
    }

    #[test]
    fn rule_files_with_a_mistake_are_complained_of(at in any::<prop::sample::Index>(), length in 0_usize..20, with in words(RULES)) {
        let good = include_str!("../../rules/contact.toml");
        let places: Vec<usize> = good.char_indices().map(|(at, _)| at).collect();
        let start = places[at.index(places.len())];
        let end = places.iter().copied().find(|place| *place >= start + length).unwrap_or(good.len());
        compile(format!("{}{with}{}", &good[..start], &good[end..]));
    }

    #[test]
    fn conditions_are_compiled_or_refused(text in words(CONDITIONS)) {
        if let Ok(condition) = Condition::compile(&text) {
            let call = json!({"doc": {"a": [1, "x", {"b": null}], "é": 1.5}});
            let _ = condition.holds(&call, &[], Room::new(MATCHED));
        }
    }

    #[test]
    fn tokens_are_verified_or_refused(token in words(&["eyJhbGciOiJIUzI1NiJ9", ".", "e30", "Bearer ", "=", "-_", "a"])) {
        let settings = jwt::Settings {
            key: Secret::new("secret"),
            algorithms: vec!["HS256".to_owned()],
            issuer: None,
            audience: None,
            from: jwt::TokenSource::Header("authorization".to_owned()),
        };
        let verifier = jwt::Verifier::new(&settings).expect("a good key");
        prop_assert_eq!(verifier.claims(&token), None);
    }

    #[test]
    fn headers_of_people_are_read(text in words(COOKIES)) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header::COOKIE, value.clone());
            headers.insert(header::ACCEPT_LANGUAGE, value.clone());
            headers.insert(header::ACCEPT, value);
            drop(Cookies::of(&headers).get("sid").map(str::to_owned));
            drop(format!("{:?}", Wants::of(&headers)));
        }
    }

    #[test]
    fn redirects_are_safe_or_refused(target in words(URLS)) {
        let hosts = ["b.example".to_owned()];
        let allowed = Allowed { own: Some("a"), hosts: &hosts };
        if let Ok(redirect) = Redirect::parse(&target, allowed) {
            let text = redirect.as_str();
            prop_assert!(HeaderValue::from_str(text).is_ok());
            let base = url::Url::parse("https://a/form").expect("a URL");
            // As a browser resolves it: the same host, or a listed one.
            let resolved = base.join(text);
            if let Ok(resolved) = resolved {
                prop_assert!(matches!(resolved.host_str(), Some("a" | "b.example")), "{text} leads to {resolved}");
                prop_assert_eq!(resolved.scheme(), "https");
                prop_assert!(resolved.username().is_empty());
            }
        }
    }

    #[test]
    fn paths_have_a_canonical_form_that_stays(target in words(URLS)) {
        let once = path::canonical(&target).into_owned();
        prop_assert_eq!(path::canonical(&once).into_owned(), once.clone());
        drop((path::ambiguity(&target), path::readings(&target), path::readable(&target), query_pairs(&target).count()));
        drop((Origin::split(&target).map(|(origin, _)| origin.to_string()), Route::parse(&format!("POST {target}"))));
    }

    #[test]
    fn requests_are_recognised(path in words(URLS), query in words(URLS), method in "[A-Z]{0,7}") {
        let headers = HeaderMap::new();
        let asked = Asked {
            method: &method,
            path: &path,
            query: &query,
            host: "a",
            headers: &headers,
            has_body: true,
        };
        drop(format!("{:?}", BOOK.recognise(asked)));
    }

    #[test]
    fn texts_of_rule_files_are_compiled_or_refused(text in words(TEXTS)) {
        let call = json!({"doc": {"a": "x"}});
        drop(Template::compile(&text, |_| true).map(|template| template.fill_from(&call)));
        drop(ErrorBody::parse(&text).map(|body| body.fill(&serde_json::Map::new())));
        drop(SubmissionId::parse(&text).map(|id| id.find(Some("/a/1"), Some(&call))));
        drop(Update::parse(&text).map(|update| update.path(Some("1"), "a", &[])));
        drop((pattern::whole(&text), pattern::html(&text), pattern::anywhere(&text)));
    }

    #[test]
    fn values_are_of_a_type_or_not(text in words(VALUES)) {
        for (_, kind) in FieldType::WORDS {
            drop(kind.read(&text).map(|typed| (typed.as_f64(), typed.is_below(&typed), typed.clone().into_value())));
        }
        drop((measure::duration(&text), measure::size(&text)));
    }
}
