//! `formgate demo`, as a person meets it: the program is started, every promise of its start page is acted out over
//! HTTP as a page and as a script, and the terminal must have said why. Owns the promises; how the gateway keeps them
//! is left to the other tests.

#![expect(clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use regex::Regex;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines that somebody else writes.
#[derive(Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

/// A demo that runs.
struct Demo {
    child: Child,
    lines: Arc<Lines>,
    authority: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    /// Starts it on a free port, in a folder that holds nothing.
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_formgate"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(flags)
            .current_dir(folder.path())
            .env("FORMGATE_BACKEND", "http://nobody.example.org")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = Arc::new(Lines::default());
        let (out, into) = (child.stdout.take().expect("piped"), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                into.all.lock().expect("nobody panics").push(line);
                into.more.notify_all();
            }
        });
        let mut demo = Self {
            child,
            lines,
            authority: String::new(),
        };
        let first = demo.says(0, &["http://127.0.0.1:"]);
        let address = Regex::new(r"http://(127\.0\.0\.1:\d+)").expect("a pattern");
        demo.authority = address.captures(&first).expect("an address")[1].to_owned();
        demo
    }

    /// How many lines there are.
    fn mark(&self) -> usize {
        self.lines.all.lock().expect("nobody panics").len()
    }

    /// Waits for a line after `mark` that holds all of these, and gives it back.
    fn says(&self, mark: usize, parts: &[&str]) -> String {
        let fits = |line: &String| parts.iter().all(|part| line.contains(part));
        let found = |lines: &Vec<String>| lines[mark..].iter().find(|line| fits(line)).cloned();
        let lines = self.lines.all.lock().expect("nobody panics");
        let (lines, _) = self
            .lines
            .more
            .wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none())
            .expect("nobody panics");
        found(&lines).unwrap_or_else(|| panic!("{parts:?} not in\n{}", lines[mark..].join("\n")))
    }

    /// What was said after `mark`, once the request that is under way has been answered.
    fn since(&self, mark: usize) -> String {
        self.says(mark, &["answer "]);
        self.lines.all.lock().expect("nobody panics")[mark..].join("\n")
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.authority
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(&self.authority).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(head.as_bytes()).expect("writable");
        stream.write_all(body).expect("writable");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an answer");
        Answer::read(&String::from_utf8(all).expect("text"))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("accept", "text/html")], b"")
    }

    /// Everything that reached the site.
    fn received(&self) -> Vec<Value> {
        let answer = self.ask("GET", "/received", &[("accept", "application/json")], b"");
        answer.json().as_array().expect("a list").clone()
    }

    /// The form of a page, filled in as the page and its link say.
    fn open(&self, href: &str) -> Form {
        let (path, query) = href.split_once('?').unwrap_or((href, ""));
        let page = self.get(href);
        assert_eq!(page.status, 200, "{href}");
        let mut form = Form::read(&page.body);
        let wanted: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        for (name, _) in &wanted {
            assert!(
                page.body.contains(&format!("name=\"{name}\"")),
                "{path} has no {name}"
            );
            form.fields.retain(|(known, _)| known != name);
        }
        form.fields.extend(wanted);
        form
    }

    fn send(&self, form: &Form, how: How) -> Answer {
        let accept = if how == How::Page {
            "text/html,*/*;q=0.8"
        } else {
            "application/json"
        };
        let referer = format!("http://{}{}", self.authority, form.action);
        let (kind, body) = form.body(how);
        let headers = [
            ("accept", accept),
            ("content-type", kind),
            ("referer", &referer),
        ];
        self.ask("POST", &form.action, &headers, &body)
    }
}

/// How a form is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Page,
    Script,
}

const BOTH: [How; 2] = [How::Page, How::Script];

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// What the gateway says: beside the site's answer, or as its own.
    fn said(&self) -> Value {
        match self.header("formgate-reply") {
            Some(text) => serde_json::from_str(text).expect("JSON"),
            None => self.json(),
        }
    }
}

/// A form as a browser sees it.
struct Form {
    action: String,
    multipart: bool,
    /// The member that the site's script wraps the fields in.
    wrapper: Option<String>,
    fields: Vec<(String, String)>,
    /// Name, file name, type, content.
    file: Option<(String, &'static str, &'static str, Vec<u8>)>,
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let pattern = Regex::new(&format!(r#"\s{name}="([^"]*)""#)).expect("a pattern");
    pattern.captures(tag).map(|found| found[1].to_owned())
}

impl Form {
    fn read(html: &str) -> Self {
        let form = Regex::new(r"(?s)(<form[^>]*>)(.*?)</form>").expect("a pattern");
        let form = form.captures(html).expect("a form");
        let tag = &form[1];
        let control = Regex::new(
            r"(?s)(<input\b[^>]*>)|(<select\b[^>]*>)(.*?)</select>|(<textarea\b[^>]*>)(.*?)</textarea>",
        );
        let (mut fields, mut file) = (Vec::new(), None);
        for found in control.expect("a pattern").captures_iter(&form[2]) {
            let part = |at: usize| found.get(at).map(|part| part.as_str());
            let opening = part(1).or(part(2)).or(part(4)).expect("a tag");
            let Some(name) = attribute(opening, "name") else {
                continue; // without a name nothing is sent
            };
            let value = attribute(opening, "value").unwrap_or_default();
            match (attribute(opening, "type").as_deref(), part(3), part(5)) {
                (Some("file"), ..) => {
                    file = Some((name, "", "application/octet-stream", Vec::new()));
                }
                (Some("checkbox" | "radio"), ..) if !opening.contains(" checked") => {}
                (_, Some(options), _) => fields.push((name, chosen(options))),
                (_, _, Some(text)) => fields.push((name, text.to_owned())),
                _ => fields.push((name, value)),
            }
        }
        Self {
            action: attribute(tag, "action").expect("an action"),
            multipart: tag.contains("multipart/form-data"),
            wrapper: attribute(tag, "data-json"),
            fields,
            file,
        }
    }

    /// The body and its content type, as a browser or the site's script would send it.
    fn body(&self, how: How) -> (&'static str, Vec<u8>) {
        if let (Some(wrapper), How::Script) = (&self.wrapper, how) {
            let fields: Map<String, Value> = self
                .fields
                .iter()
                .map(|(name, value)| {
                    (
                        name.clone(),
                        value
                            .parse::<u32>()
                            .map_or_else(|_| value.clone().into(), Value::from),
                    )
                })
                .collect();
            let body = json!({ wrapper.as_str(): fields, "page": self.action });
            return ("application/json", body.to_string().into_bytes());
        }
        if !self.multipart {
            let body = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.fields)
                .finish();
            return ("application/x-www-form-urlencoded", body.into_bytes());
        }
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part = format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        if let Some((name, filename, kind, content)) = &self.file {
            let part = format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\ncontent-type: {kind}\r\n\r\n"
            );
            body.extend_from_slice(part.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--x--\r\n");
        ("multipart/form-data; boundary=x", body)
    }
}

fn chosen(options: &str) -> String {
    let option = Regex::new(r"<option([^>]*)>([^<]*)").expect("a pattern");
    let mut all = option.captures_iter(options).peekable();
    let first = all.peek().map(|found| found[0].to_owned());
    let selected = all
        .map(|found| found[0].to_owned())
        .find(|tag| tag.contains(" selected"));
    let tag = selected.or(first).expect("an option");
    attribute(&tag, "value")
        .unwrap_or_else(|| tag.rsplit('>').next().unwrap_or_default().to_owned())
}

/// Something the start page says to try: its name there and its link.
fn tries(page: &str) -> Vec<(String, Option<String>)> {
    let item = Regex::new(r#"(?s)<li id="(\w+)">(.*?)</li>"#).expect("a pattern");
    let items = item.captures_iter(page).map(|found| {
        let href = attribute(&found[2], "href").map(|href| href.replace("&amp;", "&"));
        (found[1].to_owned(), href)
    });
    items.collect()
}

/// Sends the form of a link both ways. Each must be answered with this status (page, script), and be told the reason
/// in the log in lines that hold these parts. Gives what the script was told.
fn stopped(demo: &Demo, href: &str, status: u16, reasons: &[&[&str]]) -> Value {
    let before = demo.received().len();
    let form = demo.open(href);
    let mut said = Value::Null;
    for how in BOTH {
        let mark = demo.mark();
        let answer = demo.send(&form, how);
        assert_eq!(answer.status, status, "{href} {how:?}: {}", answer.body);
        for reason in reasons {
            demo.says(mark, reason);
        }
        if how == How::Page {
            comes_back(&form, &answer);
        } else {
            said = answer.said();
            assert_eq!(said["submitted"], json!(false));
        }
    }
    assert_eq!(
        demo.received().len(),
        before,
        "{href}: the site has received it"
    );
    said
}

/// The form comes back with the message and what was typed; what is secret is the page's own.
fn comes_back(form: &Form, answer: &Answer) {
    let html = &answer.body;
    for part in [
        "<html lang=\"en\">",
        "<h1>",
        "role=\"alert\"",
        "Nothing was submitted.",
        &format!("action=\"{}\"", form.action),
    ] {
        assert!(html.contains(part), "{part} not in {html}");
    }
    for (name, value) in &form.fields {
        let secret = ["csrf_token", "health"].contains(&name.as_str());
        assert!(secret || html.contains(value.as_str()), "{name} in {html}");
    }
}

/// Sends the form of a link both ways; each time it must reach the site. Gives what the script was told, and what
/// the site received from it.
fn accepted(demo: &Demo, href: &str, reasons: &[&[&str]]) -> (Value, Value) {
    let form = demo.open(href);
    let mut said = Value::Null;
    for how in BOTH {
        let (mark, before) = (demo.mark(), demo.received().len());
        let answer = demo.send(&form, how);
        let expected = if how == How::Page { 303 } else { 201 };
        assert_eq!(answer.status, expected, "{href} {how:?}: {}", answer.body);
        for reason in reasons {
            demo.says(mark, reason);
        }
        let page = demo.get(answer.header("location").expect("a location"));
        assert_eq!(page.status, 200);
        assert_eq!(demo.received().len(), before + 1, "{href} {how:?}");
        if how == How::Script && answer.header("formgate-reply").is_some() {
            said = answer.said();
        }
    }
    (said, demo.received().pop().expect("an entry"))
}

/// Acts out what the start page promises of `name`.
fn keep(demo: &Demo, name: &str, href: &str) {
    if href.starts_with("/camps/") {
        keep_of_enrolment(demo, name, href);
    } else {
        keep_of_others(demo, name, href);
    }
}

/// The part of a log line that says what a hook did.
const fn hook(line: &str) -> [&str; 2] {
    ["hook ", line]
}

fn nobody_acts_out(name: &str) -> ! {
    panic!("the start page promises `{name}`, and nothing here acts it out")
}

fn keep_of_enrolment(demo: &Demo, name: &str, href: &str) {
    match name {
        "good" => {
            let (said, entry) = accepted(
                demo,
                href,
                &[
                    &hook("cabins: changes cabin"),
                    &["update ", "cabin sent to the site"],
                ],
            );
            assert_eq!(said["msg"], "Ana sleeps in cabin Otter.");
            assert_eq!(entry["fields"]["cabin"], "Otter");
            assert_eq!(entry["fields"]["health"], "Hay fever");
        }
        "city" => {
            let (said, entry) = accepted(
                demo,
                href,
                &[&["hook ", "addresses: changes city", "rules/enrollment.toml:"]],
            );
            assert_eq!(
                (&said["changed"]["city"], &entry["fields"]["city"]),
                (&json!("Bern"), &json!("Bern"))
            );
            assert_eq!(entry["fields"]["last_name"], "Keller");
        }
        "guardian" => {
            let mark = demo.mark();
            let said = stopped(
                demo,
                href,
                422,
                &[
                    &["rule ", "replies", "rules/enrollment.toml:"],
                    &["decision ", "stopped"],
                ],
            );
            assert_eq!(said["focus_on"], "guardian[name]");
            assert_eq!(said["msg"], "Ana is under 16 and needs a guardian.");
            assert!(
                !demo.since(mark).contains("camp-office"),
                "somebody was called"
            );
        }
        "fields" => {
            let refused: [&[&str]; 3] = [
                &["field ", "refuses email", "rules/enrollment.toml:"],
                &["field ", "refuses age"],
                &["errors in email, age"],
            ];
            let said = stopped(demo, href, 422, &refused);
            assert_eq!(said["errors"].as_object().map(Map::len), Some(2));
        }
        "office" => {
            let said = stopped(
                demo,
                href,
                422,
                &[
                    &["hook ", "camp-office: stops", "rules/enrollment.toml:"],
                    &["errors in email, interests"],
                ],
            );
            assert_eq!(
                said["errors"]["email"],
                "There is an enrolment with this address already."
            );
            assert_eq!(
                said["errors"]["interests"],
                "Diving is for campers of 12 years and more."
            );
        }
        "shirt" => {
            let (said, entry) = accepted(
                demo,
                href,
                &[&hook(
                    "camp-office: gives an error and changes shirt at once",
                )],
            );
            assert_eq!(
                (&said["msg_type"], &said["changed"]["shirt"]),
                (&json!("warning"), &json!("XL"))
            );
            assert_eq!(entry["fields"]["shirt"], "XL");
        }
        "pay" => pay(demo, href),
        "photo" => photo(demo, href),
        "full" => full(demo, href),
        _ => nobody_acts_out(name),
    }
}

fn keep_of_others(demo: &Demo, name: &str, href: &str) {
    match name {
        "question" => {
            let (said, entry) = accepted(
                demo,
                href,
                &[
                    &hook("helpdesk: goes on"),
                    &["decision ", "form_submit: continued; 1 message"],
                ],
            );
            assert_eq!(said["msg_type"], "success");
            assert_eq!(entry["content_type"], "urlencoded");
        }
        "complaint" => complaint(demo, href),
        "praise" => {
            let reason = [
                "mood: gave a faulty reply",
                "goes on all the same",
                "did you mean \"error\"?",
                "rules/contact.toml:",
            ];
            let (_, entry) = accepted(demo, href, &[&reason]);
            assert_eq!(entry["fields"]["topic"], "praise");
        }
        "press" => press(demo, href),
        "card" => {
            stopped(
                demo,
                href,
                422,
                &[&["rule ", "replies", "rules/all-forms.toml:"]],
            );
        }
        "upper" => {
            let (said, entry) = accepted(
                demo,
                href,
                &[&["field ", "normalises email", "rules/newsletter.toml:"]],
            );
            assert_eq!(said["changed"]["email"], "ana@example.org");
            assert_eq!(entry["content_type"], "JSON");
            let fields = json!({"subscriber": {"letters": 4, "email": "ana@example.org"}, "page": "/newsletter"});
            assert_eq!(entry["fields"], fields);
        }
        "gmial" => {
            let said = stopped(
                demo,
                href,
                422,
                &[&hook("mailboxes: gives an error and changes email at once")],
            );
            assert_eq!(said["suggestions"]["email"], "ana@gmail.com");
        }
        _ => nobody_acts_out(name),
    }
}

fn pay(demo: &Demo, href: &str) {
    let form = demo.open(href);
    for how in BOTH {
        let mark = demo.mark();
        let answer = demo.send(&form, how);
        let target = format!("/pay/{}", demo.received().len());
        if how == How::Page {
            assert_eq!(
                (answer.status, answer.header("location")),
                (303, Some(target.as_str()))
            );
        } else {
            let said = answer.said();
            assert_eq!((answer.status, &said["redirect"]), (200, &json!(target)));
            assert_eq!(said["submitted"], json!(true));
        }
        assert_eq!(demo.get(&target).status, 200);
        demo.says(mark, &["hook ", "payments: redirects"]);
        demo.says(mark, &["decision ", "form_submit: redirected"]);
    }
}

fn photo(demo: &Demo, href: &str) {
    let mut form = demo.open(href);
    let content: Vec<u8> = b"\x89PNG\r\n-- x: not the boundary\0\xff".repeat(1000);
    let file = |filename, kind, content: &[u8]| {
        Some(("photo".to_owned(), filename, kind, content.to_vec()))
    };
    form.file = file("ana.png", "image/png", &content);
    let mark = demo.mark();
    assert_eq!(demo.send(&form, How::Page).status, 303);
    let entry = demo.received().pop().expect("an entry");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
    let digest: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let photo = json!({"filename": "ana.png", "content_type": "image/png", "size": content.len(), "sha256": digest});
    assert_eq!(entry["fields"]["photo"], photo);
    demo.says(
        mark,
        &["site ", &format!("photo ({} bytes)", content.len())],
    );
    for file in [
        file("ana.txt", "text/plain", b"Ana"),
        file("ana.png", "image/png", &vec![0; (1 << 20) + 1]),
    ] {
        form.file = file;
        for how in BOTH {
            let mark = demo.mark();
            assert_eq!(demo.send(&form, how).status, 422);
            demo.says(mark, &["field ", "refuses photo"]);
        }
    }
}

fn full(demo: &Demo, href: &str) {
    let mark = demo.mark();
    let page = demo.get(href);
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/camps/forest/full"))
    );
    demo.says(
        mark,
        &["hook ", "places: redirects", "rules/enrollment.toml:"],
    );
    assert!(
        demo.get("/camps/forest/full")
            .body
            .contains("The forest camp is full")
    );
    let script = demo.ask("GET", href, &[("accept", "application/json")], b"");
    assert_eq!(script.json()["redirect"], "/camps/forest/full");
}

fn complaint(demo: &Demo, href: &str) {
    let reasons: [&[&str]; 2] = [
        &["complaints: failed", "connection", "rules/contact.toml:"],
        &["answer ", "503 unavailable"],
    ];
    stopped(demo, href, 503, &reasons);
    let form = demo.open(href);
    let third = demo.send(&form, How::Script);
    assert_eq!(third.header("retry-after"), Some("15"));
    let mark = demo.mark();
    assert_eq!(demo.send(&form, How::Script).status, 503);
    demo.says(mark, &["complaints: is not called", "breaker"]);
}

fn press(demo: &Demo, href: &str) {
    let (form, before) = (demo.open(href), demo.received().len());
    let mark = demo.mark();
    let page = demo.send(&form, How::Page);
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/press"))
    );
    demo.says(mark, &["rule ", "replies", "rules/contact.toml:"]);
    demo.says(mark, &["decision ", "form_preprocess: redirected"]);
    assert_eq!(demo.send(&form, How::Script).said()["redirect"], "/press");
    assert_eq!(demo.get("/press").status, 200);
    assert_eq!(demo.received().len(), before);
}

/// The command that the start page shows, done without curl.
fn as_a_program(demo: &Demo, page: &str) {
    let shown =
        Regex::new(r"curl -i http://(\S+)/contact (.*?) \\\s+-H '(authorization): (Bearer [\w-]+)")
            .expect("a pattern");
    let shown = shown.captures(page).expect("a command");
    assert_eq!(shown[1], demo.authority);
    let (mark, token) = (demo.mark(), shown[4].to_owned());
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", token.as_str()),
    ];
    let answer = demo.ask(
        "POST",
        "/contact",
        &headers,
        b"topic=complaint&message=automatic",
    );
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        demo.received().pop().expect("an entry")["fields"]["message"],
        "automatic"
    );
    demo.says(mark, &["site ", "contact", "saved"]);
    let others = demo.lines.all.lock().expect("nobody panics")[mark..].join("\n");
    assert!(!others.contains("hook "), "a hook was asked: {others}");
    let wrong = [headers[0], ("authorization", "Bearer guessed")];
    assert_eq!(
        demo.ask(
            "POST",
            "/contact",
            &wrong,
            b"topic=complaint&message=automatic"
        )
        .status,
        422
    );
}

#[test]
fn every_promise_of_the_start_page_is_kept() {
    let demo = Demo::start(&[]);
    let page = demo.get("/").body;
    let tries = tries(&page);
    assert!(tries.len() >= 17, "{tries:?}");
    for (name, href) in &tries {
        match href {
            Some(href) => keep(&demo, name, href),
            None => as_a_program(&demo, &page),
        }
    }
    let mut poll = Form::read(&page);
    for (name, value) in &mut poll.fields {
        if name == "remark" {
            "see http://example.org".clone_into(value);
        }
    }
    let mark = demo.mark();
    assert_eq!(demo.send(&poll, How::Page).status, 303);
    demo.says(
        mark,
        &[
            "spam-score: in shadow, not applied: stops",
            "rules/all-forms.toml:",
        ],
    );
    let all = demo.lines.all.lock().expect("nobody panics").join("\n");
    for personal in [
        "ana@",
        "Ana",
        "Keller",
        "Hay fever",
        // Four digits alone stand in ports and ids, too.
        "4111 1111",
        "4111+1111",
        "4111%201111",
        "gmial",
        "Berne",
        "station",
    ] {
        assert!(!all.contains(personal), "{personal} is in the log:\n{all}");
    }
    assert!(
        !all.contains('\u{1b}'),
        "colours where there is no terminal"
    );
}

#[test]
fn a_forged_enrolment_is_refused_by_the_site_itself() {
    let demo = Demo::start(&[]);
    let mut form = demo.open("/camps/lake/enroll");
    form.fields.retain(|(name, _)| name != "csrf_token");
    let mark = demo.mark();
    let answer = demo.send(&form, How::Page);
    assert_eq!(answer.status, 403);
    demo.says(mark, &["answer ", "403, the site's own"]);
    assert!(demo.received().is_empty());
}

#[test]
fn where_the_responder_s_port_is_taken_another_is_used() {
    // If it cannot be had here, somebody else has taken it, which is as good.
    let _taken = TcpListener::bind("127.0.0.1:18090");
    let demo = Demo::start(&[]);
    demo.says(0, &["Port 18090 is taken"]);
    let (said, _) = accepted(&demo, "/contact", &[]);
    assert_eq!(said["msg_type"], "success");
}

#[test]
fn machines_get_json_lines() {
    let demo = Demo::start(&["--json"]);
    let mark = demo.mark();
    let form = demo.open("/camps/lake/enroll?guardian%5Bname%5D=");
    assert_eq!(demo.send(&form, How::Script).status, 422);
    demo.says(mark, &["formgate::answer", "\"status\":422"]);
    let form = demo.open("/camps/lake/enroll");
    let mark = demo.mark();
    assert_eq!(demo.send(&form, How::Script).status, 201);
    let asked = demo.says(mark, &["\"hook\":\"camp-office\""]);
    assert!(
        asked.contains("/camp-office/form_preprocess_enrollment\""),
        "{asked}"
    );
    let lines = demo.lines.all.lock().expect("nobody panics").clone();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines[0]["listening"].is_string());
    let local = lines
        .iter()
        .find(|line| line["target"] == "formgate::local" && line["what"] == "replies");
    let local = local.expect("the rule");
    assert!(
        local["place"]
            .as_str()
            .is_some_and(|place| place.starts_with("rules/enrollment.toml:"))
    );
    let decided = lines
        .iter()
        .find(|line| line["decision"] == "stopped")
        .expect("a decision");
    assert_eq!(decided["request_id"], local["request_id"]);
}

#[test]
fn a_changed_rule_is_in_force_while_it_runs() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.expect("a port").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path)
            .expect("text")
            .replace("18090", &port);
        fs::write(folder.path().join(path.file_name().expect("a name")), text).expect("writable");
    }
    let rules = folder.path().display().to_string();
    let demo = Demo::start(&["--rules", &rules, "--responder", &port]);
    stopped(
        &demo,
        "/contact?email=ana",
        422,
        &[&["refuses email", "contact.toml:"]],
    );
    accepted(&demo, "/contact", &[&["helpdesk: goes on"]]);

    let file = folder.path().join("contact.toml");
    let good = fs::read_to_string(&file).expect("text");
    let mark = demo.mark();
    fs::write(&file, good.replace("minlength = 10", "minlenght = 100")).expect("writable");
    demo.says(mark, &["gateway ", "the rule files stay as they were"]);
    accepted(&demo, "/contact", &[]);
    let mark = demo.mark();
    fs::write(&file, good.replace("minlength = 10", "minlength = 100")).expect("writable");
    demo.says(mark, &["gateway ", "the rule files were read again"]);
    stopped(
        &demo,
        "/contact",
        422,
        &[&["refuses message", "contact.toml:"]],
    );
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut demo = Demo::start(&[]);
    let id = demo.child.id().to_string();
    // The shell has the word built in; there need not be a program.
    let kill = Command::new("sh")
        .args(["-c", "kill -s INT \"$0\"", &id])
        .status()
        .expect("sh");
    assert!(kill.success());
    demo.says(0, &["The demo has ended."]);
    assert!(demo.child.wait().expect("it ended").success());
}
