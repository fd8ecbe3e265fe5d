//! The timeline: what happened to one request to a form, in order, with times (delivery §1). Owns the value; when a
//! step is noted is left to `flow`, and the calls among them are jobs of their own.
//!
//! A timeline holds names and sizes of fields, never their values.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The submission had arrived, or the page was asked for.
    Arrived,
    /// A field constraint or a local rule had something to say.
    Local,
    /// An event was decided.
    Decided,
    /// The backend was asked.
    Backend,
    /// The person was answered.
    Answered,
}

impl StepKind {
    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Local => "local",
            Self::Decided => "decided",
            Self::Backend => "backend",
            Self::Answered => "answered",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What.
    pub kind: StepKind,
    /// When it began, counted from the moment the submission had arrived whole, or the load hooks' turn had come.
    pub at: Duration,
    /// How long it took; zero where that does not matter.
    pub took: Duration,
    /// Names, places, sizes, statuses.
    pub about: Map<String, Value>,
}

/// What happened to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// UUID version 7, of the moment it began.
    pub id: String,
    /// The form's id.
    pub form: String,
    /// The request.
    pub request_id: String,
    /// The submission's id at the backend, once known.
    pub submission_id: Option<String>,
    /// Whose it was: the `id` of `user_info`.
    pub person: Option<String>,
    /// What the person was answered: the word of the gateway's answer, or `accepted`, `refused`, `opened` for the
    /// backend's.
    pub outcome: &'static str,
    /// What happened.
    pub steps: Vec<Step>,
}
