//! `serve`: what it says at its start, picking up changes on disk, and ending. What it does to requests is tested in
//! `tests/it`.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use crate::commands::contact;
use crate::commands::tried;
use crate::support::Folder;
use crate::support::Server;
use crate::support::json;
use crate::support::read_message;
use serde_json::Value;

/// How long something that happens within a second may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that serves until it is dropped.
pub(crate) struct Serving {
    child: Child,
    /// What it said at its start.
    pub(crate) hello: Value,
    pub(crate) address: String,
    /// Everything on its standard error so far.
    log: Arc<Mutex<String>>,
}

impl Serving {
    pub(crate) fn begin(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = folder.command();
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let for_thread = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = for_thread.lock().expect("not poisoned");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut hello = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut hello).expect("it says hello");
        assert!(!hello.is_empty(), "{}", log.lock().expect("not poisoned"));
        let hello = json(&hello);
        let address = hello["listening"].as_str().expect("an address");
        let address = address.trim_start_matches("http://").to_owned();
        Self {
            child,
            hello,
            address,
            log,
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let mut kill = std::process::Command::new("sh");
        kill.args(["-c", "kill -s \"$0\" \"$1\"", name, &id]);
        assert!(kill.status().expect("it runs").success());
    }

    /// Submits a form; status and body.
    pub(crate) fn submit(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.send(path, "a=1");
        (status, body)
    }

    /// Submits this body; status, what the gateway says beside the backend's answer, and body.
    fn send(&self, path: &str, body: &str) -> (u16, Option<Value>, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        stream
            .write_all(request(path, body).as_bytes())
            .expect("it reads");
        let (first, lines, body) = read_message(&stream).expect("an answer");
        let status = first.split(' ').nth(1).expect("a status");
        let said = lines.iter().find(|(name, _)| name == "formgate-reply");
        let said = said.map(|(_, value)| json(value));
        (status.parse().expect("a number"), said, body)
    }

    /// Submits until the message of the answer is this.
    fn wait_for(&self, path: &str, msg: &str) {
        until(
            &format!("{msg:?} from {path}; log:\n{}", self.log()),
            || {
                let (_, body) = self.submit(path);
                body.contains(&format!("\"msg\":\"{msg}\""))
            },
        );
    }

    pub(crate) fn wait_for_log(&self, part: &str) {
        until(&format!("{part:?} in the log"), || {
            self.log().contains(part)
        });
    }

    /// Waits until it has ended; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        until("its end", || {
            code = self.child.try_wait().expect("a child");
            code.is_some()
        });
        code.and_then(|status| status.code())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Asks again and again, with a deadline.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = SystemTime::now();
    while !is_so() {
        let waited = began.elapsed().unwrap_or_default();
        assert!(waited < PATIENCE, "waited in vain for {what}");
        thread::yield_now();
        // Between two questions the machine may do something else.
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A form that stops every submission with this message.
pub(crate) fn form(path: &str, msg: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST {path}\"\n\n[[rule]]\non = \"preprocess\"\nreply = {{ msg = \"{msg}\", msg_type = \"error\" }}\n"
    )
}

#[test]
fn it_says_where_it_listens_and_what_it_loaded() {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "No."));
    folder.write("rules/php.toml", &form("/index.php", "No."));
    let serving = Serving::begin(&folder, &["--backend", "http://127.0.0.1:9"], &[]);
    assert_eq!(serving.hello["backend"], "http://127.0.0.1:9");
    assert_eq!(serving.hello["forms"][0]["id"], "contact");
    assert_eq!(serving.hello["warnings"], 1);
    serving.wait_for("/contact", "No.");
    serving.wait_for_log("PHP also answers");
    let mut plain = folder.command();
    plain
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped());
    let mut child = plain.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("UTF-8");
    assert!(line().contains("listens on http://127.0.0.1:"));
    assert!(line().contains("rules: 2 forms, 0 hooks"));
    assert!(line().contains("contact") && line().contains("php"));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn it_needs_no_files_and_minds_no_strange_variables() {
    let backend = Server::begin(|_| (200, "\"the backend\"".to_owned()));
    let folder = Folder::new();
    let environment = [
        ("FORMGATE_ADMIN_TOKEN", "127.0.0.1:0"),
        ("FORMGATE_LOG", "warn"),
    ];
    let serving = Serving::begin(&folder, &["--backend", &backend.url()], &environment);
    assert_eq!(
        serving.submit("/anything"),
        (200, "\"the backend\"".to_owned())
    );
    serving.wait_for_log("FORMGATE_ADMIN_TOKEN is not known");
    serving.wait_for_log("there is no folder `rules`");
    folder.write("rules/x.toml", &form("/x", "Now there is one."));
    serving.wait_for("/x", "Now there is one.");
    let empty = Folder::new();
    std::fs::create_dir(empty.join("rules")).expect("writable");
    let serving = Serving::begin(&empty, &["--backend", &backend.url()], &[]);
    assert_eq!(serving.submit("/anything").0, 200);
}

#[test]
fn what_keeps_it_from_serving_is_said() {
    let folder = Folder::new();
    let ran = folder.run(&["serve", "--rules", "gone"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("cannot read `gone`"), "{}", ran.stderr);
    folder.write("formgate.toml", "lisen = 'x'\n");
    let ran = folder.run(&["serve"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("did you mean `listen`?"),
        "{}",
        ran.stderr
    );
    folder.write("formgate.toml", "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ran = folder.run(&["serve", "--listen", &address]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains(&format!("cannot listen on {address}")),
        "{}",
        ran.stderr
    );
}

// === changes on disk ===

#[test]
fn changes_are_picked_up_and_bad_files_are_not() {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "First."));
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/contact", "First.");
    folder.write("rules/contact.toml", &form("/contact", "Second."));
    serving.wait_for("/contact", "Second.");
    // As editors save: into another file that then takes the name.
    folder.write("rules/.contact.toml.tmp", &form("/contact", "Third."));
    std::fs::rename(
        folder.join("rules/.contact.toml.tmp"),
        folder.join("rules/contact.toml"),
    )
    .expect("renamed");
    serving.wait_for("/contact", "Third.");
    folder.write(
        "rules/other.toml",
        "[form]\nsubmit = \"POST /other\"\non_conflit = \"stop\"\n",
    );
    serving.wait_for_log("the rule files stay as they were");
    let checked = folder.run(&["check"]);
    for line in checked
        .stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
    {
        assert!(
            serving.log().contains(line),
            "{line} is not in\n{}",
            serving.log()
        );
    }
    serving.wait_for("/contact", "Third.");
    folder.write("rules/contact.toml", &form("/contact", "Fourth."));
    std::fs::remove_file(folder.join("rules/other.toml")).expect("removed");
    serving.wait_for("/contact", "Fourth.");
}

#[test]
fn a_changed_configuration_counts_from_the_next_start() {
    let folder = Folder::new();
    folder.write("formgate.toml", "project = 'one'\n");
    folder.write("rules/contact.toml", &form("/contact", "First."));
    let serving = Serving::begin(&folder, &[], &[]);
    folder.write("rules/contact.toml", &form("/contact", "Second."));
    serving.wait_for("/contact", "Second.");
    assert!(!serving.log().contains("next start"), "{}", serving.log());
    folder.write("formgate.toml", "project = 'two'\n");
    serving.wait_for_log("formgate.toml has changed; it counts from the next start");
}

#[test]
fn a_hangup_reads_everything_again() {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "First."));
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/contact", "First.");
    serving.signal("HUP");
    serving.wait_for_log("the rule files were read again");
    serving.wait_for("/contact", "First.");
}

#[test]
fn links_and_whole_folders_may_be_swapped() {
    let folder = Folder::new();
    folder.write("..one/contact.toml", &form("/contact", "First."));
    folder.write("..two/contact.toml", &form("/contact", "Second."));
    folder.write("three/contact.toml", &form("/contact", "Third."));
    // As Kubernetes mounts a volume: the files are links through `..data`, and that is what is swapped.
    std::fs::create_dir(folder.join("rules")).expect("writable");
    symlink("../..one", folder.join("rules/..data")).expect("linked");
    symlink("..data/contact.toml", folder.join("rules/contact.toml")).expect("linked");
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/contact", "First.");
    symlink("../..two", folder.join("rules/..data_tmp")).expect("linked");
    std::fs::rename(folder.join("rules/..data_tmp"), folder.join("rules/..data")).expect("renamed");
    serving.wait_for("/contact", "Second.");
    // The whole folder is replaced, and then a file in the new one.
    std::fs::rename(folder.join("rules"), folder.join("old")).expect("renamed");
    std::fs::rename(folder.join("three"), folder.join("rules")).expect("renamed");
    serving.wait_for("/contact", "Third.");
    folder.write("rules/contact.toml", &form("/contact", "Fourth."));
    serving.wait_for("/contact", "Fourth.");
}

#[test]
fn an_emptied_folder_turns_no_form_off() {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "First."));
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/contact", "First.");
    std::fs::remove_file(folder.join("rules/contact.toml")).expect("removed");
    serving.wait_for_log("has no rule files any more");
    serving.wait_for("/contact", "First.");
    folder.write("rules/contact.toml", &form("/contact", "Second."));
    serving.wait_for("/contact", "Second.");
}

#[test]
fn a_link_on_the_way_may_be_swapped() {
    let folder = Folder::new();
    folder.write("releases/1/rules/contact.toml", &form("/contact", "First."));
    folder.write(
        "releases/2/rules/contact.toml",
        &form("/contact", "Second."),
    );
    symlink("releases/1", folder.join("current")).expect("linked");
    let serving = Serving::begin(&folder, &["--rules", "current/rules"], &[]);
    serving.wait_for("/contact", "First.");
    symlink("releases/2", folder.join("next")).expect("linked");
    std::fs::rename(folder.join("next"), folder.join("current")).expect("renamed");
    serving.wait_for("/contact", "Second.");
}

#[test]
fn a_secret_in_a_file_is_read_again() {
    let (sent, received) = mpsc::channel();
    let sent = Mutex::new(sent);
    let hooks = Server::begin(move |request| {
        let token = request
            .header("authorization")
            .unwrap_or_default()
            .to_owned();
        // The test may be over.
        let _ = sent.lock().expect("not poisoned").send(token);
        (200, r#"{"msg": "asked", "msg_type": "error"}"#.to_owned())
    });
    let folder = Folder::new();
    folder.write("secrets/token", "first\n");
    let hook = format!(
        "[form]\nsubmit = \"POST /x\"\n\n[[hook]]\non = \"preprocess\"\nurl = \"{}/\"\nheaders = {{ authorization = \"file:../secrets/token\" }}\n",
        hooks.url()
    );
    folder.write("rules/x.toml", &hook);
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/x", "asked");
    assert_eq!(received.recv_timeout(PATIENCE).as_deref(), Ok("first"));
    folder.write("secrets/token", "second\n");
    until("the second token", || {
        serving.submit("/x");
        received.try_iter().any(|token| token == "second")
    });
    // Without it the rules cannot be read, and the last good ones stay; once it is back, they can.
    std::fs::remove_file(folder.join("secrets/token")).expect("removed");
    serving.wait_for_log("cannot read the secret file");
    serving.wait_for("/x", "asked");
    folder.write("secrets/token", "third\n");
    until("the third token", || {
        serving.submit("/x");
        received.try_iter().any(|token| token == "third")
    });
}

#[test]
fn a_certificate_is_read_again_and_a_bad_one_is_not_taken() {
    let folder = Folder::new();
    let made = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (
            params.self_signed(&key).expect("signed").pem(),
            key.serialize_pem(),
        )
    };
    let (cert, key) = made("localhost");
    folder.write("tls/cert.pem", &cert);
    folder.write("tls/key.pem", &key);
    folder.write(
        "formgate.toml",
        "[tls]\ncert = 'tls/cert.pem'\nkey = 'tls/key.pem'\n",
    );
    let serving = Serving::begin(&folder, &[], &[]);
    assert!(
        serving.hello["listening"]
            .as_str()
            .is_some_and(|it| it.starts_with("https://"))
    );
    folder.write("tls/cert.pem", "no certificate");
    serving.wait_for_log("the certificate stays as it was: `tls/cert.pem` holds no certificate");
    folder.write("tls/cert.pem", &cert);
    serving.wait_for_log("were read again");
    assert!(!serving.log().contains("another certificate"));
    let (cert, key) = made("localhost");
    folder.write("tls/cert.pem", &cert);
    folder.write("tls/key.pem", &key);
    serving.wait_for_log("another certificate is in force for new connections");
}

/// A form with a hook whose token is in this file.
fn naming(path: &str, msg: &str, file: &str) -> String {
    let hook = format!(
        "[[hook]]\non = \"submit\"\nurl = \"http://127.0.0.1:9/\"\nheaders = {{ authorization = \"file:{file}\" }}\n"
    );
    format!("{}\n{hook}", form(path, msg))
}

#[test]
fn a_folder_may_be_spelt_in_several_ways() {
    let folder = Folder::new();
    folder.write("formgate.toml", "project = 'one'\n");
    folder.write("token", "first\n");
    folder.write("rules/x.toml", &naming("/x", "First.", "../token"));
    let serving = Serving::begin(&folder, &[], &[]);
    folder.write("formgate.toml", "project = 'two'\n");
    serving.wait_for_log("formgate.toml has changed");
    folder.write(
        "rules/x.toml",
        &naming("/x", "Second.", "../rules/../token"),
    );
    serving.wait_for("/x", "Second.");
    let read = || serving.log().matches("were read again").count();
    let before = read();
    folder.write("token", "second\n");
    until("another reading", || read() > before);
}

#[test]
fn what_changes_while_it_reads_is_noticed() {
    /// Lets the reader of this pipe wait, changes `/a` meanwhile, and lets it go on.
    fn change(folder: &Folder, pipe: &str, msg: &str) {
        let opened = std::fs::OpenOptions::new()
            .write(true)
            .open(folder.join(pipe));
        let mut opened = opened.expect("somebody reads");
        folder.write("rules/a.toml", &form("/a", msg));
        // Whoever reads next finds a file.
        folder.write("rules/.token", "second\n");
        std::fs::rename(folder.join("rules/.token"), folder.join(pipe)).expect("renamed");
        opened.write_all(b"first\n").expect("it reads");
    }
    let folder = Folder::new();
    for pipe in ["rules/one", "elsewhere/two"] {
        folder.write(pipe, "");
        std::fs::remove_file(folder.join(pipe)).expect("removed");
        let mut made = std::process::Command::new("mkfifo");
        assert!(
            made.arg(folder.join(pipe))
                .status()
                .expect("it runs")
                .success()
        );
    }
    folder.write("rules/a.toml", &form("/a", "First."));
    folder.write("rules/b.toml", &naming("/b", "First.", "one"));
    let serving = thread::scope(|scope| {
        scope.spawn(|| change(&folder, "rules/one", "Second."));
        Serving::begin(&folder, &[], &[])
    });
    serving.wait_for("/a", "Second.");
    // Of a file that was not named before, too.
    folder.write("rules/b.toml", &naming("/b", "Second.", "../elsewhere/two"));
    change(&folder, "elsewhere/two", "Third.");
    serving.wait_for("/a", "Third.");
}

#[test]
fn an_authority_is_read_again_and_a_bad_one_is_not_taken() {
    let folder = Folder::new();
    let authority = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]);
        made.expect("a certificate").cert.pem()
    };
    folder.write("ca.pem", &authority("one"));
    folder.write("formgate.toml", "[egress]\nca = 'file:ca.pem'\n");
    folder.write("rules/x.toml", &form("/x", "one"));
    let serving = Serving::begin(&folder, &[], &[]);
    folder.write("ca.pem", "nonsense");
    serving.wait_for_log("what `egress.ca` names stays as it was: there is no certificate in PEM");
    folder.write("rules/x.toml", &form("/x", "two"));
    serving.wait_for("/x", "two");
    folder.write("ca.pem", &authority("three"));
    let complained = serving.log().matches("stays as it was").count();
    folder.write("rules/x.toml", &form("/x", "three"));
    serving.wait_for("/x", "three");
    assert_eq!(serving.log().matches("stays as it was").count(), complained);

    folder.write("ca.pem", "nonsense");
    let ran = folder.run(&["check"]);
    assert_eq!(ran.code, 1);
    for part in ["`egress.ca`: there is no certificate", "formgate.toml:2"] {
        assert!(ran.stderr.contains(part), "{part} in\n{}", ran.stderr);
    }
}

#[test]
fn a_log_for_machines_has_nothing_else_in_it() {
    let folder = Folder::new();
    folder.write("formgate.toml", "[telemetry]\nlog = 'json'\n");
    folder.write("rules/contact.toml", &form("/contact", "First."));
    let serving = Serving::begin(&folder, &[], &[]);
    serving.wait_for("/contact", "First.");
    folder.write(
        "rules/contact.toml",
        "[form]\nsubmit = \"POST /contact\"\ntitel = \"x\"\n",
    );
    serving.wait_for_log("the rule files stay as they were");
    let lines: Vec<Value> = serving.log().lines().map(json).collect();
    let complaint = lines
        .iter()
        .find(|line| line["target"] == "formgate::rules");
    let complaint = complaint.expect("the complaint");
    assert_eq!(complaint["message"], "unknown key `titel` in [form]");
    assert_eq!(
        (&complaint["file"], &complaint["line"]),
        (&"rules/contact.toml".into(), &3.into())
    );
    assert_eq!(complaint["mend"], "did you mean `title`?");
    assert!(
        complaint["picture"]
            .as_str()
            .is_some_and(|it| it.contains("^^^^^"))
    );
}

// === ending ===

/// A backend that says when it is asked, and answers when it is told to.
fn held_backend() -> (Server, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let backend = Server::begin(move |_| {
        let _ = arrived.lock().expect("not poisoned").send(());
        let _ = released.lock().expect("not poisoned").recv();
        (200, "\"saved\"".to_owned())
    });
    (backend, arrival, release)
}

#[test]
fn what_is_under_way_is_finished() {
    let (backend, arrival, release) = held_backend();
    let folder = Folder::new();
    let mut serving = Serving::begin(&folder, &["--backend", &backend.url()], &[]);
    let mut stream = TcpStream::connect(&serving.address).expect("it listens");
    stream
        .write_all(request("/x", "a=1").as_bytes())
        .expect("it reads");
    arrival
        .recv_timeout(PATIENCE)
        .expect("the backend is asked");
    serving.signal("TERM");
    serving.wait_for_log("finishing what is under way");
    until("nobody new is let in", || {
        TcpStream::connect(&serving.address).is_err()
    });
    assert!(
        serving.child.try_wait().expect("a child").is_none(),
        "it has not ended yet"
    );
    release.send(()).expect("the backend waits");
    let (first, _, body) = read_message(&stream).expect("an answer");
    assert!(
        first.contains("200") && body == "\"saved\"",
        "{first} {body}"
    );
    drop(stream);
    assert_eq!(serving.ended(), Some(0));
}

#[test]
fn before_the_end_everybody_is_served_for_a_while() {
    let folder = Folder::new();
    folder.write("rules/x.toml", &form("/x", "still here"));
    let long = [("FORMGATE_LIMITS_DRAIN_DELAY", "60s")];
    let mut serving = Serving::begin(&folder, &[], &long);
    serving.signal("TERM");
    serving.wait_for_log("new connections are taken for limits.drain_delay");
    serving.wait_for("/x", "still here");
    serving.signal("TERM");
    assert_eq!(serving.ended(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (backend, arrival, release) = held_backend();
    let folder = Folder::new();
    let mut serving = Serving::begin(&folder, &["--backend", &backend.url()], &[]);
    let mut stream = TcpStream::connect(&serving.address).expect("it listens");
    stream
        .write_all(request("/x", "a=1").as_bytes())
        .expect("it reads");
    arrival
        .recv_timeout(PATIENCE)
        .expect("the backend is asked");
    serving.signal("INT");
    serving.wait_for_log("finishing what is under way");
    serving.signal("INT");
    assert_eq!(serving.ended(), Some(0));
    let mut rest = Vec::new();
    // Reset or closed: in any case there is no answer.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    drop(release);
}

// === what `try` says is what happens ===

#[test]
fn try_says_what_the_gateway_does() {
    let reply = Arc::new(Mutex::new(String::new()));
    let for_server = Arc::clone(&reply);
    let hooks = Server::begin(move |request| {
        let reply = for_server.lock().expect("not poisoned").clone();
        match reply.as_str() {
            _ if request.path == "/mail" => (204, String::new()),
            "\"fails\"" => (500, String::new()),
            _ => (200, reply),
        }
    });
    let backend = Server::begin(|_| (200, "\"saved\"".to_owned()));
    let folder = contact(&hooks.url(), "");
    let serving = Serving::begin(&folder, &["--backend", &backend.url()], &[]);
    let mut asked = 0;
    for (doc, answer) in [
        (r#"{"email": " A@B.c", "age": "20"}"#, "{}"),
        (r#"{"email": "a@b.c", "age": "12"}"#, "{}"),
        (r#"{"email": "nobody", "age": "200"}"#, "{}"),
        (r#"{"email": "a@b.c", "age": "20"}"#, r#""fails""#),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"msg_type": "err"}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"msg": "Grüße", "msg_type": "warning", "focus_on": "age"}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"errors": {"age": "No.", "email": "Never."}}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"jdoc": {"city": "Bern", "age": null, "_token": "x"}}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"jdoc": {"age": 20}}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"redirect": "https://pay.example.org/x"}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"redirect": "/thanks", "jdoc": {"city": "Bern"}}"#,
        ),
        (
            r#"{"email": "a@b.c", "age": "20"}"#,
            r#"{"msg": "No.", "msg_type": "error", "jdoc": {"city": "Bern"}}"#,
        ),
    ] {
        answer.clone_into(&mut reply.lock().expect("not poisoned"));
        let replies = format!("{{\"crm\": {answer}}}");
        let said = tried(&folder, doc, &["--replies", &replies]);
        let fields = json(doc);
        let fields = fields.as_object().expect("an object").iter();
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            body.append_pair(name, value.as_str().expect("a text"));
        }
        let before = backend.requests().len();
        let (status, beside, body) = serving.send("/contact/x", &body.finish());
        let submitted = backend.requests().len() > before;
        asked += 1;
        let (said, what) = (&said["answer"], format!("{doc} {answer}"));
        assert_eq!(said["submitted"], submitted, "{what}");
        let came = match beside {
            Some(beside) => beside,
            None if submitted && body == "\"saved\"" => {
                assert_eq!(
                    (&said["messages"], &said["changed"]),
                    (
                        &Value::Array(Vec::new()),
                        &Value::Object(serde_json::Map::new())
                    ),
                    "{what}"
                );
                continue;
            }
            None => json(&body),
        };
        for key in [
            "outcome", "msg", "msg_type", "messages", "errors", "focus_on", "redirect", "changed",
        ] {
            assert_eq!(said[key], came[key], "{key} of {what}");
        }
        // A script that is sent elsewhere gets 200; `try` says what a page gets.
        if said["outcome"] != "redirected" {
            assert_eq!(said["status"], status, "{what}");
        }
    }
    assert_eq!(asked, 12);
}
