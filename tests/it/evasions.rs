//! No way around a hook: requests that a backend could take for a submission, in every spelling that a server, a
//! framework or a language is known to read generously. Each is sent once to a hook that refuses and once to one
//! that consents: the backend is called only if the hook was, and never against its word.

use serde_json::json;

use crate::support::App;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;
use crate::support::site;

const FORM: &str = "application/x-www-form-urlencoded";

/// What must become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The hook is asked, and decides.
    Asked,
    /// Refused with this status; nobody is called.
    Refused(u16),
}

struct Evasion {
    method: &'static str,
    target: &'static str,
    host: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    then: Then,
}

fn ask(method: &'static str, target: &'static str) -> Evasion {
    Evasion {
        method,
        target,
        host: None,
        headers: Vec::new(),
        body: None,
        then: Then::Asked,
    }
}

/// A plain post of a form to a target.
fn post(target: &'static str) -> Evasion {
    ask("POST", target).sends(FORM, "email=a")
}

impl Evasion {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn sends(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.untyped(body).with("content-type", kind)
    }

    fn form(self, body: &str) -> Self {
        self.sends(FORM, body)
    }

    fn untyped(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.headers.retain(|(name, _)| *name != "content-type");
        self.body = Some(body.into());
        self
    }

    fn multipart(self, content_type: &str) -> Self {
        let part = "content-disposition: form-data; name=\"email\"\r\n\r\na";
        self.sends(content_type, format!("--a\r\n{part}\r\n--a--\r\n"))
    }

    fn at(mut self, host: &'static str) -> Self {
        self.host = Some(host);
        self
    }

    const fn refused(mut self, status: u16) -> Self {
        self.then = Then::Refused(status);
        self
    }

    fn request(&self, app: &App) -> Vec<u8> {
        let mut request = Ask::new(app.address, self.method, self.target);
        if let Some(host) = self.host {
            request = request.host(host);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            // The type is among the headers already; a second one would be another evasion.
            let length = body.len().to_string();
            let mut bytes = request.header("content-length", &length).bytes();
            let end = bytes.len();
            if self.method == "POST" {
                // `Ask` adds a length of its own to a POST.
                let text = String::from_utf8(bytes).expect("ASCII");
                bytes = text.replacen("content-length: 0\r\n", "", 1).into_bytes();
                assert!(bytes.len() < end, "one length is left");
            }
            bytes.extend_from_slice(body);
            return bytes;
        }
        request.bytes()
    }

    async fn send(&self, app: &App) -> Answer {
        let mut wire = app.connect().await;
        wire.write(&self.request(app)).await;
        wire.answer_to(self.method).await
    }

    fn shown(&self) -> String {
        format!(
            "{} {} at {:?} {:?} {:?}",
            self.method,
            self.target,
            self.host,
            self.headers,
            self.body.as_deref().map(String::from_utf8_lossy)
        )
    }
}

/// Rules about fields that nothing else is said of, and about one with a type.
const CONDITIONS: &str = r#"
[fields.age]
type = "integer"
[[rule]]
on = "preprocess"
when = "search(@.doc.message, 'https?://')"
reply = { msg = "No links.", msg_type = "error" }
[[rule]]
on = "preprocess"
when = "@.doc.age < 16 && !@.doc.guardian"
reply = { msg = "Who looks after you?", msg_type = "error" }
[[rule]]
on = "preprocess"
when = "@.doc.country && @.doc.country != 'CH'"
reply = { msg = "Only here.", msg_type = "error" }
[[rule]]
on = "preprocess"
matches = { "$.doc['first name']" = "^admin$", "$.doc.*" = "^admin$" }
reply = { msg = "Not you.", msg_type = "error" }
[[rule]]
on = "preprocess"
when = "count(@.doc.interests[*]) > 2"
reply = { msg = "At most two.", msg_type = "error" }
[[rule]]
on = "preprocess"
when = "@.doc.newsletter == 'yes'"
reply = { msg = "There is none.", msg_type = "error" }
"#;

/// The same where names are shown nested, and where a field says who the person is.
const PARTS: &str = r#"
nested = "brackets"
[user_info]
mail = "field:email"
[[rule]]
on = "preprocess"
when = "search(@.doc.message, 'https?://')"
reply = { msg = "No links.", msg_type = "error" }
[[rule]]
on = "preprocess"
when = "@.user_info.mail == 'spam'"
reply = { msg = "Not you.", msg_type = "error" }
"#;

async fn gateway() -> App {
    let hook = "[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    let form = |keys: &str| format!("[form]\n{keys}\n{hook}");
    site()
        .rules(
            "contact",
            &form("submit = \"POST /forms/contact\"\nload = \"GET /forms/contact\""),
        )
        .rules("profile", &form("submit = \"PUT /profile\""))
        .rules(
            "router",
            &form("submit = \"POST /index.php?my_action=save\""),
        )
        .rules("search", &form("submit = \"GET /search\""))
        .rules(
            "mixed",
            &form("submit = \"POST /Mixed/Case?Do=It\"\ncase_insensitive = true"),
        )
        .rules(
            "hosted",
            &form(
                "submit = [\"POST /hosted\", \"PATCH /hosted\"]\nhosts = [\"forms.example.org\"]",
            ),
        )
        .rules("camp", &form("submit = \"POST /camps/{camp}/enroll\""))
        .rules("coffee", &form("submit = \"POST /caf%c3%a9/a%2bb\""))
        .rules("tea", &form("submit = \"POST /thé/a b|c\""))
        .rules("files", &form("submit = \"POST /files/{path...}\""))
        .rules(
            "fields",
            &format!(
                "{}\n[fields.age]\ntype = \"integer\"\nmax = 17\n",
                form("submit = \"POST /fields\"").trim_end()
            ),
        )
        .rules(
            "folded",
            &format!(
                "{}\n[fields.fee]\nmax = 10\ntype = \"number\"\n",
                form("submit = \"POST /folded\"\ncase_insensitive = true").trim_end()
            ),
        )
        .rules(
            "noted",
            &format!(
                "{}fields = [\"fee\", \"tags[]\"]\n",
                form("submit = \"POST /noted\"")
            ),
        )
        .rules("routed", &form("submit = \"POST /routed?op=save\""))
        .rules(
            "apart",
            &form("submit = \"POST /apart\"\nquery = \"apart\""),
        )
        .rules(
            "api",
            &form("submit = \"POST /api/contact\"\napi = { tokens = [\"file:Cargo.toml\"] }"),
        )
        .rules(
            "conditions",
            &form(&format!("submit = \"POST /conditions\"\n{CONDITIONS}")),
        )
        .rules("parts", &form(&format!("submit = \"POST /parts\"{PARTS}")))
        .rules("all-forms", "[form]\ndiscover = [\"POST /d/{form}\"]\n")
        .start()
        .await
}

/// Paths that some backend reads as a form's, and another does not.
const TWO_READINGS: [&str; 34] = [
    "/forms%2fcontact",
    "/forms%2Fcontact",
    "/forms/x%2f..%2fcontact",
    "/forms%5ccontact",
    "/forms/contact%5c",
    "/forms/contact%00",
    "/forms/contact%00.png",
    "/forms/contact%20",
    "/forms/contact%09",
    "/forms/contact.",
    "/forms/contact..",
    "/forms/contact%2e",
    "/forms/contact.;x",
    "/forms/contact%3bx=1",
    "/forms/contact%3fx=1",
    "/forms/contact%23x",
    "/forms/%252e%252e/forms/contact",
    "/forms/%2563ontact",
    "/forms/%25%36%33ontact",
    "/forms%u002fcontact",
    "/forms%c0%afcontact",
    "/forms/%c0%ae%c0%ae/forms/contact",
    "/forms/contact%",
    "/forms/con%tact",
    "/forms/contact%%",
    "/camps//lake//..//enroll",
    "/camps/a%5cb\\enroll;x",
    "/camps/a%00b%5cenroll",
    "/forms/contact/%2e/..",
    "/forms/contact%3b\\x",
    "/camps/a%2fb/enroll",
    "/camps/a%5cb/enroll",
    "/files/a%2f..%2fb",
    "/mixed%2Fcase?do=it",
];

fn paths() -> Vec<Evasion> {
    let mut rows: Vec<Evasion> = [
        "/forms/contact",
        "/forms/contact/",
        "/forms/contact//",
        "//forms/contact",
        "/forms//contact",
        "///forms///contact///",
        "/./forms/contact",
        "/forms/./contact",
        "/forms/contact/.",
        "/forms/x/../contact",
        "/x/../forms/contact",
        "/../forms/contact",
        "/../../forms/contact",
        "/forms/contact/x/..",
        "/forms/%2e/contact",
        "/forms/%2E/contact",
        "/forms/x/%2e%2e/contact",
        "/forms/x/.%2e/contact",
        "/forms/x/%2E./contact",
        "/%66orms/contact",
        "/forms/%63ontact",
        "/f%6Frms/c%6fntact",
        "/%66%6f%72%6d%73/%63%6f%6e%74%61%63%74",
        "/forms/contact;",
        "/forms/contact;jsessionid=1",
        "/forms;v=1/contact",
        "/forms;/contact;",
        "/forms/x/..;/contact",
        "/;/forms/contact",
        "/forms/contact?",
        "/forms/contact?x=1",
        "/forms/contact/?next=/forms/other",
        "http://forms.example.org/forms/contact",
        "http://forms.example.org//forms/contact/",
        "http://forms.example.org/forms/%63ontact?x",
        "/camps/lake/enroll",
        "/camps/%6cake/enroll/",
        "/camps/a%20b/enroll",
        "/camps/St./enroll",
        "/caf%C3%A9/a%2Bb",
        "/café/a+b",
        "/caf\u{e9}/a%2bb/",
        "/th%c3%a9/a%20b%7cc",
        "/thé/a%20b|c",
        "/camps/lake;x=1/enroll",
        "/camps/x/../lake/enroll",
        "/files/a",
        "/files/a/b/c",
        "/files//a/./b",
        "/mixed/case?Do=It",
        "/MIXED/CASE?do=it",
        "/Mixed/%43ase?DO=IT",
        "/mixed/CASE/?x=1&Do=It",
    ]
    .into_iter()
    .map(post)
    .collect();
    rows.extend(TWO_READINGS.map(|target| post(target).refused(400)));
    rows.push(post("/forms\\contact").refused(400));
    // What begins with two slashes names a host for some.
    for target in [
        "//x/forms/contact",
        "///x/forms//contact/",
        "//x:80/camps/a/enroll",
        "/\\x/forms/contact",
        "/\\x\\forms/contact",
    ] {
        rows.push(post(target).refused(400));
    }
    rows
}

/// Backends that resolve nothing take dots and empty segments for a parameter's value.
fn literal_paths() -> Vec<Evasion> {
    [
        "/camps/../enroll",
        "/camps/./enroll",
        "/camps/%2e%2e/enroll",
        "/camps/..;/enroll",
        "/camps/;x/enroll",
        "/camps//enroll",
        "//camps/../enroll",
        "//x/camps/../enroll",
        "/camps%2f..%2fenroll",
        "/d/..",
        "/d/.",
        "/d/;x",
        "/d//",
    ]
    .into_iter()
    .map(|target| post(target).refused(400))
    .collect()
}

fn methods() -> Vec<Evasion> {
    let mut rows = Vec::new();
    for header in [
        "x-http-method-override",
        "X-HTTP-Method-Override",
        "x-http-method",
        "x-method-override",
    ] {
        for value in ["PUT", "put", " Put ", "PUT, POST"] {
            rows.push(post("/profile").with(header, value));
        }
    }
    for target in [
        "/profile?_method=PUT",
        "/profile?_method=put",
        "/profile?x=1&_METHOD=PUT",
        "/profile?x=1;_method=PUT",
        "/profile?%5fmethod=%50UT",
        "/profile?.method=PUT",
        "/profile?%20_method=PUT",
        "/profile?_method=GET&_method=PUT",
        "/profile?[_method]=PUT",
        "/profile?_method[]=PUT",
        "/profile?X-HTTP-Method-Override=PUT",
    ] {
        rows.push(post(target));
        rows.push(ask("GET", target));
    }
    for body in [
        "_method=PUT",
        "_method=put&email=a",
        "email=a&_METHOD=Put",
        "%5Fmethod=PUT",
        "+_method=PUT",
        ".method=PUT",
        "[_method]=PUT",
        "_method[]=PUT",
        "_method=POST&_method=PUT",
        "_method=+PUT+",
    ] {
        rows.push(post("/profile").form(body));
    }
    rows.push(post("/profile").form("_method%00x=PUT").refused(400));
    rows.push(post("/profile").sends("application/json", r#"{"_method": "PUT"}"#));
    rows.push(post("/profile").sends("application/vnd.api+json", r#"{"_method": "put"}"#));
    rows.push(post("/profile").sends("text/plain", "_method=PUT\r\n"));
    let part = "--a\r\ncontent-disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--a--\r\n";
    rows.push(post("/profile").sends("multipart/form-data; boundary=a", part));
    rows.push(ask("DELETE", "/profile").form("_method=PUT"));
    rows.push(ask("PUT", "/profile").form("email=a"));
    rows.push(ask("PUT", "/profile/").form("email=a"));
    // Another type, or none, must not hide the field from the gateway alone.
    for kind in [
        "multipart/mixed; boundary=a",
        "multipart/related; boundary=a",
        "application/x-www-form-urlencoded; charset=utf-99",
        "application/x-www-form-urlencoded, text/html",
        "application/jsonp+xml; x",
    ] {
        rows.push(post("/profile").sends(kind, "_method=PUT").refused(415));
    }
    rows.push(post("/profile").untyped("_method=PUT").refused(415));
    rows.push(
        post("/profile")
            .sends("multipart/form-data; boundary=a; boundary=b", part)
            .refused(400),
    );
    rows.push(
        post("/profile")
            .form("_method=PUT")
            .with("content-type", "image/png")
            .refused(400),
    );
    for method in ["post", "Post", "pOST"] {
        rows.push(ask(method, "/forms/contact").form("email=a"));
    }
    rows.push(ask("HEAD", "/search?q=a"));
    rows.push(ask("GET", "/search?q=a"));
    rows.push(
        post("/search?q=a")
            .with("x-http-method-override", "GET")
            .refused(400),
    );
    rows.push(ask("GET", "/search").form("q=a").refused(400));
    // A page and a submission at once.
    rows.push(ask("GET", "/forms/contact?_method=POST").refused(400));
    rows.push(
        ask("GET", "/forms/contact")
            .with("x-http-method-override", "POST")
            .refused(400),
    );
    rows.push(
        ask("GET", "/forms/contact")
            .form("_method=POST")
            .refused(400),
    );
    rows
}

fn routed_by_fields() -> Vec<Evasion> {
    let mut rows = Vec::new();
    for target in [
        "/index.php?my_action=save",
        "/index.php?a=1&my_action=save",
        "/index.php?a=1;my_action=save",
        "/index.php?my%5faction=sa%76e",
        "/index.php?my.action=save",
        "/index.php?my%20action=save",
        "/index.php?%20my_action=save",
        "/index.php?+my_action=save",
        "/index.php?my_action%00=save",
        "/index.php?my_action=view&my_action=save",
        "/index.php?[my_action]=save",
        "/index.php?%5Bmy_action%5D=save",
        "/index.php?my_action[]=save",
        "/index.php?my_action[0]=save",
        "/index.php/?my_action=save",
    ] {
        rows.push(post(target));
    }
    for body in [
        "my_action=save",
        "my_action=view&my_action=save",
        "my.action=save",
        "+my_action=save",
        "%6dy_action=save",
        "[my_action]=save",
        "my_action[0]=save",
    ] {
        rows.push(post("/index.php").form(body));
    }
    let part = "--a\r\ncontent-disposition: form-data; name=\"my_action\"\r\n\r\nsave\r\n--a--\r\n";
    rows.push(post("/index.php").sends("multipart/form-data; boundary=a", part));
    rows.push(post("/index.php").sends("application/json", r#"{"my_action":"save"}"#));
    rows.push(post("/index.php").untyped("my_action=save").refused(415));
    rows
}

fn bodies() -> Vec<Evasion> {
    let mut rows = vec![
        ask("POST", "/forms/contact"),
        post("/forms/contact").untyped("email=a").refused(415),
        post("/forms/contact").sends("", "email=a").refused(415),
    ];
    for kind in [
        "application/octet-stream",
        "application/xml",
        "text/html",
        "text",
        "multipart/mixed; boundary=a",
        "multipart/related; boundary=a",
        "application/x-www-form-urlencoded, multipart/form-data; boundary=a",
        "application/x-www-form-urlencoded;charset=klingon",
        "application/json; charset=utf-16",
    ] {
        rows.push(post("/forms/contact").multipart(kind).refused(415));
    }
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; Boundary=b",
        "multipart/form-data; boundary*0=a; boundary*1=b",
        "multipart/form-data; boundary*=utf-8''a; boundary=a",
        "multipart/form-data; boundary=\"a\\\"\"; x=\"",
        "multipart/form-data; boundary=a, text/plain",
        "multipart/form-data; boundary=a,b",
        "multipart/form-data; boundary=\"a,b\"",
        "multipart/form-data; xboundary=b; boundary=a",
        "multipart/form-data; boundary=a; X-Boundary=b",
        "multipart/form-data; x=\"boundary=b\"; boundary=a",
        "multipart/form-data; boundary=a; charset=\"utf-8; Boundary=b\"",
    ] {
        rows.push(post("/forms/contact").multipart(kind).refused(400));
    }
    rows.push(post("/forms/contact").multipart("multipart/form-data; boundary=a"));
    rows.push(post("/forms/contact").multipart("Multipart/Form-Data;boundary=\"a\""));
    rows.push(
        post("/forms/contact")
            .with("content-type", "text/plain")
            .refused(400),
    );
    rows.push(
        post("/forms/contact")
            .with("content-encoding", "x-unknown")
            .refused(415),
    );
    rows.push(
        post("/forms/contact")
            .with("content-encoding", "gzip")
            .refused(400),
    );
    rows.push(
        post("/forms/contact")
            .with("content-encoding", "identity")
            .with("content-encoding", "gzip")
            .refused(400),
    );
    rows.push(post("/forms/contact").with("content-encoding", "identity"));
    // A broken escape has one reading: it is itself.
    rows.push(post("/forms/contact").form("email=%zz"));
    for (kind, body) in [
        ("application/json", r#"{"email": "a", "email": "b"}"#),
        ("application/json", r#"{"email": "a"} x"#),
        (
            "application/json",
            "{\"email\": \"a\", \"em\\u0061il\": \"b\"}",
        ),
        (FORM, "email=a;role=admin"),
        (FORM, "email=%u0061"),
        (FORM, "email%00=a"),
        (FORM, r#"{"email": "a"}"#),
        ("application/json", r#"{"email": "a", "EMAIL": "b"}"#),
        ("text/plain", r#"{"email": "=", "age": 99}"#),
        ("text/plain", r#" [{"email": "="}]"#),
    ] {
        rows.push(post("/forms/contact").sends(kind, body).refused(400));
    }
    let twice =
        "--a\r\ncontent-disposition: form-data; name=\"x\"; name=\"email\"\r\n\r\na\r\n--a--\r\n";
    rows.push(
        post("/forms/contact")
            .sends("multipart/form-data; boundary=a", twice)
            .refused(400),
    );
    let bare = "--a\ncontent-disposition: form-data; name=\"email\"\n\na\n--a--\n";
    rows.push(
        post("/forms/contact")
            .sends("multipart/form-data; boundary=a", bare)
            .refused(400),
    );
    rows
}

/// Fields beside the body, and under names that some backends take for another's.
fn fields() -> Vec<Evasion> {
    let mut rows = Vec::new();
    for target in [
        "/fields?age=99",
        "/fields?AGE=1&%61ge=99",
        "/fields?+age=99",
        "/fields?x=1;age=99",
    ] {
        rows.push(post(target).form("email=a").refused(400));
    }
    for body in [
        "+age=99",
        "age%00x=99",
        "age%5B%5D=99",
        "age[x]=99",
        "age=1&age[]=99",
    ] {
        rows.push(post("/fields").form(body).refused(400));
    }
    for body in [
        "age=99",
        "age=1&age=99",
        "age=x",
        "age=1&age=",
        "age=&age=1",
    ] {
        rows.push(post("/fields").form(body).refused(422));
    }
    // A backend that merges may take the query's value, whatever the form checks.
    for target in [
        "/fields?age=11",
        "/fields?age=12&age=11",
        "/fields?[age]=11",
        "/fields?age[]=11",
        "/fields?age[0]=11",
        "/fields?%61ge=",
    ] {
        rows.push(post(target).form("age=12").refused(400));
    }
    for target in [
        "/forms/contact?email=b",
        "/forms/contact?.email=b&email=b",
        "/forms/contact?email[]=b",
        "/forms/contact?x;email=b",
    ] {
        rows.push(post(target).refused(400));
    }
    rows.push(
        post("/forms/contact?email=b")
            .sends("application/json", r#"{"email": "a"}"#)
            .refused(400),
    );
    rows.push(post("/folded?FEE=2").form("fee=1").refused(400));
    rows.push(post("/folded?FEE=1").form("fee=1"));
    rows.push(post("/fields?age=12").form("age=12"));
    rows.push(post("/fields?age=12&age[]=12&other=1").form("age=12"));
    rows.push(post("/forms/contact?mail=b&user[id]=3"));
    rows.push(post("/routed?op=save").form("op=view"));
    rows.push(post("/routed?op=save&op=list").form("op=view").refused(400));
    rows.push(post("/apart?email=b"));
    // Names in brackets, and what hooks alone ask about.
    for body in ["[age]=99", "[age][]=99", "age=1&[age]=99"] {
        rows.push(post("/fields").form(body).refused(400));
    }
    for body in [
        "fee[]=99",
        "fee[0]=99",
        "[fee]=99",
        "fee=1&fee[x]=99",
        "tags=1",
        "tags[0]=1",
    ] {
        rows.push(post("/noted").form(body).refused(400));
    }
    rows.push(post("/noted").form("fee=1&tags[]=1&tags[]=2&free[]=1"));
    rows.push(post("/noted?fee=1").form("email=a").refused(400));
    for body in [r#"{"Fee": 99}"#, r#"{"a": 1, "FEE": 1}"#] {
        rows.push(post("/folded").sends("application/json", body).refused(400));
    }
    rows.push(post("/folded").sends("application/json", r#"{"fee": 1, "Feet": 2}"#));
    rows
}

/// Ways around conditions: values beside values, and names that are read as those that a condition names.
fn conditions() -> Vec<Evasion> {
    let mut rows = Vec::new();
    let json = "application/json";
    for body in [
        "message=https://x",
        "message=a&message=https://x",
        "message=https://x&message=a",
        "message=&message=a&message=https://x&message=",
        "age=12",
        "age=12&age=12",
        "age=40&age=12",
        "age=12&age=40",
        "country=FR",
        "country=CH&country=FR",
        "country=FR&country=CH",
        "first+name=admin",
        "first+name=a&first+name=admin",
        "interests=a&interests=b&interests=c",
        "newsletter=no&newsletter=yes",
    ] {
        rows.push(post("/conditions").form(body).refused(422));
    }
    for body in [
        r#"{"message": ["https://x"]}"#,
        r#"{"message": ["a", ["https://x"]]}"#,
        r#"{"age": [12]}"#,
        r#"{"age": {"a": 12}}"#,
        r#"{"country": ["FR"]}"#,
        r#"{"first name": ["admin"]}"#,
    ] {
        rows.push(post("/conditions").sends(json, body).refused(422));
    }
    let part = |value: &str| {
        format!("--a\r\ncontent-disposition: form-data; name=\"message\"\r\n\r\n{value}\r\n")
    };
    let twice = format!("{}{}--a--\r\n", part("a"), part("https://x"));
    rows.push(
        post("/conditions")
            .sends("multipart/form-data; boundary=a", twice)
            .refused(422),
    );
    for body in [
        "+message=https://x",
        "%09message=https://x",
        "message[]=https://x",
        "message[0]=https://x",
        "message=a&message[]=https://x",
        "[message]=https://x",
        "first_name=admin",
        "first.name=admin",
        "+country=FR",
    ] {
        rows.push(post("/conditions").form(body).refused(400));
    }
    for target in [
        "/conditions?message=https://x",
        "/conditions?message[]=https://x",
        "/conditions?+message=https://x",
    ] {
        rows.push(post(target).form("email=a").refused(400));
        rows.push(post(target).form("message=a").refused(400));
    }
    for body in [
        "message=https://x",
        "message[]=https://x",
        "message[x]=https://x",
        "message[][a]=https://x",
        "message[x][y][]=a&message[x][y][]=https://x",
        "email=spam",
        "email=a&email=spam",
        "email=spam&email=a",
    ] {
        rows.push(post("/parts").form(body).refused(422));
    }
    for body in ["email[]=spam", "email[x]=spam", "+email=spam"] {
        rows.push(post("/parts").form(body).refused(400));
    }
    for body in [
        r#"{"message": {"x": ["https://x"]}}"#,
        r#"{"email": ["a", "spam"]}"#,
    ] {
        rows.push(post("/parts").sends(json, body).refused(422));
    }
    for body in ["message[x]=a&email=b", "email=a&email=b"] {
        rows.push(post("/parts").form(body));
    }
    // What several values are for.
    for body in [
        "message=a&message=b",
        "newsletter=0&newsletter=1",
        "interests=a&interests=b",
        "country=CH",
        "age=12&guardian=Ana",
        "age=40",
    ] {
        rows.push(post("/conditions").form(body));
    }
    rows
}

/// Ways around the hook of all forms, for a form that has no file of its own.
fn discovered() -> Vec<Evasion> {
    let mut rows: Vec<Evasion> = [
        "/d/poll",
        "/d/poll/",
        "//d/poll",
        "/./d/x/../poll",
        "/%64/%70oll",
        "/d/poll;a=1",
        "/d/poll%20",
        "/d/poll?form=other",
        "/d/contact",
        "/d/all-forms",
        "/D/../d/poll",
    ]
    .map(post)
    .into();
    for target in [
        "/d/..",
        "//d/;x",
        "/d%2fpoll",
        "/d/po%00ll",
        "/d/a%2fb",
        "/d/%2570oll",
        "/d\\poll",
    ] {
        rows.push(post(target).refused(400));
    }
    for target in ["/d/poll?_method=POST", "/d/poll?_METHOD=post"] {
        rows.push(ask("PUT", target).form("email=a"));
    }
    rows.push(
        ask("PUT", "/d/poll")
            .with("x-http-method-override", "POST")
            .form("email=a"),
    );
    rows.push(ask("PUT", "/d/poll").form("_method=POST&email=a"));
    rows.push(post("/d/poll").form("+email=spam").refused(400));
    rows.push(post("/d/poll").form("email[]=spam").refused(400));
    rows.push(post("/d/poll").form("email=a&email=spam").refused(422));
    rows.push(post("/d/poll?email=spam").form("x=a").refused(400));
    rows.push(post("/d/poll").untyped("email=a").refused(415));
    rows.push(
        post("/d/poll")
            .sends("application/json", r#"{"email": "a", "email": "b"}"#)
            .refused(400),
    );
    rows
}

fn hosts_and_claims() -> Vec<Evasion> {
    let mut rows = Vec::new();
    for host in [
        "forms.example.org",
        "FORMS.example.ORG",
        "forms.example.org:8080",
        "forms.example.org.",
        "forms.example.org.:80",
    ] {
        rows.push(post("/hosted").at(host));
    }
    for host in [
        "other.example.org",
        "127.0.0.1",
        "forms.example.org.evil.example",
        "evil-forms.example.org",
        "localhost",
    ] {
        rows.push(post("/hosted").at(host).refused(421));
        rows.push(
            ask("DELETE", "/hosted")
                .at(host)
                .form("_method=PATCH")
                .refused(421),
        );
    }
    rows.push(
        post("/hosted")
            .at("other.example.org")
            .with("x-forwarded-host", "forms.example.org")
            .refused(421),
    );
    rows.push(
        post("/hosted")
            .at("forms.example.org,evil.example")
            .refused(400),
    );
    rows.push(post("/forms/contact").at("whatever.example"));
    rows.push(
        post("/forms/contact")
            .with("host", "evil.example")
            .refused(400),
    );
    rows.push(post("http://evil.example/forms/contact").refused(400));
    // Claims that anybody can make.
    for (name, value) in [
        ("authorization", "Bearer nonsense"),
        ("authorization", "Bearer "),
        ("authorization", "Basic bm9uc2Vuc2U6eA=="),
        ("x-api-key", "1"),
        ("x-requested-with", "XMLHttpRequest"),
        ("accept", "application/json"),
        ("user-agent", "formgate/0.1.0"),
        ("formgate-depth", "1"),
        ("formgate-proof", "t=1,v1=AAAA"),
        ("formgate-event", "form_preprocess"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-url", "/elsewhere"),
        ("x-rewrite-url", "/elsewhere"),
        ("upgrade", "websocket"),
        ("hx-request", "true"),
        ("purpose", "prefetch"),
    ] {
        rows.push(post("/forms/contact").with(name, value));
        rows.push(post("/api/contact").with(name, value));
    }
    rows.push(post("/forms/contact").with("formgate-depth", "1").with(
        "formgate-proof",
        "t=1763700000,v1=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ));
    rows
}

fn all() -> Vec<Evasion> {
    let groups = [
        paths(),
        literal_paths(),
        methods(),
        routed_by_fields(),
        bodies(),
        fields(),
        conditions(),
        hosts_and_claims(),
    ];
    groups.into_iter().flatten().collect()
}

#[tokio::test]
async fn no_spelling_of_a_request_is_a_way_around_a_hook() {
    let rows = all();
    assert!(rows.len() >= 100, "{}", rows.len());
    no_way_around(&gateway().await, &rows).await;
}

#[tokio::test]
async fn no_spelling_is_a_way_around_the_hook_of_forms_without_a_file() {
    let rules = r#"
[form]
discover = ["POST /d/{form}"]
[[rule]]
on = "preprocess"
when = "@.doc.email == 'spam'"
reply = { msg = "No.", msg_type = "error" }
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;
    let app = site().rules("all-forms", rules).start().await;
    no_way_around(&app, &discovered()).await;
}

/// Sends each to a hook that refuses, and to one that consents.
async fn no_way_around(app: &App, rows: &[Evasion]) {
    let mut wrong = Vec::new();
    for consents in [false, true] {
        if consents {
            app.hooks.always(Script::answer(204, "", ""));
        } else {
            app.hooks.reply(&json!({"msg": "No.", "msg_type": "error"}));
        }
        for row in rows {
            let before = (app.hooks.count(), app.backend.count());
            let answer = row.send(app).await;
            let hooked = app.hooks.count() - before.0;
            let called = app.backend.count() - before.1;
            let expected = match (row.then, consents) {
                (Then::Refused(status), _) => (status, 0, 0),
                (Then::Asked, false) => (422, 1, 0),
                (Then::Asked, true) => (200, 1, 1),
            };
            if (answer.status, hooked, called) != expected {
                wrong.push(format!(
                    "{}\n  gave {} with {hooked} hook calls and {called} backend calls, not {expected:?}",
                    row.shown(),
                    answer.status
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn what_is_no_submission_passes_without_a_hook() {
    let app = gateway().await;
    app.hooks.reply(&json!({"msg": "No.", "msg_type": "error"}));
    for row in [
        ask("GET", "/forms/contact"),
        ask("HEAD", "/forms/contact"),
        ask("OPTIONS", "/forms/contact"),
        ask("DELETE", "/forms/contact"),
        ask("GET", "/forms/contact?x=1"),
        post("/forms/other"),
        post("/forms"),
        post("/forms/contact/more"),
        post("/FORMS/contact"),
        post("/index.php?my_action=view"),
        post("/index.php").form("my_action=view&text=save"),
        post("/profile").form("method=PUT"),
        post("/profile").sends("image/png", "_method=PUT"),
        post("/profile").sends("application/xml", "<_method>PUT</_method>"),
        post("/a%2fb"),
        post("/camps/enroll"),
        post("/mixed/case"),
    ] {
        let before = app.backend.count();
        let answer = row.send(&app).await;
        assert_eq!(answer.status, 200, "{}", row.shown());
        assert_eq!(app.backend.count(), before + 1, "{}", row.shown());
        let received = app.backend.received().pop().expect("one more");
        assert_eq!(received.target, row.target);
        assert_eq!(received.body, row.body.clone().unwrap_or_default());
    }
    assert_eq!(app.hooks.count(), 0);
}

#[tokio::test]
async fn a_path_that_a_proxy_puts_in_place_of_the_own_is_no_way_either() {
    let rules =
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    // From strangers such a header never arrives; from proxies it must not lead to a form.
    for trusts in [false, true] {
        let site = site().rules("contact", rules);
        let app = if trusts { site.trusting() } else { site }.start().await;
        app.hooks.always(Script::answer(204, "", ""));
        for name in ["x-original-url", "x-rewrite-url"] {
            for value in [
                "/contact",
                "//contact/?a=1",
                "https://x.example/contact",
                "/%63ontact",
                "/contact%2f",
            ] {
                let before = app.backend.count();
                let answer = app
                    .post("/elsewhere")
                    .header(name, value)
                    .form("a=1")
                    .send()
                    .await;
                assert_eq!(
                    answer.status,
                    if trusts { 400 } else { 200 },
                    "{name}: {value}"
                );
                if let Some(sent) = app.backend.received().get(before) {
                    assert_eq!(sent.header(name), None);
                }
            }
            let calls = app.hooks.count();
            let answer = app
                .post("/contact")
                .header(name, "/contact")
                .form("a=1")
                .send()
                .await;
            assert_eq!(
                (answer.status, app.hooks.count()),
                (200, calls + 1),
                "the same path is no other"
            );
            let answer = app
                .post("/elsewhere")
                .header(name, "/other")
                .form("a=1")
                .send()
                .await;
            assert_eq!((answer.status, app.hooks.count()), (200, calls + 1));
        }
    }
}
