//! The decision: what the gateway makes of all replies to one event (protocol §4). A pure fold; who is asked, in
//! which order, and what is done about the decision is left to `flow`.

use std::ops::ControlFlow;

use crate::model::doc::Jdoc;
use crate::model::doc::fold_jdoc;
use crate::model::event::Event;
use crate::model::redirect::Redirect;
use crate::model::reply::Message;
use crate::model::reply::MsgType;
use crate::model::reply::Reply;

/// What an error together with a jdoc means: the one stops, the other continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The submission continues with the changes; the error is shown as a warning.
    #[default]
    Continue,
    /// The error wins; the changes are dropped.
    Stop,
    /// The error wins; the changes go to the frontend as suggestions.
    Suggest,
}

impl OnConflict {
    /// The words of rule files.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("continue", Self::Continue),
        ("stop", Self::Stop),
        ("suggest", Self::Suggest),
    ];

    /// The word in rule files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Stop => "stop",
            Self::Suggest => "suggest",
        }
    }
}

/// Whether the event's own matter – the page, the submission, the answer – takes its course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Course {
    /// It goes on.
    #[default]
    Continue,
    /// It stops: an error, or a redirect instead of it.
    Stop,
    /// It stops because a hook that must be asked could not be.
    Unavailable,
}

/// What all replies to one event come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    event: Event,
    course: Course,
    messages: Vec<Message>,
    jdoc: Jdoc,
    suggestions: Jdoc,
    overwritten: Vec<String>,
    focus: Option<Focus>,
    redirect: Option<Redirect>,
    conflict: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Focus {
    field: String,
    by_error: bool,
}

/// Folds `replies` into one decision, ending at the first that ends the chain.
pub fn decide(event: Event, replies: impl IntoIterator<Item = (Reply, OnConflict)>) -> Decision {
    let mut decision = Decision::new(event);
    for (reply, on_conflict) in replies {
        let reply = decision.settle(reply, on_conflict);
        if decision.take(reply).is_break() {
            break;
        }
    }
    decision
}

impl Decision {
    /// Nothing said yet: the event goes on.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self {
            event,
            course: Course::default(),
            messages: Vec::new(),
            jdoc: Jdoc::new(),
            suggestions: Jdoc::new(),
            overwritten: Vec::new(),
            focus: None,
            redirect: None,
            conflict: false,
        }
    }

    /// Folds in one more reply, which has been settled. `Break` when it ends the chain: nobody after it is asked.
    ///
    /// A reply with both `jdoc` and `redirect` lets the submission continue and the person be sent away after
    /// acceptance; it does not end the chain, or it would be a way around the hooks after it.
    pub fn take(&mut self, reply: Reply) -> ControlFlow<()> {
        let (is_error, changes) = (reply.is_error(), !reply.jdoc().is_empty());
        self.take_focus(&reply, is_error);
        let (messages, jdoc, redirect) = reply.into_parts();
        self.messages.extend(messages);
        self.overwritten.extend(fold_jdoc(&mut self.jdoc, jdoc));
        let sends = redirect.is_some();
        let ends = match self.event {
            Event::Preprocess => is_error || (sends && !changes),
            Event::Load | Event::Submit => sends,
        };
        // A redirect that ends the chain goes before one that was only put off.
        if ends && self.course == Course::Continue {
            self.redirect = None;
        }
        self.redirect = self.redirect.take().or(redirect);
        if ends {
            self.end(Course::Stop)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A hook that must be asked could not be: the person gets `msg`, and nothing is submitted.
    pub fn unavailable(&mut self, msg: &str) -> ControlFlow<()> {
        self.redirect = None;
        self.messages.push(Message {
            msg: msg.to_owned(),
            msg_type: MsgType::Error,
            field: None,
        });
        self.end(Course::Unavailable)
    }

    fn end(&mut self, course: Course) -> ControlFlow<()> {
        self.course = course;
        if self.event == Event::Preprocess {
            self.messages
                .retain(|message| message.msg_type != MsgType::Success);
            self.jdoc = Jdoc::new();
        }
        ControlFlow::Break(())
    }

    /// Settles the one contradiction a reply can hold, an error with a jdoc: what remains is what is applied.
    pub fn settle(&mut self, mut reply: Reply, on_conflict: OnConflict) -> Reply {
        if self.event != Event::Preprocess || !reply.contradicts_itself() {
            return reply;
        }
        self.conflict = true;
        match on_conflict {
            OnConflict::Continue => reply.softened(),
            OnConflict::Stop => {
                reply.jdoc_mut().clear();
                reply
            }
            OnConflict::Suggest => {
                let suggestions = std::mem::take(reply.jdoc_mut());
                fold_jdoc(&mut self.suggestions, suggestions);
                reply
            }
        }
    }

    fn take_focus(&mut self, reply: &Reply, by_error: bool) {
        let better = match &self.focus {
            None => true,
            Some(focus) => by_error && !focus.by_error,
        };
        if let (true, Some(field)) = (better, reply.focus_on()) {
            self.focus = Some(Focus {
                field: field.to_owned(),
                by_error,
            });
        }
    }

    /// The event that was decided.
    #[must_use]
    pub const fn event(&self) -> Event {
        self.event
    }

    /// Whether it goes on.
    #[must_use]
    pub const fn course(&self) -> Course {
        self.course
    }

    /// Every message, in the order in which they were said.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The message to show first: the first of the most severe kind.
    #[must_use]
    pub fn main_message(&self) -> Option<&Message> {
        self.messages.iter().min_by_key(|message| message.msg_type)
    }

    /// The first error of each field.
    pub fn field_errors(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = self.messages.iter().enumerate();
        errors.filter_map(|(at, message)| {
            let field = message
                .field
                .as_deref()
                .filter(|_| message.msg_type == MsgType::Error)?;
            let again = self.messages[..at].iter().any(|before| {
                before.msg_type == MsgType::Error && before.field.as_deref() == Some(field)
            });
            (!again).then_some((field, message.msg.as_str()))
        })
    }

    /// The field changes to make; empty when the submission stops.
    #[must_use]
    pub const fn jdoc(&self) -> &Jdoc {
        &self.jdoc
    }

    /// Field changes that are only offered to the person.
    #[must_use]
    pub const fn suggestions(&self) -> &Jdoc {
        &self.suggestions
    }

    /// Fields whose earlier jdoc value was overwritten by a later reply.
    #[must_use]
    pub fn overwritten(&self) -> &[String] {
        &self.overwritten
    }

    /// The field to focus: the first error's, else the first that was asked for.
    #[must_use]
    pub fn focus_on(&self) -> Option<&str> {
        self.focus.as_ref().map(|focus| focus.field.as_str())
    }

    /// Where the person is sent: now if the event stops, else after acceptance.
    #[must_use]
    pub const fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// Whether a reply held both an error and changes.
    #[must_use]
    pub const fn conflict(&self) -> bool {
        self.conflict
    }

    /// Whether there is nothing to tell the person.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.messages.is_empty()
            && self.jdoc.is_empty()
            && self.focus.is_none()
            && self.redirect.is_none()
    }

    /// The decision about the same submission after the backend accepted it: what was said before it comes
    /// first, and a redirect that was put off stands unless the later event has its own.
    #[must_use]
    pub fn and_then(mut self, after: Self) -> Self {
        self.messages.extend(after.messages);
        self.redirect = after.redirect.or(self.redirect);
        let later = after
            .focus
            .filter(|later| later.by_error && !self.focus.as_ref().is_some_and(|now| now.by_error));
        self.focus = later.or(self.focus);
        self.overwritten.extend(after.overwritten);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::redirect::Allowed;
    use serde_json::json;

    /// A reply in the words of the table: `error`, `jdoc`, `redirect`, `info`, `success`, joined by `+`.
    fn reply(words: &str) -> Reply {
        let mut reply = Reply::go_on();
        for word in words.split('+').filter(|word| !word.is_empty()) {
            let allowed = Allowed {
                own: None,
                hosts: &[],
            };
            reply = match word {
                "error" => reply.say(MsgType::Error, "no").focus("email"),
                "field" => reply.refuse("age", "too young"),
                "info" => reply.say(MsgType::Information, "by the way"),
                "success" => reply.say(MsgType::Success, "done"),
                "jdoc" => reply.change("city", json!("Bern")),
                "redirect" => reply.send_to(Redirect::parse("/there", allowed).expect("allowed")),
                other => unreachable!("{other}"),
            };
        }
        reply
    }

    fn one(words: &str, on_conflict: OnConflict) -> Decision {
        decide(Event::Preprocess, [(reply(words), on_conflict)])
    }

    /// One line for a decision: course, messages, changes, suggestions, redirect.
    fn line(decision: &Decision) -> String {
        let said: Vec<&str> = decision
            .messages()
            .iter()
            .map(|m| m.msg_type.word())
            .collect();
        let keys = |jdoc: &Jdoc| jdoc.keys().cloned().collect::<Vec<_>>().join(",");
        format!(
            "{:?} said[{}] changed[{}] suggested[{}] to[{}]{}",
            decision.course(),
            said.join(","),
            keys(decision.jdoc()),
            keys(decision.suggestions()),
            decision.redirect().map_or("", Redirect::as_str),
            if decision.conflict() { " conflict" } else { "" },
        )
    }

    #[test]
    fn the_table_of_one_reply_to_preprocess() {
        use OnConflict::{Continue, Stop, Suggest};
        let table = [
            ("", Continue, "Continue said[] changed[] suggested[] to[]"),
            (
                "info",
                Continue,
                "Continue said[information] changed[] suggested[] to[]",
            ),
            (
                "jdoc",
                Continue,
                "Continue said[] changed[city] suggested[] to[]",
            ),
            (
                "error",
                Continue,
                "Stop said[error] changed[] suggested[] to[]",
            ),
            (
                "field",
                Continue,
                "Stop said[error] changed[] suggested[] to[]",
            ),
            (
                "redirect",
                Continue,
                "Stop said[] changed[] suggested[] to[/there]",
            ),
            (
                "error+redirect",
                Continue,
                "Stop said[error] changed[] suggested[] to[/there]",
            ),
            (
                "jdoc+redirect",
                Continue,
                "Continue said[] changed[city] suggested[] to[/there]",
            ),
            (
                "error+jdoc",
                Continue,
                "Continue said[warning] changed[city] suggested[] to[] conflict",
            ),
            (
                "error+jdoc",
                Stop,
                "Stop said[error] changed[] suggested[] to[] conflict",
            ),
            (
                "error+jdoc",
                Suggest,
                "Stop said[error] changed[] suggested[city] to[] conflict",
            ),
            (
                "error+jdoc+redirect",
                Continue,
                "Continue said[warning] changed[city] suggested[] to[/there] conflict",
            ),
            (
                "error+jdoc+redirect",
                Stop,
                "Stop said[error] changed[] suggested[] to[/there] conflict",
            ),
            (
                "success+error",
                Continue,
                "Stop said[error] changed[] suggested[] to[]",
            ),
        ];
        for (words, on_conflict, expected) in table {
            assert_eq!(
                line(&one(words, on_conflict)),
                expected,
                "{words} with {on_conflict:?}"
            );
        }
    }

    fn chain(event: Event, replies: &[&str]) -> Decision {
        decide(
            event,
            replies
                .iter()
                .map(|words| (reply(words), OnConflict::Continue)),
        )
    }

    #[test]
    fn the_first_stop_ends_the_chain() {
        let table = [
            (
                &["jdoc", "error", "info"][..],
                "Stop said[error] changed[] suggested[] to[]",
            ),
            (
                &["success", "error"],
                "Stop said[error] changed[] suggested[] to[]",
            ),
            (
                &["redirect", "error"],
                "Stop said[] changed[] suggested[] to[/there]",
            ),
            (
                &["jdoc+redirect", "error"],
                "Stop said[error] changed[] suggested[] to[]",
            ),
            (
                &["jdoc+redirect", "info"],
                "Continue said[information] changed[city] suggested[] to[/there]",
            ),
        ];
        for (replies, expected) in table {
            assert_eq!(
                line(&chain(Event::Preprocess, replies)),
                expected,
                "{replies:?}"
            );
        }
    }

    #[test]
    fn load_and_submit_cannot_stop() {
        for event in [Event::Load, Event::Submit] {
            assert_eq!(
                line(&chain(event, &["error+jdoc", "success"])),
                "Continue said[error,success] changed[city] suggested[] to[]"
            );
            assert_eq!(
                line(&chain(event, &["redirect", "info"])),
                "Stop said[] changed[] suggested[] to[/there]"
            );
        }
    }

    #[test]
    fn the_most_severe_message_leads_and_the_first_error_gets_the_focus() {
        let mut decision = Decision::new(Event::Preprocess);
        let chatty = reply("info").focus("city");
        assert!(decision.take(chatty).is_continue());
        assert!(decision.take(reply("field+error")).is_break());
        assert_eq!(
            decision.main_message().map(|m| m.msg.as_str()),
            Some("too young")
        );
        assert_eq!(
            decision.focus_on(),
            Some("email"),
            "the error's own focus_on, not the chatty one's"
        );
        assert_eq!(
            decision.field_errors().collect::<Vec<_>>(),
            [("age", "too young")]
        );
    }

    #[test]
    fn a_hook_that_cannot_be_asked_makes_it_unavailable() {
        let mut decision = Decision::new(Event::Preprocess);
        assert!(decision.take(reply("jdoc+redirect")).is_continue());
        assert!(decision.unavailable("later, please").is_break());
        assert_eq!(
            line(&decision),
            "Unavailable said[error] changed[] suggested[] to[]"
        );
    }

    #[test]
    fn a_later_jdoc_wins_and_the_earlier_value_is_named() {
        let second = Reply::go_on().change("city", json!("Basel"));
        let decision = decide(
            Event::Preprocess,
            [
                (reply("jdoc"), OnConflict::Continue),
                (second, OnConflict::Continue),
            ],
        );
        assert_eq!(decision.jdoc().get("city"), Some(&json!("Basel")));
        assert_eq!(decision.overwritten(), ["city"]);
    }
}
