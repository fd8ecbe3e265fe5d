//! What lies around the flow for every request. Owns the list, one line each with the reason for its place.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::header;
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;
use tower::Service;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::backend::Tunnel;
use crate::flow::Gate;
use crate::flow::answer::Said;
use crate::flow::wants::Wants;
use crate::gateway::line::Busy;
use crate::gateway::line::Line;
use crate::gateway::line::Marked;
use crate::wire::arrival::Arrival;
use crate::wire::arrival::Peer;
use crate::wire::body::Outgoing;

/// The service of one connection.
pub fn service(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    line: &Arc<Line>,
    early: bool,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let (gate, peer, line) = (Arc::clone(gate), Arc::clone(peer), Arc::clone(line));
    ServiceBuilder::new()
        // Outermost: a panic in one request is a 500 for that one, and for no other on the connection.
        .layer(CatchPanicLayer::custom(panicked))
        .service_fn(move |request: Request<Incoming>| {
            let wants = Wants::of(request.headers()); // JSON or HTML, settled once
            let arrival = Arrival::take(request, &peer, early.then_some(&line.early));
            let (gate, line, busy) = (Arc::clone(&gate), Arc::clone(&line), line.begin());
            async move {
                let response = gate.handle(arrival, wants).await;
                Ok::<_, Infallible>(finish(response, &line, busy))
            }
        })
}

/// Leaves an upgraded backend connection for the connection's own task, and marks the answer as under way.
fn finish(mut response: Response<Outgoing>, line: &Line, busy: Busy) -> Response<Marked<Outgoing>> {
    match response.extensions_mut().remove::<Tunnel>() {
        Some(tunnel) => line.leave(tunnel),
        // The bytes after a request to upgrade were not read along, so none may follow if it was refused.
        None if line.is_raw() => {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        None => {}
    }
    response.map(|body| Marked::new(body, busy))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over by value"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(target: "formgate::gateway", panic = %text, "a request panicked");
    let json = Value::Object(Said::failed(None).to_json()).to_string();
    let mut response = Response::new(Full::from(json));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
