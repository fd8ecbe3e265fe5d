//! A proxy between the gateway and responders. Owns which servers are reached through it, the request that opens a
//! tunnel, and how a request without TLS is addressed on its way; the connection to it is left to
//! [`crate::wire::connect`].
//!
//! What a name leads to is looked up by the proxy, so no address can be judged here but the proxy's own, and those
//! that a URL spells out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header;
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::wire::body::Outgoing;

/// What the operator says of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub origin: Origin,
    /// `user:password`.
    pub credentials: Option<Secret>,
    /// Hosts (with those below them), addresses and networks that are called without it; `*` for all.
    pub except: Vec<String>,
}

/// A proxy.
#[derive(Debug)]
pub struct Proxy {
    settings: Settings,
    matcher: Matcher,
    authorization: Option<HeaderValue>,
}

/// Why there is no tunnel; nothing was sent to the server behind it.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It says no, with this status.
    #[error("it answers `CONNECT` with {0}{hint}", hint = hint(*.0))]
    Said(u16),
    /// It does not speak HTTP, or broke off.
    #[error("it does not answer `CONNECT`: {0}")]
    Broke(#[from] hyper::Error),
    /// It sent something before it was spoken to.
    #[error("it sends data of its own into the tunnel")]
    Early,
}

const fn hint(status: u16) -> &'static str {
    match status {
        407 => " (`egress.proxy_credentials`)",
        403 => " (it does not let calls to this server through)",
        _ => "",
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Proxy {
    /// A proxy as the operator says.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let builder = Matcher::builder().all(settings.origin.to_string());
        let authorization = settings.credentials.as_ref().and_then(|credentials| {
            let encoded = STANDARD.encode(credentials.expose());
            let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self {
            matcher: builder.no(settings.except.join(",")).build(),
            authorization,
            settings,
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.settings.origin
    }

    /// Whether a server is reached through it.
    #[must_use]
    pub fn serves(&self, origin: &Origin) -> bool {
        let uri = origin.to_string().parse::<Uri>();
        uri.is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }

    /// Asks for a tunnel to a server.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub async fn tunnel(
        &self,
        stream: TcpStream,
        origin: &Origin,
    ) -> Result<TcpStream, ProxyError> {
        let (mut sender, connection) = http1::Builder::new()
            .max_header_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            // How it ends is told to whoever waits for its answer.
            drop(connection.with_upgrades().await);
        });
        let answer = sender.send_request(self.connect(origin)).await?;
        if !answer.status().is_success() {
            return Err(ProxyError::Said(answer.status().as_u16()));
        }
        let upgraded = hyper::upgrade::on(answer).await?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>();
        let parts = parts.map_err(|_| ProxyError::Early)?;
        if !parts.read_buf.is_empty() {
            return Err(ProxyError::Early);
        }
        Ok(parts.io.into_inner())
    }

    fn connect(&self, origin: &Origin) -> Request<Outgoing> {
        let target = with_port(origin);
        let mut request = Request::new(Outgoing::Empty);
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.extend(HeaderValue::from_str(&target).map(|host| (header::HOST, host)));
        let authorization = self.authorization.clone();
        headers.extend(authorization.map(|value| (header::PROXY_AUTHORIZATION, value)));
        request
    }

    /// How requests to a server without TLS are addressed.
    #[must_use]
    pub fn forwarding(&self, origin: &Origin) -> Forwarding {
        Forwarding {
            before: origin.to_string(),
            authorization: self.authorization.clone(),
        }
    }
}

/// The largest head of a proxy's answer.
const HEAD: usize = 16 << 10;

/// A server with its port, even where that is the scheme's own.
fn with_port(origin: &Origin) -> String {
    if origin.host.contains(':') {
        format!("[{}]:{}", origin.host, origin.port)
    } else {
        format!("{}:{}", origin.host, origin.port)
    }
}

/// How requests are addressed that a proxy passes on.
#[derive(Debug)]
pub struct Forwarding {
    before: String,
    authorization: Option<HeaderValue>,
}

impl Forwarding {
    /// Addresses a request: its target becomes the whole URL.
    pub fn address(&self, request: &mut Request<Outgoing>) {
        let whole = format!("{}{}", self.before, request.uri());
        // An origin, and a path and query that were a URI by themselves.
        if let Ok(whole) = whole.parse() {
            *request.uri_mut() = whole;
        }
        let authorization = self.authorization.clone();
        let headers = request.headers_mut();
        headers.extend(authorization.map(|value| (header::PROXY_AUTHORIZATION, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::parse(url).expect("a URL")
    }

    #[test]
    fn exceptions_are_names_and_those_below_and_networks() {
        let proxy = Proxy::new(Settings {
            origin: origin("http://proxy.example.org:3128"),
            credentials: None,
            except: ["internal.example.org", "10.0.0.0/8", "::1"]
                .map(str::to_owned)
                .into(),
        });
        for (url, expected) in [
            ("https://crm.example.org", true),
            ("http://crm.example.org:8080", true),
            ("https://internal.example.org", false),
            ("https://crm.internal.example.org", false),
            ("https://notinternal.example.org", true),
            ("http://10.1.2.3", false),
            ("http://11.1.2.3", true),
            ("http://[::1]:80", false),
            ("https://[2001:db8::1]", true),
        ] {
            assert_eq!(proxy.serves(&origin(url)), expected, "{url}");
        }
    }

    #[test]
    fn requests_are_addressed_to_the_whole_url() {
        let proxy = Proxy::new(Settings {
            origin: origin("http://proxy"),
            credentials: Some(Secret::new("ana:secret")),
            except: Vec::new(),
        });
        let mut request = Request::new(Outgoing::Empty);
        *request.uri_mut() = Uri::from_static("/hooks/a?b=c");
        proxy
            .forwarding(&origin("http://crm:8080"))
            .address(&mut request);
        assert_eq!(request.uri().to_string(), "http://crm:8080/hooks/a?b=c");
        let authorization = &request.headers()[header::PROXY_AUTHORIZATION];
        assert_eq!(authorization, "Basic YW5hOnNlY3JldA==");
        assert!(!format!("{request:?} {proxy:?}").contains("YW5h"));
    }
}
