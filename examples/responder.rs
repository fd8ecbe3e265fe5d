//! A responder in Rust: the program that a hook calls. It stands on hyper and on Standard Webhooks' own library.
//!
//! ```sh
//! HOOK_SECRET=whsec_… PORT=9000 cargo run --example responder
//! ```
//!
//! Owns checking that a call is the gateway's, and the replies; `reply` is the part to make your own. While a secret is
//! changed, `HOOK_SECRET` holds the new and the old one, with a space between them.
#![expect(clippy::print_stdout, reason = "a program of its own, not the gateway")]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::sync::Arc;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

const MAX_BODY: usize = 1 << 20;

/// What the person is told, and what becomes of the form. `None` is nothing to say.
fn reply(call: &Value) -> Option<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (event, doc) = (text(&call["event"]), &call["doc"]);
    if event.starts_with("form_submit") {
        let name = text(&doc["name"]);
        return Some(json!({"msg": format!("Thank you, {name}!"), "msg_type": "success"}));
    }
    if !event.starts_with("form_preprocess") {
        return None;
    }
    if text(&doc["email"]).ends_with("@blocked.example") {
        let errors = json!({"email": "This address is blocked."});
        return Some(json!({"msg": "This cannot be sent.", "errors": errors}));
    }
    if doc["topic"] == "press" {
        return Some(json!({"redirect": "/press"}));
    }
    (doc["city"] == "Berne")
        .then(|| json!({"jdoc": {"city": "Bern"}, "msg": "We corrected the city."}))
}

type Answer = Response<Full<Bytes>>;

fn answer(status: u16, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status.try_into().unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

async fn respond(
    request: Request<Incoming>,
    secrets: Arc<Vec<Webhook>>,
) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(answer(413, Some(&json!({"error": "too large"}))));
    };
    let body = body.to_bytes();
    // Compares in constant time, and refuses calls whose time is more than five minutes off.
    let genuine = |secret: &Webhook| secret.verify(&body, &head.headers).is_ok();
    if !secrets.iter().any(genuine) {
        return Ok(answer(
            401,
            Some(&json!({"error": "the signature is not right"})),
        ));
    }
    Ok(
        match serde_json::from_slice(&body).map(|call| reply(&call)) {
            Ok(Some(said)) => answer(200, Some(&said)),
            Ok(None) => answer(204, None),
            Err(_) => answer(400, Some(&json!({"error": "not JSON"}))),
        },
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secrets: Result<Vec<_>, _> = env::var("HOOK_SECRET")?
        .split_whitespace()
        .map(Webhook::new)
        .collect();
    let secrets = Arc::new(secrets?);
    let port = env::var("PORT").unwrap_or_else(|_| "9000".to_owned());
    let socket = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", socket.local_addr()?);
    loop {
        let (stream, _) = socket.accept().await?;
        let secrets = Arc::clone(&secrets);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, Arc::clone(&secrets)));
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        });
    }
}
