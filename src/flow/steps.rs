//! The steps of one request as they happen, where there is a store to keep them. Owns their clock and what is noted of
//! each – names, places, sizes, statuses, never values –; keeping them is left to [`crate::store`].

use std::time::Duration;

use http::request::Parts;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::backend::BackendError;
use crate::flow::answer::Answer;
use crate::flow::error::FlowError;
use crate::flow::journal;
use crate::flow::journal::shortened;
use crate::flow::person;
use crate::flow::submission::Submission;
use crate::model::call::Occasion;
use crate::model::decision::Decision;
use crate::model::timeline::Step;
use crate::model::timeline::StepKind;
use crate::model::timeline::Timeline;
use crate::store::writer::Recorder;

/// How much of a path is kept, in characters: thousands of timelines may wait to be written.
const PATH: usize = 2048;

fn path(head: &Parts) -> String {
    shortened(head.uri.path(), PATH)
}

/// What has happened so far.
#[derive(Debug)]
pub struct Steps {
    id: uuid::Uuid,
    began: Instant,
    list: Vec<Step>,
}

impl Steps {
    /// Nothing yet, where it is recorded at all.
    #[must_use]
    pub fn begin(recorder: Option<&Recorder>) -> Option<Self> {
        recorder.map(|_| Self {
            id: uuid::Uuid::now_v7(),
            began: Instant::now(),
            list: Vec::with_capacity(8),
        })
    }

    /// Something that takes no time.
    pub fn add(&mut self, kind: StepKind, about: Map<String, Value>) {
        let at = self.began.elapsed();
        self.push(kind, at, Duration::ZERO, about);
    }

    fn push(&mut self, kind: StepKind, at: Duration, took: Duration, about: Map<String, Value>) {
        self.list.push(Step {
            kind,
            at,
            took,
            about,
        });
    }

    /// A submission has arrived.
    pub(in crate::flow) fn arrived(&mut self, submission: &Submission) {
        let head = &submission.head;
        let fields = submission.doc.visible_names().len();
        let about = json!({"method": head.method.as_str(), "path": path(head), "fields": fields});
        self.add(StepKind::Arrived, object(about));
    }

    /// A page is asked for.
    pub(in crate::flow) fn opened(&mut self, head: &Parts) {
        let about = json!({"method": head.method.as_str(), "path": path(head)});
        self.add(StepKind::Arrived, object(about));
    }

    /// An event was decided, having been asked about since `from`.
    pub fn decided(&mut self, decision: &Decision, from: Instant) {
        let changed: Vec<&String> = decision.jdoc().keys().collect();
        let errors: Vec<&str> = decision.field_errors().map(|(field, _)| field).collect();
        let about = json!({
            "event": decision.event().name(), "decision": journal::course(decision), "messages": decision.messages().len(),
            "changed": changed, "errors": errors, "overwritten": decision.overwritten(),
        });
        self.since(StepKind::Decided, from, object(about));
    }

    /// The backend was asked at `from`, and has answered or not.
    pub fn backend(&mut self, from: Instant, status: Result<u16, &BackendError>) {
        let about = match status {
            Ok(status) => json!({"status": status}),
            Err(error) => json!({"error": error.to_string()}),
        };
        self.since(StepKind::Backend, from, object(about));
    }

    fn since(&mut self, kind: StepKind, from: Instant, about: Map<String, Value>) {
        let at = from.saturating_duration_since(self.began);
        self.push(kind, at, from.elapsed(), about);
    }

    /// The person is answered: that is all. `word` is for an answer of the backend's.
    pub(in crate::flow) fn end(
        mut self,
        answer: &Result<Answer, FlowError>,
        word: &'static str,
        occasion: &Occasion,
    ) -> Box<Timeline> {
        let (outcome, status) = match answer {
            Ok(Answer::Own(said) | Answer::Again(_, said)) => {
                (said.outcome.word(), Some(said.status))
            }
            Ok(Answer::Backend(response, _)) => (word, Some(response.status().as_u16())),
            Err(error) => (error.word(), None),
        };
        let about = json!({"outcome": outcome, "status": status});
        self.add(StepKind::Answered, object(about));
        self.into_timeline(outcome, occasion)
    }

    fn into_timeline(self, outcome: &'static str, occasion: &Occasion) -> Box<Timeline> {
        Box::new(Timeline {
            id: self.id.to_string(),
            form: occasion.form.id.clone(),
            request_id: occasion.meta.request_id.clone(),
            submission_id: occasion.form.submission_id.clone(),
            person: person::id(occasion),
            outcome,
            steps: self.list,
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
