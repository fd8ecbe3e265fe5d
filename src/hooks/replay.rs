//! The call of a job once more: the same bytes, freshly signed, marked as a replay. Owns the request; what becomes of
//! the answer is left to whoever asked for it, and nothing of it reaches a submission.

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header;

use bytes::Bytes;
use jiff::Timestamp;

use crate::hooks::target;
use crate::hooks::target::Target;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::arrival::TRACEPARENT;
use crate::wire::body::Outgoing;
use crate::wire::proof::Key;

/// Marks a call that is a replay; its value is the id of the job that is repeated.
pub static REPLAY: HeaderName = HeaderName::from_static("formgate-replay");

/// What is sent again.
#[derive(Debug, Clone)]
pub struct Again<'a> {
    /// The job's id: the `webhook-id`, so that a responder can know it.
    pub id: &'a str,
    /// The event's name, as the responder was told it.
    pub event: &'a str,
    /// The request it belonged to.
    pub request_id: &'a str,
    /// Path and query.
    pub uri: Uri,
    /// The bytes.
    pub body: Bytes,
}

/// The request.
#[must_use]
pub fn request(target: &Target, key: &Key, again: Again<'_>) -> Box<Request<Outgoing>> {
    let seconds = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let millis = u64::try_from(target.rule.timeout.as_millis()).unwrap_or(u64::MAX);
    let signature = target.signer.sign(again.id, seconds, &again.body);
    let length = again.body.len();
    let mut request = Box::new(Request::new(Outgoing::from(again.body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = again.uri;
    let headers = request.headers_mut();
    headers.clone_from(&target.headers);
    headers.remove(&TRACEPARENT);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(&target::TIMESTAMP, seconds.into());
    headers.insert(&target::TIMEOUT_MS, millis.into());
    let texts = [
        (&target::ID, Some(again.id)),
        (&target::SIGNATURE, signature.as_deref()),
        (&target::EVENT, Some(again.event)),
        (&REQUEST_ID, Some(again.request_id)),
        (&REPLAY, Some(again.id)),
    ];
    for (name, text) in texts {
        // What was a header value once is one again.
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    key.mark(headers, seconds);
    request
}
