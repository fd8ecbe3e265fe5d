//! What the person is answered: the backend's own answer, or the gateway's (protocol §6). Owns the values and their
//! named constructors; turning them into a response is left to [`crate::flow::respond`].

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Response;
use serde_json::Map;
use serde_json::Value;

use crate::codec::rejected::Rejected;
use crate::model::decision::Decision;
use crate::model::doc::Jdoc;
use crate::model::redirect::Redirect;
use crate::model::reply::Message;
use crate::model::reply::MsgType;
use crate::page::words;
use crate::rules::form::Form;
use crate::wire::body::Outgoing;

/// What the person gets, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The backend's answer.
    Accepted,
    /// An error.
    Stopped,
    /// Sent elsewhere.
    Redirected,
    /// A hook that must be asked could not be.
    Unavailable,
    /// The request itself is no good.
    Rejected,
    /// The backend is unreachable, too slow, or broke off.
    BackendFailed,
    /// The gateway's own failure.
    Failed,
}

impl Outcome {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stopped => "stopped",
            Self::Redirected => "redirected",
            Self::Unavailable => "unavailable",
            Self::Rejected => "rejected",
            Self::BackendFailed => "backend_failed",
            Self::Failed => "failed",
        }
    }
}

/// What the person gets.
#[derive(Debug)]
pub enum Answer {
    /// The backend's answer, untouched but for what there is to say beside it.
    Backend(Response<Outgoing>, Option<Box<Said>>),
    /// The gateway's own answer.
    Own(Box<Said>),
}

/// Everything the gateway has to say.
#[derive(Debug, Clone)]
pub struct Said {
    /// What happened.
    pub outcome: Outcome,
    /// The status, of an answer of the gateway's own.
    pub status: u16,
    /// Whether the backend has taken the submission; `None` if nobody knows.
    pub submitted: Option<bool>,
    /// The heading.
    pub title: &'static str,
    /// A sentence about whether anything was saved.
    pub statement: &'static str,
    /// The messages, in the order in which they were said.
    pub messages: Vec<Message>,
    /// The field to focus.
    pub focus_on: Option<String>,
    /// Where the person is sent.
    pub redirect: Option<Redirect>,
    /// Fields that were changed, and to what.
    pub changed: Jdoc,
    /// Field changes that are only offered.
    pub suggestions: Jdoc,
    /// The request's id.
    pub request_id: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The limit that was passed.
    pub limit: Option<&'static str>,
    /// Cookies of a backend's answer that is not shown.
    pub cookies: Vec<HeaderValue>,
    /// The form, for its own shape of errors.
    pub form: Option<Arc<Form>>,
    /// What the person typed, for a page that stands for itself.
    pub entries: Vec<(String, String)>,
    /// Where the form is.
    pub back: Option<String>,
}

impl Said {
    fn new(outcome: Outcome, status: u16, title: &'static str) -> Self {
        Self {
            outcome,
            status,
            submitted: Some(false),
            title,
            statement: "",
            messages: Vec::new(),
            focus_on: None,
            redirect: None,
            changed: Jdoc::new(),
            suggestions: Jdoc::new(),
            request_id: String::new(),
            retry_after: None,
            limit: None,
            cookies: Vec::new(),
            form: None,
            entries: Vec::new(),
            back: None,
        }
    }

    fn error(mut self, msg: impl Into<String>) -> Self {
        self.messages.push(Message {
            msg: msg.into(),
            msg_type: MsgType::Error,
            field: None,
        });
        self
    }

    /// Names the request it is about.
    #[must_use]
    pub fn about(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.request_id);
        self
    }

    /// Takes over what a decision says.
    #[must_use]
    pub fn with(mut self, decision: &Decision) -> Self {
        self.messages.extend_from_slice(decision.messages());
        self.focus_on = decision.focus_on().map(str::to_owned);
        self.suggestions = decision.suggestions().clone();
        self
    }

    /// 422: an error stopped the submission.
    #[must_use]
    pub fn stopped(decision: &Decision) -> Self {
        let mut said = Self::new(Outcome::Stopped, 422, words::NOT_ACCEPTED).with(decision);
        said.statement = words::NOTHING_SAVED;
        said
    }

    /// The person is sent elsewhere.
    #[must_use]
    pub fn redirected(decision: &Decision, target: Redirect, submitted: bool) -> Self {
        let mut said = Self::new(Outcome::Redirected, 303, words::ELSEWHERE).with(decision);
        said.submitted = Some(submitted);
        said.redirect = Some(target);
        said
    }

    /// 503: a hook that must be asked could not be.
    #[must_use]
    pub fn unavailable(decision: &Decision, retry_after: Duration) -> Self {
        let mut said = Self::new(Outcome::Unavailable, 503, words::UNAVAILABLE).with(decision);
        said.statement = words::NOTHING_SAVED;
        said.retry_after = Some(retry_after);
        said
    }

    /// Beside the backend's answer.
    #[must_use]
    pub fn accepted(decision: &Decision, status: u16) -> Self {
        let mut said = Self::new(Outcome::Accepted, status, words::ACCEPTED).with(decision);
        said.submitted = Some(true);
        said
    }

    /// The request itself is no good.
    #[must_use]
    pub fn rejected(rejected: Rejected) -> Self {
        let mut said =
            Self::new(Outcome::Rejected, rejected.status, words::REJECTED).error(rejected.text);
        said.limit = rejected.limit;
        said.statement = words::NOTHING_SAVED;
        said
    }

    /// 502 or 504: no whole answer from the backend. `submitted` says what is known.
    #[must_use]
    pub fn backend_failed(status: u16, msg: &'static str, submitted: Option<bool>) -> Self {
        let mut said = Self::new(Outcome::BackendFailed, status, words::BACKEND_FAILED).error(msg);
        said.submitted = submitted;
        said.statement = match submitted {
            Some(true) => words::SAVED,
            Some(false) => words::NOTHING_SAVED,
            None => words::MAYBE_SAVED,
        };
        said
    }

    /// 500: the gateway's own failure. `submitted` says what is known.
    #[must_use]
    pub fn failed(submitted: Option<bool>) -> Self {
        let mut said = Self::backend_failed(500, words::OUR_FAULT, submitted);
        said.outcome = Outcome::Failed;
        said.title = words::BROKEN;
        said
    }

    /// Whether there is anything worth saying beside a backend's answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.messages.is_empty()
            && self.changed.is_empty()
            && self.suggestions.is_empty()
            && self.focus_on.is_none()
    }

    /// The message to show first: the first of the most severe kind.
    #[must_use]
    pub fn main_message(&self) -> Option<&Message> {
        self.messages.iter().min_by_key(|message| message.msg_type)
    }

    /// The first error of each field.
    #[must_use]
    pub fn errors(&self) -> Vec<(&str, &str)> {
        let mut errors: Vec<(&str, &str)> = Vec::new();
        for message in self
            .messages
            .iter()
            .filter(|message| message.msg_type == MsgType::Error)
        {
            if let Some(field) = message.field.as_deref()
                && !errors.iter().any(|(known, _)| *known == field)
            {
                errors.push((field, &message.msg));
            }
        }
        errors
    }

    /// The one shape of everything the gateway says (protocol §6).
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let main = self.main_message();
        let messages: Vec<Value> = self.messages.iter().map(message_json).collect();
        let errors: Map<String, Value> = self
            .errors()
            .into_iter()
            .map(|(field, msg)| (field.to_owned(), msg.into()))
            .collect();
        let mut json = Map::new();
        let mut set = |name: &str, value: Value| drop(json.insert(name.to_owned(), value));
        set("outcome", self.outcome.word().into());
        set("submitted", self.submitted.into());
        set("msg", main.map(|message| message.msg.clone()).into());
        set(
            "msg_type",
            main.map(|message| message.msg_type.word()).into(),
        );
        set("messages", messages.into());
        set("errors", errors.into());
        set("focus_on", self.focus_on.clone().into());
        set(
            "redirect",
            self.redirect.as_ref().map(Redirect::as_str).into(),
        );
        set("changed", self.changed.clone().into());
        set("suggestions", self.suggestions.clone().into());
        set("request_id", self.request_id.clone().into());
        set("type", "about:blank".into());
        set("title", self.title.into());
        set("status", self.status.into());
        set("detail", main.map(|message| message.msg.clone()).into());
        if let Some(limit) = self.limit {
            set("limit", limit.into());
        }
        json
    }
}

fn message_json(message: &Message) -> Value {
    serde_json::json!({ "msg": message.msg, "msg_type": message.msg_type.word(), "field": message.field })
}
