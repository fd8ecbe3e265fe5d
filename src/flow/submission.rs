//! A submission: whose it is, what it carries, and its body as it came. Owns turning changes of the doc back into
//! body bytes; reading one is left to [`crate::flow::decode`].

use std::sync::Arc;

use bytes::Bytes;
use encoding_rs::Encoding;
use http::HeaderMap;
use http::HeaderValue;
use http::header;
use http::request::Parts;

use crate::codec;
use crate::codec::Limits;
use crate::codec::Piece;
use crate::codec::Settings;
use crate::codec::content_type::ContentType;
use crate::codec::content_type::Format;
use crate::codec::multipart::Layout;
use crate::codec::rejected::Rejected;
use crate::model::doc::Doc;
use crate::model::doc::Jdoc;
use crate::rules::form::Form;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Found;
use crate::wire::body::Outgoing;
use crate::wire::spool::Kept;

/// How the bodies of a form are read.
#[must_use]
pub fn settings<'a>(form: &'a Form, limits: &'a Limits) -> Settings<'a> {
    Settings {
        limits,
        hidden: &form.hidden,
        charset: form.charset,
        nested: form.nested,
        doc_path: &form.doc_path,
    }
}

/// A form and the part of it that a request asks for, owned.
#[derive(Debug, Clone)]
pub struct Route {
    /// The form.
    pub form: Arc<Form>,
    /// Its id.
    pub id: String,
    /// What of it.
    pub part: FormPart,
    /// Whether the route is a GET: then the doc is the query.
    pub is_get: bool,
    /// The route's parameters, decoded.
    pub params: Vec<(String, String)>,
}

impl Route {
    /// For a request on a form's path that is neither its page nor a submission: only its backend counts.
    #[must_use]
    pub fn beside(form: &Arc<Form>) -> Self {
        Self {
            form: Arc::clone(form),
            id: form.id.clone(),
            part: FormPart::Page,
            is_get: false,
            params: Vec::new(),
        }
    }
}

impl From<Found<'_>> for Route {
    fn from(found: Found<'_>) -> Self {
        Self {
            form: Arc::clone(found.form),
            id: found.id,
            part: found.part,
            is_get: found.method == "GET",
            params: found.params,
        }
    }
}

/// Where a doc came from, and how it goes back there.
#[derive(Debug)]
pub enum Source {
    /// No body and no query that counts.
    Nothing,
    /// The query of a GET form.
    Query(&'static Encoding),
    /// A body in memory, unpacked.
    Memory {
        /// The body.
        body: Bytes,
        /// Its format.
        format: Format,
        /// Its charset.
        charset: &'static Encoding,
    },
    /// A multipart body, unpacked.
    Multipart {
        /// The body.
        kept: Kept,
        /// Where its parts are.
        layout: Layout,
    },
}

/// A submission that has been read.
#[derive(Debug)]
pub struct Submission {
    /// The form whose settings it was read with.
    pub form: Arc<Form>,
    /// The head of its request.
    pub head: Parts,
    /// Its fields.
    pub doc: Doc,
    /// Its body.
    pub source: Source,
}

impl Submission {
    /// The request as it goes on: as it came if `jdoc` is empty, else with these fields changed.
    ///
    /// # Errors
    /// 400 if a changed value cannot be written into this body.
    pub fn into_request(self, jdoc: &Jdoc, limits: &Limits) -> Result<(Parts, Outgoing), Rejected> {
        let Self {
            form,
            mut head,
            doc,
            source,
        } = self;
        let settings = settings(&form, limits);
        let jdoc = doc.flat_names(jdoc);
        if jdoc.is_empty() {
            return Ok((head, source.unchanged()));
        }
        let body = match source {
            Source::Nothing => new_body(&mut head.headers, &jdoc, settings)?.into(),
            Source::Query(charset) => {
                patch_query(&mut head, &jdoc, charset)?;
                Outgoing::Empty
            }
            Source::Memory {
                body,
                format,
                charset,
            } => patch_memory(&body, format, charset, &jdoc, settings)?.into(),
            Source::Multipart { kept, layout } => {
                let pieces: Vec<Piece> = layout.patch(&jdoc)?;
                kept.read_pieces(pieces).into()
            }
        };
        forget_old_body(&mut head.headers);
        Ok((head, body))
    }
}

/// Takes off what is true only of the body as it came: another one goes on, with its own length and unpacked.
pub(in crate::flow) fn forget_old_body(headers: &mut HeaderMap) {
    let sums = ["content-md5", "digest", "content-digest", "repr-digest"];
    for name in ["content-length", "content-encoding"]
        .into_iter()
        .chain(sums)
    {
        headers.remove(name);
    }
}

impl Source {
    fn unchanged(self) -> Outgoing {
        match self {
            Self::Nothing | Self::Query(_) => Outgoing::Empty,
            Self::Memory { body, .. } => body.into(),
            Self::Multipart { kept, .. } => kept.read().into(),
        }
    }
}

/// A body where there was none: of the type that the request says, or urlencoded.
fn new_body(
    headers: &mut HeaderMap,
    jdoc: &Jdoc,
    settings: Settings<'_>,
) -> Result<Vec<u8>, Rejected> {
    let said = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| ContentType::parse(kind.as_bytes()).ok());
    match said {
        Some(kind) if kind.format != Format::Multipart => {
            let charset = kind.charset.unwrap_or(encoding_rs::UTF_8);
            patch_memory(&Bytes::new(), kind.format, charset, jdoc, settings)
        }
        _ => {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, kind);
            Ok(codec::urlencoded::patch(b"", jdoc, encoding_rs::UTF_8))
        }
    }
}

fn patch_memory(
    body: &Bytes,
    format: Format,
    charset: &'static Encoding,
    jdoc: &Jdoc,
    settings: Settings<'_>,
) -> Result<Vec<u8>, Rejected> {
    match format {
        Format::Urlencoded => Ok(codec::urlencoded::patch(body, jdoc, charset)),
        Format::Text => codec::text::patch(body, jdoc, charset),
        Format::Json => Ok(codec::json::patch(body, jdoc, settings.doc_path)),
        // Multipart bodies are kept apart; see `Source::Multipart`.
        Format::Multipart => Err(Rejected::malformed(
            "A multipart body cannot be changed here.",
        )),
    }
}

fn patch_query(head: &mut Parts, jdoc: &Jdoc, charset: &'static Encoding) -> Result<(), Rejected> {
    let query = head.uri.query().unwrap_or_default();
    let patched = codec::urlencoded::patch(query.as_bytes(), jdoc, charset);
    let patched = String::from_utf8_lossy(&patched);
    let mark = if patched.is_empty() { "" } else { "?" };
    let target = format!("{}{mark}{patched}", head.uri.path());
    let target = target
        .parse()
        .map_err(|_| Rejected::malformed("The changed query is no longer a query."))?;
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(target);
    head.uri = http::Uri::from_parts(parts)
        .map_err(|_| Rejected::malformed("The changed query is too long."))?;
    Ok(())
}
