//! What can be decided without a network: field constraints and local rules. Owns their order and collecting all
//! their errors; the constraints and rules themselves are `rules`'.

use serde_json::Value;

use crate::flow::asked::Asked;
use crate::flow::asked::Trail;
use crate::flow::asked::in_words;
use crate::flow::journal;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::event::Event;
use crate::model::reply::MsgType;
use crate::model::reply::Reply;
use crate::model::reply_table::Limits;
use crate::model::words::Word;
use crate::rules::condition::TooMuch;
use crate::rules::fields::FieldRule;
use crate::rules::local::LocalRule;
use crate::rules::pattern::TooLong;

/// Checks constraints and rules, those of all forms first. Everything that is wrong is said at once; the doc is
/// normalised, typed and changed.
pub fn check(asked: &Asked<'_>, doc: &mut Doc, decision: &mut Decision, trail: &mut Trail) {
    let mut local = Local {
        asked,
        doc,
        decision,
        trail,
        call: None,
    };
    for checks in &asked.route.form.checks {
        if asked.event == Event::Preprocess {
            checks.fields.iter().for_each(|rule| local.field(rule));
        }
        let rules = checks.rules.iter().filter(|rule| rule.on == asked.event);
        rules.for_each(|rule| local.rule(rule));
    }
}

struct Local<'a, 'q> {
    asked: &'a Asked<'q>,
    doc: &'a mut Doc,
    decision: &'a mut Decision,
    trail: &'a mut Trail,
    /// The call as conditions see it, while the doc is as it was then.
    call: Option<Value>,
}

impl Local<'_, '_> {
    fn field(&mut self, rule: &FieldRule) {
        if let Some(value) = rule.normalized(self.doc) {
            let hidden = self.asked.route.form.hidden.covers(&rule.name);
            self.trail.note(&rule.place, || match hidden {
                true => format!("`{}` is normalised", rule.name),
                false => format!("`{}` is normalised to {value}", rule.name),
            });
            journal::local(self.asked, &rule.place, "normalises", Some(&rule.name));
            self.trail
                .local(&rule.place, "normalises", Some(&rule.name));
            self.give(Reply::go_on().change(rule.name.as_str(), value));
        }
        match rule.check(self.doc, self.asked.tongue(), self.asked.matched) {
            Ok(Some(typed)) if !has_type(self.doc, &rule.name, &typed) => {
                self.call = None;
                self.doc.set_typed(&rule.name, typed);
            }
            Ok(Some(_) | None) => {}
            Err(refused) => {
                self.trail.note(&rule.place, || {
                    format!("`{}` is refused: {}", rule.name, in_words(&refused.reply))
                });
                journal::local(self.asked, &rule.place, "refuses", Some(&rule.name));
                self.trail.local(&rule.place, "refuses", Some(&rule.name));
                if refused.is_unknown {
                    journal::given_up(self.asked, &rule.place, &TooMuch::Text(TooLong));
                }
                self.give(refused.reply);
            }
        }
    }

    fn rule(&mut self, rule: &LocalRule) {
        // Each rule sees what those before it changed.
        let call = self.call.take();
        let call = call.unwrap_or_else(|| self.asked.to_value(self.doc));
        if self.asked.applies(&rule.when, &rule.place, &call) {
            self.reply(rule, call);
        } else {
            self.call = Some(call);
            self.trail
                .note(&rule.place, || "the rule does not apply".to_owned());
        }
    }

    fn reply(&mut self, rule: &LocalRule, call: Value) {
        let form = &self.asked.route.form;
        let limits = Limits {
            nested: form.nested || matches!(self.doc, Doc::Json(_)),
            allowed: self.asked.allowed,
        };
        let mut reading = rule.reply(&call, limits);
        self.call = Some(call);
        journal::local(self.asked, &rule.place, "replies", None);
        self.trail.local(&rule.place, "replies", None);
        form.admit(self.asked.event, &mut reading, self.doc);
        if let Some(fault) = reading.faults.first() {
            self.trail.note(&rule.place, || {
                format!("the rule applies but cannot reply: {fault}")
            });
            // Only the place: what was filled into a slot may be what the person typed.
            tracing::error!(target: "formgate::rules", rule = %rule.place, place = %fault.place,
                "a local rule cannot reply: what was filled in is not allowed here");
            let sorry = self.asked.tongue().say(Word::RuleFailed);
            self.give(Reply::go_on().say(MsgType::Error, sorry));
        } else {
            self.trail.note(&rule.place, || {
                format!("the rule replies: {}", in_words(&reading.reply))
            });
            self.give(reading.reply);
        }
    }

    /// Folds a reply in. After the first that ends the chain only errors are heard, so that all are said at once.
    fn give(&mut self, reply: Reply) {
        if !reply.jdoc().is_empty() {
            self.call = None;
        }
        let on_conflict = self.asked.route.form.on_conflict;
        let reply = match self.decision.course() {
            Course::Continue => self.decision.settle(reply, on_conflict),
            _ if self.decision.redirect().is_some() => return,
            _ => {
                // Later checks still see what would have been sent on.
                self.doc.apply(reply.jdoc());
                reply.errors_alone()
            }
        };
        self.doc.apply(reply.jdoc());
        let _ = self.decision.take(reply);
    }
}

/// Whether the field has these values with their types already, as JSON docs do.
fn has_type(doc: &Doc, name: &str, typed: &[Value]) -> bool {
    let now = doc.items(name);
    let same =
        |(now, wanted): (&Item<'_>, &Value)| matches!(now, Item::Json(now) if *now == wanted);
    now.len() == typed.len() && now.iter().zip(typed).all(same)
}
