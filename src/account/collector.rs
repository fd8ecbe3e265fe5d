//! Sending finished spans to a collector: OTLP over HTTP, in protobuf. Owns batches, the time they may take, sending
//! one again that the collector may take later, and saying once that it does not work and once that it works again.
//!
//! The exporter of `opentelemetry-otlp` reads the environment for headers and addresses, and its client has no TLS:
//! so its messages are sent over the connections that backends and hooks are spoken to with, and there is one rule
//! for certificates.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::account::crowded::Crowded;
use crate::metrics::meters::TelemetryMeter;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::wire::body::Outgoing;
use crate::wire::connect::Connector;
use crate::wire::pool;
use crate::wire::pool::Pool;

/// How many spans may wait.
pub(in crate::account) const QUEUE: usize = 8192;
/// How many are sent at a time, and how long the first of them waits for the others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// How often a batch is tried that the collector may take later, and how long is waited in between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// Where spans are sent, and what is said about who sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The collector.
    pub origin: Origin,
    /// Its path.
    pub path: String,
    /// Request headers, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// How long one batch may take.
    pub timeout: Duration,
    /// What the sender is called.
    pub service: String,
    /// More about the sender.
    pub resource: Vec<(String, String)>,
}

/// A collector that is sent spans.
#[derive(Debug)]
pub struct Collector {
    pool: Arc<Pool>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    resource: ResourceAttributesWithSchema,
    /// Given at the end: then nothing is tried again.
    hurry: CancellationToken,
    /// Whether the last batch could not be delivered.
    failing: bool,
}

/// What the collector's task is told.
#[derive(Debug)]
pub(in crate::account) enum Message {
    /// A span that has ended.
    Span(Box<SpanData>),
    /// Everything before must go out now.
    Flush(oneshot::Sender<()>),
}

/// What is sent together.
#[derive(Default)]
struct Batch {
    spans: Vec<SpanData>,
    /// Whoever waits until it is gone.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Why a batch was not taken.
struct Refusal {
    why: String,
    /// How long to wait before it is sent again; `None` if that is of no use.
    again: Option<Duration>,
}

impl Collector {
    /// A collector to be reached this way.
    ///
    /// # Errors
    /// The path, or a header, is none.
    pub fn new(settings: &Settings, connector: Connector) -> Result<Self, String> {
        let path = &settings.path;
        let wrong = |_| format!("`{path}` is not a path");
        let uri = path.parse().map_err(wrong)?;
        let pool = pool::Settings {
            idle_connections: 1,
            response: settings.timeout,
            ..pool::Settings::default()
        };
        Ok(Self {
            pool: Arc::new(Pool::new(settings.origin.clone(), connector, pool)),
            uri,
            headers: headers(settings)?,
            timeout: settings.timeout,
            resource: ResourceAttributesWithSchema::from(&resource(settings)),
            hurry: CancellationToken::new(),
            failing: false,
        })
    }

    /// Given when the process is to end.
    pub(in crate::account) fn hurry(&self) -> CancellationToken {
        self.hurry.clone()
    }

    /// Sends what comes, until nobody is left who could send anything.
    pub(in crate::account) async fn run(
        mut self,
        mut from: mpsc::Receiver<Message>,
        meter: Arc<TelemetryMeter>,
        crowded: Arc<Crowded>,
    ) {
        while let Some(batch) = Batch::gather(&mut from).await {
            let gone = self.deliver(batch.spans).await;
            meter.spans_lost.add(gone);
            if from.is_empty() {
                crowded.ends();
            }
            for waiting in batch.waiting {
                // Whoever waited may have given up.
                let _ = waiting.send(());
            }
        }
    }

    /// Sends a batch; how many of its spans were lost.
    async fn deliver(&mut self, spans: Vec<SpanData>) -> u64 {
        if spans.is_empty() {
            return 0;
        }
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let body = Bytes::from(body);
        let (mut pause, mut tries) = (PAUSE, TRIES);
        loop {
            tries -= 1;
            let refusal = match self.send(body.clone()).await {
                Ok(rejected) => {
                    self.works(rejected);
                    return rejected.min(count);
                }
                Err(refusal) => refusal,
            };
            self.fails(&refusal.why);
            let Some(wished) = refusal.again.filter(|_| tries > 0) else {
                return count;
            };
            let pausing = tokio::time::sleep(wished.max(pause).min(LONGEST_PAUSE));
            tokio::select! {
                () = pausing => {}
                () = self.hurry.cancelled() => return count,
            }
            pause *= 2;
        }
    }

    /// Sends a batch once; how many spans the collector did not want.
    async fn send(&self, body: Bytes) -> Result<u64, Refusal> {
        let deadline = Instant::now() + self.timeout;
        let mut request = Box::new(Request::new(Outgoing::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        let later = |why: String| Refusal {
            why,
            again: Some(Duration::ZERO),
        };
        let exchange = self.pool.send(request, self.timeout).await;
        let (head, answer) = exchange
            .map_err(|error| later(error.to_string()))?
            .response
            .into_parts();
        let answer = answer.until(deadline).whole(MAX_ANSWER).await;
        let answer = answer.map_err(|broken| later(format!("its answer broke off: {broken}")))?;
        if head.status.is_success() {
            let answer = ExportTraceServiceResponse::decode(answer.unwrap_or_default());
            let partly = answer.ok().and_then(|answer| answer.partial_success);
            return Ok(partly.map_or(0, |partly| {
                u64::try_from(partly.rejected_spans).unwrap_or_default()
            }));
        }
        let why = format!("it answered with status {}", head.status.as_u16());
        Err(Refusal {
            why,
            again: again(head.status, &head.headers),
        })
    }

    fn fails(&mut self, why: &str) {
        if !self.failing {
            self.failing = true;
            let to = self.pool.origin();
            tracing::warn!(target: "formgate::telemetry", %to, "traces cannot be delivered: {why}");
        }
    }

    fn works(&mut self, rejected: u64) {
        let to = self.pool.origin();
        if rejected > 0 {
            if !self.failing {
                tracing::warn!(target: "formgate::telemetry", %to, rejected, "the collector does not want some spans");
            }
            self.failing = true;
        } else if self.failing {
            self.failing = false;
            tracing::info!(target: "formgate::telemetry", %to, "traces are delivered again");
        }
    }
}

impl Batch {
    /// The next batch: as many as there are within a moment; `None` when no more can come.
    async fn gather(from: &mut mpsc::Receiver<Message>) -> Option<Self> {
        let mut batch = Self::default();
        batch.take(from.recv().await?);
        let end = Instant::now() + LINGER;
        while batch.waiting.is_empty() && batch.spans.len() < BATCH {
            match tokio::time::timeout_at(end, from.recv()).await {
                Ok(Some(message)) => batch.take(message),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Span(span) => self.spans.push(*span),
            Message::Flush(done) => self.waiting.push(done),
        }
    }
}

/// Whether the collector may take the same later (OTLP: 429, 502, 503 and 504), and when.
fn again(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let later = matches!(status.as_u16(), 429 | 502 | 503 | 504);
    let said = headers.get(header::RETRY_AFTER);
    let said = said.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    later.then(|| Duration::from_secs(said.unwrap_or_default()))
}

fn headers(settings: &Settings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&settings.origin.authority());
    headers.insert(header::HOST, host.map_err(|error| error.to_string())?);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("formgate/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, secret) in &settings.headers {
        let wrong = || format!("`{name}` is no header, or its value cannot stand in one");
        let parsed = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

fn resource(settings: &Settings) -> Resource {
    let version = env!("CARGO_PKG_VERSION");
    let more = settings.resource.iter();
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", version))
        .with_attributes(more.map(|(name, value)| KeyValue::new(name.clone(), value.clone())))
        .with_service_name(settings.service.clone())
        .build()
}
