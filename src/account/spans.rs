//! Spans: beginning a request's, continuing a trace that somebody is believed about, sampling. Owns the OpenTelemetry
//! types; sending finished spans away is left to [`crate::account::collector`].

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::Span as _;
use opentelemetry::trace::SpanBuilder;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanId;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::Status;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::trace::TraceFlags;
use opentelemetry::trace::TraceId;
use opentelemetry::trace::TraceState;
use opentelemetry::trace::Tracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::Sampler;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::Span;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanLimits;
use opentelemetry_sdk::trace::SpanProcessor;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::account::access::Entry;
use crate::account::access::protocol;
use crate::account::collector::Collector;
use crate::account::collector::Message;
use crate::account::collector::QUEUE;
use crate::account::crowded::Crowded;
use crate::metrics::meters::TelemetryMeter;
use crate::model::trace::Trace;
use crate::wire::arrival::TRACEPARENT;
use crate::wire::arrival::TRACESTATE;

/// Whose trace a request's goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Believed {
    /// That of a trusted proxy.
    #[default]
    Trusted,
    /// Anybody's.
    Always,
    /// Nobody's.
    Never,
}

/// How traces are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// The share of traces beginning here that are written down; others go as their parent says.
    pub share: f64,
    /// Whose trace is gone on with.
    pub believed: Believed,
}

/// Makes spans.
#[derive(Debug)]
pub struct Traces {
    tracer: SdkTracer,
    /// Kept, because it would shut everything down when it is dropped.
    _provider: SdkTracerProvider,
    believed: Believed,
    queue: Queue,
    hurry: CancellationToken,
}

/// A request's own span.
#[derive(Debug)]
pub(in crate::account) struct Root {
    span: Mutex<Span>,
    context: SpanContext,
}

impl Traces {
    /// Begins to send spans to a collector, on the present runtime.
    #[must_use]
    pub fn begin(sampling: &Sampling, collector: Collector, meter: &Arc<TelemetryMeter>) -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        let queue = Queue {
            to,
            meter: Arc::clone(meter),
            crowded: Arc::new(Crowded::new("spans")),
        };
        let hurry = collector.hurry();
        tokio::spawn(collector.run(from, Arc::clone(meter), Arc::clone(&queue.crowded)));
        let sampler = Sampler::TraceIdRatioBased(sampling.share);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            // Said here, or the environment would be read for it.
            .with_span_limits(SpanLimits::default())
            .with_resource(Resource::builder_empty().build())
            .with_span_processor(queue.clone())
            .build();
        Self {
            tracer: provider.tracer("formgate"),
            _provider: provider,
            believed: sampling.believed,
            queue,
            hurry,
        }
    }

    /// Begins a request's span.
    pub(in crate::account) fn root<B>(&self, request: &Request<B>, trusted: bool) -> Root {
        let believed = match self.believed {
            Believed::Trusted => trusted,
            Believed::Always => true,
            Believed::Never => false,
        };
        let parent = believed.then(|| given(request.headers())).flatten();
        let mut context = Context::new();
        if let Some(parent) = parent {
            context = context.with_remote_span_context(remote(&parent));
        }
        let name = method(request.method());
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let span = self.tracer.build_with_context(builder, &context);
        let context = span.span_context().clone();
        Root {
            span: Mutex::new(span),
            context,
        }
    }

    /// Begins a span within another; `None` in a trace that is not written down.
    pub(in crate::account) fn child(
        &self,
        parent: &SpanContext,
        name: Cow<'static, str>,
        kind: SpanKind,
    ) -> Option<Span> {
        if !parent.is_sampled() {
            return None;
        }
        let context = Context::new().with_remote_span_context(parent.clone());
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        Some(self.tracer.build_with_context(builder, &context))
    }

    /// Waits until everything that has ended is at the collector, or lost. Nothing is tried again any more.
    pub(in crate::account) async fn flush(&self) {
        self.hurry.cancel();
        let (done, flushed) = oneshot::channel();
        if self.queue.to.send(Message::Flush(done)).await.is_ok() {
            // Where nobody answers any more, there is nothing left to wait for.
            let _ = flushed.await;
        }
    }
}

impl Root {
    pub(in crate::account) const fn context(&self) -> &SpanContext {
        &self.context
    }

    /// The trace's id, as it is written.
    pub(in crate::account) fn trace_id(&self) -> String {
        self.context.trace_id().to_string()
    }

    /// Ends the request's span with what has become known of it.
    pub(in crate::account) fn end(self, entry: &Entry) {
        let mut span = self
            .span
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if !span.is_recording() {
            return;
        }
        let mut note = |name: &'static str, value: opentelemetry::Value| {
            span.set_attribute(KeyValue::new(name, value));
        };
        let method = method(&entry.method);
        note("http.request.method", method.into());
        note("network.protocol.version", protocol(entry.version).into());
        if let Some(tls) = entry.tls {
            note(
                "tls.protocol.version",
                tls.trim_start_matches("TLSv").into(),
            );
        }
        note("http.request.body.size", whole(entry.received).into());
        note("http.response.body.size", whole(entry.sent).into());
        if let Some(status) = entry.status {
            note("http.response.status_code", i64::from(status).into());
        }
        if let Some(id) = &entry.request_id {
            note("formgate.request_id", id.clone().into());
        }
        if let Some(event) = entry.event {
            note("formgate.event", event.name().into());
        }
        if let Some(outcome) = entry.outcome {
            note("formgate.outcome", outcome.into());
        }
        if let Some(form) = &entry.form {
            note("formgate.form", form.clone().into());
            span.update_name(format!("{method} {form}"));
        }
        if entry.status.is_some_and(|status| status >= 500) {
            span.set_status(Status::error(entry.outcome.unwrap_or("failed")));
        }
        span.end();
    }
}

/// A method that is known; others could be any text.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("_OTHER")
}

/// Says which trace a request belongs to, whatever it said before.
pub(in crate::account) fn announce(headers: &mut HeaderMap, trace: &Trace) {
    if let Ok(parent) = HeaderValue::from_str(&trace.parent(0)) {
        headers.insert(&TRACEPARENT, parent);
    }
    let state = trace.state.as_deref().map(HeaderValue::from_str);
    match state {
        Some(Ok(state)) => drop(headers.insert(&TRACESTATE, state)),
        _ => drop(headers.remove(&TRACESTATE)),
    }
}

/// The trace that a request says it belongs to.
#[must_use]
pub fn given(headers: &HeaderMap) -> Option<Trace> {
    let mut parents = headers.get_all(&TRACEPARENT).iter();
    let parent = parents.next()?.to_str().ok()?;
    // Two of them contradict each other.
    if parents.next().is_some() {
        return None;
    }
    let states = headers.get_all(&TRACESTATE).iter();
    Some(Trace::parse(parent)?.with_state(states.filter_map(|state| state.to_str().ok())))
}

fn remote(trace: &Trace) -> SpanContext {
    let state = trace.state.as_deref().unwrap_or_default();
    SpanContext::new(
        TraceId::from(trace.id),
        SpanId::from(trace.span.unwrap_or_default()),
        TraceFlags::new(trace.flags) & TraceFlags::SAMPLED,
        true,
        TraceState::from_str(state).unwrap_or_default(),
    )
}

/// A span's place in its trace, as others are told.
pub(in crate::account) fn trace(context: &SpanContext) -> Trace {
    let state = context.trace_state().header();
    Trace {
        id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: Some(u64::from_be_bytes(context.span_id().to_bytes())),
        flags: context.trace_flags().to_u8(),
        state: (!state.is_empty()).then_some(state),
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as an attribute.
pub(in crate::account) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Where spans go that have ended. A request never waits for it: what does not fit in is lost, and counted.
#[derive(Debug, Clone)]
struct Queue {
    to: mpsc::Sender<Message>,
    meter: Arc<TelemetryMeter>,
    crowded: Arc<Crowded>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.to.try_send(Message::Span(Box::new(span))).is_err() {
            self.meter.spans_lost.inc();
            self.crowded.begins();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
