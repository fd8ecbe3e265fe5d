//! What lies around the flow for every request. Owns the list, one line each with the reason for its place.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use tower::Service;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::catch_panic::ResponseForPanic;

use crate::account::Account;
use crate::account::Accounts;
use crate::backend::Tunnel;
use crate::codec::rejected::Rejected;
use crate::flow::Gate;
use crate::flow::answer::Said;
use crate::flow::wants::Wants;
use crate::gateway::line::Line;
use crate::gateway::line::Marked;
use crate::metrics::register::Metrics;
use crate::wire::arrival::Arrival;
use crate::wire::arrival::Peer;
use crate::wire::body::Outgoing;

/// What differs between the versions of HTTP.
#[derive(Debug, Clone, Copy)]
pub enum Spoken {
    /// One request at a time; the guard has counted its header lines. Early answers can be written.
    Http1,
    /// Many requests at a time, each with at most so many headers.
    Http2(usize),
}

/// What one connection is served with.
struct Served {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    line: Arc<Line>,
    /// Where each request's account is kept; `None` where nobody is told.
    accounts: Option<Arc<Accounts>>,
}

/// How much may be under way for one connection of HTTP/2, what goes on for streams that were given up included.
const WORK: usize = 512;

/// The service of one connection.
pub fn service(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    line: &Arc<Line>,
    accounts: Option<&Arc<Accounts>>,
    spoken: Spoken,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    // One count for each request instead of three.
    let served = Arc::new(Served {
        gate: Arc::clone(gate),
        peer: Arc::clone(peer),
        line: Arc::clone(line),
        accounts: accounts.map(Arc::clone),
    });
    ServiceBuilder::new()
        // Outermost: a panic in one request is a 500 for that one, and for no other on the connection.
        .layer(CatchPanicLayer::custom(Panics(Arc::clone(gate.metrics()))))
        .service_fn(move |request: Request<Incoming>| {
            let wants = Wants::of(request.headers()); // form and language, settled once
            let is_head = request.method() == Method::HEAD;
            let served = Arc::clone(&served);
            let accounts = served.accounts.as_ref();
            let account = accounts.map(|accounts| accounts.open(&request, &served.peer));
            let account = account.unwrap_or_default();
            let mut arrival = take(request, &served.peer, &served.line, spoken);
            introduce(&account, &served, &mut arrival);
            let refused = arrival.is_err();
            let busy = served.line.begin();
            let many = matches!(spoken, Spoken::Http2(_));
            // Whatever is done for a peer holds on to it.
            if many && Arc::strong_count(&served.peer) > WORK {
                served.line.call_unruly();
            }
            async move {
                let line = &served.line;
                let _ends = line.early.until_dropped(); // a panic, too, ends early answers
                let response = served.gate.handle(arrival, wants, &account).await;
                line.early.end().await;
                let mut response = finish(response, line);
                account.answered(response.status().as_u16());
                if many {
                    if is_head {
                        empty(&mut response);
                    }
                    let marked = |body| Marked::new(body, busy, account).watched();
                    return Ok(response.map(marked));
                }
                // What follows cannot be read as a request if the end of this one is not known.
                let tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                let last = line.is_ending() || line.is_open(busy.number());
                if refused || (last && !tunnel) {
                    close(&mut response);
                }
                let response = response.map(|body| Marked::new(body, busy, account));
                Ok::<_, Infallible>(response)
            }
        })
}

/// Takes a request off its connection.
fn take(
    request: Request<Incoming>,
    peer: &Arc<Peer>,
    line: &Line,
    spoken: Spoken,
) -> Result<Box<Arrival>, Rejected> {
    match spoken {
        Spoken::Http1 => Arrival::take(request, peer, Some(&line.early)),
        Spoken::Http2(most) => {
            let arrival = Arrival::take(request, peer, None)?;
            if arrival.head.headers.len() > most {
                let text = format!("There are more than {most} header lines.");
                return Err(Rejected {
                    limit: Some("limits.headers"),
                    ..Rejected::with(431, text)
                });
            }
            Ok(arrival)
        }
    }
}

/// Tells a request's account whose it is, and lets the bytes of its body be counted.
fn introduce(account: &Account, served: &Served, arrival: &mut Result<Box<Arrival>, Rejected>) {
    if account.wants_person() {
        account.person(match arrival {
            Ok(arrival) => arrival.person(&served.gate.settings().trusted_proxies),
            Err(_) => served.peer.address,
        });
    }
    if let Ok(arrival) = arrival {
        arrival.received = account.received();
    }
}

/// Leaves an upgraded backend connection for the connection's own task.
fn finish(mut response: Response<Outgoing>, line: &Line) -> Response<Outgoing> {
    if let Some(tunnel) = response.extensions_mut().remove::<Tunnel>() {
        line.leave(tunnel);
    }
    response
}

/// Leaves out the body of an answer to `HEAD`; over HTTP/2 hyper would send it.
fn empty(response: &mut Response<Outgoing>) {
    let body = std::mem::take(response.body_mut());
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
}

/// Makes an answer the last one of its connection.
fn close<B>(response: &mut Response<B>) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// What is done about a panic that nothing further in has caught: in a request that passes through, or in recognising
/// whose it is. It has no id yet, and gets one now, so that whoever tells of it can be understood.
#[derive(Debug, Clone)]
struct Panics(Arc<Metrics>);

impl ResponseForPanic for Panics {
    type ResponseBody = Full<Bytes>;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send>) -> Response<Self::ResponseBody> {
        self.0.gate.panics.inc();
        let request_id = uuid::Uuid::now_v7().to_string();
        tracing::error!(target: "formgate::gateway", request_id, "a request panicked");
        let json = Said::panicked().about(&request_id).to_text(500);
        let mut response = Response::new(Full::from(json));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
