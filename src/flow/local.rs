//! What can be decided without a network: field constraints and local rules. Owns their order and collecting all
//! their errors; the constraints and rules themselves are `rules`'.

use crate::flow::asked::Asked;
use crate::flow::asked::Trail;
use crate::flow::asked::in_words;
use crate::flow::journal;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::reply::MsgType;
use crate::model::reply::Reply;
use crate::model::reply_table::Limits;
use crate::page::words;

/// Checks constraints and rules. Everything that is wrong is said at once; the doc is normalised, typed and changed.
pub fn check(asked: &Asked<'_>, doc: &mut Doc, decision: &mut Decision, trail: &mut Trail) {
    let form = &asked.route.form;
    if asked.event == Event::Preprocess {
        for rule in &form.fields {
            if let Some(value) = rule.normalized(doc) {
                trail.note(&rule.place, || {
                    format!("`{}` is normalised to {value}", rule.name)
                });
                journal::local(asked, &rule.place, "normalises", Some(&rule.name));
                give(
                    Reply::go_on().change(rule.name.as_str(), value),
                    asked,
                    doc,
                    decision,
                );
            }
            match rule.check(doc) {
                Ok(Some(typed)) => doc.set_typed(&rule.name, typed),
                Ok(None) => {}
                Err(refusal) => {
                    trail.note(&rule.place, || {
                        format!("`{}` is refused: {}", rule.name, in_words(&refusal))
                    });
                    journal::local(asked, &rule.place, "refuses", Some(&rule.name));
                    give(*refusal, asked, doc, decision);
                }
            }
        }
    }
    for rule in form.rules(asked.event) {
        // Each rule sees what those before it changed.
        let call = asked.to_value(doc);
        if !rule.when.applies(&call) {
            trail.note(&rule.place, || "the rule does not apply".to_owned());
            continue;
        }
        let limits = Limits {
            nested: form.nested || matches!(doc, Doc::Json(_)),
            allowed: asked.allowed,
        };
        let reading = rule.reply(&call, limits);
        journal::local(asked, &rule.place, "replies", None);
        if let Some(fault) = reading.faults.first() {
            trail.note(&rule.place, || {
                format!("the rule applies but cannot reply: {fault}")
            });
            tracing::error!(target: "formgate::rules", place = %rule.place, fault = %fault, "a local rule cannot reply");
            give(
                Reply::go_on().say(MsgType::Error, words::RULE_FAILED),
                asked,
                doc,
                decision,
            );
        } else {
            trail.note(&rule.place, || {
                format!("the rule replies: {}", in_words(&reading.reply))
            });
            give(reading.reply, asked, doc, decision);
        }
    }
}

/// Folds a local reply in. That the chain ends is seen by the course of the decision; here all errors are collected.
fn give(reply: Reply, asked: &Asked<'_>, doc: &mut Doc, decision: &mut Decision) {
    let reply = decision.settle(reply, asked.route.form.on_conflict);
    doc.apply(reply.jdoc());
    let _ = decision.take(reply);
}
