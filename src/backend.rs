//! The backend: the form application behind the gateway. Owns sending it requests – passed through as a stream, or
//! as a decided submission – and taking its answers; what an answer means is left to `flow`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::request::Parts;
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use crate::metrics::label::Shelf;
use crate::metrics::meters::BackendMeter;
use crate::metrics::word::Broke;
use crate::model::origin::Origin;
use crate::rules::book::Book;
use crate::wire::arrival::Arrival;
use crate::wire::body::Outgoing;
use crate::wire::connect::ConnectError;
use crate::wire::connect::Connector;
use crate::wire::hop;
use crate::wire::paced::Broken;
use crate::wire::paced::Paced;
use crate::wire::peeked::Looked;
use crate::wire::peeked::Peeked;
use crate::wire::pool::Exchange;
use crate::wire::pool::Pool;
use crate::wire::pool::Received;
use crate::wire::pool::SendError;
use crate::wire::pool::Settings;
use crate::wire::tempo::Tempo;

/// Answers of at most so many bytes are read whole, so that half an answer is noticed before it is passed on and
/// the connection is free again at once.
pub const SMALL: u64 = 64 << 10;

/// The backends of all forms.
#[derive(Debug)]
pub struct Backends {
    default: Backend,
    others: HashMap<Origin, Backend>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Backend {
    pool: Arc<Pool>,
    meter: Arc<BackendMeter>,
}

/// Why a backend gave no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No answer at all.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A head, but half a body.
    #[error("its answer with status {0} broke off: {1}")]
    Half(StatusCode, Broken),
    /// A head that says its length in two ways; whoever believes the other one sees another answer.
    #[error("its answer with status {0} has both `content-length` and `transfer-encoding`")]
    BothLengths(StatusCode),
    /// It switched to another protocol, which nobody had asked for.
    #[error("it switched protocols without being asked to")]
    Switched,
}

impl BackendError {
    /// What went wrong, in one word.
    #[must_use]
    pub const fn broke(&self) -> Broke {
        match self {
            Self::Send(error) => unanswered(error),
            Self::Half(..) => Broke::Half,
            Self::BothLengths(_) | Self::Switched => Broke::Malformed,
        }
    }

    /// The limit that it came up against, by its name; a person's upload has limits of its own.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Send(SendError::TimedOut(_)) | Self::Half(_, Broken::Stalled(_)) => {
                Some("backend_timeouts.response")
            }
            Self::Send(SendError::Connect(ConnectError::TimedOut(..))) => {
                Some("backend_timeouts.connect")
            }
            // One address of several.
            Self::Send(SendError::Connect(ConnectError::Connect(_, error)))
                if error.kind() == io::ErrorKind::TimedOut =>
            {
                Some("backend_timeouts.connect")
            }
            _ => None,
        }
    }
}

/// Why there was no answer, in one word.
#[must_use]
pub const fn unanswered(error: &SendError) -> Broke {
    match error {
        SendError::Connect(_) => Broke::Connect,
        SendError::Unsent(_) => Broke::Unsent,
        SendError::Lost(_) => Broke::Lost,
        SendError::TimedOut(_) => Broke::TimedOut,
        SendError::Upload(_) | SendError::Stalled(_) => Broke::Upload,
    }
}

/// The backend's side of an upgraded connection, in the extensions of a 101 answer.
#[derive(Debug, Clone)]
pub struct Tunnel(pub OnUpgrade);

/// A backend's answer to a submission, with its body if it was small.
#[derive(Debug)]
pub struct BackendAnswer {
    /// The head; hop-by-hop headers are gone.
    pub head: http::response::Parts,
    /// The body.
    pub body: AnswerBody,
}

/// A body that was read whole, or one that is still coming.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// A stream.
    Stream(Outgoing),
}

impl From<AnswerBody> for Outgoing {
    fn from(body: AnswerBody) -> Self {
        match body {
            AnswerBody::Whole(bytes) => bytes.into(),
            AnswerBody::Stream(stream) => stream,
        }
    }
}

impl From<BackendAnswer> for Response<Outgoing> {
    fn from(answer: BackendAnswer) -> Self {
        Self::from_parts(answer.head, answer.body.into())
    }
}

impl Backends {
    /// The backends of a book. Connections of `before` are kept where the server is the same.
    #[must_use]
    pub fn prepare(
        book: &Book,
        default: &Origin,
        (connector, settings): (&Connector, &Settings),
        meters: &Shelf<BackendMeter>,
        before: Option<&Self>,
    ) -> Self {
        let forms = book.forms().iter().chain(book.discovered());
        let named = forms.filter_map(|form| form.backend.as_ref());
        // The gateway's own comes first, and so has a label whatever the number of the others.
        let mut all = vec![default];
        let mut seen = HashSet::new();
        all.extend(named.filter(|origin| *origin != default && seen.insert(*origin)));
        let labels = all.iter().map(|origin| [origin.to_string(), String::new()]);
        let meters = meters.adopt(labels);
        let known = |origin: &Origin| {
            let found = before.and_then(|before| before.find(origin));
            found.filter(|known| known.pool.connector() == connector)
        };
        let pool = |origin: &Origin| {
            let new = || Pool::new(origin.clone(), connector.clone(), settings.clone());
            known(origin).map_or_else(|| Arc::new(new()), |known| Arc::clone(&known.pool))
        };
        let backend = |(origin, meter): (&&Origin, Arc<BackendMeter>)| {
            let pool = pool(origin);
            Backend { pool, meter }
        };
        let mut ready = all.iter().zip(meters).map(backend);
        let first = ready.next();
        let others = ready.map(|backend| (backend.origin().clone(), backend));
        let others = others.collect();
        Self {
            // There is always one; were there none, nothing would be counted.
            default: first.unwrap_or_else(|| backend((&default, Arc::default()))),
            others,
        }
    }

    fn find(&self, origin: &Origin) -> Option<&Backend> {
        if self.default.origin() == origin {
            Some(&self.default)
        } else {
            self.others.get(origin)
        }
    }

    /// The backend of a form; the gateway's where the form has none of its own.
    #[must_use]
    pub fn of(&self, origin: Option<&Origin>) -> &Backend {
        origin
            .and_then(|origin| self.others.get(origin))
            .unwrap_or(&self.default)
    }
}

impl Backend {
    /// The server.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.pool.origin()
    }

    /// How long it may take to begin an answer.
    fn response(&self) -> Duration {
        self.pool.settings().response
    }

    /// Counts an answer that has begun, or that there is none.
    fn begun(&self, sent: Result<Exchange, SendError>) -> Result<Response<Received>, SendError> {
        match sent {
            Ok(exchange) => {
                self.meter.seconds.observe(exchange.waited);
                let class = usize::from(exchange.response.status().as_u16() / 100);
                if let Some(answers) = self.meter.answers.get(class.wrapping_sub(1)) {
                    answers.inc();
                }
                Ok(exchange.response)
            }
            Err(error) => {
                self.broke(unanswered(&error));
                Err(error)
            }
        }
    }

    /// Counts an answer that is not whole. No future of its own, which would copy every answer once more.
    fn note<T>(&self, settled: Result<T, BackendError>) -> Result<T, BackendError> {
        match &settled {
            // Counted where it was sent.
            Ok(_) | Err(BackendError::Send(_)) => {}
            Err(error) => self.broke(error.broke()),
        }
        settled
    }

    fn broke(&self, broke: Broke) {
        self.meter.failures[broke as usize].inc();
    }
}

/// Passes a request through as a stream, and its answer back.
///
/// # Errors
/// [`BackendError`].
pub async fn pass(
    backend: &Backend,
    arrival: Box<Arrival>,
    tempo: Tempo,
) -> Result<Response<Outgoing>, BackendError> {
    let is_upgrade = arrival.upgrade.is_some();
    let request = passed(*arrival, tempo);
    let sent = backend.pool.send(request, backend.response()).await;
    let mut response = backend.begun(sent)?;
    if is_upgrade && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let tunnel = Tunnel(hyper::upgrade::on(&mut response));
        response.extensions_mut().insert(tunnel);
        return Ok(response.map(|_| Outgoing::Empty));
    }
    Ok(backend.note(settle(response).await)?.into())
}

/// The request that is passed through for an arrival.
fn passed(mut arrival: Arrival, tempo: Tempo) -> Box<Request<Outgoing>> {
    arrival.announce();
    let Arrival {
        mut head,
        body,
        upgrade,
        trailers,
        early,
        received,
        ..
    } = arrival;
    if trailers {
        head.headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
        head.headers
            .insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = upgrade {
        head.headers.insert(header::UPGRADE, protocol);
        head.headers
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let body = Paced::upload(body, head.version, tempo).counted(received);
    let body = Outgoing::from(body);
    if body.size_hint().exact().is_none() {
        // hyper takes a `GET` without a length for one without a body.
        head.headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
    let mut request = outbound(head, body);
    if let Some(early) = early {
        let turn = early.begin();
        hyper::ext::on_informational(&mut request, move |answer| {
            turn.push(answer.status(), answer.headers());
        });
    }
    request
}

/// Sends a submission that has been decided on; its body goes out with its length.
///
/// # Errors
/// [`BackendError`], which knows whether the backend may have acted.
pub async fn forward(
    backend: &Backend,
    request: Box<Request<Outgoing>>,
) -> Result<BackendAnswer, BackendError> {
    let sent = backend.pool.send(request, backend.response()).await;
    backend.note(settle(backend.begun(sent)?).await)
}

/// Asks for a page on behalf of a person, whose head must come `within` this time.
///
/// # Errors
/// [`BackendError`].
pub async fn fetch(
    backend: &Backend,
    request: Box<Request<Outgoing>>,
    within: Duration,
) -> Result<BackendAnswer, BackendError> {
    let sent = backend.pool.send(request, within).await;
    backend.note(settle(backend.begun(sent)?).await)
}

/// Sends a request of the gateway's own: the update of an accepted submission.
///
/// # Errors
/// [`SendError`].
pub async fn send(
    backend: &Backend,
    method: Method,
    path: Uri,
    headers: http::HeaderMap,
    body: Bytes,
) -> Result<StatusCode, SendError> {
    let mut request = Box::new(Request::new(Outgoing::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = path;
    *request.headers_mut() = headers;
    let sent = backend.pool.send(request, backend.response()).await;
    let response = backend.begun(sent)?;
    let status = response.status();
    // Read, so that the connection can be used again; what it says is of no interest.
    drop(
        response
            .into_body()
            .whole(usize::try_from(SMALL).unwrap_or(usize::MAX))
            .await,
    );
    Ok(status)
}

/// A request as a server of its own origin gets it: HTTP/1.1, path and query only.
#[must_use]
pub fn outbound(mut head: Parts, body: Outgoing) -> Box<Request<Outgoing>> {
    head.version = Version::HTTP_11;
    let mut target = http::uri::Parts::default();
    target.path_and_query = std::mem::take(&mut head.uri).into_parts().path_and_query;
    // A path and query alone always make a URI.
    head.uri = Uri::from_parts(target).unwrap_or_default();
    Box::new(Request::from_parts(head, body))
}

/// Takes off what belongs to the connection, and reads a small answer whole.
async fn settle(response: Response<Received>) -> Result<BackendAnswer, BackendError> {
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BackendError::Switched);
    }
    if hop::is_any_of(&head.headers) {
        if head.headers.contains_key(header::CONTENT_LENGTH)
            && head.headers.contains_key(header::TRANSFER_ENCODING)
        {
            return Err(BackendError::BothLengths(head.status));
        }
        hop::strip(&mut head.headers);
    }
    // What was HTTP/1.0 at the backend is none of the person's business.
    head.version = Version::HTTP_11;
    let small = body.length().filter(|length| *length <= SMALL);
    let body = match small {
        None => AnswerBody::Stream(Outgoing::Answer(Box::new(body))),
        Some(length) => {
            let most = usize::try_from(length).unwrap_or(usize::MAX);
            let whole = body
                .whole(most)
                .await
                .map_err(|broken| BackendError::Half(head.status, broken))?;
            AnswerBody::Whole(whole.unwrap_or_default())
        }
    };
    Ok(BackendAnswer { head, body })
}

impl BackendAnswer {
    /// Looks at a body of at most `most` bytes; `None` if it has more. It goes on as it came.
    ///
    /// # Errors
    /// The body broke off.
    pub async fn look_ahead(&mut self, most: u64) -> Result<Option<Bytes>, BackendError> {
        let stream = match &mut self.body {
            AnswerBody::Whole(bytes) => return Ok(Some(bytes.clone())),
            AnswerBody::Stream(stream) => stream,
        };
        if stream
            .size_hint()
            .exact()
            .is_some_and(|length| length > most)
        {
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut seen = Vec::new();
        let look = |data: &[u8]| {
            seen.extend_from_slice(data);
            true
        };
        let (mut peeked, looked) = Peeked::look(std::mem::take(stream), (most, None), look).await;
        let broken = peeked.take_broken();
        *stream = Outgoing::Peeked(Box::new(peeked));
        match broken {
            Some(broken) => Err(BackendError::Half(self.head.status, broken)),
            None => Ok((looked == Looked::Whole).then(|| seen.into())),
        }
    }
}
