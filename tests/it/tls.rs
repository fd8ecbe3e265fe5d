//! TLS on both sides: towards people with HTTP/1 and HTTP/2, certificates that are replaced while it runs; towards a
//! backend with an authority of one's own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use formgate::gateway::tls::Files;
use formgate::gateway::tls::Tls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::App;
use crate::support::Site;
use crate::support::authority::Authority;
use crate::support::authority::Certificate;
use crate::support::authority::Front;
use crate::support::authority::Speaks;
use crate::support::h2c;
use crate::support::h2c::request;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const NAME: &str = "forms.example.org";

/// Writes a certificate for a name into a folder.
fn write(authority: &Authority, folder: &Path, name: &str) -> Files {
    let (cert, key) = authority.certificate(name);
    let files = Files {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&files.cert, cert).expect("a folder");
    fs::write(&files.key, key).expect("a folder");
    files
}

/// Connects as a client that believes this authority alone, and offers these protocols.
async fn connect(
    authority: &Authority,
    address: SocketAddr,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    within("the handshake", connecting).await
}

fn secure(folder: &Path, authority: &Authority) -> Site {
    let tls = Tls::load(write(authority, folder, NAME)).expect("good files");
    site().rules("contact", CONTACT).tls(tls)
}

/// Asks over HTTP/1 and reads to the end.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.expect("a connection");
    stream.flush().await.expect("a connection");
    let mut all = Vec::new();
    let _ = within("an answer", stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

const CLOSING: &[u8] = b"GET /a HTTP/1.1\r\nHost: forms.example.org\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn the_version_of_http_is_agreed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let app = secure(folder.path(), &authority).start().await;
    for (offered, taken) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut stream = connect(&authority, app.address, offered)
            .await
            .expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), taken);
        if taken == Some(b"h2") {
            let mut client = h2c::speak(stream, &h2::client::Builder::new()).await;
            let got = client.ask(request("GET", "/a")).await;
            assert_eq!((got.status, got.text().as_str()), (200, "ok"));
        } else {
            let said = ask(&mut stream, CLOSING).await;
            assert!(
                said.starts_with("HTTP/1.1 200 ") && said.ends_with("ok"),
                "{said}"
            );
        }
    }
    for sent in app.backend.received() {
        assert_eq!(sent.header("x-forwarded-proto"), Some("https"));
        assert_eq!(sent.header("host"), Some(NAME));
    }
}

#[tokio::test]
async fn forms_are_asked_about_over_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let app = secure(folder.path(), &authority).start().await;
    app.hooks.reply(&json!({"msg": "no", "msg_type": "error"}));
    let stream = connect(&authority, app.address, &["h2"])
        .await
        .expect("TLS");
    let mut client = h2c::speak(stream, &h2::client::Builder::new()).await;
    let form =
        request("POST", "/contact").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(client.ask_with(form, "a=b").await.status, 422);
    let mut stream = connect(&authority, app.address, &[]).await.expect("TLS");
    let form = app
        .post("/contact")
        .form("a=b")
        .header("connection", "close")
        .bytes();
    assert!(ask(&mut stream, &form).await.starts_with("HTTP/1.1 422 "));
    assert_eq!((app.hooks.count(), app.backend.count()), (2, 0));
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let app = secure(folder.path(), &authority).start().await;
    let large = "x".repeat(8 << 20);
    app.backend.always(Script::page(200, &large));
    let stream = connect(&authority, app.address, &[]).await.expect("TLS");
    let (mut reading, mut writing) = tokio::io::split(stream);
    let head = format!(
        "PUT /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    let body = large.clone();
    let write = async move {
        writing
            .write_all(head.as_bytes())
            .await
            .expect("a connection");
        writing
            .write_all(body.as_bytes())
            .await
            .expect("a connection");
        writing.flush().await.expect("a connection");
        writing
    };
    let mut all = Vec::new();
    let read = async { reading.read_to_end(&mut all).await };
    let (_writing, read) = within("both ways", async { tokio::join!(write, read) }).await;
    read.expect("an end that says so");
    assert!(all.len() > large.len() && all.ends_with(large.as_bytes()));
    assert!(app.backend.only().body == large.as_bytes());
}

#[tokio::test]
async fn who_does_not_speak_tls_or_nothing_at_all_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let short = Duration::from_millis(300);
    let site = secure(folder.path(), &authority).configure(|config| {
        config.limits.header_timeout = short;
        config.limits.idle = short;
    });
    let app = site.start().await;
    let mut plain = app.connect().await;
    plain.write(CLOSING).await;
    let said = plain.rest().await;
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    let mut silent = app.connect().await;
    assert!(silent.rest().await.is_empty());
    let mut half = app.connect().await;
    half.write(b"\x16\x03\x01\x02\x00\x01").await;
    half.rest().await;
    // After the handshake, too, whatever was agreed on.
    for protocol in ["h2", "http/1.1"] {
        let mut stream = connect(&authority, app.address, &[protocol])
            .await
            .expect("TLS");
        let mut all = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut all)).await;
        assert!(!all.starts_with(b"HTTP/"), "{all:?}");
    }
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn a_new_certificate_is_put_in_force_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (Authority::new(), Authority::new());
    let tls = Arc::new(Tls::load(write(&first, folder.path(), NAME)).expect("good files"));
    let app = site()
        .rules("contact", CONTACT)
        .shared_tls(&tls)
        .start()
        .await;
    let mut before = connect(&first, app.address, &[]).await.expect("TLS");
    assert!(connect(&second, app.address, &[]).await.is_err());

    write(&second, folder.path(), NAME);
    tls.reload().expect("good files");
    let mut after = connect(&second, app.address, &[]).await.expect("TLS");
    assert!(connect(&first, app.address, &[]).await.is_err());
    for stream in [&mut before, &mut after] {
        assert!(ask(stream, CLOSING).await.starts_with("HTTP/1.1 200 "));
    }

    let (other, _) = first.certificate(NAME);
    for (file, text) in [
        ("cert.pem", "nonsense"),
        ("cert.pem", ""),
        ("cert.pem", other.as_str()),
        ("key.pem", "nonsense"),
        ("key.pem", ""),
    ] {
        write(&second, folder.path(), NAME);
        let path: PathBuf = folder.path().join(file);
        fs::write(&path, text).expect("a folder");
        let why = tls.reload().expect_err("bad files");
        assert!(!why.contains("BEGIN"), "{why}");
        fs::remove_file(&path).expect("a file");
        assert!(tls.reload().expect_err("no file").contains(file));
    }
    let mut still = connect(&second, app.address, &[]).await.expect("TLS");
    assert!(ask(&mut still, CLOSING).await.starts_with("HTTP/1.1 200 "));
}

/// Speaks TLS in front of a plain server.
async fn in_front_of(server: SocketAddr, certificate: Certificate) -> SocketAddr {
    let speaks = Speaks {
        certificate,
        wants: None,
        versions: rustls::ALL_VERSIONS,
    };
    Front::start(server, speaks).await.address
}

/// A gateway whose form has a backend at this URL, believing this authority.
async fn with_backend(url: &str, folder: &Path, authority: &Authority, backend: Peer) -> App {
    let ca = folder.join("ca.pem");
    fs::write(&ca, authority.pem()).expect("a folder");
    let rules = CONTACT.replacen("[form]\n", &format!("[form]\nbackend = \"{url}\"\n"), 1);
    let site = site().rules("contact", &rules).configure(|config| {
        config.ca = Some(ca);
        config.backend_connect = Duration::from_millis(500);
    });
    let app = site.start_with(backend, Peer::start().await).await;
    app.hooks.reply(&json!({}));
    app
}

#[tokio::test]
async fn a_backend_is_spoken_to_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let backend = Peer::start().await;
    let address = in_front_of(backend.address(), authority.certificate("localhost")).await;
    let url = format!("https://localhost:{}", address.port());
    let app = with_backend(&url, folder.path(), &authority, backend).await;
    let large = format!("a={}", "x".repeat(900_000));
    for body in ["a=b", &large, "c=d"] {
        let answer = app.post("/contact").form(body).send().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    let received = app.backend.received();
    assert_eq!(received.len(), 3);
    assert!(received[1].text() == large);
    assert_eq!(
        received[0].header("host"),
        Some(NAME),
        "the name that the person asked for"
    );
    assert_eq!(app.backend.connections(), 1, "over one connection");
}

#[tokio::test]
async fn a_backend_that_cannot_prove_who_it_is_gets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (believed, other) = (Authority::new(), Authority::new());
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let plain = Peer::start().await;
    for (certificate, address) in [
        (Some(other.certificate("localhost")), None),
        (Some(believed.certificate("elsewhere.example")), None),
        (None, Some(plain.address())),
        (None, Some(silent.local_addr().expect("an address"))),
    ] {
        let backend = Peer::start().await;
        let address = match (certificate, address) {
            (Some(certificate), _) => in_front_of(backend.address(), certificate).await,
            (None, Some(address)) => address,
            (None, None) => backend.address(),
        };
        let url = format!("https://localhost:{}", address.port());
        let app = with_backend(&url, folder.path(), &believed, backend).await;
        let answer = app.post("/contact").form("a=b").send().await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.json()["submitted"], false, "{}", answer.text());
        assert_eq!((app.backend.count(), plain.count()), (0, 0));
    }
}
