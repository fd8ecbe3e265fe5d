//! Where a person may be sent. Owns the check of a redirect target (protocol §6), so that a [`Redirect`] that
//! exists is one that is allowed; who asked for it is left to the reply.

use std::fmt;

/// The longest redirect target, in bytes.
pub const MAX_BYTES: usize = 2048;

/// A redirect target that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect(Box<str>);

/// Whom a redirect may name: the request's own host and the form's `redirect_hosts`.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
    /// The host (and port) that the person asked for, lower case; `None` where there is no request.
    pub own: Option<&'a str>,
    /// `pay.example.org` or, for plain http, `http://pay.example.org`; lower case.
    pub hosts: &'a [String],
}

/// Why a redirect target was refused, with the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than [`MAX_BYTES`].
    #[error("the redirect is {0} bytes long; at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    /// A control character, a space or a backslash.
    #[error("the redirect has a character that is not allowed in a URL ({0}); percent-encode it")]
    Character(&'static str),
    /// `//host/path`: a browser would go to another host.
    #[error(
        "the redirect starts with `//`, which names a host without a scheme; write `https://…`"
    )]
    NoScheme,
    /// Neither a path nor an http(s) URL.
    #[error(
        "the redirect is neither a path that starts with `/` nor an absolute `https` URL; write for example `/thanks`"
    )]
    NotAbsolute,
    /// Another scheme than http or https.
    #[error("the scheme `{0}:` is not allowed; use a path that starts with `/` or an `https` URL")]
    Scheme(String),
    /// `https://user:password@host`.
    #[error("the redirect has user information before its host; leave it out")]
    UserInfo,
    /// A host that the rule file does not list.
    #[error("the host `{0}` is not allowed; list it in `redirect_hosts` of the form's rule file")]
    Host(String),
    /// `http` to a host that is not listed with its scheme.
    #[error(
        "plain http to `{0}` is not allowed; use https, or list `http://{0}` in `redirect_hosts`"
    )]
    Http(String),
}

impl Redirect {
    /// Checks `target` against the rules of protocol §6.
    ///
    /// # Errors
    /// [`Refused`] says what is wrong and how to mend it.
    pub fn parse(target: &str, allowed: Allowed<'_>) -> Result<Self, Refused> {
        if target.len() > MAX_BYTES {
            return Err(Refused::TooLong(target.len()));
        }
        if let Some(what) = target.bytes().find_map(forbidden) {
            return Err(Refused::Character(what));
        }
        if target.starts_with("//") {
            return Err(Refused::NoScheme);
        }
        if !target.starts_with('/') {
            check_absolute(target, allowed)?;
        }
        Ok(Self(encode_non_ascii(target)))
    }

    /// The target as it goes into a `location` header: ASCII only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const fn forbidden(byte: u8) -> Option<&'static str> {
    match byte {
        b'\\' => Some("a backslash"),
        b' ' => Some("a space"),
        0..=0x1f | 0x7f => Some("a control character"),
        _ => None,
    }
}

fn check_absolute(target: &str, allowed: Allowed<'_>) -> Result<(), Refused> {
    let Some((scheme, rest)) = target.split_once(':') else {
        return Err(Refused::NotAbsolute);
    };
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err(Refused::NotAbsolute);
    }
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err(Refused::Scheme(scheme));
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Refused::NotAbsolute);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Refused::UserInfo);
    }
    let host = authority.to_ascii_lowercase();
    if host.is_empty() || !host.is_ascii() {
        return Err(Refused::Host(host));
    }
    check_host(&scheme, host, allowed)
}

fn check_host(scheme: &str, host: String, allowed: Allowed<'_>) -> Result<(), Refused> {
    let listed = |wanted: &str| allowed.hosts.iter().any(|known| known == wanted);
    let with_scheme = format!("{scheme}://{host}");
    if listed(&with_scheme) {
        return Ok(());
    }
    let known = listed(&host) || allowed.own == Some(host.as_str());
    match (known, scheme) {
        (true, "https") => Ok(()),
        (true, _) => Err(Refused::Http(host)),
        (false, _) => Err(Refused::Host(host)),
    }
}

fn encode_non_ascii(target: &str) -> Box<str> {
    if target.is_ascii() {
        return target.into();
    }
    let mut out = String::with_capacity(target.len() * 2);
    for c in target.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Result<String, Refused> {
        let hosts = [
            "pay.example.org".to_owned(),
            "http://old.example.org".to_owned(),
        ];
        let allowed = Allowed {
            own: Some("forms.example.org"),
            hosts: &hosts,
        };
        Redirect::parse(target, allowed).map(|redirect| redirect.as_str().to_owned())
    }

    #[test]
    fn good_targets() {
        for target in [
            "/",
            "/thanks?id=1#top",
            "https://forms.example.org/x",
            "https://PAY.example.org/a",
            "http://old.example.org/",
            "/a//b",
            "/a@b",
        ] {
            assert!(parse(target).is_ok(), "{target}");
        }
        assert_eq!(parse("/gr\u{fc}n").as_deref(), Ok("/gr%C3%BCn"));
    }

    #[test]
    fn bad_targets() {
        for target in [
            "",
            "thanks",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "https:evil.example",
            "https:/evil.example",
            "https://evil.example/",
            "https://user@forms.example.org/",
            "https://forms.example.org@evil.example/",
            "https://forms.example.org.evil.example/",
            "http://forms.example.org/",
            "http://pay.example.org/",
            "https://old.example.org/",
            "/a\r\nset-cookie: x=1",
            "/a\tb",
            "/a b",
            "https:///x",
            "https://forms.example.org:444/",
            "/%0d\n",
            "\u{0}/",
            "https://\u{ff45}vil.example/",
            ":/x",
            "1:/",
        ] {
            assert!(parse(target).is_err(), "{target:?}");
        }
        assert!(parse(&format!("/{}", "a".repeat(MAX_BYTES))).is_err());
    }
}
