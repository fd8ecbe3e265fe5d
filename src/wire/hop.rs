//! Headers that belong to one connection and not to the message (RFC 9110, section 7.6.1). Owns taking them off.

use http::HeaderMap;
use http::HeaderName;
use http::header;

/// The headers that a proxy always takes off, whether `connection` names them or not.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that frame or route the message. A `connection` header that names them would make this hop and the next
/// read different messages, so it is not obeyed.
static FRAMING: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::HOST,
];

/// Whether there is any hop-by-hop header.
#[must_use]
pub fn is_any_of(headers: &HeaderMap) -> bool {
    // By text: a length and a few bytes tell nearly all names from these.
    let is_hop = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "te"
                | "transfer-encoding"
                | "upgrade"
        )
    };
    headers.keys().any(is_hop)
}

/// Takes every hop-by-hop header off, and those that `connection` names.
pub fn strip(headers: &mut HeaderMap) {
    let named = named(headers);
    for name in named.iter().filter(|name| !FRAMING.contains(name)) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    // The usual words are no header names of their own, or are taken off anyway.
    let unusual = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("close"));
    unusual
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect()
}

/// Whether a comma-separated header holds this word.
#[must_use]
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn each_of_them_is_seen() {
        for name in &HOP_BY_HOP {
            let all = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
            assert!(is_any_of(&all), "{name}");
        }
        assert!(!is_any_of(&headers(&[("trailer", "x"), ("host", "a")])));
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        let mut all = headers(&[
            ("connection", "close, X-Custom, content-type"),
            ("x-custom", "1"),
            ("content-type", "text/plain"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("cookie", "a=b"),
        ]);
        strip(&mut all);
        assert_eq!(
            all,
            headers(&[("content-type", "text/plain"), ("cookie", "a=b")])
        );
    }
}
