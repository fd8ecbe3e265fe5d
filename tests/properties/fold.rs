//! Laws of the decision: what several replies to one event come to.

use formgate::model::decision::Course;
use formgate::model::decision::Decision;
use formgate::model::decision::OnConflict;
use formgate::model::decision::decide;
use formgate::model::doc::Doc;
use formgate::model::doc::Jdoc;
use formgate::model::doc::fold_jdoc;
use formgate::model::event::Event;
use formgate::model::flat::Flat;
use formgate::model::redirect::Allowed;
use formgate::model::redirect::Redirect;
use formgate::model::reply::MsgType;
use formgate::model::reply::Reply;
use proptest::prelude::*;
use serde_json::json;

use crate::HIDDEN;

fn redirect() -> Redirect {
    let allowed = Allowed {
        own: None,
        hosts: &[],
    };
    Redirect::parse("/there", allowed).expect("allowed")
}

fn kind() -> impl Strategy<Value = MsgType> {
    prop::sample::select(MsgType::ALL.to_vec())
}

fn reply() -> impl Strategy<Value = Reply> {
    let message = prop::option::of((kind(), "[a-z]{1,5}"));
    let error = prop::option::weighted(0.2, ("[a-d]", "[a-z]{1,5}"));
    let changes = prop::collection::vec(("[a-d]", any::<u8>()), 0..3);
    let focus = prop::option::weighted(0.3, "[a-d]");
    let sends = prop::bool::weighted(0.15);
    (message, error, changes, focus, sends).prop_map(|(message, error, changes, focus, sends)| {
        let mut reply = Reply::go_on();
        if let Some((kind, text)) = message {
            reply = reply.say(kind, text);
        }
        if let Some((field, text)) = error {
            reply = reply.refuse(field, text);
        }
        for (field, value) in changes {
            reply = reply.change(field, json!(value));
        }
        if let Some(field) = focus {
            reply = reply.focus(field);
        }
        if sends {
            reply.send_to(redirect())
        } else {
            reply
        }
    })
}

fn chain() -> impl Strategy<Value = Vec<(Reply, OnConflict)>> {
    let words = vec![OnConflict::Continue, OnConflict::Stop, OnConflict::Suggest];
    prop::collection::vec((reply(), prop::sample::select(words)), 0..5)
}

fn event() -> impl Strategy<Value = Event> {
    prop::sample::select(vec![Event::Load, Event::Preprocess, Event::Submit])
}

/// Whether a reply ends the chain of `form_preprocess`.
fn ends(reply: &Reply, on_conflict: OnConflict) -> bool {
    let changes = !reply.jdoc().is_empty();
    let softened = changes && on_conflict == OnConflict::Continue;
    (reply.is_error() && !softened) || (reply.redirect().is_some() && !changes)
}

proptest! {
    #[test]
    fn it_continues_exactly_where_nothing_ends_the_chain(chain in chain()) {
        let stops = chain.iter().any(|(reply, on_conflict)| ends(reply, *on_conflict));
        let decision = decide(Event::Preprocess, chain);
        prop_assert_eq!(decision.course() == Course::Stop, stops);
    }

    #[test]
    fn nobody_is_heard_after_the_end(event in event(), chain in chain(), more in chain()) {
        let mut decision = Decision::new(event);
        let mut heard = Vec::new();
        let mut ended = false;
        for (reply, on_conflict) in &chain {
            heard.push((reply.clone(), *on_conflict));
            let settled = decision.settle(reply.clone(), *on_conflict);
            if decision.take(settled).is_break() {
                ended = true;
                break;
            }
        }
        if ended {
            prop_assert_eq!(decide(event, [heard, more].concat()), decision);
        }
    }

    #[test]
    fn a_stop_changes_nothing_and_hides_success(chain in chain()) {
        let decision = decide(Event::Preprocess, chain);
        if decision.course() != Course::Continue {
            prop_assert!(decision.jdoc().is_empty());
            prop_assert!(decision.messages().iter().all(|message| message.msg_type != MsgType::Success));
        }
    }

    #[test]
    fn a_hook_that_cannot_be_asked_dominates(chain in chain()) {
        let mut decision = Decision::new(Event::Preprocess);
        for (reply, on_conflict) in chain {
            let settled = decision.settle(reply, on_conflict);
            if decision.take(settled).is_break() {
                return Ok(());
            }
        }
        prop_assert!(decision.unavailable("later").is_break());
        prop_assert_eq!(decision.course(), Course::Unavailable);
        prop_assert!(decision.jdoc().is_empty() && decision.redirect().is_none());
        prop_assert_eq!(decision.main_message().map(|message| message.msg_type), Some(MsgType::Error));
    }

    #[test]
    fn the_order_of_replies_about_different_fields_does_not_matter(values in prop::collection::btree_map("[a-z]{1,3}", any::<u8>(), 0..6), seed in any::<prop::sample::Index>()) {
        let replies: Vec<(Reply, OnConflict)> = values
            .iter()
            .map(|(field, value)| (Reply::go_on().change(field, json!(value)), OnConflict::default()))
            .collect();
        let mut turned = replies.clone();
        let by = seed.index(turned.len() + 1).min(turned.len());
        turned.rotate_left(by);
        let one = decide(Event::Preprocess, replies);
        let other = decide(Event::Preprocess, turned);
        prop_assert_eq!(one.jdoc(), other.jdoc());
        prop_assert!(other.overwritten().is_empty());
    }

    #[test]
    fn the_later_change_of_a_field_wins(changes in prop::collection::vec(("[a-c]", any::<u8>()), 1..8)) {
        let replies = changes.iter().map(|(field, value)| (Reply::go_on().change(field, json!(value)), OnConflict::default()));
        let decision = decide(Event::Preprocess, replies);
        for (field, value) in decision.jdoc() {
            let last = changes.iter().rev().find(|(known, _)| known == field);
            let last = last.map(|(_, value)| json!(value));
            prop_assert_eq!(Some(value), last.as_ref());
        }
    }

    #[test]
    fn the_most_severe_message_leads_and_the_order_stays(event in event(), chain in chain()) {
        let decision = decide(event, chain);
        let severest = decision.messages().iter().map(|message| message.msg_type).min();
        let first = decision.messages().iter().find(|message| Some(message.msg_type) == severest);
        prop_assert_eq!(decision.main_message(), first);
    }

    #[test]
    fn the_focus_is_an_errors_where_an_error_has_one(chain in chain()) {
        let decision = decide(Event::Preprocess, chain.clone());
        if decision.course() != Course::Stop {
            return Ok(());
        }
        let end = chain.iter().find(|(reply, on_conflict)| ends(reply, *on_conflict)).expect("it stopped");
        if end.0.is_error() && end.0.focus_on().is_some() {
            prop_assert_eq!(decision.focus_on(), end.0.focus_on());
        }
    }

    #[test]
    fn each_field_has_its_first_error(chain in chain()) {
        let decision = decide(Event::Preprocess, chain);
        let mut seen = Vec::new();
        for (field, text) in decision.field_errors() {
            prop_assert!(!seen.contains(&field));
            seen.push(field);
            let first = decision.messages().iter().find(|message| {
                message.msg_type == MsgType::Error && message.field.as_deref() == Some(field)
            });
            prop_assert_eq!(first.map(|message| message.msg.as_str()), Some(text));
        }
    }

    #[test]
    fn load_and_submit_never_stop_for_an_error(event in prop::sample::select(vec![Event::Load, Event::Submit]), chain in chain()) {
        let sends = chain.iter().any(|(reply, _)| reply.redirect().is_some());
        let decision = decide(event, chain);
        prop_assert_eq!(decision.course() == Course::Stop, sends);
    }

    #[test]
    fn changes_folded_are_changes_one_after_the_other(first in crate::jdoc(), second in crate::jdoc()) {
        let mut flat = Flat::new(&HIDDEN, 16);
        flat.push_text("a", "1");
        flat.push_text("b", "2");
        flat.push_text("a", "3");
        let mut folded = Jdoc::new();
        fold_jdoc(&mut folded, first.clone());
        fold_jdoc(&mut folded, second.clone());
        let (mut one, mut other) = (Doc::from(flat.clone()), Doc::from(flat));
        one.apply(&first);
        one.apply(&second);
        other.apply(&folded);
        prop_assert_eq!(one.visible_value(None), other.visible_value(None));
    }
}
