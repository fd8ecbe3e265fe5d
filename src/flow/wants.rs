//! Which form of answer a client gets, and in which language (protocol §6). Owns the reading of `accept`,
//! `accept-language` and the headers by which formgate.js, htmx and Unpoly are known; settled once per request, before
//! anything can go wrong.

use http::HeaderMap;
use http::HeaderName;
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

/// Set by formgate.js on every request it makes.
static SCRIPT: HeaderName = HeaderName::from_static("formgate-script");
/// Set by htmx on every request it makes.
static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// Set by htmx where it wants a whole page: for a form or link of an element that is boosted, and for a page of the
/// history.
static HX_WHOLE: [HeaderName; 2] = [
    HeaderName::from_static("hx-boosted"),
    HeaderName::from_static("hx-history-restore-request"),
];
/// Set by htmx since version 4.
static HX_REQUEST_TYPE: HeaderName = HeaderName::from_static("hx-request-type");
/// Set by Unpoly, which picks what it needs out of a page, and whose `accept` names no type.
static X_UP_VERSION: HeaderName = HeaderName::from_static("x-up-version");

impl Wants {
    /// Reads a request's headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let languages = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        Self {
            medium: Medium::of(headers),
            lang: Lang::of(languages.filter_map(|value| value.to_str().ok())),
        }
    }
}

impl Medium {
    fn of(headers: &HeaderMap) -> Self {
        let says = |name: &HeaderName, text| headers.get(name).is_some_and(|value| value == text);
        if says(&SCRIPT, "1") {
            return Self::Script;
        }
        if says(&HX_REQUEST, "true") {
            let whole = HX_WHOLE.iter().any(|name| says(name, "true"));
            let whole = whole || says(&HX_REQUEST_TYPE, "full");
            return if whole { Self::Page } else { Self::Fragment };
        }
        if headers.contains_key(&X_UP_VERSION) {
            return Self::Page;
        }
        let mut accepts = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        if accepts.any(names_html) {
            Self::Page
        } else {
            Self::Json
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
