//! The way to responders and backends: whose certificates are believed, what is shown, what goes through a proxy –
//! and that only the operator is told what is wrong with it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use formgate::config::Config;
use formgate::source::certificate::Sources;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS12;
use rustls::version::TLS13;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::App;
use crate::support::Site;
use crate::support::authority::Authority;
use crate::support::authority::Certificate;
use crate::support::authority::Front;
use crate::support::authority::Speaks;
use crate::support::client::Answer;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

/// A folder with the PEM files that a site names.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, pem: &str) {
        fs::write(self.path(name), pem).expect("a folder");
    }

    fn put_certificate(&self, (certificate, key): &Certificate) {
        self.put("client.pem", certificate);
        self.put("client.key", key);
    }

    /// As rule files and the configuration name it.
    fn reference(&self, name: &str) -> String {
        format!("file:{}", self.path(name).display())
    }

    fn client(&self) -> String {
        format!(
            "client_certificate = \"{}\"\nclient_key = \"{}\"\n",
            self.reference("client.pem"),
            self.reference("client.key")
        )
    }

    fn ca(&self) -> String {
        format!("ca = \"{}\"\n", self.reference("ca.pem"))
    }
}

fn contact(url: &str, more: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"{url}\"\n{more}"
    )
}

/// A responder behind TLS, and a gateway that has no hook yet.
async fn behind(speaks: Speaks<'_>, configure: impl FnOnce(&mut Config)) -> (App, Front) {
    behind_with(site().configure(configure), speaks).await
}

async fn behind_with(site: Site, speaks: Speaks<'_>) -> (App, Front) {
    let app = site.rules("contact", "[form]\nsubmit = \"POST /contact\"\n");
    let app = app.start().await;
    app.hooks.always(Script::answer(204, "", ""));
    let front = Front::start(app.hooks.address(), speaks).await;
    (app, front)
}

fn plainly(certificate: Certificate) -> Speaks<'static> {
    Speaks {
        certificate,
        wants: None,
        versions: rustls::ALL_VERSIONS,
    }
}

/// Submits, and gives the last job.
async fn submit(app: &App) -> (Answer, Map<String, Value>) {
    let answer = app.post("/contact").form("a=1").send().await;
    let job = app.log.jobs().pop().expect("a job");
    (answer, job)
}

/// Submits in vain: the job says why, and the person does not.
async fn in_vain(app: &App, why: &str) -> Map<String, Value> {
    let (answer, job) = submit(app).await;
    assert_eq!(
        (answer.status, &job["outcome"]),
        (503, &json!("failed")),
        "{job:?}"
    );
    let faults = job["faults"].to_string();
    assert!(faults.contains(why), "{why}: {faults}");
    let told = answer.text();
    for part in [
        "certificate",
        "localhost",
        "127.0",
        "egress",
        "proxy",
        "TLS",
    ] {
        assert!(!told.contains(part), "{part} in {told}");
    }
    assert_eq!(app.backend.count(), 0, "nothing is submitted");
    job
}

async fn with_success(app: &App) {
    let (answer, job) = submit(app).await;
    assert_eq!(
        (answer.status, &job["outcome"]),
        (200, &json!("continued")),
        "{job:?}"
    );
}

#[tokio::test]
async fn a_responder_proves_who_it_is_to_an_authority_of_ones_own() {
    let (files, own, other) = (Files::new(), Authority::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    for (certificate, wrong) in [
        (own.certificate("localhost"), None),
        (
            other.certificate("localhost"),
            Some("an authority that is not known here"),
        ),
        (
            own.certificate_until("localhost", 2001),
            Some("its certificate has expired"),
        ),
        (own.certificate("crm.example.org"), Some("for another host")),
    ] {
        let (app, front) = behind(plainly(certificate), |_| {}).await;
        let url = format!("https://localhost:{}/check", front.address.port());
        app.reload(&contact(&url, ""));
        in_vain(&app, "no TLS with `localhost`").await;
        app.reload(&contact(&url, &files.ca()));
        match wrong {
            None => with_success(&app).await,
            Some(wrong) => {
                let job = in_vain(&app, wrong).await;
                let faults = job["faults"].to_string();
                assert!(faults.contains("no TLS with `localhost`"), "{faults}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_tls_is_said_to_be_none() {
    let (files, own) = (Files::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    let (app, _) = behind(plainly(own.certificate("localhost")), |_| {}).await;
    app.hooks
        .always(Script::Last(b"HTTP/1.0 400 no\r\n\r\n".to_vec()));
    let plain = Peer::raw(|mut wire: Wire| async move {
        wire.more().await;
        wire.write(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
        wire.rest().await;
    })
    .await;
    let url = format!("https://localhost:{}/check", plain.address().port());
    app.reload(&contact(&url, &files.ca()));
    in_vain(&app, "what it speaks is not TLS").await;
}

#[tokio::test]
async fn a_responder_is_shown_a_client_certificate() {
    let (files, own, other) = (Files::new(), Authority::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let speaks = Speaks {
            certificate: own.certificate("localhost"),
            wants: Some(&own),
            versions,
        };
        let (app, front) = behind(speaks, |_| {}).await;
        let url = format!("https://localhost:{}/check", front.address.port());
        app.reload(&contact(&url, &files.ca()));
        let job = in_vain(&app, "certificate").await;
        let wanted = job["faults"].to_string();
        let said = ["it wants to see a certificate", "misses"];
        assert!(said.iter().any(|said| wanted.contains(said)), "{wanted}");
        for (certificate, wrong) in [
            (
                own.certificate_until("gateway", 2001),
                Some("client certificate has expired"),
            ),
            (
                other.certificate("gateway"),
                Some("does not know the authority of our client certificate"),
            ),
            (own.certificate("gateway"), None),
        ] {
            files.put_certificate(&certificate);
            app.reload(&contact(&url, &format!("{}{}", files.ca(), files.client())));
            if let Some(wrong) = wrong {
                in_vain(&app, wrong).await;
                continue;
            }
            with_success(&app).await;
            let der = CertificateDer::from_pem_slice(certificate.0.as_bytes()).expect("PEM");
            assert_eq!(front.shown().last(), Some(&Some(der.to_vec())));
        }
        assert!(!app.log.text().contains("PRIVATE"), "no key is logged");
    }
}

#[tokio::test]
async fn whoever_tries_a_hook_by_hand_reaches_it_as_the_gateway_does() {
    let (files, own) = (Files::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    files.put_certificate(&own.certificate("gateway"));
    let speaks = Speaks {
        certificate: own.certificate("localhost"),
        wants: Some(&own),
        versions: rustls::ALL_VERSIONS,
    };
    let (app, front) = behind(speaks, |_| {}).await;
    let url = format!("https://localhost:{}/check", front.address.port());
    fs::create_dir(files.path("rules")).expect("a folder");
    let rules = contact(&url, &format!("{}{}", files.ca(), files.client()));
    files.put("rules/contact.toml", &rules);
    let mut program = Command::new(env!("CARGO_BIN_EXE_formgate"));
    program
        .args(["send", "contact", "preprocess"])
        .current_dir(files.0.path());
    let output = tokio::task::spawn_blocking(move || program.output());
    let output = within("the command", output).await.expect("no panic");
    let output = output.expect("the program");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(app.hooks.count(), 1);
    assert!(front.shown().last().is_some_and(Option::is_some), "{said}");
}

#[tokio::test]
async fn what_all_hooks_show_and_believe_is_replaced_by_what_one_names() {
    let (files, own, other) = (Files::new(), Authority::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    files.put("other.pem", &other.pem());
    files.put_certificate(&own.certificate("gateway"));
    let config = Config {
        hook_certificates: Sources {
            ca: Some(files.reference("ca.pem")),
            certificate: Some(files.reference("client.pem")),
            key: Some(files.reference("client.key")),
        },
        ..Config::default()
    };
    let speaks = Speaks {
        certificate: own.certificate("localhost"),
        wants: Some(&own),
        versions: rustls::ALL_VERSIONS,
    };
    let sources = config.hook_certificates.clone();
    let (app, front) = behind(speaks, |config| config.hook_certificates = sources).await;
    let url = format!("https://localhost:{}/check", front.address.port());
    app.reload(&contact(&url, ""));
    with_success(&app).await;
    let only = format!("ca = \"{}\"\n", files.reference("other.pem"));
    app.reload(&contact(&url, &only));
    in_vain_after(&app, "an authority that is not known here").await;

    // New files: the next connection shows the new certificate, and one that is open is not used for it.
    app.reload(&contact(&url, ""));
    with_success(&app).await;
    let before = front.shown();
    files.put_certificate(&own.certificate("gateway-2"));
    app.gate.reach_by(config_like(&app, &config));
    app.reload(&contact(&url, ""));
    with_success(&app).await;
    let after = front.shown();
    assert_eq!(after.len(), before.len() + 1, "a connection of its own");
    assert_ne!(after.last(), before.last());
    // The same files again: the connection is kept.
    app.gate.reach_by(config_like(&app, &config));
    app.reload(&contact(&url, ""));
    with_success(&app).await;
    assert_eq!(front.shown().len(), after.len());
}

fn config_like(app: &App, config: &Config) -> formgate::flow::snapshot::Reach {
    let mut reach = config.reach().expect("good files");
    reach.backend = app.gate.settings().reach.backend.clone();
    reach
}

async fn in_vain_after(app: &App, why: &str) {
    let (answer, job) = submit(app).await;
    assert_eq!(answer.status, 503);
    assert!(job["faults"].to_string().contains(why), "{job:?}");
}

#[tokio::test]
async fn a_backend_is_shown_a_client_certificate() {
    let (files, own) = (Files::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    files.put_certificate(&own.certificate("gateway"));
    let backend = Peer::start().await;
    let speaks = Speaks {
        certificate: own.certificate("localhost"),
        wants: Some(&own),
        versions: rustls::ALL_VERSIONS,
    };
    let front = Front::start(backend.address(), speaks).await;
    let rules = format!(
        "[form]\nsubmit = \"POST /contact\"\nbackend = \"https://localhost:{}\"\n",
        front.address.port()
    );
    let app = site().rules("contact", &rules).configure(|config| {
        config.backend_certificates = Sources {
            ca: Some(files.reference("ca.pem")),
            certificate: Some(files.reference("client.pem")),
            key: Some(files.reference("client.key")),
        };
    });
    let app = app.start_with(backend, Peer::start().await).await;
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 200);
    assert_eq!((app.backend.count(), front.shown().len()), (1, 1));
}

// === the proxy ===

/// A proxy that writes down what it is asked.
struct Middle {
    peer: Peer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Middle {
    /// Starts one that leads everything to one server; `answer` is what it says to `CONNECT`.
    async fn start(server: std::net::SocketAddr, answer: &'static str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let peer = Peer::raw(move |mut wire: Wire| {
            let noted = Arc::clone(&noted);
            async move {
                let Some(head) = wire.until("\r\n\r\n").await else {
                    return;
                };
                noted
                    .lock()
                    .expect("no panic")
                    .push(String::from_utf8_lossy(&head).into_owned());
                let mut inside = TcpStream::connect(server).await.expect("a server");
                if head.starts_with(b"CONNECT ") {
                    wire.write(answer.as_bytes()).await;
                    if !answer.contains(" 200 ") {
                        return;
                    }
                } else {
                    // It passes on whatever comes; servers must read absolute targets, too.
                    inside.write_all(&head).await.expect("a server");
                    inside.write_all(&wire.ahead).await.expect("a server");
                }
                let _ = tokio::io::copy_bidirectional(&mut wire.stream, &mut inside).await;
            }
        })
        .await;
        Self { peer, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn through(config: &mut Config, middle: &Middle, except: &[&str]) {
    let url = middle.peer.url();
    config.proxy.origin = Some(formgate::model::origin::Origin::parse(&url).expect("a URL"));
    config.proxy.except = except.iter().map(|&host| host.to_owned()).collect();
}

#[tokio::test]
async fn hooks_with_tls_are_called_through_a_tunnel() {
    let (files, own) = (Files::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    files.put("login", "ana:planted-password");
    let hooks = Peer::start().await;
    hooks.always(Script::answer(204, "", ""));
    // Nobody here could look this name up: the proxy does.
    let speaks = plainly(own.certificate("crm.example.org"));
    let front = Front::start(hooks.address(), speaks).await;
    let middle = Middle::start(front.address, OPEN).await;
    let rules = contact("https://crm.example.org/check", &files.ca());
    let gateway = site().rules("contact", &rules).configure(|config| {
        through(config, &middle, &[]);
        config.proxy.credentials = Some(files.reference("login"));
    });
    let app = gateway.start_with(Peer::start().await, hooks).await;
    with_success(&app).await;
    with_success(&app).await;
    let [asked] = middle.asked().try_into().expect("one tunnel for both");
    assert!(
        asked.starts_with("CONNECT crm.example.org:443 HTTP/1.1\r\n"),
        "{asked}"
    );
    let lower = asked.to_ascii_lowercase();
    assert!(
        lower.contains("\r\nhost: crm.example.org:443\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("Basic YW5hOnBsYW50ZWQtcGFzc3dvcmQ="),
        "{asked}"
    );
    let calls = app.hooks.received();
    assert_eq!((calls.len(), calls[0].target.as_str()), (2, "/check"));
    assert_eq!(calls[0].header("host"), Some("crm.example.org"));
    assert_eq!(calls[0].header("proxy-authorization"), None);
    let log = app.log.text();
    assert!(
        !log.contains("planted-password") && !log.contains("YW5h"),
        "{log}"
    );
}

#[tokio::test]
async fn hooks_without_tls_are_called_by_their_whole_url() {
    let hooks = Peer::start().await;
    hooks.always(Script::answer(204, "", ""));
    let middle = Middle::start(hooks.address(), OPEN).await;
    let rules = contact("http://crm.example.org/check?of={form}", "");
    let gateway = site()
        .rules("contact", &rules)
        .configure(|config| through(config, &middle, &["internal.example.org"]));
    let app = gateway.start_with(Peer::start().await, hooks).await;
    with_success(&app).await;
    with_success(&app).await;
    assert_eq!(middle.asked().len(), 1, "over one connection");
    let calls = app.hooks.received();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.target, "http://crm.example.org/check?of=contact");
        assert_eq!(call.header("host"), Some("crm.example.org"));
    }
    assert_eq!(app.log.jobs()[0]["url"], "http://crm.example.org/check");
}

#[tokio::test]
async fn what_is_excepted_goes_straight() {
    let hooks = Peer::start().await;
    hooks.always(Script::answer(204, "", ""));
    let middle = Middle::start(hooks.address(), OPEN).await;
    let gateway = site()
        .rules("contact", &contact("HOOK/check", ""))
        .configure(|config| through(config, &middle, &["127.0.0.0/8"]));
    let app = gateway.start_with(Peer::start().await, hooks).await;
    with_success(&app).await;
    assert!(middle.asked().is_empty());
    assert_eq!(app.hooks.only().target, "/check");
    // The backend never goes through it.
    assert_eq!(app.backend.count(), 1);
}

#[tokio::test]
async fn a_proxy_that_says_no_is_told_to_the_operator() {
    for (answer, why) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "answers `CONNECT` with 407 (`egress.proxy_credentials`)",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "it does not let calls",
        ),
        ("what\r\n\r\n", "does not answer `CONNECT`"),
    ] {
        let hooks = Peer::start().await;
        let middle = Middle::start(hooks.address(), answer).await;
        let gateway = site()
            .rules("contact", &contact("https://crm.example.org/check", ""))
            .configure(|config| through(config, &middle, &[]));
        let app = gateway.start_with(Peer::start().await, hooks).await;
        in_vain(&app, why).await;
    }
}

#[tokio::test]
async fn addresses_are_judged_on_the_way_to_a_proxy_too() {
    let hooks = Peer::start().await;
    let middle = Middle::start(hooks.address(), OPEN).await;
    let gateway = site()
        .rules("contact", &contact("http://crm.example.org/check", ""))
        .configure(|config| {
            through(config, &middle, &[]);
            config.egress.deny = vec!["10.0.0.0/8".parse().expect("a network")];
        });
    let app = gateway.start_with(Peer::start().await, hooks).await;
    for (url, why) in [
        (
            "http://169.254.169.254/latest",
            "link-local, always refused",
        ),
        (
            "https://169.254.169.254/latest",
            "link-local, always refused",
        ),
        ("http://2852039166/latest", "link-local, always refused"),
        (
            "http://0xa9.0xfe.0xa9fe/latest",
            "link-local, always refused",
        ),
        (
            "http://[::ffff:169.254.169.254]/",
            "link-local, always refused",
        ),
        (
            "https://10.1.2.3/",
            "10.1.2.3 is in 10.0.0.0/8 of `egress.deny`",
        ),
        (
            "http://10.66051/",
            "10.1.2.3 is in 10.0.0.0/8 of `egress.deny`",
        ),
    ] {
        app.reload(&contact(url, ""));
        let job = in_vain(&app, why).await;
        assert!(job["faults"].to_string().contains("egress"), "{job:?}");
    }
    assert!(middle.asked().is_empty(), "nothing of it was asked for");

    // The proxy itself is called as any other address is.
    let hooks = Peer::start().await;
    let middle = Middle::start(hooks.address(), OPEN).await;
    let gateway = site()
        .rules("contact", &contact("http://crm.example.org/check", ""))
        .configure(|config| {
            through(config, &middle, &[]);
            config.egress.allow = Some(vec!["10.0.0.0/8".parse().expect("a network")]);
        });
    let app = gateway.start_with(Peer::start().await, hooks).await;
    in_vain(&app, "127.0.0.1 is in no network of `egress.allow`").await;
    assert_eq!(middle.peer.connections(), 0);
}

#[tokio::test]
async fn no_form_of_an_address_is_a_way_around() {
    let hooks = Peer::start().await;
    let port = hooks.address().port();
    let gateway = site()
        .rules("contact", &contact("HOOK/check", ""))
        .configure(|config| config.egress.deny = vec!["127.0.0.0/8".parse().expect("a network")]);
    let app = gateway.start_with(Peer::start().await, hooks).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[64:ff9b:1:abcd::7f00:1]",
        "[2002:7f00:1::1]",
        "[2001:0:1234::80ff:fffe]",
        "[fd12::5efe:127.0.0.1]",
        "[fd12::200:5efe:127.0.0.1]",
    ] {
        app.reload(&contact(&format!("http://{host}:{port}/check"), ""));
        let job = in_vain(&app, "127.0.0.1 is in 127.0.0.0/8 of `egress.deny`").await;
        assert!(!job.contains_key("connect_ms"), "{host}: {job:?}");
    }
    assert_eq!(app.hooks.connections(), 0);
}

#[tokio::test]
async fn no_redirect_of_a_responder_is_followed() {
    let app = site()
        .rules("contact", &contact("HOOK/check", ""))
        .start()
        .await;
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = format!("location: {}/other\r\n", app.hooks.url());
        app.hooks.always(Script::answer(status, &elsewhere, ""));
        let (answer, job) = submit(&app).await;
        assert_eq!(
            (answer.status, &job["outcome"]),
            (503, &json!("failed")),
            "{job:?}"
        );
    }
    let calls = app.hooks.received();
    assert!(calls.iter().all(|call| call.target == "/check"));
    assert_eq!((calls.len(), app.backend.count()), (5, 0));
}

/// Rule files that name certificates which cannot be used are complained of at their place.
#[test]
fn certificates_that_cannot_be_used_are_pointed_at() {
    let (files, own) = (Files::new(), Authority::new());
    files.put("ca.pem", &own.pem());
    files.put("nonsense.pem", "nonsense");
    files.put_certificate(&own.certificate("gateway"));
    let (_, foreign) = own.certificate("other");
    files.put("foreign.key", &foreign);
    let client = files.reference("client.pem");
    for (said, why) in [
        (
            "ca = \"ca.pem\"".to_owned(),
            "write file:ca.pem or env:NAME",
        ),
        ("ca = \"file:nowhere.pem\"".to_owned(), "cannot read"),
        (
            format!("ca = \"{}\"", files.reference("nonsense.pem")),
            "there is no certificate in PEM",
        ),
        (
            format!("client_certificate = \"{client}\""),
            "needs its key",
        ),
        (
            format!("client_key = \"{}\"", files.reference("client.key")),
            "needs its certificate",
        ),
        (
            format!(
                "client_certificate = \"{client}\"\nclient_key = \"{}\"",
                files.reference("foreign.key")
            ),
            "certificate and key do not fit",
        ),
        (
            format!("client_certificate = \"{client}\"\nclient_key = \"{client}\""),
            "not a private key",
        ),
    ] {
        let rules = contact("https://crm.example.org/check", &format!("{said}\n"));
        let written = formgate::rules::book::Written {
            name: "rules/contact.toml".to_owned(),
            stem: "contact".to_owned(),
            text: rules,
        };
        let book = formgate::rules::book::Book::compile(vec![written], Path::new("."), &[]);
        let complaints = book.map(drop).expect_err("unusable");
        let pictures: Vec<String> = complaints.iter().map(|one| one.picture(false)).collect();
        let picture = pictures.join("\n");
        assert!(picture.contains(why), "{why} in {picture}");
        assert!(picture.contains("rules/contact.toml:6"), "{picture}");
        assert!(!picture.contains("PRIVATE"), "{picture}");
    }
}
