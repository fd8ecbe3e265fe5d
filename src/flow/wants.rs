//! Which form of answer a client gets, and in which language (protocol §6). Owns the reading of `accept`,
//! `accept-language` and the headers by which formgate.js, htmx and Unpoly are known; settled once per request, before
//! anything can go wrong.

use http::HeaderMap;
use http::header;

use crate::model::lang::Lang;

/// What a client wants the gateway's own answers to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// Their form.
    pub medium: Medium,
    /// Their language.
    pub lang: Lang,
}

/// Which form of answer a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Medium {
    /// JSON: `accept` does not name `text/html`.
    #[default]
    Json,
    /// JSON for formgate.js: see `flow::script`.
    Script,
    /// A fragment of HTML: htmx.
    Fragment,
    /// A page.
    Page,
}

impl Wants {
    /// Reads a request's headers: all of them once, since most requests have hardly any of those that count.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut says = Says::default();
        for (name, value) in headers {
            match name.as_str() {
                "accept" => says.html |= value.to_str().is_ok_and(names_html),
                "accept-language" => says.language = true,
                "formgate-script" => says.script |= value == "1",
                "hx-request" => says.htmx |= value == "true",
                "hx-boosted" | "hx-history-restore-request" => says.whole |= value == "true",
                "hx-request-type" => says.whole |= value == "full",
                "x-up-version" => says.unpoly = true,
                _ => {}
            }
        }
        let lang = if says.language {
            let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter();
            Lang::of(lines.filter_map(|value| value.to_str().ok()))
        } else {
            Lang::default()
        };
        Self {
            medium: says.medium(),
            lang,
        }
    }
}

/// What a request says of who sent it.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is one header, there or not"
)]
struct Says {
    html: bool,
    language: bool,
    /// formgate.js says so on every request it makes.
    script: bool,
    /// htmx says so on every request it makes.
    htmx: bool,
    /// htmx wants a whole page: for a form or link of an element that is boosted, for a page of the history, and
    /// since version 4 by its kind of request.
    whole: bool,
    /// Unpoly, which picks what it needs out of a page, and whose `accept` names no type.
    unpoly: bool,
}

impl Says {
    const fn medium(&self) -> Medium {
        if self.script {
            Medium::Script
        } else if self.htmx && !self.whole {
            Medium::Fragment
        } else if self.htmx || self.unpoly || self.html {
            Medium::Page
        } else {
            Medium::Json
        }
    }
}

fn names_html(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let html = kind.eq_ignore_ascii_case("text/html")
            || kind.eq_ignore_ascii_case("application/xhtml+xml");
        let refused = |part: &str| {
            part.strip_prefix("q=")
                .is_some_and(|q| q.parse::<f32>() == Ok(0.0))
        };
        html && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use http::HeaderValue;

    #[test]
    fn accept_decides() {
        for (accept, medium) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Medium::Page,
            ),
            (
                "text/vnd.turbo-stream.html, text/html, application/xhtml+xml",
                Medium::Page,
            ),
            ("*/*", Medium::Json),
            ("application/json", Medium::Json),
            ("application/json, text/html;q=0", Medium::Json),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Wants::of(&headers).medium, medium, "{accept}");
        }
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::default());
    }

    #[test]
    fn the_libraries_of_pages_are_known_by_their_headers() {
        for (names, medium) in [
            (&["hx-request: true"] as &[&str], Medium::Fragment),
            (&["hx-request: false"], Medium::Json),
            (&["hx-request: true", "hx-boosted: true"], Medium::Page),
            (&["hx-request: true", "hx-request-type: full"], Medium::Page),
            (
                &["hx-request: true", "hx-request-type: partial"],
                Medium::Fragment,
            ),
            (&["x-up-version: 3.14.3"], Medium::Page),
            (&["formgate-script: 1", "hx-request: true"], Medium::Script),
        ] {
            let headers = names.iter().map(|line| {
                let (name, value) = line.split_once(": ").expect("a header");
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            let mut headers = HeaderMap::from_iter(headers);
            headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
            assert_eq!(Wants::of(&headers).medium, medium, "{names:?}");
        }
    }
}
