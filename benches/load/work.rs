//! What is measured: requests, the rule files they meet, and the answers that are right. Owns the list of works and
//! the series in which one thing grows.

use std::net::SocketAddr;
use std::rc::Rc;

use form_urlencoded::Serializer;
use serde_json::json;

use crate::http::Message;
use crate::site;
use crate::site::Site;

const BOUNDARY: &str = "----LoadBoundary7MA4YWxkTrZu0gW";

const FIELDS: [(&str, &str); 12] = [
    ("first_name", "Zoë"),
    ("last_name", "van der Berg & Söhne"),
    ("email", "zoe.vanderberg+forms@example.org"),
    ("phone", "+49 30 901820"),
    ("company", "Example \"Quoted\" GmbH"),
    ("street", "Unter den Linden 77, 3. OG"),
    ("city", "Berlin"),
    ("postcode", "10117"),
    ("country", "DE"),
    ("newsletter", "yes"),
    (
        "message",
        "Hello,\r\nI would like to ask about your offer: is 100% of the form = data checked before it is stored? \
         Please call me back between 9 and 17 o'clock, thank you very much. Regards, Zoë",
    ),
    ("csrf_token", "b7c9e1f2a4d84c0f9e3b6a5d7c8f9012"),
];

/// One kind of request.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) name: String,
    /// What it is, for the table.
    pub(crate) what: String,
    /// The request's bytes.
    pub(crate) ask: Rc<[u8]>,
    pub(crate) expects: Expects,
    /// How many ask at the same time.
    pub(crate) connections: usize,
    /// How many more are open and say nothing.
    pub(crate) idle: usize,
    setup: Setup,
}

/// The answer that is right.
#[derive(Debug, Clone)]
pub(crate) enum Expects {
    /// This status, and exactly this body.
    Whole(u16, Rc<[u8]>),
    /// This status, and a body that holds this text.
    Holds(u16, &'static str),
    /// Whatever comes.
    Anything,
}

/// The rule files a work meets.
#[derive(Debug, Clone)]
struct Setup {
    /// The responder's path.
    hook: &'static str,
    hooks: usize,
    rules: usize,
    forms: usize,
}

impl Expects {
    /// What is not right about an answer.
    pub(crate) fn differs(&self, answer: &Message<'_>) -> Option<String> {
        let (status, right) = match self {
            Self::Anything => return None,
            Self::Whole(status, body) => (status, answer.body == &**body),
            Self::Holds(status, text) => {
                let body = String::from_utf8_lossy(answer.body);
                (status, body.contains(text))
            }
        };
        let said = answer
            .head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse::<u16>().ok());
        if right && said == Some(*status) {
            return None;
        }
        let body = String::from_utf8_lossy(answer.body);
        let body: String = body.chars().take(200).collect();
        Some(format!(
            "not the expected answer: {} {body}",
            answer.head.lines().next()?
        ))
    }
}

impl Work {
    fn new(name: &str, what: &str, ask: Vec<u8>, expects: Expects) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            ask: ask.into(),
            expects,
            connections: 64,
            idle: 0,
            setup: Setup {
                hook: "/continue",
                hooks: 1,
                rules: 0,
                forms: 1,
            },
        }
    }

    /// A form whose hook says continue.
    fn form(name: &str, what: &str, body: &[u8], kind: &str) -> Self {
        let expects = Expects::Whole(200, site::taken(body).into());
        Self::new(name, what, post(body, kind), expects)
    }

    fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// The same with another request, whatever is answered.
    pub(crate) fn asking(&self, ask: Rc<[u8]>) -> Self {
        Self {
            ask,
            expects: Expects::Anything,
            ..self.clone()
        }
    }

    /// The rule files, by name.
    pub(crate) fn rule_files(&self, responder: SocketAddr) -> Vec<(String, String)> {
        let mut contact = "[form]\nsubmit = 'POST /forms/contact'\n".to_owned();
        for number in 0..self.setup.rules {
            contact.push_str(&format!(
                "[[rule]]\non = 'preprocess'\nwhen = \"@.doc.city == 'City {number}'\"\n\
                 reply = {{ msg = 'Not there.', msg_type = 'error' }}\n"
            ));
        }
        for _ in 0..self.setup.hooks {
            contact.push_str(&format!(
                "[[hook]]\non = 'preprocess'\nurl = 'http://{responder}{}'\nat_once = 2000\ntimeout = '1s'\n",
                self.setup.hook
            ));
        }
        let mut files = vec![("contact.toml".to_owned(), contact)];
        files.extend((1..self.setup.forms).map(|number| {
            let text = format!("[form]\nsubmit = 'POST /forms/form-{number}'\n");
            (format!("form-{number}.toml"), text)
        }));
        files
    }

    /// What the gateway does for this work, done without it: whom is asked, and what.
    pub(crate) fn alone(&self, site: &Site) -> Vec<(SocketAddr, Rc<[u8]>)> {
        let mut alone = Vec::new();
        if self.setup.hook != "/stop" {
            alone.push((site.backend, Rc::clone(&self.ask)));
        }
        if self.ask.starts_with(b"POST") {
            let call = json!({"doc": FIELDS.iter().copied().collect::<std::collections::BTreeMap<_, _>>()});
            let call = call.to_string();
            let head = format!(
                "POST {} HTTP/1.1\r\nhost: hook\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                self.setup.hook,
                call.len()
            );
            alone.push((site.responder, (head + &call).into_bytes().into()));
        }
        alone
    }
}

/// The works that are measured without being asked for.
pub(crate) fn usual() -> Vec<Work> {
    let form = urlencoded(FIELDS);
    let patched = urlencoded(FIELDS.map(|(name, value)| match name {
        "first_name" => (name, "Patched"),
        _ => (name, value),
    }));
    let kind = "application/x-www-form-urlencoded";
    let get = b"GET /about HTTP/1.1\r\nhost: forms.example\r\n\r\n".to_vec();
    vec![
        Work::new(
            "page",
            "GET of 4 KiB, passes through",
            get,
            Expects::Whole(200, site::page().into()),
        ),
        Work::form("form", "12 fields, the hook says continue", &form, kind),
        Work {
            expects: Expects::Whole(200, site::taken(&patched).into()),
            ..Work::form("patch", "12 fields, the hook changes one", &form, kind)
                .with(|setup| setup.hook = "/patch")
        },
        Work {
            expects: Expects::Holds(422, "\"bad\""),
            ..Work::form("stop", "12 fields, the hook stops it", &form, kind)
                .with(|setup| setup.hook = "/stop")
        },
        Work::form("json", "JSON of 2 KiB", &json_body(), "application/json"),
        Work {
            connections: 256,
            ..Work::form("wait", "12 fields, the hook takes 20 ms", &form, kind)
                .with(|setup| setup.hook = "/wait")
        },
        Work {
            connections: 8,
            ..upload("upload", "multipart with a file of 10 MiB", 10 << 20)
        },
    ]
}

/// One work, in which one thing grows.
pub(crate) fn series() -> Vec<Work> {
    let form = urlencoded(FIELDS);
    let kind = "application/x-www-form-urlencoded";
    let plain = |name: &str, what: String| Work::form(name, &what, &form, kind);
    let mut all = Vec::new();
    for many in [1, 10, 100, 1000] {
        let names: Vec<String> = (0..many).map(|number| format!("field_{number}")).collect();
        let body = urlencoded(
            names
                .iter()
                .map(|name| (name.as_str(), "a value of some length")),
        );
        all.push(Work::form("fields", &format!("{many} fields"), &body, kind));
    }
    for kib in [1, 16, 256, 1024] {
        let text = "x".repeat(kib << 10);
        let body = urlencoded([("message", text.as_str())]);
        all.push(Work::form(
            "body",
            &format!("a text of {kib} KiB"),
            &body,
            kind,
        ));
    }
    for mib in [1, 4, 16] {
        let what = format!("a file of {mib} MiB");
        all.push(Work {
            connections: 8,
            ..upload("file", &what, mib << 20)
        });
    }
    for rules in [0, 1, 10, 100] {
        all.push(plain("rules", format!("{rules} rules")).with(|setup| setup.rules = rules));
    }
    for hooks in [0, 1, 2, 4] {
        all.push(plain("hooks", format!("{hooks} hooks")).with(|setup| setup.hooks = hooks));
    }
    for forms in [1, 100, 10_000] {
        all.push(plain("forms", format!("{forms} forms")).with(|setup| setup.forms = forms));
    }
    for idle in [0, 1000, 9000] {
        all.push(Work {
            idle,
            ..plain("connections", format!("{idle} idle connections besides"))
        });
    }
    for connections in [1, 16, 256, 1000] {
        all.push(Work {
            connections,
            ..plain("waiting", format!("{connections} wait for a hook of 20 ms"))
                .with(|setup| setup.hook = "/wait")
        });
    }
    all
}

fn urlencoded<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(fields);
    body.finish().into_bytes()
}

fn json_body() -> Vec<u8> {
    let items: Vec<_> = (0..20)
        .map(|number| json!({"sku": format!("SKU-{number:05}"), "qty": number, "note": "gift \"wrap\" – naïve"}))
        .collect();
    let mut body = json!({"items": items});
    for (name, value) in FIELDS {
        body[name] = value.into();
    }
    body.to_string().into_bytes()
}

fn upload(name: &str, what: &str, size: usize) -> Work {
    let mut body = Vec::with_capacity(size + 1024);
    for (name, value) in FIELDS {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let part = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"cv\"; filename=\"cv.pdf\"\r\n\
         Content-Type: application/pdf\r\n\r\n"
    );
    body.extend_from_slice(part.as_bytes());
    // Not repeating, so that nothing is found quickly: xorshift.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let end = body.len() + size;
    while body.len() < end {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Work::form(name, what, &body, &kind)
}

fn post(body: &[u8], kind: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /forms/contact HTTP/1.1\r\nhost: forms.example\r\naccept: application/json\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
