//! A small HTTP server for what stands behind the demo's gateway. Owns connections and reading bodies; what is
//! answered is left to the site and the responder.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The largest body: the gateway lets nothing larger through.
const MAX_BODY: usize = 33 << 20;

/// What answers a request whose body has been read.
pub(in crate::cli::demo) trait Answers: Send + Sync + 'static {
    /// The answer; `None` to hang up instead.
    fn answer(&self, head: &Parts, body: &Bytes) -> Option<Response<Full<Bytes>>>;
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("hung up")]
struct HungUp;

/// Answers until the runtime ends.
pub(in crate::cli::demo) async fn serve(
    socket: TcpListener,
    answers: Arc<impl Answers>,
) -> io::Result<Infallible> {
    loop {
        let (stream, _) = socket.accept().await?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(move |request| one(request, Arc::clone(&answers)));
            // How a connection ends is of no interest: hanging up is part of the demo.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn one(
    request: Request<Incoming>,
    answers: Arc<impl Answers>,
) -> Result<Response<Full<Bytes>>, HungUp> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let mut refused = Response::new(Full::default());
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(refused);
    };
    answers.answer(&head, &body.to_bytes()).ok_or(HungUp)
}
