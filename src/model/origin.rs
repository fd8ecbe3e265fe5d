//! A server to talk to: scheme, host and port. Owns reading one from a URL; connecting is left to `wire`.

use std::fmt;

/// A server, as a URL names it before its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether to speak TLS.
    pub tls: bool,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// Splits `http://host:port/path?query` into the server and the rest, which begins with `/`.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn split(url: &str) -> Result<(Self, &str), String> {
        let wanted = "write for example http://127.0.0.1:3000 or https://example.org";
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("`{url}` is not a URL; {wanted}"))?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            other => return Err(format!("`{other}://` is not spoken here; {wanted}")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if target.contains('#') {
            return Err("a URL to call has no `#` part; leave it out".to_owned());
        }
        if authority.contains('@') {
            return Err(
                "user information in a URL would end up in logs; put it into a header".to_owned(),
            );
        }
        let (host, port) = Self::host_and_port(authority, if tls { 443 } else { 80 })?;
        Ok((
            Self { tls, host, port },
            if target.is_empty() { "/" } else { target },
        ))
    }

    /// Reads `http://host:port`, with at most a `/` after it.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(url: &str) -> Result<Self, String> {
        match Self::split(url)? {
            (origin, "/") => Ok(origin),
            (origin, path) => Err(format!(
                "`{url}` must end before its path `{path}`; write `{origin}`"
            )),
        }
    }

    fn host_and_port(authority: &str, default: u16) -> Result<(String, u16), String> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest
                    .split_once(']')
                    .ok_or("the `[` of an IPv6 address is not closed")?;
                (
                    host,
                    after
                        .strip_prefix(':')
                        .or((!after.is_empty()).then_some("?")),
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(good) {
            return Err(format!(
                "`{host}` is not a host name or address; a name has letters, digits, `-` and `.` only"
            ));
        }
        let port = match port {
            None => default,
            Some(text) => text
                .parse()
                .map_err(|_| format!("`{text}` is not a port; a port is a number up to 65535"))?,
        };
        Ok((host.to_ascii_lowercase(), port))
    }

    /// The `host` header's value: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.authority()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_written() {
        for (url, shown) in [
            ("http://app:3000", "http://app:3000"),
            ("https://Example.org", "https://example.org"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
        ] {
            assert_eq!(
                Origin::parse(url)
                    .map(|origin| origin.to_string())
                    .as_deref(),
                Ok(shown)
            );
        }
        let (origin, target) = Origin::split("https://crm.example.org/hooks/x?y=1").expect("a URL");
        assert_eq!((origin.port, target), (443, "/hooks/x?y=1"));
        for url in [
            "app:3000",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x:y",
            "http://[::1",
            "http://a b",
            "http://x/#f",
            "http://x/y",
        ] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }
}
