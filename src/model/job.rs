//! The job: the record of one call the gateway made, with what came of it (delivery §1). Owns the value; making
//! the call is left to `hooks`, writing the record down to `flow`.
//!
//! A job holds names and sizes of fields, never their values; these are in its [`Details`], which are there only where
//! a store keeps them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde_json::Map;
use serde_json::Value;

use crate::model::event::Event;

/// Why the gateway made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// A hook was asked.
    Hook,
    /// A `form_submit` jdoc was sent to the backend.
    Update,
}

impl JobKind {
    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Update => "update",
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The reply lets the event go on.
    Continued,
    /// The reply changes fields.
    Patched,
    /// The reply stops the submission.
    Stopped,
    /// The reply sends the person elsewhere.
    Redirected,
    /// The reply breaks the protocol.
    Faulty,
    /// No reply in time.
    TimedOut,
    /// No connection, no answer, or a status that is no reply.
    Failed,
    /// Not called: the breaker is open, or the budget is spent.
    Skipped,
    /// Called and compared, but not applied.
    Shadow,
    /// An update that the backend took.
    Delivered,
}

impl Outcome {
    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::Patched => "patched",
            Self::Stopped => "stopped",
            Self::Redirected => "redirected",
            Self::Faulty => "faulty",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Shadow => "shadow",
            Self::Delivered => "delivered",
        }
    }

    /// Whether the hook could not be relied on: its `on_failure` decides.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Faulty | Self::TimedOut | Self::Failed | Self::Skipped
        )
    }
}

/// Something wrong or odd in an answer: where, what, and how to mend it. For operators and integrators; a person
/// never sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A JSON path into the reply (`$.msg_type`), or `status`, `body`, `connection`.
    pub place: String,
    /// What is wrong and how to mend it, in one sentence or two.
    pub text: String,
}

impl Finding {
    /// A finding at `place`.
    pub fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// How long the parts of a call took, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Until the connection stood; `None` where an open one was used.
    pub connect: Option<Duration>,
    /// Until the head of the answer.
    pub first_byte: Option<Duration>,
    /// Until all was read.
    pub total: Duration,
}

/// The record of one call.
#[derive(Debug, Clone)]
pub struct Job {
    /// UUID version 7; also the `webhook-id`, the same for every attempt.
    pub id: String,
    /// Why the call was made.
    pub kind: JobKind,
    /// The event.
    pub event: Event,
    /// The form's id.
    pub form: String,
    /// The hook's name, or `update`.
    pub hook: String,
    /// The request it belongs to.
    pub request_id: String,
    /// The submission's id at the backend, once known.
    pub submission_id: Option<String>,
    /// Where it went, without query and user information.
    pub url: String,
    /// How many attempts were made.
    pub run: u32,
    /// Bytes of JSON sent.
    pub sent: usize,
    /// Bytes of body received.
    pub received: usize,
    /// How long it took.
    pub timings: Timings,
    /// The answer's status.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
    /// In shadow mode: what would have come of it.
    pub would: Option<Outcome>,
    /// What broke the protocol, or why there was no answer.
    pub faults: Vec<Finding>,
    /// What is odd but works.
    pub warnings: Vec<Finding>,
    /// Names of the fields that the reply changes.
    pub changed: Vec<String>,
    /// A failure after which the event went on all the same.
    pub let_through: bool,
    /// The reply held both an error and changes.
    pub conflict: bool,
    /// What exactly was sent and received, where that is kept.
    pub details: Option<Box<Details>>,
}

/// How much of an answer's body is kept.
pub const KEPT_OF_ANSWER: usize = 64 << 10;

/// What is kept of a call besides names and sizes. Hidden fields are in none of it.
#[derive(Clone, Default)]
pub struct Details {
    /// Whose submission it was: the `id` of `user_info`.
    pub person: Option<String>,
    /// The line of the rule file that asked for the call.
    pub place: Option<String>,
    /// The job that this one repeats.
    pub replay_of: Option<String>,
    /// The method.
    pub method: String,
    /// The headers that were sent; secrets among them are marked as sensitive.
    pub headers: HeaderMap,
    /// The body that was sent.
    pub sent: Bytes,
    /// The headers of the answer.
    pub answer_headers: HeaderMap,
    /// The body of the answer, at most [`KEPT_OF_ANSWER`] of it.
    pub received: Bytes,
    /// What the reply changes: `{"from": …, "to": …}` by field.
    pub patch: Map<String, Value>,
    /// What was taken out of the answer, by the names of the rule file; kept as long as the job.
    pub extracted: Map<String, Value>,
    /// What the reply says for the operator only.
    pub debug: Option<Value>,
    /// Bodies and whatever else may hold values were left out.
    pub dropped: bool,
}

impl Details {
    /// About how much memory everything takes that may hold values: what [`Self::leave_out`] gives back.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.contents_weight() + map_weight(&self.extracted)
    }

    /// Of this, what is kept for a shorter time than the job.
    #[must_use]
    pub fn contents_weight(&self) -> usize {
        let headers = [&self.headers, &self.answer_headers].into_iter().flatten();
        let headers = headers.map(|(name, value)| LINE + name.as_str().len() + value.len());
        let said = map_weight(&self.patch) + self.debug.as_ref().map_or(0, weight);
        self.sent.len() + self.received.len() + headers.sum::<usize>() + said
    }

    /// Leaves out what may hold values, and notes that.
    pub fn leave_out(&mut self) {
        self.dropped = self.weight() > 0;
        self.drop_contents();
        self.extracted = Map::new();
    }

    /// Leaves out everything that is kept for a shorter time than the job.
    pub fn drop_contents(&mut self) {
        (self.sent, self.received) = (Bytes::new(), Bytes::new());
        (self.headers, self.answer_headers) = (HeaderMap::new(), HeaderMap::new());
        (self.patch, self.debug) = (Map::new(), None);
    }
}

/// What a line of headers takes besides its text.
const LINE: usize = size_of::<HeaderName>() + size_of::<HeaderValue>();

/// About how much memory a value takes: in many small ones, most of it is not their text.
fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => map_weight(map),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

fn map_weight(map: &Map<String, Value>) -> usize {
    let entries = map.iter();
    entries
        .map(|(name, value)| size_of::<String>() + name.len() + weight(value))
        .sum()
}

impl fmt::Debug for Details {
    /// Sizes only: what is printed may reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details")
            .field("sent", &self.sent.len())
            .field("received", &self.received.len())
            .finish_non_exhaustive()
    }
}
