//! Fields that a backend could take for another one: checked under one name here, read under another there. Owns
//! refusing them (protocol §1: what the gateway decoded and what the backend will decode must be the same). Only
//! names that the rule file knows are guarded; what nobody asks about can be named as one likes.

use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::short;
use crate::flow::submission::Route;
use crate::flow::submission::Submission;
use crate::model::doc::Doc;
use crate::rules::form::Form;
use crate::rules::recognise::lenient;
use crate::rules::recognise::query_pairs;

/// Refuses a submission with a field that could be taken for one the rule file knows.
///
/// # Errors
/// 400 with the name of the field.
pub fn check(route: &Route, submission: &Submission) -> Result<(), Rejected> {
    let form = &route.form;
    if form.known_fields().next().is_none() {
        return Ok(());
    }
    if let Doc::Flat(flat) = &submission.doc {
        for (name, _) in flat.fields() {
            if let Some(known) = taken_for(form, name) {
                return Err(Rejected::malformed(format!(
                    "The field `{}` could be taken for `{known}`; send it under its own name.",
                    short(name)
                )));
            }
        }
    }
    if route.is_get {
        return Ok(());
    }
    for (name, value) in query_pairs(submission.head.uri.query().unwrap_or_default()) {
        let name = lenient(&name);
        let known = form
            .known_fields()
            .find(|known| is_same(form, known, &name));
        if let Some(known) = known.filter(|known| !value.is_empty() && !submission.doc.has(known)) {
            return Err(Rejected::malformed(format!(
                "The field `{known}` is in the query; it belongs into the form itself."
            )));
        }
    }
    Ok(())
}

/// The known field that some backend would read this one as.
fn taken_for<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    let is_plain =
        !form.case_insensitive && !name.contains(['[', ' ', '.', '\0', '\t', '\r', '\n']);
    if is_plain || form.known_fields().any(|known| known == name) {
        return None;
    }
    let read = lenient(name);
    let by_name = form
        .known_fields()
        .find(|known| is_same(form, known, &read));
    // `age[]` replaces `age` in PHP and Rack.
    let base = read.split('[').next().unwrap_or_default();
    let by_base = form.fields().map(|rule| rule.name.as_str()).find(|known| {
        base.len() < read.len() && is_same(form, known, base) && !has_parts(form, known)
    });
    by_name.or(by_base)
}

/// Whether the rule file itself knows the field by its parts (`age[from]`).
fn has_parts(form: &Form, name: &str) -> bool {
    let mut names = form.fields().map(|rule| rule.name.as_str());
    names.any(|known| known.split_once('[').is_some_and(|(base, _)| base == name))
}

fn is_same(form: &Form, known: &str, read: &str) -> bool {
    let known = lenient(known);
    known == read || (form.case_insensitive && known.eq_ignore_ascii_case(read))
}
