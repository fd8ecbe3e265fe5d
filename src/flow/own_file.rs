//! Answering requests for the gateway's own files. Owns the HTTP around them: methods, entity tags, how long they may
//! be kept; the files are left to [`crate::page::files`].

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::page::files::OwnFile;
use crate::wire::body::Outgoing;

/// The answer to a request for one of the gateway's own files; `None` for everything else.
#[must_use]
pub fn answer(head: &Parts) -> Option<Response<Outgoing>> {
    let file = OwnFile::at(head.uri.path())?;
    let mut response = Response::new(Outgoing::Empty);
    if !matches!(head.method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return Some(response);
    }
    if is_known(&head.headers, &file.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Bytes::from_static(file.text.as_bytes()).into();
        let kind = HeaderValue::from_static(file.content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ETAG, &file.etag),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

/// Whether whoever asks has the file already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    tags.any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag)
}
