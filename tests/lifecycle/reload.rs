//! Rules, secrets, certificates and keys that are replaced while people submit: nobody loses a request, each request is
//! treated by one set of rules, and what is bad never replaces what is good.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use formgate::model::secret::Secret;
use formgate::wire::proof::Key;
use http::HeaderMap;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::people;
use crate::people::Answer;
use crate::people::Connect;
use crate::people::People;
use crate::people::Stream;
use crate::program::Place;
use crate::program::Start;
use crate::support::authority::Authority;
use crate::support::client::Ask;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::within;

/// How often everything is replaced.
const TIMES: usize = 50;

const NAME: &str = "forms.example.org";

/// A secret that says which one it is.
fn secret(version: usize) -> String {
    use base64::Engine;

    let bytes = format!("the secret of the version {version:06}");
    format!(
        "whsec_{}",
        base64::engine::general_purpose::STANDARD.encode(bytes)
    )
}

/// Rules that say which ones they are: before the backend, in the hook's URL, and after the backend.
fn rules(hooks: &Peer, version: usize) -> String {
    let told = |on: &str| {
        format!(
            "[[rule]]\non = \"{on}\"\nreply = {{ msg = \"{on} {version}\", msg_type = \"information\" }}\n"
        )
    };
    format!(
        "[form]\nsubmit = \"POST /contact\"\n{}{}[[hook]]\non = \"preprocess\"\nname = \"v\"\nurl = \"{}/v/{version}\"\n\
         secrets = [\"file:../secrets/new\", \"file:../secrets/old\"]\n",
        told("preprocess"),
        told("submit"),
        hooks.url()
    )
}

fn replace_all(
    place: &Place,
    hooks: &Peer,
    authority: &Authority,
    version: usize,
) -> CertificateDer<'static> {
    place.write("secrets/old", &secret(version.saturating_sub(1)));
    place.write("secrets/new", &secret(version));
    let (certificate, key) = authority.certificate(NAME);
    // Not at once: between the two they do not fit, and the pair from before stays in force.
    place.write("tls/cert.pem", &certificate);
    place.write("tls/key.pem", &key);
    place.write("rules/contact.toml", &rules(hooks, version));
    CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")
}

/// The versions that an answer speaks of; all are the same, or that is wrong.
fn version(answer: &Answer) -> Result<usize, String> {
    let (_, head, _) = answer;
    let said = head
        .lines()
        .find_map(|line| line.strip_prefix("formgate-reply: "))
        .ok_or("nothing is said")?;
    let said: Value = serde_json::from_str(said).map_err(|error| error.to_string())?;
    let messages = said["messages"].as_array().ok_or("no messages")?;
    let versions: BTreeSet<&str> = messages
        .iter()
        .filter_map(|message| message["msg"].as_str()?.split(' ').nth(1))
        .collect();
    if messages.len() != 2 || versions.len() != 1 {
        return Err(format!("several sets of rules: {said}"));
    }
    let one = versions.into_iter().next().and_then(|one| one.parse().ok());
    one.ok_or_else(|| format!("no number: {said}"))
}

/// A responder that lets through what is signed with a secret of its version, and writes down who was asked by which.
fn judging(hooks: &Peer, asked: &Arc<Mutex<Vec<(String, usize)>>>) {
    let asked = Arc::clone(asked);
    hooks.always(Script::custom(move |call, mut wire| {
        let asked = Arc::clone(&asked);
        async move {
            let version = call.path().trim_start_matches("/v/").parse();
            let version: usize = version.expect("a version");
            let headers: HeaderMap = call
                .headers
                .iter()
                .map(|(name, value)| {
                    let name: http::HeaderName = name.parse().expect("a name");
                    (name, value.parse().expect("a value"))
                })
                .collect();
            // Files are read one after the other: the secret may already be the next one's, but then the one from
            // before signs as well.
            let known = [version.saturating_sub(1), version, version + 1, version + 2];
            let signed = known.iter().any(|one| {
                let webhook = standardwebhooks::Webhook::new(&secret(*one)).expect("a secret");
                webhook.verify(&call.body, &headers).is_ok()
            });
            let name = call.json()["doc"]["name"]
                .as_str()
                .expect("a name")
                .to_owned();
            asked.lock().expect("no panic").push((name, version));
            let answer = if signed {
                "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
            } else {
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            };
            wire.write(answer.as_bytes()).await;
        }
    }));
}

/// Over TLS, with this protocol.
async fn secured(
    authority: &Authority,
    address: SocketAddr,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    // A session that is taken up again shows no certificate.
    config.resumption = Resumption::disabled();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    within("the handshake", connector.connect(name, stream)).await
}

fn over_tls(authority: &Arc<Authority>, address: SocketAddr, protocol: &'static str) -> Connect {
    let authority = Arc::clone(authority);
    Arc::new(move || {
        let authority = Arc::clone(&authority);
        Box::pin(async move {
            let stream = secured(&authority, address, &[protocol]).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_everything_is_replaced() {
    let (backend, hooks) = (Peer::start().await, Peer::start().await);
    let asked = Arc::default();
    judging(&hooks, &asked);
    let authority = Arc::new(Authority::new());
    let place = Place::new();
    let config = format!(
        "backend = '{}'\n[tls]\ncert = 'tls/cert.pem'\nkey = 'tls/key.pem'\n",
        backend.url()
    );
    place.write("formgate.toml", &config);
    replace_all(&place, &hooks, &authority, 0);
    let mut program = Start::default().go(&place).await;

    let newest = Arc::new(AtomicUsize::new(0));
    let told = Arc::new(Mutex::new(Vec::new()));
    let judge = {
        let (newest, told) = (Arc::clone(&newest), Arc::clone(&told));
        move |name: &str, answer: &Answer| {
            let version = version(answer)?;
            newest.fetch_max(version, Ordering::Relaxed);
            let mut told = told.lock().expect("no panic");
            told.push((name.to_owned(), version));
            Ok(())
        }
    };
    let mut people = People::new();
    people.keeping(8, &over_tls(&authority, program.address, "http/1.1"), judge);
    people.multiplexing(4, &over_tls(&authority, program.address, "h2"));
    people.go_on_for(50).await;
    for version in 1..=TIMES {
        let certificate = replace_all(&place, &hooks, &authority, version);
        if version % 5 != 0 {
            program.signal("HUP");
        }
        let in_force = async {
            while newest.load(Ordering::Relaxed) < version {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        within("the new rules", in_force).await;
        // The certificate is read before the rules; a notice that came too early is followed by another.
        let shown = async {
            loop {
                let stream = secured(&authority, program.address, &[])
                    .await
                    .expect("TLS");
                let chain = stream
                    .get_ref()
                    .1
                    .peer_certificates()
                    .expect("a certificate");
                if chain[0] == certificate {
                    break;
                }
            }
        };
        within("the new certificate", shown).await;
    }
    people.go_on_for(50).await;
    let seen = people.leave().await;
    program.signal("TERM");
    assert!(program.ended().await.success());
    let arrived = people::arrived(&backend.received(), &seen);
    let wrong = seen.wrong.lock().expect("no panic").clone();
    assert!(wrong.is_empty(), "{} things: {wrong:#?}", wrong.len());
    assert_eq!(*seen.accepted.lock().expect("no panic"), arrived);
    // Who was told by which rules was asked about by the same.
    let asked: BTreeSet<(String, usize)> = asked.lock().expect("no panic").drain(..).collect();
    let told = told.lock().expect("no panic").clone();
    let strays: Vec<_> = told.iter().filter(|one| !asked.contains(one)).collect();
    assert!(strays.is_empty(), "{strays:?}");
    let versions: BTreeSet<usize> = told.iter().map(|(_, version)| *version).collect();
    assert_eq!(versions.len(), TIMES + 1, "{versions:?}");
}

fn token(secret: &str) -> String {
    let claims = json!({"sub": "ana", "exp": 4_000_000_000_u64});
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
}

#[tokio::test]
async fn keys_are_exchanged_while_it_serves() {
    let (backend, hooks) = (Peer::start().await, Peer::start().await);
    hooks.reply(&json!({}));
    let (first, second) = (
        "first key first key first key!!!",
        "second key second key second key",
    );
    let [first, second] = [first, second].map(|key| key.replace(' ', "-"));
    let place = Place::new();
    place.write("gateway-key", &first);
    place.write("login-key", &first);
    let config = format!(
        "backend = '{}'\nkey = 'file:gateway-key'\n[jwt]\nkey = 'file:login-key'\nalgorithms = ['HS256']\n",
        backend.url()
    );
    place.write("formgate.toml", &config);
    let rules = format!(
        "[form]\nsubmit = \"POST /contact\"\n[user_info]\nid = \"jwt:sub\"\n[[hook]]\non = \"preprocess\"\nurl = \"{}/x\"\n",
        hooks.url()
    );
    place.write("rules/contact.toml", &rules);
    let program = Start::default().go(&place).await;
    let submit = || Ask::new(program.address, "POST", "/contact").form("a=1");

    // Whose token is known?
    let knows = async |key: &str| {
        let bearer = format!("Bearer {}", token(key));
        let before = hooks.count();
        let answer = submit().header("authorization", &bearer).send().await;
        assert_eq!(answer.status, 200);
        let call = hooks.received().swap_remove(before).json();
        call["user_info"]["id"] == "ana"
    };
    // Whose calls are the gateway's own?
    let spares = async |key: &str| {
        let mut headers = HeaderMap::new();
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970");
        Key::shared(&Secret::new(key)).mark(&mut headers, now.as_secs());
        let ask = headers.iter().fold(submit(), |ask, (name, value)| {
            ask.header(name.as_str(), value.to_str().expect("text"))
        });
        let before = hooks.count();
        assert_eq!(ask.send().await.status, 200);
        hooks.count() == before
    };

    assert!(knows(&first).await && !knows(&second).await);
    assert!(spares(&first).await && !spares(&second).await);
    place.write("login-key", &second);
    within("the new login key", async {
        while !knows(&second).await {}
    })
    .await;
    assert!(!knows(&first).await);
    // Both are believed while the other gateways are told.
    place.write("gateway-key", &format!("{second}\n{first}\n"));
    within("the new key", async { while !spares(&second).await {} }).await;
    assert!(spares(&first).await && knows(&second).await);
    place.write("gateway-key", "short");
    program
        .wait_for_log("what `key` names stays as it was: the key has 5 bytes")
        .await;
    assert!(spares(&second).await && spares(&first).await);
    place.write("gateway-key", &second);
    within("the old key to go", async { while spares(&first).await {} }).await;
    assert!(spares(&second).await);
    // A mistake in a rule file, which keeps all rules as they are, does not hold up a key.
    place.write("rules/other.toml", "[form]\nsubmitt = 1\n");
    program
        .wait_for_log("the rule files stay as they were")
        .await;
    place.write("login-key", &first);
    within("the login key", async { while !knows(&first).await {} }).await;
    assert!(!knows(&second).await);
    place.write("login-key", &second);
    within("the login key", async { while !knows(&second).await {} }).await;
    std::fs::remove_file(place.join("rules/other.toml")).expect("a file");
    std::fs::remove_file(place.join("login-key")).expect("a file");
    program
        .wait_for_log("what `jwt.key` names stays as it was: cannot read the secret file")
        .await;
    assert!(knows(&second).await);
}
