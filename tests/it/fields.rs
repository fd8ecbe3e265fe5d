//! Field constraints as browsers judge them, and what a jdoc may change: by writable, hidden, csrf and files, at every
//! level, in flat forms, in bracketed names and in JSON docs.

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::peer::Script;

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Fields by name, each with its constraints, and a hook that shows what it is told.
fn rules(keys: &str, fields: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\n{keys}\n{fields}\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n"
    )
}

async fn submit(app: &App, body: &str) -> Answer {
    app.post("/contact").form(body).send().await
}

/// What the hook was told last.
fn doc(app: &App) -> Value {
    app.hooks.received().pop().expect("a call").json()["doc"].clone()
}

/// What the backend got last.
fn sent(app: &App) -> String {
    app.backend.received().pop().expect("it went on").text()
}

#[tokio::test]
async fn values_are_judged_as_browsers_judge_them() {
    for (constraint, good, bad) in [
        ("required = true", &["x", " ", "0"][..], &[""][..]),
        (
            "minlength = 3",
            &["", "abc", "\u{1f600}a", "ab\u{301}"],
            &["ab", "\u{1f600}"],
        ),
        (
            "maxlength = 4",
            &["", "abcd", "\u{1f600}\u{1f600}", "a\r\nbc"],
            &["abcde", "\u{1f600}\u{1f600}a"],
        ),
        (
            "pattern = 'a|bc'",
            &["", "a", "bc"],
            &["abc", "xa", "A", "a\n"],
        ),
        ("pattern = '\\d{5}'", &["12345"], &["1234", "١٢٣٤٥"]),
        (
            "pattern = '[\\p{L} .\\-]+'",
            &["Zoë-Ann", "Ж"],
            &["a1", "a_b"],
        ),
        (
            "type = \"integer\"\nmin = 5\nmax = 17",
            &["", "5", "17", "012"],
            &["4", "18", "5.5", "1e1", "+6", "six", "٦"],
        ),
        (
            "type = \"number\"\nmin = -1.5\nstep = 0.5",
            &["-1.5", "0", "1e2", ".5", "-0"],
            &["-2", "0.25", "5.", "0x10", "NaN", "1,5"],
        ),
        (
            "type = \"number\"\nstep = 0.01",
            &["0.07", "1.10", "123456.78"],
            &["0.001"],
        ),
        (
            "type = \"date\"\nmin = '2026-01-31'\nmax = '2026-12-31'",
            &["2026-01-31", "2026-02-28"],
            &[
                "2026-01-30",
                "2026-02-29",
                "2027-01-01",
                "26-02-01",
                "2026-2-1",
                "0000-01-01",
                "today",
            ],
        ),
        (
            "type = \"email\"",
            &["a@b", "zoe.o'hara+x@example.co.uk", "A@B.C"],
            &["a", "a@", "@b", "a b@c", "a@b..c", "a@-b", "ä@b.c", "a@b,c"],
        ),
        (
            "type = \"url\"",
            &["https://example.org/a?b#c", "mailto:a@b"],
            &["example.org", "//example.org", "https://"],
        ),
        (
            "type = \"boolean\"",
            &["on", "TRUE", "no", "0"],
            &["maybe", "2"],
        ),
        (
            "required = true\ntype = \"list\"\nmin = 1\nmax = 2",
            &["x"],
            &[""],
        ),
    ] {
        let app = app(&rules("", &format!("[fields.f]\n{constraint}"))).await;
        app.hooks.always(Script::answer(204, "", ""));
        for (values, status) in [(good, 200), (bad, 422)] {
            for value in values {
                let body = format!("f={}", encoded(value));
                let answer = submit(&app, &body).await;
                assert_eq!(answer.status, status, "{constraint} with {value:?}");
                if status == 200 {
                    assert_eq!(sent(&app), body, "not a byte is changed");
                } else {
                    assert_eq!(answer.json()["focus_on"], "f");
                }
            }
        }
    }
}

#[tokio::test]
async fn every_value_of_a_field_is_judged_and_lists_by_their_number() {
    let fields = r#"
[fields.tag]
type = "list"
min = 2
max = 3
pattern = "[a-z]"
[fields.age]
type = "integer"
max = 17
[fields.agree]
required = true
msg = "Please agree."
"#;
    let app = app(&rules("", fields)).await;
    app.hooks.always(Script::answer(204, "", ""));
    for (body, errors) in [
        ("agree=on&tag=a&tag=b", json!({})),
        ("agree=on&tag=a&tag=b&tag=c&tag=", json!({})),
        ("agree=on&tag=a", json!({"tag": "Choose at least 2."})),
        (
            "agree=on&tag=a&tag=b&tag=c&tag=d",
            json!({"tag": "Choose at most 3."}),
        ),
        (
            "agree=on&tag=a&tag=B",
            json!({"tag": "This does not have the expected format."}),
        ),
        ("agree=on&age=12&age=99", json!({"age": "Give one value."})),
        ("agree=on&age=12&age=12", json!({"age": "Give one value."})),
        (
            "agree=on&age=12&age=",
            json!({"age": "Enter a whole number."}),
        ),
        ("agree=&agree=on", json!({"agree": "Please agree."})),
        (
            "age=x",
            json!({"age": "Enter a whole number.", "agree": "Please agree."}),
        ),
    ] {
        let answer = submit(&app, body).await;
        let found = match answer.status {
            200 => json!({}),
            _ => answer.json()["errors"].clone(),
        };
        assert_eq!(found, errors, "{body}");
    }
    submit(&app, "agree=on&tag=b&tag=a&age=12").await;
    assert_eq!(
        doc(&app),
        json!({"agree": "on", "tag": ["b", "a"], "age": 12})
    );
    submit(&app, "agree=on&agree=yes&tag=&tag=a&tag=b").await;
    let expected = json!({"agree": ["on", "yes"], "tag": ["a", "b"]});
    assert_eq!(
        doc(&app),
        expected,
        "which of two counts is not for the gateway to say"
    );
}

#[tokio::test]
async fn types_are_for_hooks_and_bodies_stay_as_they_came() {
    let fields = "[fields.n]\ntype = \"number\"\n[fields.b]\ntype = \"boolean\"\n[fields.one]\ntype = \"list\"\n";
    let app = app(&rules("", fields)).await;
    app.hooks.always(Script::answer(204, "", ""));
    let body = "n=012.50&b=on&one=x&z=%7e";
    submit(&app, body).await;
    assert_eq!(
        doc(&app),
        json!({"n": 12.5, "b": true, "one": ["x"], "z": "~"})
    );
    assert_eq!(sent(&app), body);
    // A JSON doc has its types already: a list of one stays a list, and numbers their digits.
    let text = r#"{ "n": 1.50, "b": true, "one": ["x"], "big": 123456789012345678901234567890 }"#;
    app.post("/contact")
        .body("application/json", text)
        .send()
        .await;
    assert_eq!(
        (&doc(&app)["n"], &doc(&app)["one"]),
        (&json!(1.5), &json!(["x"]))
    );
    let call = app.hooks.received().pop().expect("a call").text();
    assert!(call.contains("123456789012345678901234567890"), "{call}");
    assert_eq!(sent(&app), text);
}

#[tokio::test]
async fn json_docs_are_judged_too() {
    let fields = "[fields.age]\ntype = \"integer\"\nmax = 17\n[fields.name]\nrequired = true\nnormalize = [\"trim\"]\n";
    let app = app(&rules("", fields)).await;
    app.hooks.always(Script::answer(204, "", ""));
    for (body, status) in [
        (json!({"name": "a", "age": 12}), 200),
        (json!({"name": "a", "age": "12"}), 200),
        (json!({"name": "a", "age": null}), 200),
        (json!({"name": "a", "age": 99}), 422),
        (json!({"name": "a", "age": [12, 99]}), 422),
        (json!({"name": "a", "age": {"x": 1}}), 422),
        (json!({"name": "a", "age": [[99]]}), 422),
        (json!({"name": "a", "age": 12.5}), 422),
        (json!({"name": "a", "age": true}), 422),
        (json!({"name": ""}), 422),
        (json!({"name": []}), 422),
        (json!({"name": null}), 422),
        (json!(["name"]), 422),
    ] {
        let answer = app.post("/contact").json(&body).send().await;
        assert_eq!(answer.status, status, "{body}");
    }
    let text = r#"{"name": [" a "], "x": 1.50}"#;
    app.post("/contact")
        .body("application/json", text)
        .send()
        .await;
    assert_eq!(
        sent(&app),
        r#"{"name": ["a"], "x": 1.50}"#,
        "a list of one stays a list"
    );
}

#[tokio::test]
async fn files_are_judged_by_kind_and_size() {
    let fields = "[fields.photo]\ntype = \"file\"\nrequired = true\naccept = [\"image/*\", \".pdf\"]\nmaxsize = \"10B\"\n";
    let app = app(&rules("", fields)).await;
    app.hooks.always(Script::answer(204, "", ""));
    let file = |name: &str, kind: &str| {
        format!(
            "content-disposition: form-data; name=\"photo\"; filename=\"{name}\"\r\ncontent-type: {kind}"
        )
    };
    for (headers, content, status) in [
        (file("a.png", "image/png"), "x", 200),
        (file("a.PDF", "application/octet-stream"), "x", 200),
        (file("a.exe", "application/octet-stream"), "x", 422),
        (file("a.png", "image/png"), "eleven byte", 422),
        (file("", "application/octet-stream"), "", 422),
        (
            "content-disposition: form-data; name=\"photo\"".to_owned(),
            "a.png",
            422,
        ),
    ] {
        let answer = app
            .post("/contact")
            .multipart(&[(&headers, content)])
            .send()
            .await;
        assert_eq!(answer.status, status, "{headers} {content}");
    }
}

#[tokio::test]
async fn nested_changes_reach_bracketed_names_and_nothing_hidden() {
    let keys = "nested = \"brackets\"\nhidden = [\"card\"]\ncsrf = [\"token\"]";
    let rules = rules(keys, "")
        + "[[hook]]\non = \"preprocess\"\nname = \"second\"\nurl = \"HOOK/second\"\n";
    let app = app(&rules).await;
    app.hooks.reply_at("/second", &json!({}));
    let body = "user[name]=ana&user[card]=4111&user[tags][]=a&user[tags][]=b&token=T&list[0][x]=p&list[1][x]=q&city=x";
    let seen = json!({"user": {"name": "ana", "tags": ["a", "b"]}, "list": [{"x": "p"}, {"x": "q"}], "city": "x"});
    for (jdoc, expected, second) in [
        (json!({}), body.to_owned(), seen.clone()),
        (
            json!({"user": {"name": "Ana"}}),
            body.replace("=ana", "=Ana"),
            json!({"user": {"name": "Ana", "tags": ["a", "b"]}, "list": [{"x": "p"}, {"x": "q"}], "city": "x"}),
        ),
        (
            json!({"user": {"tags": ["z"]}, "city": null}),
            body.replace("user[tags][]=a&user[tags][]=b", "user[tags][]=z")
                .replace("&city=x", ""),
            json!({"user": {"name": "ana", "tags": ["z"]}, "list": [{"x": "p"}, {"x": "q"}]}),
        ),
        (
            json!({"user": {"card": "9", "password": "9", "_destroy": "1"}, "token": "9", "x": {"token": "9"}}),
            body.to_owned(),
            seen.clone(),
        ),
        (
            json!({"user[card]": "9", "user": null}),
            body.to_owned(),
            seen.clone(),
        ),
        (json!({"user": "gone"}), body.to_owned(), seen.clone()),
    ] {
        app.hooks.reply_at("/check", &json!({"jdoc": jdoc}));
        let answer = submit(&app, body).await;
        assert_eq!(answer.status, 200, "{jdoc}: {}", answer.text());
        assert_eq!(sent(&app), expected, "{jdoc}");
        assert_eq!(doc(&app), second, "the next hook sees it whole: {jdoc}");
    }
}

#[tokio::test]
async fn nested_changes_of_json_docs_are_spliced_in_and_reach_nothing_hidden() {
    let keys = "doc_path = \"$.input\"\nhidden = [\"card\"]\ncsrf = [\"token\"]";
    let app = app(&rules(keys, "")).await;
    let body = r#"{"id": 1.50, "input": {"user": {"name": "ana",  "card": 4111}, "cards": [{"card": 1}], "token": "T", "n": 10.0}}"#;
    for (jdoc, expected) in [
        (
            json!({"user": {"name": "Ana"}}),
            body.replace("\"ana\"", "\"Ana\""),
        ),
        (json!({"user": {"card": 9}, "token": "9"}), body.to_owned()),
        (json!({"user": null}), body.to_owned()),
        (json!({"user": "x"}), body.to_owned()),
        (json!({"cards": []}), body.to_owned()),
        (json!({"cards": [{"card": 2}]}), body.to_owned()),
        (json!({"deep": {"er": {"password": 1}}}), body.to_owned()),
        (json!({"_csrf": "1"}), body.to_owned()),
    ] {
        app.hooks.reply(&json!({"jdoc": jdoc}));
        let answer = app
            .post("/contact")
            .body("application/json", body)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{jdoc}");
        assert_eq!(sent(&app), expected, "{jdoc}");
        let changed = answer.header("formgate-reply").is_some();
        assert_eq!(changed, expected != body, "{jdoc}");
        assert_eq!(
            doc(&app),
            json!({"user": {"name": "ana"}, "cards": [{}], "n": 10.0})
        );
    }
}

#[tokio::test]
async fn a_strict_form_takes_no_reply_that_goes_too_far() {
    for (keys, jdoc, status, body) in [
        (
            "writable = [\"city\"]",
            json!({"city": "Bern", "age": "1"}),
            200,
            "city=Bern&age=3",
        ),
        (
            "writable = [\"city\"]\nstrict = true",
            json!({"city": "Bern"}),
            200,
            "city=Bern&age=3",
        ),
        (
            "writable = [\"city\"]\nstrict = true",
            json!({"city": "Bern", "age": "1"}),
            503,
            "",
        ),
        ("strict = true", json!({"_method": "PUT"}), 503, ""),
        (
            "strict = true\nhidden = [\"age\"]",
            json!({"age": "1"}),
            503,
            "",
        ),
        (
            "absent = \"ignore\"",
            json!({"city": "Bern", "new": "1"}),
            200,
            "city=Bern&age=3",
        ),
        (
            "",
            json!({"city": "Bern", "new": "1"}),
            200,
            "city=Bern&age=3&new=1",
        ),
    ] {
        let app = app(&rules(keys, "")).await;
        app.hooks.reply(&json!({"jdoc": jdoc}));
        let answer = submit(&app, "city=b&age=3").await;
        assert_eq!(answer.status, status, "{keys} {jdoc}");
        let received = app.backend.received();
        assert_eq!(
            received.first().map(|sent| sent.text()).unwrap_or_default(),
            body
        );
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_every_byte() {
    let app = app(&rules("", "")).await;
    app.hooks
        .reply(&json!({"jdoc": {"a": "x y", "n": 12, "l": ["1", "2"], "gone": null}}));
    let body = "a=x%20y&n=12&l=1&l=2&b=%7E&&c";
    let answer = submit(&app, body).await;
    assert_eq!((answer.status, sent(&app).as_str()), (200, body));
    assert_eq!(answer.header("formgate-reply"), None);
}

#[tokio::test]
async fn a_json_body_that_is_no_object_has_no_fields_to_change() {
    let app = app(&rules("", "")).await;
    app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
    for body in [
        "[1, 2.50]",
        "[{\"password\": 1}]",
        "\"text\"",
        "12.50",
        "true",
        "null",
    ] {
        let ask = app.post("/contact").body("application/json", body);
        assert_eq!(ask.send().await.status, 200, "{body}");
        assert_eq!(sent(&app), body);
        let job = app.log.jobs().pop().expect("a job");
        let warnings = job["warnings"].as_str().expect("warnings");
        assert!(warnings.contains("$.jdoc.city: the submission is no object"));
    }
    assert_eq!(doc(&app), Value::Null);
}
