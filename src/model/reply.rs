//! What a hook or a local rule says about an event: messages, field changes, a focus, a redirect (protocol §3).
//! Owns the value and its verbs; reading one from the wire is left to `hooks`, folding several to
//! [`crate::model::decision`].

use std::fmt;

use serde_json::Value;

use crate::model::doc::Jdoc;
use crate::model::redirect::Redirect;

/// The longest message, in characters.
pub const MAX_MSG_CHARS: usize = 4000;

/// What kind a message is, the most severe first. An error stops a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MsgType {
    /// Stops.
    Error,
    /// Something to look at; the submission goes on.
    Warning,
    /// Something that happened.
    Notification,
    /// Something to know; what a message is that does not say.
    Information,
    /// Something that went well.
    Success,
}

impl MsgType {
    /// Every kind, the most severe first.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::Warning,
        Self::Notification,
        Self::Information,
        Self::Success,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notification => "notification",
            Self::Information => "information",
            Self::Success => "success",
        }
    }

    /// Reads a word in any letter case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for MsgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One message to the person: plain text, escaped wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text.
    pub msg: String,
    /// Its kind.
    pub msg_type: MsgType,
    /// The field it is about.
    pub field: Option<String>,
}

/// What one hook or rule says. Begins as "continue" and is changed by its verbs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    messages: Vec<Message>,
    jdoc: Jdoc,
    focus_on: Option<String>,
    redirect: Option<Redirect>,
    debug: Option<Value>,
}

impl Reply {
    /// A reply that says nothing: the event goes on.
    #[must_use]
    pub fn go_on() -> Self {
        Self::default()
    }

    /// Adds a message.
    #[must_use]
    pub fn say(mut self, msg_type: MsgType, msg: impl Into<String>) -> Self {
        self.messages.push(Message {
            msg: msg.into(),
            msg_type,
            field: None,
        });
        self
    }

    /// Adds an error about one field.
    #[must_use]
    pub fn refuse(mut self, field: impl Into<String>, msg: impl Into<String>) -> Self {
        self.messages.push(Message {
            msg: msg.into(),
            msg_type: MsgType::Error,
            field: Some(field.into()),
        });
        self
    }

    /// Changes a field; `null` removes it.
    #[must_use]
    pub fn change(mut self, field: impl Into<String>, value: Value) -> Self {
        self.jdoc.insert(field.into(), value);
        self
    }

    /// Puts the focus on a field.
    #[must_use]
    pub fn focus(mut self, field: impl Into<String>) -> Self {
        self.focus_on = Some(field.into());
        self
    }

    /// Sends the person elsewhere.
    #[must_use]
    pub fn send_to(mut self, target: Redirect) -> Self {
        self.redirect = Some(target);
        self
    }

    /// Adds something for the job record that the person never sees.
    #[must_use]
    pub fn note(mut self, debug: Value) -> Self {
        self.debug = Some(debug);
        self
    }

    /// The messages, in the order in which they were said.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The field changes.
    #[must_use]
    pub const fn jdoc(&self) -> &Jdoc {
        &self.jdoc
    }

    /// The field changes, to be thinned out by a form's policy.
    pub const fn jdoc_mut(&mut self) -> &mut Jdoc {
        &mut self.jdoc
    }

    /// The redirect.
    #[must_use]
    pub const fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// What is meant for the job record only.
    #[must_use]
    pub const fn debug(&self) -> Option<&Value> {
        self.debug.as_ref()
    }

    /// Whether a message is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.messages
            .iter()
            .any(|message| message.msg_type == MsgType::Error)
    }

    /// Whether it holds both an error and changes.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        self.is_error() && !self.jdoc.is_empty()
    }

    /// Whether it says nothing to anybody.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.messages.is_empty()
            && self.jdoc.is_empty()
            && self.focus_on.is_none()
            && self.redirect.is_none()
    }

    /// The field to focus: the one asked for, else the first with an error.
    #[must_use]
    pub fn focus_on(&self) -> Option<&str> {
        let first_error = || {
            let errors = self
                .messages
                .iter()
                .filter(|message| message.msg_type == MsgType::Error);
            errors.filter_map(|message| message.field.as_deref()).next()
        };
        self.focus_on.as_deref().or_else(first_error)
    }

    /// The same reply with every error said as a warning.
    #[must_use]
    pub fn softened(mut self) -> Self {
        for message in &mut self.messages {
            if message.msg_type == MsgType::Error {
                message.msg_type = MsgType::Warning;
            }
        }
        self
    }

    /// What a reply says that is an error, and nothing else of it.
    #[must_use]
    pub fn errors_alone(mut self) -> Self {
        self.messages
            .retain(|message| message.msg_type == MsgType::Error);
        Self {
            messages: self.messages,
            ..Self::default()
        }
    }

    /// Takes the reply apart for the fold.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Message>, Jdoc, Option<Redirect>) {
        (self.messages, self.jdoc, self.redirect)
    }
}
