//! Reading a submission: head and body in, fields out, within every limit. Owns which body is read how; the formats
//! are `codec`'s.

use std::sync::Arc;

use bytes::Bytes;
use encoding_rs::Encoding;
use http::HeaderMap;
use http::Method;
use http::Version;
use http::header;
use http::request::Parts;
use http_body::Body;

use crate::codec;
use crate::codec::Limits;
use crate::codec::Settings;
use crate::codec::content_type::ContentType;
use crate::codec::content_type::Format;
use crate::codec::multipart::Scanner;
use crate::codec::rejected::Rejected;
use crate::codec::unpack::Bounds;
use crate::codec::unpack::Unpacker;
use crate::flow::submission::Source;
use crate::flow::submission::Submission;
use crate::flow::submission::forget_old_body;
use crate::flow::submission::settings;
use crate::model::doc::Doc;
use crate::model::flat::Flat;
use crate::rules::form::Form;
use crate::wire::paced::Broken;
use crate::wire::paced::Paced;
use crate::wire::spool;
use crate::wire::spool::Spool;
use crate::wire::tempo::Late;

/// How much of a body is taken in, and where it is kept.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The largest body, as it comes and unpacked, in bytes.
    pub body: u64,
    /// The limits of its fields.
    pub limits: Limits,
    /// Where large bodies are kept.
    pub spool: spool::Settings,
}

/// Why a submission could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no good.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The person went away; there is nobody to answer.
    #[error("the person went away in the middle of the body")]
    Gone,
    /// The temporary file could not be written.
    #[error("the temporary file for the body: {0}")]
    Spool(std::io::Error),
}

impl DecodeError {
    /// What went wrong, in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Gone => "left",
            Self::Spool(_) => "failed",
        }
    }
}

/// Reads a submission of `form`; that of a GET form is its query.
///
/// # Errors
/// [`DecodeError`].
pub async fn decode(
    form: Arc<Form>,
    is_get: bool,
    head: Parts,
    body: Paced,
    intake: &Intake,
) -> Result<Box<Submission>, DecodeError> {
    check_length(&head, intake.body)?;
    let mut submission = Box::new(Submission {
        doc: Doc::from(Flat::new(&form.hidden, 0)),
        form,
        head,
        source: Source::Nothing,
    });
    let form = Arc::clone(&submission.form);
    let settings = settings(&form, &intake.limits);
    let has_body = !body.is_end_stream();
    let read = if has_body && is_get {
        return Err(
            Rejected::malformed("A GET form has no body; its fields are in the query.").into(),
        );
    } else if has_body {
        read_body(&mut submission.head, body, intake, settings).await?
    } else if is_get {
        let query = submission.head.uri.query().unwrap_or_default();
        let (flat, charset) = codec::urlencoded::decode_query(query, settings)?;
        (Doc::from(flat), Source::Query(charset))
    } else {
        return Ok(submission);
    };
    (submission.doc, submission.source) = read;
    Ok(submission)
}

/// Reads a kept submission once more, as another form's settings say.
///
/// # Errors
/// [`DecodeError`].
pub async fn decode_again(
    submission: Submission,
    form: Arc<Form>,
    intake: &Intake,
) -> Result<Box<Submission>, DecodeError> {
    let Submission { head, source, .. } = submission;
    let settings = settings(&form, &intake.limits);
    let (doc, source) = match source {
        Source::Nothing => (Doc::from(Flat::new(&form.hidden, 0)), Source::Nothing),
        Source::Query(_) => {
            let query = head.uri.query().unwrap_or_default();
            let (flat, charset) = codec::urlencoded::decode_query(query, settings)?;
            (Doc::from(flat), Source::Query(charset))
        }
        Source::Memory { body, format, .. } => {
            let (doc, charset) = decode_memory(&body, &content_type(&head.headers)?, settings)?;
            let source = Source::Memory {
                body,
                format,
                charset,
            };
            (doc, source)
        }
        Source::Multipart { kept, .. } => {
            let kind = content_type(&head.headers)?;
            let boundary = kind.boundary.as_deref().unwrap_or_default();
            let mut scanner = Scanner::new(boundary, kind.charset, settings);
            let mut reader = kept.again().read();
            while let Some(bytes) = std::future::poll_fn(|cx| reader.poll_next(cx)).await {
                scanner.push(&bytes.map_err(DecodeError::Spool)?)?;
            }
            let read = scanner.finish()?;
            let layout = read.layout;
            let source = Source::Multipart { kept, layout };
            (Doc::from(read.flat), source)
        }
    };
    Ok(Box::new(Submission {
        form,
        head,
        doc,
        source,
    }))
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, Rejected> {
    let kind = single(headers, &header::CONTENT_TYPE)?;
    let kind = kind.ok_or_else(|| {
        Rejected::unsupported("The form says no content type, so it cannot be read.")
    })?;
    ContentType::parse(kind)
}

/// What can be told from the head alone.
fn check_length(head: &Parts, most: u64) -> Result<(), Rejected> {
    let length = head.headers.get(header::CONTENT_LENGTH);
    let carries = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    if head.version == Version::HTTP_10 && carries && length.is_none() {
        return Err(Rejected::with(
            411,
            "HTTP/1.0 needs a `content-length` for a form.",
        ));
    }
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    within(length.unwrap_or_default(), most, "limits.body")
}

/// The one value of a header that changes how a body is read.
fn single<'h>(
    headers: &'h HeaderMap,
    name: &header::HeaderName,
) -> Result<Option<&'h [u8]>, Rejected> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejected::malformed(format!(
            "The request has more than one `{name}` header."
        )));
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

async fn read_body(
    head: &mut Parts,
    body: Paced,
    intake: &Intake,
    settings: Settings<'_>,
) -> Result<(Doc, Source), DecodeError> {
    let kind = content_type(&head.headers)?;
    let encoding = single(&head.headers, &header::CONTENT_ENCODING)?;
    let encoding = encoding.map(String::from_utf8_lossy).unwrap_or_default();
    let bounds = Bounds {
        body: intake.body,
        ratio: intake.limits.unpack_ratio,
    };
    let unpacker = Unpacker::new(&encoding, bounds)?;
    if unpacker.is_some() {
        // What goes on is the unpacked body: the backend must find in it what the hooks saw.
        forget_old_body(&mut head.headers);
    }
    match &kind.boundary {
        // On the heap, so that a form in memory has no room for it.
        Some(boundary) => {
            Box::pin(read_multipart(
                boundary,
                kind.charset,
                body,
                intake,
                unpacker,
                settings,
            ))
            .await
        }
        None => read_memory(&kind, body, intake, unpacker, settings).await,
    }
}

/// Bodies whose every byte is a field are held in memory: the hook gets them all anyway.
async fn read_memory(
    kind: &ContentType,
    body: Paced,
    intake: &Intake,
    unpacker: Option<Unpacker>,
    settings: Settings<'_>,
) -> Result<(Doc, Source), DecodeError> {
    let doc_limit = u64::try_from(intake.limits.doc).unwrap_or(u64::MAX);
    let (most, limit) = if intake.body < doc_limit {
        (intake.body, "limits.body")
    } else {
        (doc_limit, "limits.doc")
    };
    let body = match unpacker {
        None => gather(body, most, limit).await?,
        Some(unpacker) => gather_unpacked(body, unpacker, most, limit).await?,
    };
    let (doc, charset) = decode_memory(&body, kind, settings)?;
    let source = Source::Memory {
        body,
        format: kind.format,
        charset,
    };
    Ok((doc, source))
}

fn decode_memory(
    body: &Bytes,
    kind: &ContentType,
    settings: Settings<'_>,
) -> Result<(Doc, &'static Encoding), Rejected> {
    match kind.format {
        Format::Urlencoded => {
            let (flat, charset) = codec::urlencoded::decode(body, kind.charset, settings)?;
            Ok((Doc::from(flat), charset))
        }
        Format::Text => {
            let (flat, charset) = codec::text::decode(body, kind.charset, settings)?;
            Ok((Doc::from(flat), charset))
        }
        Format::Json => Ok((
            Doc::from(codec::json::decode(body, settings)?),
            encoding_rs::UTF_8,
        )),
        // Multipart bodies have a boundary and are read as a stream.
        Format::Multipart => Err(Rejected::malformed("The multipart body has no boundary.")),
    }
}

async fn gather(mut body: Paced, most: u64, limit: &'static str) -> Result<Bytes, DecodeError> {
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    let mut length = 0_u64;
    while let Some(frame) = next_frame(&mut body).await? {
        length += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        within(length, most, limit)?;
        if first.is_empty() && all.is_empty() {
            first = frame;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
            first = Bytes::new();
        }
        all.extend_from_slice(&frame);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn within(length: u64, most: u64, limit: &'static str) -> Result<(), Rejected> {
    if length > most {
        let text = format!("The form has over {most} bytes.");
        return Err(Rejected::too_large(limit, text));
    }
    Ok(())
}

/// A packed body, unpacked as it comes; neither form may be over the limit.
async fn gather_unpacked(
    mut body: Paced,
    mut unpacker: Unpacker,
    most: u64,
    limit: &'static str,
) -> Result<Bytes, DecodeError> {
    let mut all: Vec<u8> = Vec::new();
    let mut came = 0_u64;
    let length = |all: &Vec<u8>| u64::try_from(all.len()).unwrap_or(u64::MAX);
    while let Some(frame) = next_frame(&mut body).await? {
        came += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        within(came, most, limit)?;
        let mut rest = &frame[..];
        while let Some(mut piece) = unpacker.next(&mut rest)? {
            all.append(&mut piece);
            within(length(&all), most, limit)?;
        }
    }
    all.append(&mut unpacker.finish()?);
    within(length(&all), most, limit)?;
    Ok(all.into())
}

/// The next bytes of a body; trailers are nobody's field.
async fn next_frame(body: &mut Paced) -> Result<Option<Bytes>, DecodeError> {
    loop {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
        match next {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(Broken::Stalled(late))) => {
                let text = match late {
                    Late::Pause => "The form stopped coming before it was complete.",
                    Late::Rate => "The form came too slowly.",
                };
                let stalled = Rejected {
                    limit: Some(late.limit()),
                    ..Rejected::with(408, text)
                };
                return Err(stalled.into());
            }
            Some(Err(_)) => return Err(DecodeError::Gone),
        }
    }
}

async fn read_multipart(
    boundary: &str,
    charset: Option<&'static Encoding>,
    mut body: Paced,
    intake: &Intake,
    mut unpacker: Option<Unpacker>,
    settings: Settings<'_>,
) -> Result<(Doc, Source), DecodeError> {
    let mut scanner = Scanner::new(boundary, charset, settings);
    let mut kept = Spool::new(intake.spool.clone());
    let mut came = 0_u64;
    while let Some(frame) = next_frame(&mut body).await? {
        came += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        within(came, intake.body, "limits.body")?;
        let Some(unpacker) = &mut unpacker else {
            keep(&mut scanner, &mut kept, frame).await?;
            continue;
        };
        let mut rest = &frame[..];
        while let Some(piece) = unpacker.next(&mut rest)? {
            keep(&mut scanner, &mut kept, piece.into()).await?;
        }
    }
    if let Some(unpacker) = unpacker {
        keep(&mut scanner, &mut kept, unpacker.finish()?.into()).await?;
    }
    let read = scanner.finish()?;
    let source = Source::Multipart {
        kept: kept.finish().await.map_err(DecodeError::Spool)?,
        layout: read.layout,
    };
    Ok((Doc::from(read.flat), source))
}

async fn keep(
    scanner: &mut Scanner<'_>,
    kept: &mut Spool,
    bytes: Bytes,
) -> Result<(), DecodeError> {
    scanner.push(&bytes)?;
    kept.push(bytes).await.map_err(DecodeError::Spool)
}
