//! A person's request as it arrived. Owns checking what hyper leaves unchecked (the host), taking off what belongs
//! to the connection, and saying who is asking; whom to believe about that is configured as `trusted_proxies`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Version;
use http::header;
use http::request::Parts;
use hyper::body::Body as _;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::sync::OwnedSemaphorePermit;

use crate::codec::rejected::Rejected;
use crate::wire::early::Early;
use crate::wire::hop;

/// `x-forwarded-for`.
pub static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`.
pub static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`.
pub static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `x-request-id`.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `traceparent`.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers by which applications are told of another path, host or person than the request's own. A stranger's say
/// would be a way around whatever was decided about the request's own. Whole families are named in [`is_override`].
const OVERRIDES: [&str; 9] = [
    "x-real-ip",
    "forwarded",
    "x-forwarded",
    "x-envoy-original-path",
    "x-waws-unencoded-url",
    "x-script-name",
    "script-name",
    "path-info",
    "x-host",
];

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The same as a header value.
    pub shown: HeaderValue,
    /// Whether it is believed about who is behind it.
    pub trusted: bool,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Its version, where it is.
    pub tls_version: Option<&'static str>,
    /// Its places among all connections and those of its address, kept as long as anybody works for it, connected or
    /// not.
    places: Vec<OwnedSemaphorePermit>,
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
            tls_version: None,
            places: Vec::new(),
        }
    }

    /// Over a connection of TLS of this version.
    #[must_use]
    pub const fn over(mut self, version: Option<&'static str>) -> Self {
        self.tls_version = version;
        self
    }

    /// Keeps places until nobody works for this peer any more.
    #[must_use]
    pub fn holding(mut self, places: Vec<OwnedSemaphorePermit>) -> Self {
        self.places = places;
        self
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
    /// Counts the bytes of its body for whoever wants to know.
    pub received: Option<Arc<AtomicU64>>,
}

impl Arrival {
    /// Takes a request off its connection.
    ///
    /// # Errors
    /// 400 for a host that is missing, there twice, no host, or said differently in two places; for a target that is
    /// no path; and for what only HTTP/2 lets through.
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
        check_target(&head)?;
        check_host(&mut head)?;
        if head.version == Version::HTTP_2 {
            check_length(&head, &body)?;
            join_cookies(&mut head.headers);
        }
        let mut upgrade = None;
        let mut trailers = false;
        if hop::is_any_of(&head.headers) {
            upgrade = self::upgrade(&head).filter(|_| body.is_end_stream());
            trailers = hop::has_token(&head.headers, &header::TE, "trailers");
            hop::strip(&mut head.headers);
        }
        remove_pretences(&mut head.headers, peer.trusted);
        if peer.trusted {
            believe_the_nearest(&mut head.headers);
        }
        let early = early.filter(|_| head.version == Version::HTTP_11);
        Ok(Box::new(Self {
            head,
            body,
            peer: Arc::clone(peer),
            upgrade,
            trailers,
            early: early.cloned(),
            received: None,
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
        let said = self.said(&FORWARDED_HOST);
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
        let said = self.said(&FORWARDED_PROTO);
        said.map_or(self.peer.tls, |proto| proto.eq_ignore_ascii_case("https"))
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
        // There are few headers, and it is among the first: looking for it costs less than its hash.
        let mut pairs = headers.iter();
        let host = pairs.find(|(name, _)| *name == header::HOST);
        let host = host.map(|(_, value)| value.clone());
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
        if headers.keys().any(|name| *name == header::VIA) {
            let chain = chained(headers, &header::VIA, &via);
            headers.insert(header::VIA, chain);
        } else {
            headers.append(header::VIA, via);
        }
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

/// A `host` value without its port, lower case, without a dot at its end; an IPv6 address in brackets, in the one form
/// that it is written in.
#[must_use]
pub fn host_name(value: &str) -> Cow<'_, str> {
    if let Some(rest) = value.strip_prefix('[') {
        let inner = rest.split(']').next().unwrap_or_default();
        let address = inner.parse::<Ipv6Addr>();
        return address.map_or(Cow::Borrowed(""), |address| {
            Cow::Owned(format!("[{address}]"))
        });
    }
    let bare = value.split(':').next().unwrap_or_default();
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
    let mut protocols = head.headers.get_all(header::UPGRADE).iter();
    let protocol = protocols.next().filter(|_| wants)?;
    let single = protocols.next().is_none();
    // Another HTTP over an upgraded connection would pass by everything that is checked here (RFC 9113 dropped it).
    let is_http = |protocol: &str| {
        let protocol = protocol.trim().to_ascii_lowercase();
        ["h2", "http", "tls"]
            .iter()
            .any(|begin| protocol.starts_with(begin))
    };
    let text = protocol.to_str().ok()?;
    (single && !text.split(',').any(is_http)).then(|| protocol.clone())
}

/// A path that begins with `/`; `*` is for `OPTIONS` alone.
fn check_target(head: &Parts) -> Result<(), Rejected> {
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let scheme = head.uri.scheme_str();
    if scheme.is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Rejected::malformed(
            "The request's target is no URL of HTTP.",
        ));
    }
    if target.starts_with('/') || (target == "*" && head.method == Method::OPTIONS) {
        Ok(())
    } else {
        Err(Rejected::malformed("The request's target is not a path."))
    }
}

/// What the guard checks over HTTP/1: one length, and a body only where it is announced.
fn check_length(head: &Parts, body: &Incoming) -> Result<(), Rejected> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
    let number = length
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    match number {
        Some(number) if digits && lengths.next().is_none() => {
            let missing = body.is_end_stream() && number > 0;
            if missing {
                Err(Rejected::malformed("The body is shorter than announced."))
            } else {
                Ok(())
            }
        }
        _ => Err(Rejected::malformed(
            "The length is given twice, or is not a number.",
        )),
    }
}

/// RFC 9113, section 8.2.3: the pieces of a cookie header become one again, since HTTP/1 knows only one.
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if pieces.len() < 2 {
        return;
    }
    if let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Whether a header is one of those, by its name. What every request is told anew is not: `x-forwarded-for`, `-proto`
/// and `-host`.
fn is_override(name: &HeaderName) -> bool {
    const FAMILIES: [&str; 4] = ["x-forwarded-", "x-original-", "x-rewrite-", "x-http-host-"];
    let text = name.as_str();
    text.starts_with(['f', 'p', 's', 'x'])
        && (OVERRIDES.contains(&text)
            || (FAMILIES.iter().any(|family| text.starts_with(family))
                && ![&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST].contains(&name)))
}

/// Takes off headers whose names have more than letters, digits and hyphens: many applications see `_` and others
/// as a hyphen, so that `x_forwarded_for` would pass for what only the gateway says. And what only those who are
/// trusted may say. `proxy` nobody may: CGI hands it to programs as the proxy they are to use. And `expect`, which the
/// gateway meets itself.
fn remove_pretences(headers: &mut HeaderMap, trusted: bool) {
    let goes = |name: &&HeaderName| {
        let text = name.as_str();
        let mut bytes = text.bytes();
        let usual = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !usual || text == "proxy" || **name == header::EXPECT || (!trusted && is_override(name))
    };
    let gone: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Keeps of what a chain of proxies said only what the last of them did, the one that is trusted. Proxies add to the
/// end, so that everything before may be a stranger's; and the backend must not take another word for the truth than
/// the gateway did.
fn believe_the_nearest(headers: &mut HeaderMap) {
    let is_proto = |proto: &[u8]| !proto.is_empty() && proto.iter().all(u8::is_ascii_alphabetic);
    let is_name = |host: &[u8]| !host.is_empty() && is_host(host);
    nearest(headers, &FORWARDED_PROTO, is_proto);
    nearest(headers, &FORWARDED_HOST, is_name);
}

/// Keeps the last word of a header; none if it is not good.
fn nearest(headers: &mut HeaderMap, name: &HeaderName, is_good: impl Fn(&[u8]) -> bool) {
    let Some(last) = headers.get_all(name).iter().next_back() else {
        return;
    };
    let word = last.as_bytes().rsplit(|byte| *byte == b',').next();
    let word = word.unwrap_or_default().trim_ascii();
    let word = Some(word).filter(|word| is_good(word));
    match word.and_then(|word| HeaderValue::from_bytes(word).ok()) {
        Some(word) => drop(headers.insert(name, word)),
        None => drop(headers.remove(name)),
    }
}

/// RFC 9112, section 3.2: exactly one host, and the target's own if it names one.
fn check_host(head: &mut Parts) -> Result<(), Rejected> {
    let named = head
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let mut hosts = head
        .headers
        .iter()
        .filter(|(name, _)| **name == header::HOST);
    let first = hosts.next().map(|(_, value)| value);
    if hosts.next().is_some() {
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
        // RFC 9112, section 3.2.2: a URL in the first line does not replace the header.
        (None, Some(_)) if head.version == Version::HTTP_11 => {
            return Err(Rejected::malformed("The request has no `host` header."));
        }
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
        (Some(host), _) => return good_host(host),
    }
    head.headers.get(header::HOST).map_or(Ok(()), good_host)
}

fn good_host(host: &HeaderValue) -> Result<(), Rejected> {
    if is_host(host.as_bytes()) {
        Ok(())
    } else {
        Err(Rejected::malformed("The request's `host` is not a host."))
    }
}

/// A name or an address, with or without a port; or nothing at all.
fn is_host(host: &[u8]) -> bool {
    let end = match host {
        [b'[', ..] => host.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => host
            .iter()
            .position(|byte| *byte == b':')
            .or(Some(host.len())),
    };
    let Some((name, port)) = end.map(|end| host.split_at(end)) else {
        return false;
    };
    let good_name = match name {
        [b'[', inner @ .., b']'] => {
            std::str::from_utf8(inner).is_ok_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
        }
        // Internet names, and the underscores of internal ones.
        _ => name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)),
    };
    let good_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    good_name && good_port && (port.is_empty() || !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_case_and_dot() {
        for (value, name) in [
            ("Forms.Example.org:8080", "forms.example.org"),
            ("forms.example.org.", "forms.example.org"),
            ("[::1]:8080", "[::1]"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(host_name(value), name);
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in [
            "",
            "a",
            "a.example",
            "a_b.example:80",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "a/b", "u@a", "a:b", "a:123456", ":80", "[::1", "[::1]x", "[a]",
            "a:80:80", "a%41", "a\\b", "é",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
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
