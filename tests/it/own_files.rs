//! The files that the gateway serves itself: script, types and stylesheet.

use std::io::Write;

use crate::support::site;

const FILES: [(&str, &str, &str); 3] = [
    (
        "/_formgate/formgate.js",
        "text/javascript; charset=utf-8",
        "export function show(",
    ),
    (
        "/_formgate/formgate.d.ts",
        "application/typescript; charset=utf-8",
        "export interface Answer",
    ),
    (
        "/_formgate/formgate.css",
        "text/css; charset=utf-8",
        ".formgate-message",
    ),
];

#[tokio::test]
async fn they_come_with_a_type_and_a_tag_and_never_from_the_backend() {
    let app = site().start().await;
    for (path, kind, part) in FILES {
        let answer = app.get(path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.text().contains(part), "{path}");
        let tag = answer.header("etag").expect("a tag").to_owned();
        let query = app.get(&format!("{path}?v=2")).send().await;
        assert_eq!(query.body, answer.body);

        for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = app.get(path).header("if-none-match", &known).send().await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
        }
        let changed = app.get(path).header("if-none-match", "\"other\"").send();
        assert_eq!(changed.await.status, 200);

        let head = app.ask("HEAD", path).send().await;
        let length = answer.body.len().to_string();
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(length.as_str()))
        );
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = app.ask(method, path).send().await;
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        }
    }
    assert_eq!(app.backend.count(), 0);
    app.get("/_formgate/other").send().await;
    assert_eq!(app.backend.count(), 1);
}

#[tokio::test]
async fn the_script_is_under_four_kibibytes_gzipped() {
    let app = site().start().await;
    let script = app.get("/_formgate/formgate.js").send().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&script.body).expect("memory");
    let size = gzip.finish().expect("memory").len();
    assert!(size < 4096, "{size} bytes");
}
