//! API traffic fires no hooks, but only where it is proved: by a listed token, a verified claim, or the gateway's own
//! mark on its calls. What anybody can claim proves nothing.

use formgate::codec::jwt::Settings;
use formgate::codec::jwt::TokenSource;
use formgate::model::secret::Secret;
use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::client::Answer;
use crate::support::peer::Script;
use crate::support::site;

const SECRET: &str = "a secret of some length that nobody knows";

fn rules(api: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\nload = \"GET /contact\"\n{api}\n\
         [[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n[[hook]]\non = \"load\"\nurl = \"HOOK/load\"\n"
    )
}

async fn gateway(api: &str) -> App {
    let app = site()
        .rules("contact", &rules(api))
        .jwt(Settings {
            key: Secret::new(SECRET),
            algorithms: vec!["HS256".to_owned()],
            issuer: None,
            audience: None,
            from: TokenSource::Header("authorization".to_owned()),
        })
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    app
}

fn token(secret: &str, claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key);
    format!("Bearer {}", token.expect("a token"))
}

/// Posts with this authorization; whether a hook was asked.
async fn asks(app: &App, authorization: &str) -> bool {
    let before = (app.hooks.count(), app.backend.count());
    let ask = app.post("/contact").header("authorization", authorization);
    let answer: Answer = ask.form("a=1").send().await;
    assert_eq!((answer.status, app.backend.count()), (200, before.1 + 1));
    app.hooks.count() > before.0
}

#[tokio::test]
async fn a_listed_token_is_a_proof_and_nothing_like_it_is() {
    // The token's text is the value of this variable: `formgate`.
    let app = gateway("api = { tokens = [\"env:CARGO_PKG_NAME\"] }").await;
    assert!(!asks(&app, "Bearer formgate").await);
    for authorization in [
        "",
        "formgate",
        "Bearer",
        "Bearer ",
        "Bearer Formgate",
        "Bearer formgate ",
        "Bearer formgate2",
        "Bearer formgat",
        "Bearer  formgate",
        "Basic formgate",
        "Token formgate",
        "Bearer env:CARGO_PKG_NAME",
        "Bearer other, Bearer formgate",
    ] {
        // White space around a value is no part of it.
        let same = authorization.trim() == "Bearer formgate";
        assert_eq!(asks(&app, authorization).await, !same, "{authorization:?}");
    }
    let before = app.hooks.count();
    let open = app
        .get("/contact")
        .header("authorization", "Bearer formgate");
    assert_eq!(open.send().await.status, 200);
    assert_eq!(app.hooks.count(), before, "a load neither");
}

#[tokio::test]
async fn by_default_there_is_no_proof() {
    let app = gateway("").await;
    let claims = json!({"sub": "crm", "api": true, "exp": 4_000_000_000_u64});
    for authorization in ["Bearer formgate", "Bearer ", &token(SECRET, &claims)] {
        assert!(asks(&app, authorization).await, "{authorization}");
    }
}

#[tokio::test]
async fn a_verified_claim_is_a_proof() {
    let app = gateway("api = { claim = \"scope.api\" }").await;
    let until = 4_000_000_000_u64;
    for (claims, asked) in [
        (json!({"scope": {"api": true}, "exp": until}), false),
        (json!({"scope": {"api": "crm"}, "exp": until}), false),
        (json!({"scope": {"api": false}, "exp": until}), true),
        (json!({"scope": {"api": null}, "exp": until}), true),
        (json!({"scope": {}, "exp": until}), true),
        (json!({"api": true, "exp": until}), true),
        (json!({"scope": {"api": true}, "exp": 1_000_000_000}), true),
    ] {
        assert_eq!(asks(&app, &token(SECRET, &claims)).await, asked, "{claims}");
    }
    let claims = json!({"scope": {"api": true}, "exp": until});
    assert!(asks(&app, &token("another secret, just as long as it", &claims)).await);
    let unsigned = "Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzY29wZSI6eyJhcGkiOnRydWV9LCJleHAiOjQwMDAwMDAwMDB9.";
    assert!(asks(&app, unsigned).await);
}

#[tokio::test]
async fn the_gateways_own_mark_fires_no_hooks_and_cannot_be_made() {
    let app = gateway("").await;
    app.post("/contact").form("a=1").send().await;
    let call = app.hooks.only();
    let (depth, proof) = (
        call.header("formgate-depth").expect("marked").to_owned(),
        call.header("formgate-proof").expect("marked").to_owned(),
    );
    let post = |depth: &str, proof: &str| {
        let ask = app.post("/contact").form("a=1");
        let ask = if depth.is_empty() {
            ask
        } else {
            ask.header("formgate-depth", depth)
        };
        if proof.is_empty() {
            ask
        } else {
            ask.header("formgate-proof", proof)
        }
    };
    // A responder that posts to the form: its call comes back with the mark, and that is the end of it.
    assert_eq!(post(&depth, &proof).send().await.status, 200);
    assert_eq!((app.hooks.count(), app.backend.count()), (1, 2));
    let (stamp, code) = proof.split_once(',').expect("two parts");
    let later = format!(
        "t={},{code}",
        stamp[2..].parse::<u64>().expect("seconds") + 1
    );
    let cut = proof[..proof.len() - 1].to_owned();
    for (count, (depth, proof)) in [
        (depth.as_str(), ""),
        ("", proof.as_str()),
        ("2", proof.as_str()),
        ("0", proof.as_str()),
        ("1, 1", proof.as_str()),
        (depth.as_str(), later.as_str()),
        (depth.as_str(), cut.as_str()),
        (depth.as_str(), "t=1,v1="),
        (depth.as_str(), "true"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(post(depth, proof).send().await.status, 200);
        assert_eq!(app.hooks.count(), 2 + count, "{depth} {proof}");
        let sent = app.backend.received().pop().expect("it went on");
        assert_eq!(
            (sent.header("formgate-depth"), sent.header("formgate-proof")),
            (None, None),
            "what is not proved is taken off"
        );
    }
    // Twice is not once.
    let twice = post(&depth, &proof).header("formgate-depth", "1");
    let before = app.hooks.count();
    twice.send().await;
    assert_eq!(app.hooks.count(), before + 1);
    // Another gateway's mark is none.
    let other = gateway("").await;
    let ask = other
        .post("/contact")
        .header("formgate-depth", &depth)
        .header("formgate-proof", &proof);
    ask.form("a=1").send().await;
    assert_eq!(other.hooks.count(), 1);
}

#[tokio::test]
async fn a_hook_that_submits_to_its_own_form_does_not_go_round_and_round() {
    let app = gateway("").await;
    let address = app.address;
    app.hooks.at(
        "/check",
        Script::custom(move |received, mut wire| async move {
            let mark = |name: &str| received.header(name).expect("marked").to_owned();
            let answer = crate::support::client::Ask::new(address, "POST", "/contact")
                .header("formgate-depth", &mark("formgate-depth"))
                .header("formgate-proof", &mark("formgate-proof"))
                .form("from=hook")
                .send()
                .await;
            assert_eq!(answer.status, 200);
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }),
    );
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 200);
    assert_eq!(app.hooks.count(), 1);
    let bodies: Vec<String> = app
        .backend
        .received()
        .iter()
        .map(|sent| sent.text())
        .collect();
    assert_eq!(bodies, ["from=hook", "a=1"]);
}
