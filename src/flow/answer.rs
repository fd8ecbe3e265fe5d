//! What the person is answered: the backend's own answer, or the gateway's (protocol §6). Owns the values and their
//! named constructors; turning them into a response is left to [`mod@crate::flow::respond`].

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Response;
use serde_json::Map;
use serde_json::Value;

use crate::codec::rejected::Rejected;
use crate::flow::submission::Route;
use crate::metrics::word::Ended;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::doc::Jdoc;
use crate::model::lang::Lang;
use crate::model::redirect::Redirect;
use crate::model::reply::Message;
use crate::model::reply::MsgType;
use crate::model::words::Tongue;
use crate::model::words::Word;
use crate::model::write::write_string;
use crate::model::write::write_value;
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

    /// How it is counted, unless more is known.
    const fn ended(self) -> Ended {
        match self {
            Self::Accepted => Ended::Accepted,
            Self::Stopped => Ended::StoppedByHook,
            Self::Redirected => Ended::Redirected,
            Self::Unavailable => Ended::Unavailable,
            Self::Rejected => Ended::Rejected,
            Self::BackendFailed => Ended::BackendFailed,
            Self::Failed => Ended::Failed,
        }
    }
}

/// When to try again where there was no place: many of those under way have ended by then.
const CROWDED: Duration = Duration::from_secs(5);

/// What the person gets.
#[derive(Debug)]
pub enum Answer {
    /// The backend's answer, untouched but for what there is to say beside it.
    Backend(Response<Outgoing>, Option<Box<Said>>),
    /// The gateway's own answer.
    Own(Box<Said>),
    /// The same, said in the form's page.
    Again(Response<Outgoing>, Box<Said>),
}

impl Answer {
    /// What the gateway says where it answers itself.
    pub(in crate::flow) fn said(&self) -> Option<&Said> {
        match self {
            Self::Backend(..) => None,
            Self::Own(said) | Self::Again(_, said) => Some(said),
        }
    }

    /// Whether it is the backend's to a submission of this form that it has not accepted.
    pub(in crate::flow) fn is_refusal(&self, form: &Form) -> bool {
        match self {
            Self::Backend(response, _) => !form.accepted.takes(response.status().as_u16()),
            Self::Own(_) | Self::Again(..) => false,
        }
    }

    /// How a submission of this form ended that is answered so.
    pub(in crate::flow) fn ended(&self, form: &Form) -> Ended {
        match self.said() {
            Some(said) => said.ended,
            None if self.is_refusal(form) => Ended::Refused,
            None => Ended::Accepted,
        }
    }
}

/// Everything the gateway has to say.
#[derive(Debug, Clone)]
pub struct Said {
    /// What happened.
    pub outcome: Outcome,
    /// The same as it is counted.
    pub ended: Ended,
    /// The status, of an answer of the gateway's own.
    pub status: u16,
    /// Whether the backend has taken the submission; `None` if nobody knows.
    pub submitted: Option<bool>,
    /// The heading.
    pub title: Word,
    /// A sentence about whether anything was saved.
    pub statement: Option<Word>,
    /// The messages, in the order in which they were said.
    pub messages: Vec<Message>,
    /// The gateway's own word among them: it is the first, and the only one.
    own: Option<Word>,
    /// What is wrong and where, for whoever wrote the client; in English.
    pub detail: Option<String>,
    /// The language of the gateway's own words.
    lang: Lang,
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
    /// The form, for its own shape of errors and its own words.
    pub form: Option<Arc<Form>>,
    /// The form whose page is opened: there it is said, and what is changed is filled in.
    pub opens: Option<Box<Route>>,
    /// What the person typed, for a page that stands for itself.
    pub doc: Option<Doc>,
    /// Where the form is.
    pub back: Option<String>,
}

impl Said {
    fn new(outcome: Outcome, status: u16, title: Word) -> Self {
        Self {
            outcome,
            ended: outcome.ended(),
            status,
            submitted: Some(false),
            title,
            statement: None,
            messages: Vec::new(),
            own: None,
            detail: None,
            lang: Lang::default(),
            focus_on: None,
            redirect: None,
            changed: Jdoc::new(),
            suggestions: Jdoc::new(),
            request_id: String::new(),
            retry_after: None,
            limit: None,
            cookies: Vec::new(),
            form: None,
            opens: None,
            doc: None,
            back: None,
        }
    }

    fn error(mut self, word: Word) -> Self {
        self.own = Some(word);
        self.spoken_in(Lang::default())
    }

    /// Says the gateway's own words in this language. It is done once more for everybody, in the one exit, where the
    /// person's language is known.
    #[must_use]
    pub fn spoken_in(mut self, lang: Lang) -> Self {
        self.lang = lang;
        if let Some(word) = self.own {
            self.messages = vec![Message {
                msg: self.tongue().say(word).to_owned(),
                msg_type: MsgType::Error,
                field: None,
            }];
        }
        self
    }

    /// The language it is said in.
    #[must_use]
    pub fn tongue(&self) -> Tongue<'_> {
        match &self.form {
            Some(form) => form.words.tongue(self.lang),
            None => Tongue::plain(self.lang),
        }
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
        let mut said = Self::new(Outcome::Stopped, 422, Word::NotAccepted).with(decision);
        said.statement = Some(Word::NothingSaved);
        said
    }

    /// The person is sent elsewhere.
    #[must_use]
    pub fn redirected(decision: &Decision, target: Redirect, submitted: bool) -> Self {
        let mut said = Self::new(Outcome::Redirected, 303, Word::Elsewhere).with(decision);
        said.submitted = Some(submitted);
        if submitted {
            said.ended = Ended::Accepted;
        }
        said.redirect = Some(target);
        said.saved_all_the_same()
    }

    /// 503: a hook that must be asked could not be.
    #[must_use]
    pub fn unavailable(decision: &Decision, retry_after: Duration) -> Self {
        let mut said = Self::new(Outcome::Unavailable, 503, Word::Unavailable).with(decision);
        said.statement = Some(Word::NothingSaved);
        said.retry_after = Some(retry_after);
        said
    }

    /// 503: too many submissions of the form are under way, or connections of an address, and nobody was asked.
    #[must_use]
    pub fn crowded(limit: &'static str) -> Self {
        let said = Self::new(Outcome::Unavailable, 503, Word::Busy);
        let mut said = said.error(Word::Crowded);
        said.statement = Some(Word::NothingSaved);
        said.ended = Ended::Shed;
        said.retry_after = Some(CROWDED);
        said.limit = Some(limit);
        said
    }

    /// Beside the backend's answer.
    #[must_use]
    pub fn accepted(decision: &Decision, status: u16) -> Self {
        let mut said = Self::new(Outcome::Accepted, status, Word::Accepted).with(decision);
        said.submitted = Some(true);
        said.saved_all_the_same()
    }

    /// An error that came too late to stop anything does not say so by itself.
    fn saved_all_the_same(mut self) -> Self {
        let mut messages = self.messages.iter();
        let is_error = messages.any(|message| message.msg_type == MsgType::Error);
        self.statement = (self.submitted == Some(true) && is_error).then_some(Word::Saved);
        self
    }

    /// In the page of a form that is opened.
    #[must_use]
    pub fn opened(decision: &Decision, status: u16, route: Route) -> Self {
        let mut said = Self::accepted(decision, status);
        said.submitted = Some(false);
        said.statement = None;
        said.changed = decision.jdoc().clone();
        said.form = Some(Arc::clone(&route.form));
        said.opens = Some(Box::new(route));
        said
    }

    /// What came with a request, to be said by its answer.
    #[must_use]
    pub fn carried(messages: Vec<Message>, changed: Jdoc, submitted: Option<bool>) -> Self {
        let mut said = Self::new(Outcome::Accepted, 200, Word::Accepted);
        said.submitted = submitted;
        said.messages = messages;
        said.changed = changed;
        said = said.saved_all_the_same();
        if submitted == Some(false) {
            said.statement = Some(Word::NothingSaved);
        }
        said
    }

    /// The same, after what was said before and nobody has seen yet.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        let opened = self.opens.take().is_some();
        if opened {
            // What a form is opened with is not there where the person is sent to.
            self.changed.clear();
            self.submitted = earlier.submitted;
            self.form = earlier.form.clone();
        }
        let changed = std::mem::replace(&mut self.changed, earlier.changed.clone());
        self.changed.extend(changed);
        self.messages.splice(0..0, earlier.messages.iter().cloned());
        self
    }

    /// The request itself is no good.
    #[must_use]
    pub fn rejected(rejected: Rejected) -> Self {
        let word = match rejected.status {
            408 => Word::Late,
            413 => Word::TooLarge,
            414 => Word::AddressTooLong,
            415 => Word::Unsupported,
            421 => Word::Misdirected,
            431 => Word::HeaderTooLarge,
            _ => Word::Unreadable,
        };
        let mut said = Self::new(Outcome::Rejected, rejected.status, Word::Rejected).error(word);
        said.detail = Some(rejected.text);
        said.limit = rejected.limit;
        said.statement = Some(Word::NothingSaved);
        said
    }

    /// 502 or 504: no whole answer from the backend. `submitted` says what is known.
    #[must_use]
    pub fn backend_failed(status: u16, word: Word, submitted: Option<bool>) -> Self {
        let mut said = Self::new(Outcome::BackendFailed, status, Word::BackendFailed).error(word);
        said.submitted = submitted;
        (said.statement, said.ended) = match submitted {
            Some(true) => (Some(Word::Saved), Ended::Accepted),
            Some(false) => (Some(Word::NothingSaved), Ended::BackendFailed),
            None => (Some(Word::MaybeSaved), Ended::Unknown),
        };
        said
    }

    /// 500: the gateway's own failure. `submitted` says what is known.
    #[must_use]
    pub fn failed(submitted: Option<bool>) -> Self {
        let mut said = Self::backend_failed(500, Word::OurFault, submitted);
        said.outcome = Outcome::Failed;
        said.ended = Ended::Failed;
        said.title = Word::Broken;
        said
    }

    /// The same where the work for the request panicked, which may have been at any moment.
    #[must_use]
    pub fn panicked() -> Self {
        let mut said = Self::failed(None);
        said.ended = Ended::Panicked;
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

    /// Whether the backend is known to have taken the submission.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.submitted == Some(true)
    }

    /// The message to show first: the first of the most severe kind.
    #[must_use]
    pub fn main_message(&self) -> Option<&Message> {
        self.messages.iter().min_by_key(|message| message.msg_type)
    }

    /// The messages that are about no field, the most severe first; where there are only errors of fields, what to do.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let mut general: Vec<_> = self
            .messages
            .iter()
            .filter(|message| message.field.is_none())
            .collect();
        general.sort_by_key(|message| message.msg_type);
        // What was submitted cannot be corrected any more.
        if general.is_empty() && !self.errors().is_empty() && self.submitted != Some(true) {
            return vec![self.tongue().say(Word::CorrectFields)];
        }
        general
            .into_iter()
            .map(|message| message.msg.as_str())
            .collect()
    }

    /// The sentence about whether anything was saved.
    #[must_use]
    pub fn statement(&self) -> Option<&str> {
        self.statement.map(|word| self.tongue().say(word))
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
        // What was written a moment ago is an object.
        serde_json::from_slice(&self.to_text(self.status)).unwrap_or_default()
    }

    /// The same as JSON text, with the status that the answer really has.
    #[must_use]
    pub fn to_text(&self, status: u16) -> Vec<u8> {
        let main = self.main_message();
        let msg = main.map(|message| message.msg.as_str());
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(br#"{"outcome":"#);
        write_string(&mut out, self.outcome.word());
        out.extend_from_slice(br#","submitted":"#);
        out.extend_from_slice(match self.submitted {
            Some(true) => b"true",
            Some(false) => b"false",
            None => b"null",
        });
        write_member(&mut out, "msg", msg);
        let msg_type = main.map(|message| message.msg_type.word());
        write_member(&mut out, "msg_type", msg_type);
        self.write_messages(&mut out);
        self.write_errors(&mut out);
        write_member(&mut out, "focus_on", self.focus_on.as_deref());
        let redirect = self.redirect.as_ref().map(Redirect::as_str);
        write_member(&mut out, "redirect", redirect);
        write_fields(&mut out, "changed", &self.changed);
        write_fields(&mut out, "suggestions", &self.suggestions);
        write_member(&mut out, "request_id", Some(&self.request_id));
        write_member(&mut out, "type", Some("about:blank"));
        write_member(&mut out, "title", Some(self.tongue().say(self.title)));
        out.extend_from_slice(br#","status":"#);
        out.extend_from_slice(status.to_string().as_bytes());
        write_member(&mut out, "detail", self.detail.as_deref().or(msg));
        if let Some(limit) = self.limit {
            write_member(&mut out, "limit", Some(limit));
        }
        out.push(b'}');
        out
    }

    fn write_messages(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","messages":["#);
        for (number, message) in self.messages.iter().enumerate() {
            out.extend_from_slice(if number == 0 {
                br#"{"msg":"#
            } else {
                br#",{"msg":"#
            });
            write_string(out, &message.msg);
            write_member(out, "msg_type", Some(message.msg_type.word()));
            write_member(out, "field", message.field.as_deref());
            out.push(b'}');
        }
        out.push(b']');
    }

    fn write_errors(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","errors":{"#);
        for (number, (field, msg)) in self.errors().into_iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            write_string(out, field);
            out.push(b':');
            write_string(out, msg);
        }
        out.push(b'}');
    }
}

/// A member that is not the first: a text, or `null`. Names of the protocol need no escapes.
fn write_member(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_fields(out: &mut Vec<u8>, name: &str, fields: &Jdoc) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":{");
    for (number, (field, value)) in fields.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_string(out, field);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_shape_in_the_order_of_the_protocol() {
        let mut said = Said::new(Outcome::Stopped, 422, Word::NotAccepted).about("r-1");
        for (msg, field) in [("Say \"who\".", Some("na\"me")), ("No.", None)] {
            said.messages.push(Message {
                msg: msg.to_owned(),
                msg_type: MsgType::Error,
                field: field.map(str::to_owned),
            });
        }
        said.changed.insert("a\u{1}".to_owned(), json!([1, "b"]));
        said.limit = Some("limits.body");
        assert_eq!(
            Value::Object(said.to_json()).to_string(),
            json!({
                "outcome": "stopped", "submitted": false, "msg": "Say \"who\".", "msg_type": "error",
                "messages": [
                    {"msg": "Say \"who\".", "msg_type": "error", "field": "na\"me"},
                    {"msg": "No.", "msg_type": "error", "field": null},
                ],
                "errors": {"na\"me": "Say \"who\"."}, "focus_on": null, "redirect": null,
                "changed": {"a\u{1}": [1, "b"]}, "suggestions": {}, "request_id": "r-1",
                "type": "about:blank", "title": "The form was not accepted", "status": 422,
                "detail": "Say \"who\".", "limit": "limits.body",
            })
            .to_string()
        );
    }
}
