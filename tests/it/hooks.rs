//! What a responder is told (protocol §2): the call to the letter, its headers and signatures, and when it is called.

use formgate::codec::jwt::Settings;
use formgate::codec::jwt::TokenSource;
use formgate::model::secret::Secret;
use ipnet::IpNet;
use serde_json::Value;
use serde_json::json;

use crate::support::app;
use crate::support::peer::Script;
use crate::support::site;

const QUIET: &str = "[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";

#[tokio::test]
async fn the_call_is_as_the_protocol_says() {
    let rules = format!(
        r#"
[form]
id = "enrollment"
title = "Camp enrolment"
submit = "POST /camps/{{camp}}/enroll"
hidden = ["card"]
csrf = ["csrfmiddlewaretoken"]
[user_info]
id = "header:x-user-id"
session = "cookie:uid"
email = "field:email"
camp = "param:camp"
gone = "header:x-gone"
secret = "field:card"
[fields.age]
type = "integer"
{QUIET}"#
    );
    let app = site()
        .rules("contact", &rules)
        .configure(|config| config.project = "summer-camp".to_owned())
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    let answer = app
        .post("/camps/lake%20side/enroll?utm_source=news&gclid=G1&card=4111")
        .header("x-user-id", "u-17")
        .header("cookie", "uid=s-1; _ga=GA1.2.111.222; _gid=GA1.2.3.4; _fbp=fb.1; _fbc=fb.2")
        .header("user-agent", "Browser/1 \"x\"")
        .header("referer", "https://forms.example.org/?fbclid=F1&utm_medium=mail&password=pw&a=b")
        .header("accept-language", "en-GB,en;q=0.9,de;q=0.8")
        .form("email=ana%40example.org&age=12&tag=a&tag=b&empty=&card=4111&password=pw&csrfmiddlewaretoken=T&name=Zo%C3%AB+%22Q%22")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    let mut call = app.hooks.only().json();
    let meta = &mut call["meta_info"];
    let sent_at = meta["sent_at"].take();
    let request_id = meta["request_id"].take();
    let submitted_at = call["form_info"]["submitted_at"].take();
    for time in [&sent_at, &submitted_at] {
        let time = time.as_str().expect("a time");
        assert!(
            time.len() == 24 && time.starts_with("20") && time.ends_with('Z'),
            "{time}"
        );
    }
    let expected = json!({
        "event": "form_preprocess_enrollment",
        "user_info": {"id": "u-17", "session": "s-1", "email": "ana@example.org", "camp": "lake side"},
        "meta_info": {
            "project": "summer-camp", "request_id": null, "sent_at": null, "run": 1, "ip": "127.0.0.1",
            "user_agent": "Browser/1 \"x\"",
            "referer": "https://forms.example.org/?fbclid=F1&utm_medium=mail&a=b", "locale": "en-GB",
        },
        "form_info": {
            "id": "enrollment", "title": "Camp enrolment", "method": "POST", "path": "/camps/lake%20side/enroll",
            "params": {"camp": "lake side"},
            "query": {"utm_source": "news", "gclid": "G1"}, "content_type": "application/x-www-form-urlencoded",
            "submitted_at": null, "submission_id": null, "result": null,
        },
        "doc": {"email": "ana@example.org", "age": 12, "tag": ["a", "b"], "empty": "", "name": "Zoë \"Q\""},
        "analytics": {
            "google": {"client_id": "111.222", "gid": "3.4", "gclid": "G1"},
            "facebook": {"fbp": "fb.1", "fbc": "fb.2", "fbclid": "F1"},
            "utm": {"source": "news", "medium": "mail"},
        },
    });
    assert_eq!(call, expected);
    let keys: Vec<&String> = call.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "event",
            "user_info",
            "meta_info",
            "form_info",
            "doc",
            "analytics"
        ]
    );
    // The same id everywhere: in the call, towards the backend, in the log.
    let id = request_id.as_str().expect("an id");
    assert_eq!(app.hooks.only().header("x-request-id"), Some(id));
    assert_eq!(app.backend.only().header("x-request-id"), Some(id));
    assert_eq!(app.log.jobs()[0]["request_id"], id);
}

#[tokio::test]
async fn files_are_told_of_and_kept() {
    let app = app(&format!("[form]\nsubmit = \"POST /contact\"\n{QUIET}")).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.post("/contact")
        .multipart(&[
            ("content-disposition: form-data; name=\"name\"", "Ana"),
            (
                "content-disposition: form-data; name=\"photo\"; filename=\"a \u{e9}.txt\"\r\ncontent-type: text/plain",
                "abc",
            ),
        ])
        .send()
        .await;
    let call = app.hooks.only().json();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(
        call["doc"],
        json!({"name": "Ana", "photo": {"filename": "a é.txt", "content_type": "text/plain", "size": 3, "sha256": sha256}})
    );
    assert_eq!(
        call["form_info"]["content_type"],
        "multipart/form-data; boundary=XX"
    );
}

#[tokio::test]
async fn a_load_call_has_no_form_info_and_an_empty_doc() {
    let app =
        app("[form]\nload = \"GET /contact\"\n[[hook]]\non = \"load\"\nurl = \"HOOK/load\"\n")
            .await;
    app.hooks.always(Script::answer(204, "", ""));
    assert_eq!(app.get("/contact?x=1").page().send().await.status, 200);
    let call = app.hooks.only().json();
    assert_eq!(call["event"], "form_load_contact");
    let id = call["meta_info"]["request_id"].as_str();
    let passed = app.backend.only();
    assert!(
        id.is_some() && passed.header("x-request-id") == id,
        "{id:?}"
    );
    assert_eq!((call.get("form_info"), &call["doc"]), (None, &json!({})));
    // A page that is only looked up fires nothing.
    app.ask("HEAD", "/contact").send().await;
    app.ask("OPTIONS", "/contact").send().await;
    assert_eq!(app.hooks.count(), 1);
    assert_eq!(app.backend.count(), 3);
}

#[tokio::test]
async fn claims_count_only_if_they_are_verified() {
    let secret = "a secret of some length that nobody knows";
    let rules = format!(
        "[form]\nsubmit = \"POST /contact\"\n[user_info]\nid = \"jwt:sub\"\nrole = \"jwt:realm.role\"\n{QUIET}"
    );
    let app = site()
        .rules("contact", &rules)
        .jwt(Settings {
            key: Secret::new(secret),
            algorithms: vec!["HS256".to_owned()],
            issuer: None,
            audience: None,
            from: TokenSource::Header("authorization".to_owned()),
        })
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    let claims = json!({"sub": "u-1", "realm": {"role": "admin"}, "exp": 4_000_000_000_u64});
    let token = |secret: &str, claims: &Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("a token")
    };
    let old = json!({"sub": "u-1", "exp": 1_000_000_000});
    for (token, expected) in [
        (
            token(secret, &claims),
            json!({"id": "u-1", "role": "admin"}),
        ),
        (
            token("another secret, just as long as it", &claims),
            json!({}),
        ),
        (token(secret, &old), json!({})),
        ("x.y.z".to_owned(), json!({})),
    ] {
        let bearer = format!("Bearer {token}");
        app.post("/contact")
            .header("authorization", &bearer)
            .form("a=1")
            .send()
            .await;
        let call = app.hooks.received().pop().expect("a call").json();
        assert_eq!(call["user_info"], expected);
    }
}

#[tokio::test]
async fn a_hook_gets_the_fields_it_names_and_is_called_when_it_applies() {
    let rules = r#"
[form]
submit = "POST /contact"
[[hook]]
on = "preprocess"
url = "HOOK/some"
fields = ["email", "age", "password", "gone"]
[[hook]]
on = "preprocess"
url = "HOOK/adults"
when = "@.doc.age == '30' && @.user_info.id"
[[hook]]
on = "preprocess"
url = "HOOK/internal"
matches = { "$.doc.email" = '@example\.org$', "$.form_info.method" = "^POST$" }
[[hook]]
on = "preprocess"
url = "HOOK/off"
mode = "off"
[user_info]
id = "header:x-user"
"#;
    let app = app(rules).await;
    app.hooks.always(Script::answer(204, "", ""));
    for (body, user, paths) in [
        (
            "email=a%40example.org&age=30&password=p&city=Bern",
            "u",
            &["/some", "/adults", "/internal"][..],
        ),
        ("email=a%40example.com&age=30", "", &["/some"]),
        ("email=a%40example.com&age=30", "u", &["/some", "/adults"]),
        ("age=3", "u", &["/some"]),
    ] {
        let before = app.hooks.count();
        let mut ask = app.post("/contact").form(body);
        if !user.is_empty() {
            ask = ask.header("x-user", user);
        }
        ask.send().await;
        let calls = app.hooks.received().split_off(before);
        let called: Vec<&str> = calls.iter().map(|call| call.path()).collect();
        assert_eq!(called, paths, "{body} {user}");
    }
    let first = app.hooks.received().remove(0).json();
    assert_eq!(first["doc"], json!({"email": "a@example.org", "age": "30"}));
}

#[tokio::test]
async fn headers_say_what_a_responder_needs() {
    let rules = r#"
[form]
submit = "POST /contact"
[[hook]]
on = "preprocess"
url = "HOOK/hooks/{form}/{event}?key=1"
timeout = "2s"
headers = { authorization = "env:CARGO_PKG_NAME", x-team = "a b" }
"#;
    let app = app(rules).await;
    app.hooks.always(Script::answer(204, "", ""));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    app.post("/contact")
        .header("traceparent", parent)
        .header("cookie", "session=secret")
        .header("authorization", "Bearer the person's own")
        .form("a=1")
        .send()
        .await;
    let call = app.hooks.only();
    assert_eq!(
        (call.method.as_str(), call.target.as_str()),
        ("POST", "/hooks/contact/form_preprocess_contact?key=1")
    );
    let is = |name: &str, value: &str| assert_eq!(call.headers_of(name), [value], "{name}");
    is("host", &app.hooks.address().to_string());
    is("content-type", "application/json");
    is("accept", "application/json");
    is("formgate-event", "form_preprocess_contact");
    is("formgate-depth", "1");
    is("authorization", "formgate");
    is("x-team", "a b");
    is("content-length", &call.body.len().to_string());
    assert_eq!(
        call.header("cookie"),
        None,
        "the person's own headers stay here"
    );
    assert_eq!(
        call.header("webhook-signature"),
        None,
        "no key, no signature"
    );
    let left: u64 = call
        .header("formgate-timeout-ms")
        .expect("a time")
        .parse()
        .expect("a number");
    assert!((1..=2000).contains(&left), "{left}");
    let trace = call.header("traceparent").expect("a trace");
    assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"));
    assert_ne!(trace, parent, "the call is a span of its own");
    let stamp: i64 = call
        .header("webhook-timestamp")
        .expect("a time")
        .parse()
        .expect("seconds");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 60..=now + 1).contains(&stamp));
    let job = &app.log.jobs()[0];
    assert_eq!(call.header("webhook-id"), job["id"].as_str());
    let url = job["url"].as_str().expect("a URL");
    assert!(
        url.ends_with("/hooks/contact/form_preprocess_contact"),
        "without its query: {url}"
    );
}

#[tokio::test]
async fn signatures_hold_before_during_and_after_a_rotation() {
    // Three keys in files, as an operator would keep them.
    let folder = tempfile::tempdir().expect("a folder");
    let secret = |name: &str, byte: char| {
        let key = format!("whsec_{}", byte.to_string().repeat(32));
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{key}\n")).expect("written");
        (key, path.display().to_string())
    };
    let (old, old_file) = secret("old", 'A');
    let (new, new_file) = secret("new", 'B');
    let (other, _) = secret("other", 'C');
    let rules = |files: &[&String]| {
        let files: Vec<String> = files
            .iter()
            .map(|file| format!("\"file:{file}\""))
            .collect();
        format!(
            "[form]\nsubmit = \"POST /contact\"\n{QUIET}secrets = [{}]\n",
            files.join(", ")
        )
    };
    let app = app(&rules(&[&old_file])).await;
    app.hooks.always(Script::answer(204, "", ""));
    for (files, signatures, taken) in [
        (vec![&old_file], 1, [true, false]),
        (vec![&new_file, &old_file], 2, [true, true]),
        (vec![&new_file], 1, [false, true]),
    ] {
        app.reload(&rules(&files));
        app.post("/contact").form("name=Zo%C3%AB").send().await;
        let call = app.hooks.received().pop().expect("a call");
        let signature = call.header("webhook-signature").expect("signed");
        assert_eq!(signature.split(' ').count(), signatures);
        let mut headers = http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let value = call.header(name).expect("there").parse().expect("a value");
            headers.insert(name, value);
        }
        let verified = |key: &str| {
            let webhook = standardwebhooks::Webhook::new(key).expect("a key");
            webhook.verify(&call.body, &headers).is_ok()
        };
        assert_eq!([verified(&old), verified(&new)], taken);
        assert!(!verified(&other));
        let mut changed = call.body.clone();
        changed[10] ^= 1;
        let webhook = standardwebhooks::Webhook::new(if taken[1] { &new } else { &old });
        assert!(webhook.expect("a key").verify(&changed, &headers).is_err());
    }
}

#[tokio::test]
async fn the_event_of_all_forms_and_the_forms_own_both_fire() {
    let all = "[form]\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/all\"\n[[hook]]\non = \"submit\"\nurl = \"HOOK/all-after\"\n";
    let own = format!(
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"submit\"\nurl = \"HOOK/after\"\n{QUIET}"
    );
    let app = site()
        .rules("all-forms", all)
        .rules("contact", &own)
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    app.post("/contact").form("a=1").send().await;
    let events: Vec<String> = app
        .hooks
        .received()
        .iter()
        .map(|call| {
            format!(
                "{} {}",
                call.path(),
                call.json()["event"].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        events,
        [
            "/all form_preprocess",
            "/check form_preprocess_contact",
            "/all-after form_submit",
            "/after form_submit_contact"
        ]
    );
}

#[tokio::test]
async fn an_address_that_is_never_called_is_not_called() {
    for (url, why) in [
        ("http://169.254.169.254/latest", "link-local"),
        ("http://[::ffff:169.254.169.254]/latest", "link-local"),
        ("http://2852039166/latest", "link-local"),
        ("http://100.100.100.200/latest", "metadata"),
        ("http://0.0.0.0:1/", "unspecified"),
        ("http://224.0.0.1/", "multicast"),
    ] {
        let app = app(&format!(
            "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"{url}\"\n"
        ))
        .await;
        let answer = app.post("/contact").form("a=1").send().await;
        assert_eq!((answer.status, app.backend.count()), (503, 0), "{url}");
        let jobs = app.log.jobs();
        let [job] = jobs.as_slice() else {
            panic!("{url}: {jobs:?}")
        };
        assert_eq!(job["outcome"], json!("failed"), "{url}: {job:?}");
        assert!(!job.contains_key("connect_ms"), "{url}: {job:?}");
        let faults = job["faults"].to_string();
        assert!(faults.contains(why), "{url}: {faults}");
    }
}

#[tokio::test]
async fn hooks_are_called_only_where_the_operator_allows_it() {
    let contact = |url: &str| {
        format!(
            "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"{url}\"\n"
        )
    };
    let nets = |nets: &[&str]| {
        nets.iter()
            .map(|net| net.parse().expect("a network"))
            .collect::<Vec<IpNet>>()
    };
    let here = ["127.0.0.0/8", "::1/128"];
    for (allow, deny, why) in [
        (None, vec![], None),
        (Some(nets(&here)), vec![], None),
        (
            Some(nets(&["10.0.0.0/8"])),
            vec![],
            Some("127.0.0.1 is in no network of `egress.allow`"),
        ),
        (
            None,
            nets(&here),
            Some("127.0.0.1 is in 127.0.0.0/8 of `egress.deny`"),
        ),
        (
            Some(nets(&here)),
            nets(&["127.0.0.1/32"]),
            Some("127.0.0.1/32 of `egress.deny`"),
        ),
    ] {
        let site = site()
            .rules("contact", &contact("HOOK/check"))
            .configure(|config| {
                config.egress.allow = allow;
                config.egress.deny = deny;
            });
        let app = site.start().await;
        app.hooks.always(Script::answer(204, "", ""));
        let port = app.hooks.address().port();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"] {
            app.reload(&contact(&format!("http://{host}:{port}/check")));
            let answer = app.post("/contact").form("a=1").send().await;
            let jobs = app.log.jobs();
            let job = jobs.last().expect("a job");
            let Some(why) = why else {
                assert_eq!(
                    (answer.status, &job["outcome"]),
                    (200, &json!("continued")),
                    "{host}: {job:?}"
                );
                continue;
            };
            assert_eq!(
                (answer.status, &job["outcome"]),
                (503, &json!("failed")),
                "{host}: {job:?}"
            );
            assert!(job["faults"].to_string().contains(why), "{host}: {job:?}");
            assert_eq!(job["run"], json!(1), "it would be refused again");
            // Nothing of it is the person's business.
            assert!(!answer.text().contains("egress") && !answer.text().contains("127.0"));
        }
        // Nobody even connects there; the backend, on the same address, is the operator's own.
        if why.is_some() {
            assert_eq!((app.hooks.connections(), app.backend.count()), (0, 0));
            assert_eq!(app.get("/other").send().await.status, 200);
        }
    }
}
