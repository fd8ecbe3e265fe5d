//! Which form of answer a client gets (protocol §6). Owns the reading of `accept` and `hx-request`; settled once per
//! request, before anything can go wrong.

use http::HeaderMap;
use http::HeaderName;
use http::header;

/// Which form of answer a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// JSON: `accept` does not name `text/html`.
    Json,
    /// A fragment of HTML: htmx.
    Fragment,
    /// A page.
    Page,
}

/// Set by htmx on every request it makes.
static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

impl Wants {
    /// Reads a request's headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if headers
            .get(&HX_REQUEST)
            .is_some_and(|value| value == "true")
        {
            return Self::Fragment;
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
        for (accept, wants) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Wants::Page,
            ),
            (
                "text/vnd.turbo-stream.html, text/html, application/xhtml+xml",
                Wants::Page,
            ),
            ("*/*", Wants::Json),
            ("application/json", Wants::Json),
            ("application/json, text/html;q=0", Wants::Json),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Wants::of(&headers), wants, "{accept}");
        }
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::Json);
        let mut htmx =
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html"))]);
        htmx.insert("hx-request", HeaderValue::from_static("true"));
        assert_eq!(Wants::of(&htmx), Wants::Fragment);
    }
}
