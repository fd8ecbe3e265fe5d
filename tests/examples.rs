//! The examples work as they stand: the three responders answer one table of calls alike, every configuration and rule
//! file loads, and what the README says to try happens. Owns starting the examples; programs that a machine need not
//! have are skipped, unless `FORMGATE_REQUIRE_ALL=1`.

#![expect(clippy::panic, reason = "helpers of tests fail the test")]

#[path = "it/support/mod.rs"]
mod support;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use formgate::config::Config;
use formgate::hooks::sign::Signer;
use formgate::model::secret::Secret;
use formgate::rules::hook::SigningKey;
use regex::Regex;
use serde_json::Value;
use serde_json::json;
use support::App;
use support::client::Answer;
use support::client::Ask;
use support::client::Wire;
use support::peer::Script;
use support::site;

const NEW: &str = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3IG5ldyE=";
const OLD: &str = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZCE=";
const STRANGE: &str = "whsec_c3RyYW5nZSBzdHJhbmdlIHN0cmFuZ2Ugc3RyYW5nZSE=";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program is there; if not, the test that needs it is skipped.
fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        !all,
        "{program} is not installed, and FORMGATE_REQUIRE_ALL=1"
    );
    // Past the test runner, which shows what a test prints only if the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    false
}

/// A program that runs until it is dropped.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a program whose first line says where it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("readable");
        // What it says later is of no interest, but it must be able to say it.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let address = Regex::new(r"https?://([\d.]+:\d+)").expect("a pattern");
        let address = address
            .captures(&line)
            .and_then(|found| found[1].parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("{command:?} says no address, but {line:?}");
        };
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address, method, target)
    }
}

/// The commands that start the responders that this machine can run.
fn responders() -> Vec<(&'static str, Command)> {
    let mut all = vec![("Rust", Command::new(rust_example()))];
    for (program, file) in [("python3", "responder.py"), ("node", "responder.mjs")] {
        if has(program) {
            let mut command = Command::new(program);
            command.arg(root().join("examples").join(file));
            all.push((program, command));
        }
    }
    all
}

/// The example in Rust, built if need be: `cargo test --test examples` alone does not build it.
fn rust_example() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build_rust_example)
}

fn build_rust_example() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--example",
            "responder",
            "--message-format",
            "json",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let mut messages = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = messages.find_map(|message| {
        let is_it =
            message["target"]["name"] == "responder" && message["target"]["kind"][0] == "example";
        message["executable"]
            .as_str()
            .filter(|_| is_it)
            .map(PathBuf::from)
    });
    made.unwrap_or_else(|| {
        panic!(
            "the example is not built: {}",
            String::from_utf8_lossy(&built.stderr)
        )
    })
}

/// The gateway itself, in front of a backend that accepts everything, with hooks at `responder` signed with these.
async fn gateway(responder: &str, secrets: &[&str]) -> App {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<String> = secrets
        .iter()
        .enumerate()
        .map(|(number, secret)| {
            let path = folder.path().join(number.to_string());
            fs::write(&path, secret).expect("writable");
            format!("file:{}", path.display())
        })
        .collect();
    let hook = |on: &str| {
        format!("[[hook]]\nname = '{on}'\non = '{on}'\nurl = '{responder}/'\nsecrets = {files:?}\n")
    };
    let rules = format!(
        "[form]\nsubmit = 'POST /contact'\n{}{}",
        hook("preprocess"),
        hook("submit")
    );
    let app = site().rules("contact", &rules).start().await;
    app.backend
        .always(Script::answer(303, "location: /thanks\r\n", ""));
    app
}

async fn send(app: &App, body: &str) -> Answer {
    app.post("/contact").form(body).send().await
}

#[tokio::test]
async fn the_responders_answer_the_same_table_of_calls() {
    for (language, mut command) in responders() {
        let responder = Program::start(
            command
                .env("HOOK_SECRET", format!("{NEW} {OLD}"))
                .env("PORT", "0"),
        );
        let app = gateway(&responder.url(), &[NEW]).await;

        let thanked = send(&app, "name=Ana&email=ana%40example.org&city=Bern").await;
        assert_eq!(thanked.status, 303, "{language}: {}", thanked.text());
        assert_eq!(thanked.reply()["msg"], "Thank you, Ana!", "{language}");
        assert_eq!(app.backend.received().len(), 1, "{language}");

        let stopped = send(&app, "name=Ana&email=ana%40blocked.example").await;
        assert_eq!(stopped.status, 422, "{language}: {}", stopped.text());
        assert_eq!(
            stopped.json()["errors"],
            json!({"email": "This address is blocked."}),
            "{language}"
        );
        assert_eq!(app.backend.received().len(), 1, "{language}");

        let changed = send(&app, "name=Ana&city=Berne&topic=question").await;
        assert_eq!(changed.status, 303, "{language}");
        assert_eq!(
            changed.reply()["changed"],
            json!({"city": "Bern"}),
            "{language}"
        );
        let received = app.backend.received().pop().expect("a request");
        assert_eq!(
            received.body, b"name=Ana&city=Bern&topic=question",
            "{language}"
        );

        let elsewhere = send(&app, "name=Ana&topic=press").await;
        assert_eq!(elsewhere.json()["redirect"], "/press", "{language}");
        assert_eq!(app.backend.received().len(), 2, "{language}");

        // A field that is there twice is a list, which must not bring a responder down.
        assert_eq!(
            send(&app, "email=a&email=b").await.status,
            303,
            "{language}"
        );
    }
}

#[tokio::test]
async fn secrets_can_be_rotated_from_either_side() {
    for (language, mut command) in responders() {
        let responder = Program::start(
            command
                .env("HOOK_SECRET", format!("{NEW} {OLD}"))
                .env("PORT", "0"),
        );
        for (secrets, status) in [
            (&[NEW][..], 303),
            (&[OLD], 303),
            (&[STRANGE, OLD], 303),
            (&[STRANGE], 503),
        ] {
            let app = gateway(&responder.url(), secrets).await;
            let answer = send(&app, "name=Ana").await;
            assert_eq!(
                answer.status,
                status,
                "{language} {secrets:?}: {}",
                answer.text()
            );
            let reached = app.backend.received().len();
            assert_eq!(
                reached,
                usize::from(status == 303),
                "{language} {secrets:?}"
            );
        }
    }
}

#[tokio::test]
async fn calls_that_are_not_the_gateway_s_are_refused() {
    let key = SigningKey::parse(&Secret::new(NEW)).expect("a key");
    let signer = Signer::new(&[key]);
    let now = u64::try_from(jiff::Timestamp::now().as_second()).expect("after 1970");
    let body = r#"{"event":"form_preprocess_contact","doc":{"city":"Berne"}}"#;
    let sign = |at: u64| signer.sign("msg_1", at, body.as_bytes()).expect("signed");
    let other = body.replace("Berne", "Basel");
    let (right, early, late) = (sign(now), sign(now - 400), sign(now + 400));
    let two = format!("v1,{} {right}", "A".repeat(43) + "=");
    for (language, mut command) in responders() {
        let responder = Program::start(command.env("HOOK_SECRET", NEW).env("PORT", "0"));
        for (what, id, at, signature, body, status) in [
            ("right", "msg_1", now, right.as_str(), body, 200),
            (
                "a minute old",
                "msg_1",
                now - 60,
                &sign(now - 60),
                body,
                200,
            ),
            ("the second of two", "msg_1", now, &two, body, 200),
            ("another body", "msg_1", now, &right, &other, 401),
            ("another id", "msg_2", now, &right, body, 401),
            ("another time", "msg_1", now - 1, &right, body, 401),
            ("an old call", "msg_1", now - 400, &early, body, 401),
            ("a call of the future", "msg_1", now + 400, &late, body, 401),
            ("cut short", "msg_1", now, &right[..20], body, 401),
            ("no version", "msg_1", now, &right[3..], body, 401),
            ("nothing", "msg_1", now, "", body, 401),
        ] {
            let call = responder.ask("POST", "/").body("application/json", body);
            let call = call
                .header("webhook-id", id)
                .header("webhook-timestamp", &at.to_string());
            let answer = call.header("webhook-signature", signature).send().await;
            assert_eq!(
                answer.status,
                status,
                "{language}, {what}: {}",
                answer.text()
            );
            if status == 200 {
                let expected = json!({"jdoc": {"city": "Bern"}, "msg": "We corrected the city."});
                assert_eq!(answer.json(), expected, "{language}, {what}");
            }
        }
        let unsigned = responder.ask("POST", "/").body("application/json", body);
        assert_eq!(unsigned.send().await.status, 401, "{language}, unsigned");
    }
}

/// A folder of the examples, copied, with some texts in its files replaced.
fn copy(folder: &Path, replace: &[(&str, &str)]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let mut open = vec![folder.to_path_buf()];
    while let Some(from) = open.pop() {
        for entry in fs::read_dir(&from).expect("a folder") {
            let path = entry.expect("an entry").path();
            let to = copy.path().join(path.strip_prefix(folder).expect("inside"));
            if path.is_dir() {
                fs::create_dir(&to).expect("writable");
                open.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("text");
                let text = replace
                    .iter()
                    .fold(text, |text, (old, new)| text.replace(old, new));
                fs::write(to, text).expect("writable");
            }
        }
    }
    copy
}

/// The gateway as a program of its own.
fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_formgate"));
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .args(arguments)
        // Said to these tests, not to the program.
        .env_remove("FORMGATE_REQUIRE_ALL")
        .env("HOOK_SECRET", NEW);
    command
}

/// Starts the gateway and stops it again; it must say that it loaded these many rule files without a warning.
fn loads(arguments: &[&str], forms: usize) {
    let mut child = serve(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("readable");
    let _ = child.kill();
    let _ = child.wait();
    let said: Value = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"));
    assert!(said["listening"].is_string(), "{arguments:?}: {said}");
    assert_eq!(said["warnings"], 0, "{arguments:?}: {said}");
    assert_eq!(
        said["forms"].as_array().map(Vec::len),
        Some(forms),
        "{arguments:?}: {said}"
    );
}

/// The rule files of a folder that are forms.
fn forms(folder: &Path) -> usize {
    let names = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name());
    let is_form = |name: &String| name.ends_with(".toml") && name != "all-forms.toml";
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(is_form)
        .count()
}

#[test]
fn every_configuration_and_rule_file_loads() {
    let rules = root().join("rules");
    loads(&["--rules", &rules.display().to_string()], forms(&rules));
    let mut seen = Vec::new();
    for entry in fs::read_dir(root().join("examples")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        // What is no configuration of the gateway alone has tests of its own.
        if ["deploy", "monitoring"].contains(&name.as_str()) {
            continue;
        }
        let copied = copy(&folder, &[]);
        if name == "tls" && !make_certificate(copied.path()) {
            continue;
        }
        let config = copied.path().join("formgate.toml");
        let rules = copied.path().join("rules");
        // What needs no configuration of its own is rules alone.
        let (flag, path) = if config.is_file() {
            ("--config", config)
        } else {
            ("--rules", rules)
        };
        let forms = forms(&folder.join("rules"));
        loads(&[flag, &path.display().to_string()], forms);
        seen.push(name);
    }
    seen.retain(|name| name != "tls");
    seen.sort();
    assert_eq!(
        seen,
        ["behind-caddy", "behind-nginx", "frontends", "minimal"]
    );
}

#[test]
fn every_rule_file_has_cases_and_they_pass() {
    let mut folders = vec![root().join("rules")];
    for entry in fs::read_dir(root().join("examples")).expect("a folder") {
        folders.push(entry.expect("an entry").path().join("rules"));
    }
    folders.retain(|folder| folder.is_dir());
    assert!(folders.len() >= 4, "{folders:?}");
    for folder in folders {
        let run = |command: &str| {
            let done = Command::new(env!("CARGO_BIN_EXE_formgate"))
                .args([command, "--json"])
                .arg(&folder)
                // Said to these tests, not to the program.
                .env_remove("FORMGATE_REQUIRE_ALL")
                .env("HOOK_SECRET", NEW)
                .output();
            let done = done.expect("it runs");
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(done.status.success(), "{command} {folder:?}: {said}");
            said
        };
        run("check");
        let said: Value = serde_json::from_str(&run("test")).expect("JSON");
        let cases = said["cases"].as_array().expect("a list");
        for file in fs::read_dir(&folder).expect("a folder") {
            let name = file
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned();
            let stem = name.strip_suffix(".toml");
            let has_case = cases
                .iter()
                .any(|case| Some(case["form"].as_str().unwrap_or_default()) == stem);
            assert!(has_case || stem.is_none(), "{folder:?}: {name} has no case");
        }
    }
}

/// Runs the command that the configuration gives for a certificate of one's own.
fn make_certificate(folder: &Path) -> bool {
    if !has("openssl") {
        return false;
    }
    let config = fs::read_to_string(folder.join("formgate.toml")).expect("text");
    let lines = config
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ']));
    let command: Vec<&str> = lines
        .skip_while(|line| !line.starts_with("openssl"))
        .take_while(|line| !line.is_empty())
        .collect();
    let made = Command::new("sh")
        .args(["-c", &command.join("\n")])
        .current_dir(folder)
        .output();
    let made = made.expect("a shell");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    true
}

#[tokio::test]
async fn what_the_readme_says_to_try_happens() {
    if !has("python3") {
        return;
    }
    let start = |file: &str| {
        let mut command = Command::new("python3");
        command.arg(root().join("examples").join(file));
        Program::start(command.env("HOOK_SECRET", NEW).env("PORT", "0"))
    };
    let (backend, responder) = (start("backend.py"), start("responder.py"));
    let urls = [
        ("http://127.0.0.1:3000", backend.url()),
        ("http://127.0.0.1:9000", responder.url()),
    ];
    let urls = urls.each_ref().map(|(old, new)| (*old, new.as_str()));
    let folder = copy(&root().join("examples/minimal"), &urls);
    let config = folder.path().join("formgate.toml");
    let gateway = Program::start(&mut serve(&["--config", &config.display().to_string()]));
    let post = |body: &str| gateway.ask("POST", "/contact").page().form(body).send();

    let page = gateway.ask("GET", "/").page().send().await;
    assert!(
        page.text().contains("action=\"/contact\""),
        "{}",
        page.text()
    );
    let blocked = post("name=Ana&email=ana%40blocked.example").await;
    assert_eq!(blocked.status, 422);
    assert!(blocked.text().contains("This address is blocked."));
    let changed = post("name=Ana&email=ana%40example.org&city=Berne").await;
    assert_eq!(
        (changed.status, changed.header("location")),
        (303, Some("/thanks"))
    );
    assert!(
        gateway
            .ask("GET", "/thanks")
            .page()
            .send()
            .await
            .text()
            .contains("Bern</dl>")
    );
    let press = post("name=Ana&email=ana%40example.org&topic=press").await;
    assert_eq!(
        (press.status, press.header("location")),
        (303, Some("/press"))
    );
    drop(responder);
    assert_eq!(post("name=Ana&email=ana%40example.org").await.status, 503);
    let received = gateway.ask("GET", "/received").send().await;
    let expected = json!([{"name": "Ana", "email": "ana@example.org", "city": "Bern"}]);
    assert_eq!(received.json(), expected);
}

/// nginx with the example's configuration, on a port of its own, in front of `gateway`.
fn nginx(gateway: SocketAddr, folder: &Path) -> Program {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port");
    let config = fs::read_to_string(root().join("examples/behind-nginx/nginx.conf")).expect("text");
    let config = config
        .replace("127.0.0.1:8080", &gateway.to_string())
        .replace("127.0.0.1:8000", &port.to_string());
    fs::write(folder.join("nginx.conf"), config).expect("writable");
    let child = Command::new("nginx")
        .args([
            "-p",
            &folder.display().to_string(),
            "-c",
            "nginx.conf",
            "-e",
            "stderr",
        ])
        .args(["-g", "daemon off; master_process off;"])
        .spawn()
        .expect("nginx starts");
    Program {
        child,
        address: port,
    }
}

/// Caddy with the example's configuration, likewise.
fn caddy(gateway: SocketAddr, folder: &Path) -> Program {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port");
    let config = fs::read_to_string(root().join("examples/behind-caddy/Caddyfile")).expect("text");
    let config = config
        .replace("127.0.0.1:8080", &gateway.to_string())
        .replace(":8000 {", &format!(":{} {{", port.port()));
    fs::write(folder.join("Caddyfile"), config).expect("writable");
    let child = Command::new("caddy")
        .args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"])
        .current_dir(folder)
        // It keeps what it knows in the folder of whoever starts it.
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .stderr(Stdio::null())
        .spawn()
        .expect("Caddy starts");
    Program {
        child,
        address: port,
    }
}

#[tokio::test]
async fn behind_nginx_hooks_are_told_the_person_s_own_address() {
    if has("nginx") {
        whoever_is_behind_is_known("behind-nginx", nginx).await;
    }
}

#[tokio::test]
async fn behind_caddy_hooks_are_told_the_person_s_own_address() {
    if has("caddy") {
        whoever_is_behind_is_known("behind-caddy", caddy).await;
    }
}

async fn whoever_is_behind_is_known(example: &str, start: fn(SocketAddr, &Path) -> Program) {
    let example = root().join("examples").join(example);
    let config = Config::load(Some(&example.join("formgate.toml")), &Vec::new())
        .expect("a good configuration")
        .config;
    let rules = fs::read_to_string(example.join("rules/contact.toml")).expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, NEW).expect("writable");
    let rules = rules
        .replace("env:HOOK_SECRET", &format!("file:{}", secret.display()))
        .replace("http://127.0.0.1:9000", "HOOK");
    let trusted = config.trusted_proxies.clone();
    let app = site()
        .rules("contact", &rules)
        .configure(|config| config.trusted_proxies = trusted)
        .start()
        .await;
    app.backend
        .always(Script::answer(303, "location: /thanks\r\n", ""));
    app.hooks.always(Script::answer(204, "", ""));
    let proxy = start(app.address, folder.path());

    let body = "name=Ana&email=ana%40example.org";
    let request = Ask::new(proxy.address, "POST", "/contact")
        .host("forms.example.org")
        .header("x-forwarded-for", "203.0.113.66")
        .form(body);
    let answer = from_another_address(proxy.address, &request.bytes()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let call: Value = serde_json::from_slice(&app.hooks.received()[0].body).expect("JSON");
    assert_eq!(call["meta_info"]["ip"], "127.0.0.2");
    let received = app.backend.received().pop().expect("a request");
    let header = |name: &str| {
        let found = received.headers.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(header("x-forwarded-for"), "127.0.0.2, 127.0.0.1");
    assert_eq!(header("x-forwarded-host"), "forms.example.org");
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("host"), "forms.example.org");
    assert_eq!(call["meta_info"]["request_id"], header("x-request-id"));
    assert_eq!(received.body, body.as_bytes());

    // Whoever passes by the proxy is not believed.
    from_another_address(app.address, &request.bytes()).await;
    let call = app.hooks.received().pop().expect("a call");
    let call: Value = serde_json::from_slice(&call.body).expect("JSON");
    assert_eq!(call["meta_info"]["ip"], "127.0.0.2");
}

/// Sends from 127.0.0.2, as another machine would.
async fn from_another_address(to: SocketAddr, bytes: &[u8]) -> Answer {
    let connect = || async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
        socket.connect(to).await
    };
    let connected = support::within("the proxy to listen", async {
        loop {
            match connect().await {
                Ok(stream) => break stream,
                // It does not say when it begins to listen, so it is asked again and again.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let mut wire = Wire {
        stream: connected.await,
        ahead: Vec::new(),
    };
    wire.write(bytes).await;
    wire.answer().await
}
