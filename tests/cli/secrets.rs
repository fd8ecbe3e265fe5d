//! Planted values: a full run of the real program – every way a hook can go, bodies of every kind, reloads with bad
//! secrets, all commands – at the finest log level, and then a search of everything that came out of it.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::serving::Serving;
use crate::support::Folder;
use crate::support::Request;
use crate::support::Server;

/// What a person sends and nobody but the backend may see.
const HIDDEN: [&str; 11] = [
    "planted-card",
    "planted-password",
    "planted-pwd",
    "planted-nested-password",
    "planted-csrf",
    "planted-cookie",
    "planted-bearer",
    "planted-content",
    "planted-token",
    "planted-page-password",
    "planted-page-card",
];

/// What a person sends and hooks may know, but no log.
const PERSONAL: [&str; 8] = [
    "planted-query",
    "planted-name",
    "planted-filename",
    "planted-user",
    "planted-agent",
    "planted-referer",
    "planted-sub",
    "planted-broken",
];

/// What an operator keeps in the environment or in files.
const OPERATORS: [&str; 11] = [
    "planted-whsec",
    "planted-hook-header",
    "planted-jwt-key",
    "planted-gateway-key",
    "planted-api-token",
    "planted-otlp",
    "planted-proxy",
    "planted-url-token",
    "planted-bad-secret",
    "planted-backend-password",
    "planted-new-secret",
];

/// The same text as others would write it: plain, in hexadecimal, and in base64 wherever it begins.
fn spellings(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        text.to_owned(),
        text.replace('-', "%2D"),
        text.replace('-', "\\u002d"),
        hex,
    ];
    for shift in 0..3 {
        let shifted = STANDARD.encode([&b"xx"[..shift], text.as_bytes()].concat());
        // Without the characters that other bytes have a part in.
        let from = (shift * 8).div_ceil(6);
        all.push(shifted[from..shifted.trim_end_matches('=').len() - 1].to_owned());
    }
    all
}

/// Looks for planted values; where they are, and what stands around them.
fn search(place: &str, text: &str, planted: &[&str]) {
    for value in planted {
        for spelling in spellings(value) {
            if let Some(at) = text.find(&spelling) {
                let around = &text[text.floor_char_boundary(at.saturating_sub(300))
                    ..text.ceil_char_boundary((at + 200).min(text.len()))];
                panic!("{value} is in {place}, written {spelling}: … {around} …");
            }
        }
    }
}

const PAGE: &str = "<!doctype html><html><body><form method=post><input name=name value=x><input type=password name=password value=planted-page-password>\
    <input type=hidden name=card value=planted-page-card></form></body></html>";

/// What each form's hook does.
const WAYS: [&str; 14] = [
    "silent",
    "stop",
    "patch",
    "redirect",
    "conflict",
    "faulty",
    "html",
    "twice",
    "failing",
    "moved",
    "slow",
    "refused",
    "elsewhere",
    "deep",
];

fn respond(request: &Request) -> (u16, String) {
    let way = request.path.split(['/', '?']).nth(1).unwrap_or_default();
    match way {
        "stop" => (200, json!({"msg": "No.", "msg_type": "error", "errors": {"card": "No.", "password": "No."}, "focus_on": "card"}).to_string()),
        "patch" => (200, json!({"jdoc": {"name": "Ana", "card": "x", "password": "y", "new": "z"}, "msg": "Better."}).to_string()),
        "redirect" => (200, json!({"redirect": "/thanks", "msg": "Go."}).to_string()),
        "conflict" => (200, json!({"msg": "No.", "msg_type": "error", "jdoc": {"name": "Ana"}}).to_string()),
        "faulty" => (200, json!({"msg_type": "err", "jdoc": {"photo": "x"}}).to_string()),
        "html" => (200, "<html>".to_owned()),
        "twice" => (200, "{\"msg\": 1, \"msg\": 2}".to_owned()),
        "failing" => (500, "{}".to_owned()),
        "moved" => (302, String::new()),
        "slow" => {
            thread::sleep(Duration::from_millis(400));
            (204, String::new())
        }
        "deep" => (200, format!("{{\"debug\": {}}}", "[".repeat(90))),
        _ => (204, String::new()),
    }
}

fn rules(way: &str, responder: &str) -> String {
    let base = match way {
        "refused" => "http://127.0.0.1:9",
        "elsewhere" => "http://169.254.169.254",
        _ => responder,
    };
    let hook = |on: &str| {
        format!(
            "[[hook]]\non = \"{on}\"\nname = \"{way}-{on}\"\nurl = \"{base}/{way}?token=planted-url-token\"\nsecrets = [\"env:HOOK_SECRET\", \"file:old.secret\"]\n\
             headers = {{ authorization = \"env:HOOK_HEADER\" }}\ntimeout = \"200ms\"\non_failure = \"{}\"\nbreaker = {{ failures = 0 }}\n",
            if on == "preprocess" {
                "stop"
            } else {
                "continue"
            }
        )
    };
    format!(
        "[form]\nsubmit = \"POST /f/{way}\"\nload = \"GET /f/{way}\"\nload_doc = \"page\"\nhidden = [\"card\"]\ncsrf = [\"csrf\"]\non_conflict = \"stop\"\n\
         api = {{ tokens = [\"env:API_TOKEN\"] }}\n[user_info]\nid = \"header:x-user\"\nsub = \"jwt:sub\"\n\
         [fields.name]\nmaxlength = 100\n[fields.card]\nmaxlength = 100\n{}{}{}\
         [[case]]\nname = \"a case\"\ndoc = {{ name = \"Zoe\", card = \"planted-card\", password = \"planted-password\" }}\nexpect = {{ outcome = \"stopped\" }}\n",
        hook("load"),
        hook("preprocess"),
        hook("submit")
    )
}

/// Bodies of every kind, good and bad, with their types.
fn bodies() -> Vec<(&'static str, String)> {
    let form = "name=planted-name&card=planted-card&password=planted-password&user%5Bpwd%5D=planted-pwd&csrf=planted-csrf";
    let part = |name: &str, more: &str, value: &str| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
    };
    let file = |size: usize| {
        part(
            "photo",
            "; filename=\"planted-filename.jpg\"\r\nContent-Type: image/jpeg",
            &"planted-content ".repeat(size),
        )
    };
    let parts = |size: usize| {
        [
            part("name", "", "planted-name"),
            part("card", "", "planted-card"),
            part("password", "", "planted-password"),
            part("csrf", "", "planted-csrf"),
            file(size),
        ]
        .concat()
    };
    let multipart = "multipart/form-data; boundary=XX";
    vec![
        ("application/x-www-form-urlencoded", form.to_owned()),
        ("application/x-www-form-urlencoded", format!("{form}&_charset_=planted-broken&%zz=planted-password")),
        (multipart, format!("{}--XX--\r\n", parts(1))),
        (multipart, format!("{}--XX--\r\n", parts(20_000))),
        (multipart, format!("{}--XX\r\nX: planted-broken\r\n\r\nplanted-password", parts(1))),
        (
            "application/json",
            json!({"name": "planted-name", "card": "planted-card", "user": {"password": "planted-nested-password", "card": "planted-card"}, "csrf": "planted-csrf"}).to_string(),
        ),
        ("application/json", "{\"password\": \"planted-password\", \"card\": planted-card}".to_owned()),
        ("application/json", "{\"password\": \"planted-password\", \"password\": \"planted-pwd\"}".to_owned()),
        ("text/plain", "name=planted-name\r\npassword=planted-password\r\ncard=planted-card\r\n".to_owned()),
        ("text/other", form.to_owned()),
        (multipart, format!("{}--XX--\r\n", part("name", "", &"planted-password".repeat(100_000)))),
    ]
}

/// Sends a request as this person; everything that was answered.
fn ask(
    address: &str,
    method: &str,
    path: &str,
    accept: &str,
    body: Option<&(&str, String)>,
    token: &str,
) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut request = format!(
        "{method} {path}?q=planted-query HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: {accept}\r\ncookie: session=planted-cookie; login={token}\r\n\
         x-user: planted-user\r\nuser-agent: planted-agent\r\nreferer: http://localhost/x?planted-referer\r\n"
    );
    if !token.is_empty() {
        request.push_str("authorization: Bearer planted-bearer\r\n");
    }
    if let Some((kind, body)) = body {
        request.push_str(&format!(
            "content-type: {kind}\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    if let Some((_, body)) = body {
        // It may be refused before it has come.
        let _ = stream.write_all(body.as_bytes());
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A login token whose claims may be told, but not the token.
fn login() -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(b"planted-jwt-key-0123456789abcdef");
    let claims = json!({"sub": "planted-sub", "exp": 4_000_000_000_u64, "jti": "planted-token"});
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

fn configuration(backend: &str, collector: &str, log: &str) -> String {
    format!(
        "backend = \"{backend}\"\nkey = \"env:GATEWAY_KEY\"\nlog = \"trace\"\n[limits]\nspool_above = \"1KiB\"\nspool_folder = \"spool\"\nbody = \"1MiB\"\n\
         [jwt]\nkey = \"env:JWT_KEY\"\nalgorithms = [\"HS256\"]\nfrom = \"cookie:login\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [telemetry]\nlog = \"{log}\"\naccess_log = \"{log}\"\naccess_log_file = \"access.log\"\notlp = \"{collector}\"\notlp_headers = [\"authorization=env:OTLP_HEADER\"]\n\
         [egress]\nproxy = \"http://127.0.0.1:9\"\nproxy_credentials = \"env:PROXY\"\nno_proxy = [\"127.0.0.1\", \"169.254.169.254\"]\n"
    )
}

fn folder(backend: &Server, responder: &Server, collector: &Server, log: &str) -> Folder {
    let key = |text: &str| {
        format!(
            "whsec_{}",
            STANDARD.encode(format!("{text}-0123456789abcdef0123"))
        )
    };
    let folder = Folder::new()
        .set("HOOK_SECRET", &key("planted-whsec"))
        .set("HOOK_HEADER", "Bearer planted-hook-header")
        .set("JWT_KEY", "planted-jwt-key-0123456789abcdef")
        .set("GATEWAY_KEY", "planted-gateway-key-0123456789abcdef")
        .set("API_TOKEN", "planted-api-token")
        .set("OTLP_HEADER", "planted-otlp")
        .set("PROXY", "user:planted-proxy");
    folder.write(
        "formgate.toml",
        &configuration(&backend.url(), &collector.url(), log),
    );
    folder.write("rules/old.secret", &key("planted-whsec"));
    folder.write("spool/.keep", "");
    for way in WAYS {
        folder.write(&format!("rules/{way}.toml"), &rules(way, &responder.url()));
    }
    folder
}

/// Everything that people do at the gateway; what they are answered.
fn people(serving: &Serving) -> Vec<String> {
    let token = login();
    let mut answers = Vec::new();
    for way in WAYS {
        let path = format!("/f/{way}");
        answers.push(ask(
            &serving.address,
            "GET",
            &path,
            "text/html",
            None,
            &token,
        ));
        for (at, body) in bodies().iter().enumerate() {
            let accept = ["text/html", "*/*"][at % 2];
            answers.push(ask(
                &serving.address,
                "POST",
                &path,
                accept,
                Some(body),
                &token,
            ));
        }
    }
    answers.push(ask(
        &serving.address,
        "GET",
        "/elsewhere",
        "*/*",
        None,
        &token,
    ));
    answers.push(ask(
        &serving.address,
        "POST",
        "/f/silent\r\nx: planted-password",
        "*/*",
        None,
        &token,
    ));
    answers
}

fn commands(folder: &Folder) -> String {
    folder.write(
        "doc.json",
        &json!({"name": "Ana", "card": "planted-card", "password": "planted-password", "user": {"pwd": "planted-pwd"}, "csrf": "planted-csrf"}).to_string(),
    );
    let mut said = String::new();
    for arguments in [
        "check",
        "check --json",
        "config",
        "config --json",
        "test",
        "test --json",
        "schema rules",
        "explain stop",
        "explain stop --json",
        "try stop --doc doc.json",
        "try patch --doc doc.json --json",
        "try stop --live --doc doc.json",
        "try failing --live --json --doc doc.json",
        "send stop preprocess --doc doc.json",
        "send patch preprocess --doc doc.json --json",
        "send failing submit --doc doc.json",
        "send refused preprocess --doc doc.json",
        "send elsewhere preprocess",
        "send moved load --json",
        "send slow preprocess --doc doc.json",
        "serve --backend http://user:planted-backend-password@localhost",
        "config --backend http://user:planted-backend-password@localhost",
        "send stop preprocess --secret env:HOOK_HEADER",
        "send stop preprocess --secret whsec_planted-bad-secret",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let ran = folder.run(&words);
        said.push_str(&format!(
            "\n$ formgate {}\n{}{}",
            words[0], ran.stdout, ran.stderr
        ));
    }
    said
}

fn calls(server: &Server) -> String {
    let requests = server.requests();
    requests
        .iter()
        .map(|request| format!("{request:?}\n"))
        .collect()
}

/// All a full run says anywhere.
#[expect(
    clippy::too_many_lines,
    reason = "one run, from its start to the search"
)]
fn run(log: &str) -> String {
    let backend = Server::begin(|request| match request.path.as_str() {
        path if path.starts_with("/f/deep") && request.method == "POST" => (500, "{}".to_owned()),
        _ if request.method == "GET" => (200, PAGE.to_owned()),
        _ => (201, "{\"id\": 17}".to_owned()),
    });
    let responder = Server::begin(respond);
    let collector = Server::begin(|_| (200, String::new()));
    let folder = folder(&backend, &responder, &collector, log);
    let mut serving = Serving::begin(&folder, &[], &[]);
    let answers = people(&serving);
    let admin = serving.hello["admin"]
        .as_str()
        .map(|url| url.trim_start_matches("http://").to_owned());
    let metrics = admin
        .map(|address| ask(&address, "GET", "/metrics", "*/*", None, ""))
        .unwrap_or_default();
    // A reload with a secret that is none, with one that is gone, and with a new one.
    for (secret, mark) in [
        ("whsec_planted-bad-secret!", "old.secret"),
        ("whsec_planted-bad-secret=", "old.secret"),
    ] {
        folder.write("rules/old.secret", secret);
        serving.signal("HUP");
        serving.wait_for_log(mark);
    }
    folder.write(
        "rules/old.secret",
        &format!(
            "whsec_{}",
            STANDARD.encode("planted-new-secret-0123456789abc")
        ),
    );
    folder.write(
        "formgate.toml",
        &configuration(
            &backend.url(),
            "http://planted-otlp:planted-otlp@localhost",
            log,
        ),
    );
    serving.signal("HUP");
    ask(
        &serving.address,
        "POST",
        "/f/stop",
        "*/*",
        bodies().first(),
        &login(),
    );
    serving.signal("TERM");
    assert_eq!(serving.ended(), Some(0), "{}", serving.log());
    folder.write(
        "formgate.toml",
        &configuration(&backend.url(), &collector.url(), log),
    );

    let (log, access) = (
        serving.log(),
        fs::read_to_string(folder.join("access.log")).expect("an access log"),
    );
    let (calls, traces) = (calls(&responder), calls(&collector));
    let said = commands(&folder);

    // They are there where they belong, so that they could be found.
    assert!(
        calls.contains("planted-name")
            && calls.contains("planted-user")
            && calls.contains("planted-sub"),
        "{calls}"
    );
    let sent = self::calls(&backend);
    for value in [
        "planted-card",
        "planted-password",
        "planted-csrf",
        "planted-content",
        "planted-bearer",
        "planted-cookie",
    ] {
        assert!(sent.contains(value), "the backend got no {value}");
    }
    assert!(
        log.contains("formgate::job")
            && access.lines().count() > 100
            && traces.contains("/v1/traces"),
        "{traces}"
    );
    assert!(metrics.contains("formgate_"), "{metrics}");

    let token = login();
    let parts: Vec<&str> = token.split('.').skip(1).collect();
    let operators: Vec<&str> = OPERATORS.iter().copied().chain(parts.clone()).collect();
    let own_header = ["planted-hook-header", "planted-url-token"];
    let hidden: Vec<&str> = HIDDEN.iter().copied().chain(parts).collect();
    let all: Vec<&str> = [&HIDDEN[..], &PERSONAL, &operators].concat();
    search("the log", &log, &all);
    search("the access log", &access, &all);
    search("the metrics", &metrics, &all);
    // The collector gets the header that is meant for it.
    let for_collector: Vec<&str> = all
        .iter()
        .copied()
        .filter(|value| *value != "planted-otlp")
        .collect();
    search("the traces", &traces, &for_collector);
    // A URL stands in the rule file as it is, for whoever may read that.
    let for_operator = [&hidden[..], &operators].concat();
    let for_operator: Vec<&str> = for_operator
        .into_iter()
        .filter(|value| *value != "planted-url-token")
        .collect();
    search("the commands' output", &said, &for_operator);
    let for_responder: Vec<&str> = [&hidden[..], &operators].concat();
    let for_responder: Vec<&str> = for_responder
        .into_iter()
        .filter(|value| !own_header.contains(value))
        .collect();
    search("a call", &calls, &for_responder);
    for value in &operators {
        // The person's own token passes.
        if value.starts_with("planted") {
            search("what the backend got", &sent, &[value]);
        }
    }
    for answer in &answers {
        // A page's own values are its own.
        let others: Vec<&str> = hidden
            .iter()
            .chain(&operators)
            .copied()
            .filter(|value| !value.starts_with("planted-page"))
            .collect();
        search("an answer", answer, &others);
    }
    let left: Vec<_> = fs::read_dir(folder.join("spool"))
        .expect("the folder")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    assert_eq!(left, [".keep"], "temporary files are left");
    let cores: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.starts_with("core") || name.contains("crash") || name.contains("panic"))
        .collect();
    assert_eq!(cores, Vec::<String>::new(), "a report of a crash");
    format!(
        "searched for {} values in {} spellings each: {} bytes of log, {} of access log, {} of traces, {} of calls, {} of output, {} answers",
        all.len(),
        spellings("x-y").len(),
        log.len(),
        access.len(),
        traces.len(),
        calls.len(),
        said.len(),
        answers.len()
    )
}

#[test]
fn planted_values_are_nowhere_but_where_they_belong() {
    println!("{}", run("text"));
    println!("{}", run("json"));
}

#[test]
fn the_search_finds_every_spelling() {
    let text = "planted-password";
    for shift in 0..3 {
        let within = format!("{}{text}{}", "abc".get(..shift).unwrap_or_default(), "tail");
        let written = STANDARD.encode(&within);
        assert!(
            spellings(text).iter().any(|one| written.contains(one)),
            "{written}"
        );
    }
}
