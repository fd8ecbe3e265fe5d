//! A person's request as it arrived. Owns checking what hyper leaves unchecked (the host), taking off what belongs
//! to the connection, and saying who is asking; whom to believe about that is configured as `trusted_proxies`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Version;
use http::header;
use http::request::Parts;
use hyper::body::Incoming;
use ipnet::IpNet;

use crate::codec::rejected::Rejected;
use crate::wire::early::Early;
use crate::wire::hop;

/// `x-forwarded-for`.
pub static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`.
pub static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`.
pub static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// `x-request-id`.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The same as a header value.
    pub shown: HeaderValue,
    /// Whether it is believed about who is behind it.
    pub trusted: bool,
    /// Whether the connection is TLS.
    pub tls: bool,
}

impl Peer {
    /// Someone at `address`; believed if `trusted` lists it.
    #[must_use]
    pub fn new(address: IpAddr, tls: bool, trusted: &[IpNet]) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            // An address is always a good header value.
            shown: HeaderValue::from_str(&address.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            trusted: trusted.iter().any(|net| net.contains(&address)),
            tls,
        }
    }
}

/// A request without what belongs to its connection.
#[derive(Debug)]
pub struct Arrival {
    /// Its head; `host` is there exactly once.
    pub head: Parts,
    /// Its body.
    pub body: Incoming,
    /// Who sent it.
    pub peer: Arc<Peer>,
    /// The protocol it wants to upgrade to.
    pub upgrade: Option<HeaderValue>,
    /// Whether it takes trailers.
    pub trailers: bool,
    /// Where early answers go; `None` where the client cannot take them.
    pub early: Option<Arc<Early>>,
}

impl Arrival {
    /// Takes a request off its connection.
    ///
    /// # Errors
    /// 400 for a host that is missing, there twice, or said differently in two places.
    pub fn take(
        request: Request<Incoming>,
        peer: &Arc<Peer>,
        early: Option<&Arc<Early>>,
    ) -> Result<Box<Self>, Rejected> {
        let (mut head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            return Err(Rejected::with(
                400,
                "CONNECT is for forward proxies; this is none.",
            ));
        }
        check_host(&mut head)?;
        let upgrade = upgrade(&head);
        let trailers = hop::has_token(&head.headers, &header::TE, "trailers");
        hop::strip(&mut head.headers);
        head.headers.remove(header::EXPECT);
        if !peer.trusted {
            head.headers.remove(&REAL_IP);
            head.headers.remove(header::FORWARDED);
        }
        let early = early.filter(|_| head.version == Version::HTTP_11);
        Ok(Box::new(Self {
            head,
            body,
            peer: Arc::clone(peer),
            upgrade,
            trailers,
            early: early.cloned(),
        }))
    }

    /// The value of a header that is text.
    #[must_use]
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// What a proxy says about the request, if it is believed.
    fn said(&self, name: &HeaderName) -> Option<&str> {
        if self.peer.trusted {
            self.header(name)
        } else {
            None
        }
    }

    /// The host and port that the person asked for, lower case: what a trusted proxy says, else `host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let said = self
            .said(&FORWARDED_HOST)
            .and_then(|hosts| hosts.split(',').next())
            .map(str::trim);
        said.or_else(|| self.header(header::HOST))
            .unwrap_or_default()
            .to_ascii_lowercase()
    }

    /// The host without its port, lower case.
    #[must_use]
    pub fn host(&self) -> Cow<'_, str> {
        match self.said(&FORWARDED_HOST) {
            Some(_) => Cow::Owned(host_name(&self.authority()).into_owned()),
            None => host_name(self.header(header::HOST).unwrap_or_default()),
        }
    }

    /// Whether the person's own connection is TLS, as far as is known.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.said(&FORWARDED_PROTO).map_or(self.peer.tls, |proto| {
            proto.trim().eq_ignore_ascii_case("https")
        })
    }

    /// The person's address: the last one that a trusted proxy vouches for.
    #[must_use]
    pub fn person(&self, trusted: &[IpNet]) -> IpAddr {
        let mut person = self.peer.address;
        if !self.peer.trusted {
            return person;
        }
        let values = self
            .head
            .headers
            .get_all(&FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let all: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        for said in all.iter().rev() {
            if !trusted.iter().any(|net| net.contains(&person)) {
                break;
            }
            let Some(address) = address(said.trim()) else {
                break;
            };
            person = address.to_canonical();
        }
        person
    }

    /// Adds what the next server is told about this hop (`x-forwarded-…`, `via`). Only what a trusted proxy said
    /// before is kept.
    pub fn announce(&mut self) {
        let headers = &mut self.head.headers;
        let via = match self.head.version {
            Version::HTTP_2 => HeaderValue::from_static("2.0 formgate"),
            Version::HTTP_10 => HeaderValue::from_static("1.0 formgate"),
            _ => HeaderValue::from_static("1.1 formgate"),
        };
        let proto = HeaderValue::from_static(if self.peer.tls { "https" } else { "http" });
        let host = headers.get(header::HOST).cloned();
        if self.peer.trusted {
            let chain = chained(headers, &FORWARDED_FOR, &self.peer.shown);
            headers.insert(&FORWARDED_FOR, chain);
            headers.entry(&FORWARDED_PROTO).or_insert(proto);
            if let Some(host) = host {
                headers.entry(&FORWARDED_HOST).or_insert(host);
            }
        } else {
            headers.insert(&FORWARDED_FOR, self.peer.shown.clone());
            headers.insert(&FORWARDED_PROTO, proto);
            match host {
                Some(host) => headers.insert(&FORWARDED_HOST, host),
                None => headers.remove(&FORWARDED_HOST),
            };
        }
        let via = chained(headers, &header::VIA, &via);
        headers.insert(header::VIA, via);
    }
}

/// The values of a header, and one more at the end.
fn chained(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    if !headers.contains_key(name) {
        return last.clone();
    }
    let values: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .chain([last])
        .map(HeaderValue::as_bytes)
        .collect();
    HeaderValue::from_bytes(&values.join(&b", "[..])).unwrap_or_else(|_| last.clone())
}

/// An address with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.split(']').next());
    inner
        .or_else(|| text.rsplit_once(':').map(|(host, _)| host))?
        .parse()
        .ok()
}

/// A `host` value without its port, lower case, without a dot at its end.
#[must_use]
pub fn host_name(value: &str) -> Cow<'_, str> {
    let bare = match value.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => value.split(':').next().unwrap_or_default(),
    };
    let bare = bare.trim_end_matches('.');
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}

fn upgrade(head: &Parts) -> Option<HeaderValue> {
    let wants = head.version == Version::HTTP_11
        && hop::has_token(&head.headers, &header::CONNECTION, "upgrade");
    let protocol = head.headers.get(header::UPGRADE).filter(|_| wants)?;
    // HTTP/2 over an upgraded connection would pass by everything that is checked here (RFC 9113 dropped it).
    (!protocol.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocol.clone())
}

/// RFC 9112, section 3.2: exactly one host, and the target's own if it names one.
fn check_host(head: &mut Parts) -> Result<(), Rejected> {
    let named = head
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Rejected::malformed(
            "The request has more than one `host` header.",
        ));
    }
    match (first, named) {
        (None, None) if head.version == Version::HTTP_10 => {
            head.headers
                .insert(header::HOST, HeaderValue::from_static(""));
        }
        (None, None) => return Err(Rejected::malformed("The request has no `host` header.")),
        (None, Some(named)) => {
            let value = HeaderValue::from_str(&named)
                .map_err(|_| Rejected::malformed("The request's host is not a host."))?;
            head.headers.insert(header::HOST, value);
        }
        (Some(host), Some(named)) if !host.as_bytes().eq_ignore_ascii_case(named.as_bytes()) => {
            return Err(Rejected::malformed(
                "The request names one host in its first line and another in its `host` header.",
            ));
        }
        (Some(_), _) => {}
    }
    let host = head
        .headers
        .get(header::HOST)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    if !host.iter().all(good) {
        return Err(Rejected::malformed("The request's `host` is not a host."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_case_and_dot() {
        for (value, name) in [
            ("Forms.Example.org:8080", "forms.example.org"),
            ("forms.example.org.", "forms.example.org"),
            ("[::1]:8080", "::1"),
            ("", ""),
        ] {
            assert_eq!(host_name(value), name);
        }
    }

    #[test]
    fn addresses_in_forwarded_for() {
        for (text, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9:1234", Some("203.0.113.9")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("unknown", None),
        ] {
            assert_eq!(
                address(text).map(|address| address.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
