//! What can be asked. Owns paths and the form of answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use http::StatusCode;
use http::header;

use crate::admin::health;
use crate::metrics::exposition;
use crate::metrics::register::Metrics;

/// Every path.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(numbers))
        .fallback(nothing)
        .with_state(metrics)
}

/// That this is answered says that the process turns.
async fn livez() -> Response {
    text(StatusCode::OK, "alive\n".to_owned())
}

/// 200 where more requests are welcome, else 503; with `?verbose`, or for whoever wants JSON, with what else is known.
async fn readyz(
    State(metrics): State<Arc<Metrics>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let reasons = health::reasons(&metrics);
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut asks = query.as_deref().unwrap_or_default().split('&');
    let is_verbose = asks.any(|ask| ask == "verbose" || ask.starts_with("verbose="));
    if is_verbose || accepts(&headers, "application/json") {
        let body = format!("{:#}\n", health::report(&metrics));
        return answer(status, "application/json", body);
    }
    let words: Vec<_> = reasons.iter().map(|reason| reason.word()).collect();
    text(
        status,
        match words.as_slice() {
            [] => "ready\n".to_owned(),
            words => format!("not ready: {}\n", words.join(", ")),
        },
    )
}

/// `OpenMetrics` for whoever asks for it, else the text format that came before.
async fn numbers(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let is_open = accepts(&headers, "application/openmetrics-text");
    // Thousands of lines, and a look at every open file: nothing for a thread that serves.
    let written = tokio::task::spawn_blocking(move || {
        if is_open {
            (exposition::OPEN_METRICS, exposition::open_metrics(&metrics))
        } else {
            (exposition::PROMETHEUS, exposition::prometheus(&metrics))
        }
    });
    match written.await {
        Ok((kind, body)) => answer(StatusCode::OK, kind, body),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the numbers could not be written\n".to_owned(),
        ),
    }
}

async fn nothing() -> Response {
    let paths = "nothing is here; there are /livez, /readyz and /metrics\n";
    text(StatusCode::NOT_FOUND, paths.to_owned())
}

/// Whether a type is named, with any weight but none.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values.filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
        let weights = parts.filter_map(|part| part.strip_prefix("q="));
        let is_refused = weights
            .filter_map(|q| q.parse::<f32>().ok())
            .any(|q| q <= 0.0);
        is_it && !is_refused
    })
}

fn text(status: StatusCode, body: String) -> Response {
    answer(status, "text/plain; charset=utf-8", body)
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_accepted() {
        let wanted = "application/openmetrics-text";
        for (accept, yes) in [
            ("", false),
            ("*/*", false),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3",
                true,
            ),
            ("text/plain, Application/OpenMetrics-Text", true),
            ("application/openmetrics-text;q=0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            assert_eq!(accepts(&headers, wanted), yes, "{accept}");
        }
    }
}
