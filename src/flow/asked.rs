//! The question that is put to rules and hooks: one event of one form, on behalf of one person. Owns the value, and
//! the trail of what was found on the way for whoever wants to know why.

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::account::leg::Leg;
use crate::flow::journal;
use crate::flow::steps::Steps;
use crate::flow::submission::Route;
use crate::model::call::Attempt;
use crate::model::call::Named;
use crate::model::call::Occasion;
use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::job::Finding;
use crate::model::job::Job;
use crate::model::lang::Lang;
use crate::model::redirect::Allowed;
use crate::model::reply::Reply;
use crate::model::timeline::StepKind;
use crate::model::trace::Trace;
use crate::model::words::Tongue;
use crate::rules::hook::HookRule;
use crate::rules::place::Place;
use crate::rules::when::When;

/// One event of one form.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The event.
    pub event: Event,
    /// The form.
    pub route: &'a Route,
    /// What a call says besides the doc.
    pub occasion: &'a Occasion,
    /// Where the person may be sent.
    pub allowed: Allowed<'a>,
    /// The path and query that the person asked for: a load must not redirect to itself.
    pub here: &'a str,
    /// The language in which the person is spoken to.
    pub lang: Lang,
    /// The trace the request belongs to, where the leg knows of none.
    pub trace: &'a Trace,
    /// The leg of asking, in the request's account.
    pub leg: &'a Leg,
    /// How much text one pattern is put to.
    pub matched: usize,
    /// Something odd about the question itself, for the job of whoever is asked.
    pub remark: Option<&'a Finding>,
}

impl Asked<'_> {
    /// The call as conditions see it: the form's own event.
    #[must_use]
    pub fn to_value(&self, doc: &Doc) -> Value {
        let attempt = Attempt {
            sent_at: Timestamp::UNIX_EPOCH.max(self.occasion.form.submitted_at),
            run: 1,
        };
        self.occasion.to_value(self.named(true), attempt, doc)
    }

    /// Whether something applies to a call; when in doubt, it does, and the operator hears of it.
    #[must_use]
    pub fn applies(&self, when: &When, place: &Place, call: &Value) -> bool {
        let applies = when.applies(call, self.route.form.lists(), self.matched);
        applies.unwrap_or_else(|why| {
            journal::given_up(self, place, &why);
            true
        })
    }

    /// What the person is told by nobody but the gateway.
    #[must_use]
    pub fn tongue(&self) -> Tongue<'_> {
        self.route.form.words.tongue(self.lang)
    }

    /// The event's name for a hook of the form's own file, or of `all-forms.toml`.
    #[must_use]
    pub fn named(&self, own: bool) -> Named<'_> {
        Named {
            event: self.event,
            form: own.then_some(self.route.id.as_str()),
        }
    }
}

/// What was found on the way to a decision; kept only if somebody wants to read it.
#[derive(Debug, Default)]
pub struct Trail {
    found: Option<Found>,
    steps: Option<Steps>,
}

/// A trail that was kept.
#[derive(Debug, Default)]
pub struct Found {
    /// What was found, in order.
    pub steps: Vec<Step>,
    /// The hooks that were called, in order.
    pub called: Vec<CalledHook>,
}

/// One thing that was found, and the line of a rule file that it is about.
#[derive(Debug, Clone)]
pub struct Step {
    /// The line.
    pub place: Place,
    /// A sentence.
    pub text: String,
}

/// A hook that was called.
#[derive(Debug, Clone)]
pub struct CalledHook {
    /// Its name.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// What its reply breaks, or why there was none.
    pub faults: Vec<Finding>,
    /// What is odd about its reply but works.
    pub warnings: Vec<Finding>,
    /// The record of a call that was really made.
    pub job: Option<Job>,
}

impl CalledHook {
    /// A hook of which nothing was heard.
    #[must_use]
    pub fn unheard(hook: &HookRule) -> Self {
        Self {
            name: hook.name.clone(),
            place: hook.place.clone(),
            faults: Vec::new(),
            warnings: Vec::new(),
            job: None,
        }
    }
}

impl Trail {
    /// A trail that is kept.
    #[must_use]
    pub fn kept() -> Self {
        Self {
            found: Some(Found::default()),
            steps: None,
        }
    }

    /// A trail whose steps go on where these end.
    #[must_use]
    pub fn of(steps: Option<Steps>) -> Self {
        Self { found: None, steps }
    }

    /// The steps with those of this trail.
    #[must_use]
    pub fn into_steps(self) -> Option<Steps> {
        self.steps
    }

    /// Adds that a constraint or rule had something to say: names and places, no values.
    pub fn local(&mut self, place: &Place, what: &str, field: Option<&str>) {
        let Some(steps) = &mut self.steps else {
            return;
        };
        let mut about = Map::new();
        about.insert("place".to_owned(), place.to_string().into());
        about.insert("what".to_owned(), what.into());
        if let Some(field) = field {
            about.insert("field".to_owned(), field.into());
        }
        steps.add(StepKind::Local, about);
    }

    /// Adds a sentence about a line.
    pub fn note(&mut self, place: &Place, sentence: impl FnOnce() -> String) {
        if let Some(found) = &mut self.found {
            found.steps.push(Step {
                place: place.clone(),
                text: sentence(),
            });
        }
    }

    /// Adds a hook that was called.
    pub fn call(&mut self, hook: impl FnOnce() -> CalledHook) {
        if let Some(found) = &mut self.found {
            found.called.push(hook());
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(self) -> Found {
        self.found.unwrap_or_default()
    }
}

/// What a reply does, for the trail.
#[must_use]
pub fn in_words(reply: &Reply) -> String {
    let mut words = Vec::new();
    for message in reply.messages() {
        let about = message.field.as_ref();
        let about = about.map_or_else(String::new, |field| format!(" about `{field}`"));
        words.push(format!("{}{about} \"{}\"", message.msg_type, message.msg));
    }
    for (field, value) in reply.jdoc() {
        words.push(match value {
            Value::Null => format!("removes `{field}`"),
            value => format!("changes `{field}` to {value}"),
        });
    }
    if let Some(target) = reply.redirect() {
        words.push(format!("redirects to {target}"));
    }
    if words.is_empty() {
        words.push("go on".to_owned());
    }
    words.join(", ")
}
