//! Texts that would like to be more than texts – header lines, answers, elements, parts, fields, hosts – from
//! responders, backends and people, in every place where they are written on. Each goes over real sockets, and what
//! arrives is read by parsers that are not ours.

use std::collections::BTreeSet;

use rcgen::PublicKeyData;
use scraper::Html;
use scraper::Selector;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Received;
use crate::support::peer::Script;
use crate::support::site;

/// What would be a header line, an answer or an element of its own, if it got through.
const HOSTILE: [&str; 22] = [
    "a\r\nx-evil: 1",
    "a\nx-evil: 1",
    "a\rx-evil: 1",
    "\r\n\r\n<x-evil>",
    "a\r\n\r\nHTTP/1.1 200 OK\r\nx-evil: 1\r\ncontent-length: 0\r\n\r\n",
    "%0d%0ax-evil:%201",
    // Code points whose last byte is a line break.
    "\u{560d}\u{560a}x-evil: 1",
    "\u{10a}x-evil: 1",
    "\u{85}x-evil: 1",
    "\u{2028}x-evil: 1",
    "\0x-evil: 1",
    "\u{1b}[31mx-evil",
    "<x-evil>",
    "\"><x-evil>",
    "'><x-evil onerror='x'>",
    "</textarea></title></select></script></style><x-evil>",
    "--><x-evil><!--",
    "&lt;x-evil&gt;",
    "{doc.city}",
    "\",\"x-evil\":\"1",
    "x; Path=/; x-evil=1",
    "\u{202e}live-x",
];

const FORM: &str = r#"<!doctype html><html><body><main><form action="/contact" method="post">
<input name="city"><textarea name="note"></textarea><select name="pick"><option>a</select></form></main></body></html>"#;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
redirect_hosts = ["pay.example.org"]
on_conflict = "suggest"
[[hook]]
on = "load"
url = "HOOK/load"
[[hook]]
on = "preprocess"
url = "HOOK/check"
[[hook]]
on = "submit"
url = "HOOK/after"
"#;

async fn quiet(rules: &str) -> App {
    let app = app(rules).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(Script::page(200, FORM));
    app
}

/// Header lines as they should be: a name, and a value without a control character.
fn check_head(head: &str, what: &str) {
    let lines = head.trim_end_matches("\r\n").split("\r\n").skip(1);
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("{what}: {line:?}"));
        assert!(!name.eq_ignore_ascii_case("x-evil"), "{what}: {head}");
        assert!(
            http::HeaderName::from_bytes(name.as_bytes()).is_ok(),
            "{what}: {line:?}"
        );
        assert!(
            !value.contains(|c: char| c.is_control() && c != '\t'),
            "{what}: {line:?}"
        );
    }
}

/// Sends a request on a connection that ends with it: the answer, and that nothing follows it.
async fn alone(app: &App, ask: Ask, what: &str) -> Answer {
    let mut wire = app.connect().await;
    wire.write(&ask.header("connection", "close").bytes()).await;
    let answer = wire.answer().await;
    let rest = wire.rest().await;
    assert!(
        rest.is_empty(),
        "{what}: a second answer {:?}",
        String::from_utf8_lossy(&rest)
    );
    check_head(&answer.head, what);
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    if kind.starts_with("text/html") {
        let html = Html::parse_document(&answer.text());
        let evil = Selector::parse("x-evil, [onerror]").expect("a selector");
        assert_eq!(html.select(&evil).count(), 0, "{what}: {}", answer.text());
    } else if kind.contains("json") {
        answer.json();
    }
    answer
}

/// Replies with a hostile text in each place where a reply has one.
fn replies(text: &str) -> Vec<Value> {
    vec![
        json!({"msg": text}),
        json!({"msg": text, "msg_type": "error"}),
        json!({"msg": "no", "msg_type": "error", "focus_on": text}),
        json!({"errors": {"city": text}}),
        json!({"errors": {text: "no"}}),
        json!({"errors": [{"field": text, "msg": text}]}),
        json!({"jdoc": {"city": text}}),
        json!({"jdoc": {text: "x"}}),
        json!({"msg": "no", "msg_type": "error", "jdoc": {"city": text, text: text}}),
        json!({"redirect": format!("/thanks{text}")}),
        json!({"redirect": text}),
        json!({"redirect": "/thanks", "msg": text}),
        json!({"msg_type": text, "msg": "x"}),
        json!({"debug": text, text: text}),
    ]
}

#[tokio::test]
async fn no_text_of_a_reply_is_more_than_text() {
    let app = quiet(RULES).await;
    let mut rows = 0;
    for text in HOSTILE {
        for reply in replies(text) {
            for hook in ["/check", "/after", "/load"] {
                app.hooks.reply_at(hook, &reply);
                let ask = |app: &App| match hook {
                    "/load" => app.get("/contact"),
                    _ => app
                        .post("/contact")
                        .form("city=Bern&note=%3Cx-evil%3E&%3Cx-evil%3E=1"),
                };
                let what = format!("{hook} {reply}");
                // Each kind of client in turn, so that each meets every kind of reply.
                let ask = match rows % 4 {
                    0 => ask(&app).header("accept", "*/*"),
                    1 => ask(&app).htmx(),
                    _ => ask(&app).page(),
                };
                let before = app.backend.count();
                alone(&app, ask, &what).await;
                rows += 1;
                for sent in &app.backend.received()[before..] {
                    check_head(&sent.head, &what);
                }
                app.hooks.at(hook, Script::answer(204, "", ""));
            }
        }
    }
    assert_eq!(rows, 22 * 14 * 3);
}

/// Names and values of a body, read by somebody else.
async fn pairs_of(received: &Received) -> Vec<(String, String)> {
    let kind = received.header("content-type").expect("a type").to_owned();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return form_urlencoded::parse(&received.body)
            .into_owned()
            .collect();
    }
    if kind.starts_with("application/json") {
        let value: Value = serde_json::from_slice(&received.body).expect("JSON");
        let object = value.as_object().expect("an object");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        return object
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
    }
    if kind.starts_with("text/plain") {
        // A line without a name goes on with the value before it, as browsers write one of several lines.
        let mut pairs: Vec<(String, String)> = Vec::new();
        for line in received.text().trim_end_matches("\r\n").split("\r\n") {
            match (line.split_once('='), pairs.last_mut()) {
                (Some((name, value)), _) => pairs.push((name.to_owned(), value.to_owned())),
                (None, Some((_, value))) => value.push_str(&format!("\r\n{line}")),
                (None, None) => panic!("a value without a name: {line:?}"),
            }
        }
        return pairs;
    }
    let boundary = multer::parse_boundary(&kind).expect("a boundary");
    let body = bytes::Bytes::from(received.body.clone());
    let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut multipart = multer::Multipart::new(stream, boundary);
    let mut pairs = Vec::new();
    while let Some(field) = multipart.next_field().await.expect("a part") {
        assert_eq!(field.file_name(), None, "a file out of nothing");
        let name = field.name().expect("a name").to_owned();
        let bytes = field.bytes().await.expect("a part");
        pairs.push((name, String::from_utf8(bytes.to_vec()).expect("text")));
    }
    pairs
}

#[tokio::test]
async fn a_changed_value_is_one_value_of_one_field() {
    let app = quiet(RULES).await;
    let breaking = [
        "x&evil=1",
        "x\r\nevil=1",
        "x;evil=1",
        "x\r\n--XX\r\nContent-Disposition: form-data; name=\"evil\"\r\n\r\n1",
        "x\r\n--XX--\r\n",
        "--XX",
        "\r\n--XX",
        "x\n--XX\n",
        "x\", \"evil\": \"1",
        "x\\",
        "x\\\", \"evil\": \"1",
        "x\"; filename=\"evil",
        "x\"\r\nContent-Type: text/html\r\n\r\n",
        "x%0d%0a%26evil=1",
        "+ %20&amp;",
        "\u{0}evil",
        "evil[]=1",
        "\u{feff}x",
    ];
    let all = breaking.iter().chain(&HOSTILE);
    let bodies: [fn(Ask) -> Ask; 4] = [
        |ask| ask.form("city=Bern&note=n"),
        |ask| {
            let part = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
            ask.multipart(&[(&part("city"), "Bern"), (&part("note"), "n")])
        },
        |ask| ask.json(&json!({"city": "Bern", "note": "n"})),
        |ask| ask.body("text/plain", "city=Bern\r\nnote=n\r\n"),
    ];
    let (mut changed, mut refused, mut odd_names) = (0, 0, 0);
    for text in all {
        for (jdoc, expected) in [
            (json!({"city": text}), vec![("city", *text), ("note", "n")]),
            (
                json!({*text: "y"}),
                vec![("city", "Bern"), ("note", "n"), (*text, "y")],
            ),
        ] {
            app.hooks.reply_at("/check", &json!({"jdoc": jdoc}));
            for body in bodies {
                let before = app.backend.count();
                let answer = body(app.post("/contact").header("accept", "*/*"))
                    .send()
                    .await;
                let sent = app.backend.received().split_off(before);
                let Some(sent) = sent.first() else {
                    // What a format cannot say is not sent at all, and the person is told so.
                    assert!(
                        matches!(answer.status, 400 | 503),
                        "{jdoc}: {}",
                        answer.text()
                    );
                    assert_eq!(answer.json()["submitted"], false);
                    refused += 1;
                    continue;
                };
                check_head(&sent.head, &jdoc.to_string());
                assert_eq!(
                    sent.header("content-length"),
                    Some(sent.body.len().to_string().as_str())
                );
                let odd = |c: char| c.is_ascii_control() && !matches!(c, '\r' | '\n');
                let is_multipart = sent
                    .header("content-type")
                    .is_some_and(|kind| kind.starts_with("multipart"));
                if is_multipart && jdoc.get("city").is_none() && text.contains(odd) {
                    // multer takes no control characters in a name, as browsers would send them.
                    assert_eq!(sent.text().matches("--XX").count(), 4, "{jdoc}");
                    odd_names += 1;
                    continue;
                }
                let pairs = pairs_of(sent).await;
                // Browsers write these three in names as escapes, which multer leaves.
                let unescape = |name: &str| match sent.header("content-type") {
                    Some(kind) if kind.starts_with("multipart") => name
                        .replace("%22", "\"")
                        .replace("%0D", "\r")
                        .replace("%0A", "\n"),
                    _ => name.to_owned(),
                };
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(name, value)| (unescape(name), value.clone()))
                    .collect();
                let expected: Vec<_> = expected
                    .iter()
                    .map(|(name, value)| (unescape(name), (*value).to_owned()))
                    .collect();
                assert_eq!(pairs, expected, "{jdoc}: {:?}", sent.text());
                changed += 1;
            }
        }
    }
    assert_eq!(changed + refused + odd_names, (18 + 22) * 2 * 4);
    println!("{changed} changed, {refused} refused");
    assert!(
        changed > 200 && refused > 10,
        "{changed} changed, {refused} refused"
    );
}

#[tokio::test]
async fn an_answer_of_the_backend_cannot_be_two() {
    let app = quiet(RULES).await;
    let split = "\r\n\r\nHTTP/1.1 200 OK\r\nx-evil: 1\r\n";
    for head in [
        "location: /a\rx-evil: 1",
        "location: /a\0x-evil: 1",
        "location: /a\r\n x-evil: 1",
        "location: /a\r\n\tx-evil: 1",
        "set-cookie: a=b\rx-evil: 1",
        "set-cookie: a=b\u{1}; x-evil",
        "x-a : b",
        "x a: b",
        ": b",
        "x-a",
        "content-length: 2\r\ncontent-length: 3",
        "content-length: +2",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "x-a\r: b",
        "x-a: b\u{7f}",
    ] {
        for (target, method) in [("/contact", "POST"), ("/contact", "GET"), ("/other", "GET")] {
            app.backend.next(Script::Last(
                format!("HTTP/1.1 302 Found\r\n{head}\r\n\r\nok{split}").into_bytes(),
            ));
            let mut ask = app.ask(method, target).page();
            if method == "POST" {
                ask = ask.form("city=Bern");
            }
            let answer = alone(&app, ask, head).await;
            assert!(
                matches!(answer.status, 302 | 502),
                "{head:?}: {}",
                answer.head
            );
            // The next request has an answer of its own.
            app.backend.next(Script::page(200, "mine"));
            assert_eq!(app.get("/next").send().await.text(), "mine", "{head:?}");
        }
    }
}

#[tokio::test]
async fn what_a_backend_answers_leads_an_update_nowhere_else() {
    let rules = format!(
        "{}submission_id = \"$.id\"\nupdate = \"PATCH /api/enrollments/{{submission_id}}\"\n{}",
        &RULES[..RULES.find("redirect_hosts").expect("there")],
        &RULES[RULES.find("redirect_hosts").expect("there")..]
    );
    let app = quiet(&rules).await;
    app.hooks
        .reply_at("/after", &json!({"jdoc": {"city": "Bern"}}));
    for id in [
        "../../admin",
        "..",
        ".",
        "/",
        "a/b",
        "a?x=1",
        "a#x",
        "a%2f..",
        "a\r\nx-evil: 1",
        "a b",
        "//evil",
        "é",
        "\\..\\x",
        "a;b",
        "",
    ] {
        app.backend
            .at("/contact", Script::json(201, &json!({"id": id})));
        let before = app.backend.count();
        let answer = app
            .post("/contact")
            .header("accept", "*/*")
            .form("city=x")
            .send()
            .await;
        assert_eq!(answer.status, 201, "{id:?}");
        for sent in app.backend.received().iter().skip(before + 1) {
            check_head(&sent.head, id);
            let rest = sent
                .target
                .strip_prefix("/api/enrollments/")
                .unwrap_or_else(|| panic!("{id:?}: {}", sent.target));
            assert!(
                !rest.contains(['/', '?', '#', '\\', ' ']),
                "{id:?}: {}",
                sent.target
            );
            assert!(!matches!(rest, "" | "." | ".."), "{id:?}: {}", sent.target);
            let url = Url::parse("http://a")
                .and_then(|base| base.join(&sent.target))
                .expect("a target");
            assert!(url.path().starts_with("/api/enrollments/"), "{id:?}: {url}");
        }
    }
}

#[tokio::test]
async fn a_request_id_is_one_word() {
    let app = quiet(RULES).await;
    let long = "a".repeat(5000);
    for id in [
        "a b",
        "\"",
        "a\tb",
        "<x-evil>",
        "{}",
        "a,b",
        "é",
        "%0d%0a",
        "..",
        long.as_str(),
        "",
        "x-evil: 1",
    ] {
        let ask = app
            .post("/contact")
            .page()
            .header("x-request-id", id)
            .form("city=x");
        let answer = alone(&app, ask, id).await;
        assert_eq!(answer.status, 200);
        for sent in [app.hooks.received().pop(), app.backend.received().pop()]
            .into_iter()
            .flatten()
        {
            check_head(&sent.head, id);
            let given = sent.headers_of("x-request-id");
            assert_eq!(given.len(), 1, "{id:?}: {given:?}");
            let is_word = |c: char| c.is_ascii_graphic();
            assert!(
                (1..=200).contains(&given[0].len()) && given[0].chars().all(is_word),
                "{id:?}: {given:?}"
            );
        }
    }
}

/// Where people have been sent by sites that thought they had checked.
const TARGETS: [&str; 74] = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "//evil.example/%2f..",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "\r\n//evil.example",
    " //evil.example",
    "/ /evil.example",
    "\u{a0}//evil.example",
    "\u{3000}//evil.example",
    "\0//evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "https:/\\evil.example",
    "HTTPS://evil.example",
    "https://evil.example",
    "http://evil.example",
    "http://forms.example.org",
    "http:forms.example.org",
    "ftp://forms.example.org/",
    "ws://forms.example.org/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\u{1}javascript:alert(1)",
    "javascript://forms.example.org/%0aalert(1)",
    "data:text/html,<x-evil>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://forms.example.org/x",
    "view-source:https://forms.example.org",
    "about:blank",
    "mailto:a@b",
    "https://forms.example.org@evil.example/",
    "https://forms.example.org:80@evil.example/",
    "https://u:p@forms.example.org/",
    "https://@forms.example.org/",
    "https://evil.example\\@forms.example.org/",
    "https://forms.example.org\\@evil.example/",
    "https://forms.example.org.evil.example/",
    "https://evilforms.example.org/",
    "https://forms.example.org%2eevil.example/",
    "https://forms.example.org%00.evil.example",
    "https://forms.example.org\u{3002}evil.example/",
    "https://forms.example.org\u{ff0f}.evil.example/",
    "https://forms.example.org#@evil.example/",
    "https://forms.example.org?@evil.example/",
    "https://f\u{43e}rms.example.org/",
    "https://xn--frms-qqc.example.org/",
    "https://FORMS.EXAMPLE.ORG./",
    "https://forms.example.org.",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://127.1/",
    "https://0x7f000001/",
    "https://pay.example.org:8443/x",
    "https://forms.example.org:0/",
    "https://",
    "https://?",
    "https://#",
    "?//evil.example",
    "#//evil.example",
    "evil.example",
    "./evil",
    "",
];

/// Whether a browser that is at the form stays where it may go.
fn is_safe(location: &str) -> bool {
    let base = Url::parse("https://forms.example.org/contact?x").expect("a URL");
    base.join(location).is_ok_and(|url| {
        url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(
                url.host_str(),
                Some("forms.example.org" | "pay.example.org")
            )
    })
}

/// Wherever an answer sends a browser or a script.
fn targets_of(answer: &Answer) -> Vec<String> {
    let names = ["location", "hx-redirect", "hx-location", "refresh"];
    let named = names.iter().flat_map(|name| answer.headers_of(name));
    let mut targets: Vec<String> = named.map(str::to_owned).collect();
    let reply = answer.header("formgate-reply").map(str::to_owned);
    for object in reply.into_iter().chain([answer.text()]) {
        let object = serde_json::from_str::<Value>(&object).unwrap_or_default();
        targets.extend(object["redirect"].as_str().map(str::to_owned));
    }
    targets
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let app = quiet(RULES).await;
    let (mut sent, mut refused) = (0, 0);
    for target in TARGETS {
        for hook in ["/load", "/check", "/after"] {
            app.hooks
                .reply_at(hook, &json!({"redirect": target, "msg": "Go."}));
            let ask = |app: &App| match hook {
                "/load" => app.get("/contact"),
                _ => app.post("/contact").form("city=Bern"),
            };
            let script = ask(&app).header("accept", "*/*");
            for ask in [
                ask(&app).page(),
                script,
                ask(&app).htmx(),
                ask(&app).header("formgate-script", "1"),
            ] {
                let before = app.backend.count();
                let answer = alone(&app, ask, target).await;
                let said = targets_of(&answer);
                match said.as_slice() {
                    [] => refused += 1,
                    all => {
                        assert!(
                            all.iter().all(|one| is_safe(one)),
                            "{hook} {target:?}: {all:?}"
                        );
                        sent += 1;
                    }
                }
                // A redirect that is not allowed is no consent.
                if hook == "/check" && said.is_empty() && !target.is_empty() {
                    let sent = app.backend.received().split_off(before);
                    assert_eq!(answer.status, 503, "{target:?}");
                    assert!(sent.iter().all(|one| one.method == "GET"), "{target:?}");
                }
            }
            app.hooks.at(hook, Script::answer(204, "", ""));
        }
    }
    assert_eq!(sent + refused, 74 * 3 * 4);
    println!("{sent} were sent to where they may go, {refused} nowhere");
}

#[tokio::test]
async fn what_a_person_types_leads_nobody_elsewhere() {
    let rules = "[form]\nsubmit = \"POST /contact\"\n[[rule]]\non = \"preprocess\"\nwhen = \"@.doc.next\"\n\
        reply = { redirect = \"/{doc.next}\" }\n[[rule]]\non = \"preprocess\"\nreply = { redirect = \"/go?to={doc.to}#{doc.to}\" }\n";
    let app = quiet(rules).await;
    for target in TARGETS.iter().chain(&HOSTILE) {
        for field in ["next", "to"] {
            let body = form_urlencoded::Serializer::new(String::new())
                .append_pair(field, target)
                .finish();
            let answer = alone(&app, app.post("/contact").page().form(&body), target).await;
            if let Some(location) = answer.header("location") {
                assert!(is_safe(location), "{target:?}: {location}");
                assert!(!location.starts_with("//"), "{target:?}: {location}");
            }
            assert_eq!(app.backend.count(), 0);
        }
    }
}

#[tokio::test]
async fn hostile_values_cost_patterns_and_paths_a_line_not_a_curve() {
    let form = |rest: &str| {
        format!(
            "[form]\nsubmit = \"POST /contact\"\n{rest}\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n"
        )
    };
    let pattern = |pattern: &str| form(&format!("[fields.a]\npattern = '{pattern}'\n"));
    let when = |when: &str| {
        form(&format!(
            "[[rule]]\non = \"preprocess\"\nwhen = '{when}'\nreply = {{ msg = \"x\" }}\n"
        ))
    };
    let mut cases: Vec<String> = [
        "(a+)+$",
        "(a|a)*$",
        "(a|aa)+$",
        "([a-zA-Z]+)*$",
        "(.*a){12}$",
        "(a*)*b",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(x+x+)+y",
        "[^@\\s]+@([a-z0-9-]+\\.)+[a-z]{2,}",
        "(\\w+\\s?)*!",
        "a*a*a*a*a*a*b",
        "(?:(?:a?){10}a{10})*",
        "\\s+$",
        "(.|\\n)*?x{3}",
    ]
    .into_iter()
    .map(pattern)
    .collect();
    cases.extend(
        [
            "match(@.doc.a, \"(a+)+b\")",
            "search(@.doc.a, \"(a|aa)*b\")",
            "search(@.doc.a, \"a*a*a*a*b\")",
            "count(@..*) > 100000",
            "@..* && @.doc..a",
            "@.doc[?@ == @]",
            "length(@.doc.a) > 5 && match(@.doc.a, \".*.*.*=.*\")",
        ]
        .map(when),
    );
    let mut worst = (0, String::new());
    let mut took = BTreeSet::new();
    for rules in &cases {
        let app = quiet(rules).await;
        for filler in ["a", "aX", "a ", "x"] {
            let value = filler.repeat((32 << 10) / filler.len());
            let began = Instant::now();
            let answer = app
                .post("/contact")
                .header("accept", "*/*")
                .form(&format!("a={value}%21"))
                .send()
                .await;
            let spent = began.elapsed();
            assert!(
                matches!(answer.status, 200 | 422 | 503),
                "{}",
                answer.text()
            );
            assert!(spent.as_secs() < 10, "{spent:?} for {rules}");
            took.insert(spent);
            if spent.as_millis() > worst.0 {
                worst = (spent.as_millis(), rules.clone());
            }
        }
    }
    println!(
        "{} cases, the median {:?}, the worst {} ms: {}",
        took.len(),
        took.iter().nth(took.len() / 2),
        worst.0,
        worst.1
    );
}

/// A token that somebody else made, or for somebody else, or for another time.
#[expect(clippy::too_many_lines, reason = "a table")]
fn tokens(own: &rcgen::KeyPair, other: &rcgen::KeyPair) -> Vec<(String, String)> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::Algorithm;
    use jsonwebtoken::EncodingKey;
    use jsonwebtoken::Header;

    let until = 4_000_000_000_u64;
    let good =
        json!({"sub": "eve", "api": true, "exp": until, "iss": "https://login", "aud": "forms"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let sign = |header: &Header, claims: &Value, key: &EncodingKey| {
        jsonwebtoken::encode(header, claims, key).expect("a token")
    };
    let pem = EncodingKey::from_ec_pem(own.serialize_pem().as_bytes()).expect("a key");
    let theirs = EncodingKey::from_ec_pem(other.serialize_pem().as_bytes()).expect("a key");
    let es = Header::new(Algorithm::ES256);
    let text = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let genuine = sign(&es, &good, &pem);
    let (head, signature) = genuine.rsplit_once('.').expect("three parts");
    let body = text(&good.to_string());
    let mut rows = vec![];
    let mut row = |what: &str, token: String| rows.push((what.to_owned(), token));
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for end in ["", ".", ".x"] {
            row(
                "alg none",
                format!("{}.{body}{end}", text(&format!("{{\"alg\":\"{none}\"}}"))),
            );
        }
        row(
            "alg none, signed",
            format!(
                "{}.{body}.{signature}",
                text(&format!("{{\"alg\":\"{none}\",\"typ\":\"JWT\"}}"))
            ),
        );
    }
    // The public key, which everybody has, as a shared secret.
    let public = own.public_key_pem();
    for secret in [
        public.as_bytes().to_vec(),
        public.trim_end().as_bytes().to_vec(),
        own.public_key_raw().to_vec(),
        own.subject_public_key_info(),
        Vec::new(),
    ] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            row(
                "key confusion",
                sign(
                    &Header::new(algorithm),
                    &good,
                    &EncodingKey::from_secret(&secret),
                ),
            );
        }
    }
    row("another key", sign(&es, &good, &theirs));
    for (name, value) in [
        ("kid", "../../../../dev/null"),
        ("kid", "' UNION SELECT 'x"),
        ("kid", "|id"),
        ("jku", "https://evil.example/jwks.json"),
        ("x5u", "https://evil.example/cert.pem"),
        ("kid", "https://evil.example/key"),
    ] {
        let mut header = es.clone();
        match name {
            "jku" => header.jku = Some(value.to_owned()),
            "x5u" => header.x5u = Some(value.to_owned()),
            _ => header.kid = Some(value.to_owned()),
        }
        row(
            &format!("{name} of one's own"),
            sign(&header, &good, &theirs),
        );
    }
    let x5c = STANDARD.encode(other.subject_public_key_info());
    row(
        "a key brought along",
        format!(
            "{}.{body}.{signature}",
            text(&json!({"alg": "ES256", "x5c": [x5c]}).to_string())
        ),
    );
    for claims in [
        with("exp", json!(1_000_000_000)),
        with("exp", json!("4000000000")),
        with("exp", json!(null)),
        with("exp", json!(-1)),
        with("exp", json!([until])),
        with("nbf", json!(until - 1)),
        with("iss", json!("https://evil")),
        with("iss", json!(["https://evil"])),
        with("iss", json!(null)),
        with("iss", json!("")),
        with("aud", json!("other")),
        with("aud", json!(["other"])),
        with("aud", json!([])),
        with("aud", json!(null)),
        with("aud", json!({"forms": 1})),
    ] {
        row(&format!("claims {claims}"), sign(&es, &claims, &pem));
    }
    for claim in ["exp", "iss", "aud"] {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        row(&format!("without {claim}"), sign(&es, &claims, &pem));
    }
    row("no signature", format!("{head}."));
    row("half a signature", format!("{head}.{}", &signature[..40]));
    row(
        "zeros for a signature",
        format!("{head}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
    );
    row("a longer signature", format!("{head}.{signature}AA"));
    row("a padded signature", format!("{genuine}=="));
    row("four parts", format!("{genuine}.x"));
    row(
        "encrypted",
        format!("{}.a.b.c.d", text("{\"alg\":\"dir\",\"enc\":\"A256GCM\"}")),
    );
    row(
        "other claims",
        format!(
            "{}.{}.{signature}",
            text("{\"alg\":\"ES256\"}"),
            text(&with("sub", json!("admin")).to_string())
        ),
    );
    row("two tokens", format!("{genuine},{genuine}"));
    row("JSON", good.to_string());
    row(
        "a serialization in JSON",
        json!({"payload": body, "signatures": [{"signature": signature}]}).to_string(),
    );
    rows
}

#[tokio::test]
async fn a_token_that_is_not_ours_says_nothing_and_spares_nobody() {
    let (own, other) = (
        rcgen::KeyPair::generate().expect("a key"),
        rcgen::KeyPair::generate().expect("a key"),
    );
    let rules = "[form]\nsubmit = \"POST /contact\"\napi = { claim = \"api\" }\n[user_info]\nid = \"jwt:sub\"\n\
        [[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    let app = site()
        .rules("contact", rules)
        .jwt(formgate::codec::jwt::Settings {
            key: formgate::model::secret::Secret::new(own.public_key_pem()),
            algorithms: vec!["ES256".to_owned()],
            issuer: Some("https://login".to_owned()),
            audience: Some("forms".to_owned()),
            from: formgate::codec::jwt::TokenSource::Header("authorization".to_owned()),
        })
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    let rows = tokens(&own, &other);
    for (what, token) in &rows {
        for written in [format!("Bearer {token}"), token.clone()] {
            let before = app.hooks.count();
            let answer = app
                .post("/contact")
                .header("authorization", &written)
                .form("a=1")
                .send()
                .await;
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(
                app.hooks.count(),
                before + 1,
                "{what}: no hook was asked for {token}"
            );
            let call = app.hooks.received().pop().expect("a call").json();
            assert_eq!(call["user_info"], json!({}), "{what}: {token}");
        }
    }
    assert_eq!(rows.len(), 72);
    // And the one that is.
    let pem =
        jsonwebtoken::EncodingKey::from_ec_pem(own.serialize_pem().as_bytes()).expect("a key");
    let claims = json!({"sub": "ana", "api": true, "exp": 4_000_000_000_u64, "iss": "https://login", "aud": "forms"});
    let good = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256),
        &claims,
        &pem,
    )
    .expect("a token");
    let before = app.hooks.count();
    app.post("/contact")
        .header("authorization", &format!("Bearer {good}"))
        .form("a=1")
        .send()
        .await;
    assert_eq!(app.hooks.count(), before);
    let log = app.log.text();
    assert!(
        !log.contains(&good) && rows.iter().all(|(_, token)| !log.contains(token.as_str())),
        "a token is in the log"
    );
}
