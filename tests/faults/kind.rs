//! The kinds of submissions that faults are tried on. Owns their bytes, and what must come out of them at the backend.

use crate::support::client::BROWSER;
use crate::support::client::find;
use crate::support::relay::Fault;
use crate::support::relay::IN_HEAD;
use crate::support::relay::Plan;
use crate::support::relay::Point;
use crate::support::relay::TWICE;
use crate::support::relay::Way;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As browsers do by themselves.
    Urlencoded,
    /// With a file that is kept on disk while it is decided.
    Multipart,
    /// As scripts do.
    Json,
}

/// One kind of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "kinds are all combinations")]
pub(crate) struct Kind {
    /// How its body is written.
    pub(crate) format: Format,
    /// Whether the hook changes a field.
    pub(crate) patched: bool,
    /// Whether a page is asked for, which comes in chunks, or JSON, which has a length.
    pub(crate) page: bool,
    /// Whether the person speaks HTTP/2.
    pub(crate) http2: bool,
    /// Whether all connections have been used before.
    pub(crate) reused: bool,
}

/// All of them.
pub(crate) fn kinds() -> Vec<Kind> {
    let formats = [Format::Urlencoded, Format::Multipart, Format::Json];
    let mut all = Vec::new();
    for number in 0..formats.len() << 4 {
        let bit = |bit: usize| number >> bit & 1 == 1;
        all.push(Kind {
            format: formats[number >> 4],
            patched: bit(0),
            page: bit(1),
            http2: bit(2),
            reused: bit(3),
        });
    }
    all
}

impl Kind {
    /// The content type.
    pub(crate) fn content_type(self) -> &'static str {
        match self.format {
            Format::Urlencoded => "application/x-www-form-urlencoded",
            Format::Multipart => "multipart/form-data; boundary=XX",
            Format::Json => "application/json",
        }
    }

    /// What the person would like to see.
    pub(crate) fn accept(self) -> &'static str {
        if self.page { BROWSER } else { "*/*" }
    }

    /// The body of a submission.
    pub(crate) fn body(self, id: &str) -> Vec<u8> {
        let patch = if self.patched { "yes" } else { "no" };
        let note = "The lake was cold. ".repeat(20);
        match self.format {
            Format::Urlencoded => {
                let note = note.replace(' ', "+");
                format!("id={id}&patch={patch}&city=Zug&note={note}")
            }
            Format::Json => {
                format!(r#"{{"id":"{id}", "patch":"{patch}", "city":"Zug", "note":"{note}"}}"#)
            }
            Format::Multipart => {
                let mut body = String::new();
                for (name, value) in [("id", id), ("patch", patch), ("city", "Zug")] {
                    body.push_str(&format!(
                        "--XX\r\ncontent-disposition: form-data; name={name}\r\n\r\n{value}\r\n"
                    ));
                }
                body.push_str(
                    "--XX\r\ncontent-disposition: form-data; name=photo; filename=lake.jpg\r\ncontent-type: image/jpeg\r\n\r\n",
                );
                body.push_str(&note.repeat(60));
                body.push_str("\r\n--XX--\r\n");
                body
            }
        }
        .into_bytes()
    }

    /// The whole request, in HTTP/1.
    pub(crate) fn request(self, path: &str, id: &str) -> Vec<u8> {
        let body = self.body(id);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: forms.example.org\r\naccept: {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            self.accept(),
            self.content_type(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// The body as the backend must get it, if it gets one: as it was sent, or as the network had changed it before
    /// it came to the gateway; with the field that the hook changes.
    pub(crate) fn expected(self, path: &str, id: &str, person: Option<Plan>) -> Vec<u8> {
        let body = self.body(id);
        let twice = person
            .filter(|plan| !self.http2 && plan.way == Way::There && plan.fault == Fault::Duplicate);
        let body = match twice {
            Some(plan) => with_bytes_twice(&self.request(path, id), body.len(), plan.point),
            None => body,
        };
        if self.patched {
            patched(self.format, &body)
        } else {
            body
        }
    }
}

/// The body of this length that is read out of a request some of whose bytes come twice.
fn with_bytes_twice(request: &[u8], length: usize, point: Point) -> Vec<u8> {
    let body_at = request.len() - length;
    let at = match point {
        Point::Connected => 0,
        Point::InHead => IN_HEAD,
        Point::AfterHead => body_at,
        Point::InBody => body_at + length / 2,
        Point::AfterBody => request.len(),
    };
    let twice = &request[at.saturating_sub(TWICE)..at];
    let came = [&request[..at], twice, &request[at..]].concat();
    let head = find(&came, b"\r\n\r\n").map_or(came.len(), |at| at + 4);
    came[head..head + length].to_vec()
}

fn patched(format: Format, body: &[u8]) -> Vec<u8> {
    let (old, new): (&[u8], &[u8]) = match format {
        Format::Urlencoded => (b"city=Zug", b"city=Bern"),
        Format::Json => (b"\"city\":\"Zug\"", b"\"city\":\"Bern\""),
        Format::Multipart => (b"\r\n\r\nZug\r\n", b"\r\n\r\nBern\r\n"),
    };
    match find(body, old) {
        Some(at) => [&body[..at], new, &body[at + old.len()..]].concat(),
        None => body.to_vec(),
    }
}
