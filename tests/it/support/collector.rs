//! A collector of traces: a scripted server, and what is in the messages that it was sent.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::peer::Peer;
use super::peer::Received;
use super::peer::Script;

/// A collector.
pub(crate) struct Collector(pub(crate) Peer);

/// A span as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for one that begins a trace.
    pub(crate) parent: String,
    pub(crate) kind: SpanKind,
    pub(crate) state: String,
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) times: (u64, u64),
}

impl Collector {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let peer = Peer::start().await;
        peer.always(Script::answer(
            200,
            "content-type: application/x-protobuf\r\n",
            "",
        ));
        Self(peer)
    }

    /// Waits until there are so many spans, and gives all of them.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Told> {
        let mut messages = 1;
        loop {
            let received = self.0.wait_for(messages).await;
            messages = received.len() + 1;
            let spans: Vec<Told> = received.iter().flat_map(spans).collect();
            if spans.len() >= count {
                return spans;
            }
        }
    }

    /// What was said about the sender in the first message.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        let received = self.0.received();
        let message = decode(&received[0]);
        let resource = message.resource_spans[0].resource.clone();
        attributes(&resource.expect("a resource").attributes)
    }
}

fn decode(received: &Received) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(received.body.as_slice()).expect("a message of OTLP")
}

/// The spans of one message.
pub(crate) fn spans(received: &Received) -> Vec<Told> {
    let resources = decode(received).resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(Told::of).collect()
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = all.iter().map(|pair| {
        let value = pair.value.clone().and_then(|value| value.value);
        let value = match value {
            Some(Any::StringValue(text)) => text,
            Some(Any::IntValue(number)) => number.to_string(),
            Some(Any::BoolValue(flag)) => flag.to_string(),
            other => panic!("{}: {other:?}", pair.key),
        };
        (pair.key.clone(), value)
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Told {
    fn of(span: Span) -> Self {
        let status = span.status.clone().unwrap_or_default();
        Self {
            kind: span.kind(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            state: span.trace_state.clone(),
            failed: status.code() == StatusCode::Error,
            attributes: attributes(&span.attributes),
            times: (span.start_time_unix_nano, span.end_time_unix_nano),
            name: span.name,
        }
    }

    /// An attribute.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The `traceparent` that whoever was asked in this span must have got.
    pub(crate) fn as_parent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}
