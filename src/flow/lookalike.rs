//! Fields that a backend could take for another one: checked under one name or in one place here, read under another
//! there. Owns refusing them (protocol §1: what the gateway decoded and what the backend will decode must be the same).
//! In the body only names that the rule file knows are guarded; what nobody asks about can be named as one likes. In
//! the query beside it every field of the body is, as hooks were told the body's value.

use std::borrow::Cow;

use crate::codec::rejected::Rejected;
use crate::codec::urlencoded::short;
use crate::flow::submission::Route;
use crate::flow::submission::Submission;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::event::Event;
use crate::rules::form::Form;
use crate::rules::form::Query;
use crate::rules::recognise::lenient;
use crate::rules::recognise::query_pairs;
use crate::rules::route;

/// Refuses a submission with a field that could be taken for one the rule file knows, or that its query could replace.
///
/// # Errors
/// 400 with the name of the field.
pub fn check(route: &Route, submission: &Submission) -> Result<(), Rejected> {
    check_names(&route.form, &submission.doc)?;
    match submission.head.uri.query() {
        Some(query) if !route.is_get && route.form.query == Query::Merged => {
            check_query(&route.form, &submission.doc, query)
        }
        _ => Ok(()),
    }
}

fn check_names(form: &Form, doc: &Doc) -> Result<(), Rejected> {
    if form.known_fields().next().is_none() {
        return Ok(());
    }
    let found = match doc {
        Doc::Flat(flat) => {
            let has_odd_names = form
                .known_fields()
                .any(|known| known.contains(['[', ' ', '.']));
            let mut names = flat.fields().map(|(name, _)| name);
            names.find_map(|name| Some((name, taken_for(form, name, has_odd_names)?)))
        }
        // The names of a JSON body mean what they say, but for letter case.
        Doc::Json(json) if form.case_insensitive => {
            let members = json.value().as_object().into_iter().flatten();
            let mut names = members.map(|(name, _)| name.as_str());
            names.find_map(|name| {
                let same = |known: &&str| known.eq_ignore_ascii_case(name);
                let is_known = form.known_fields().any(|known| known == name);
                let known = form.known_fields().find(same).filter(|_| !is_known)?;
                Some((name, known))
            })
        }
        Doc::Json(_) => None,
    };
    found.map_or(Ok(()), |(name, known)| {
        Err(Rejected::malformed(format!(
            "The field `{}` could be taken for `{known}`; send it under its own name.",
            short(name)
        )))
    })
}

/// The known field that some backend would read this one as.
fn taken_for<'f>(form: &'f Form, name: &str, has_odd_names: bool) -> Option<&'f str> {
    let is_plain = !form.case_insensitive
        && !has_odd_names
        && !name.contains(['[', ' ', '.', '\0', '\t', '\r', '\n']);
    if is_plain || form.known_fields().any(|known| known == name) {
        return None;
    }
    let read = lenient(name);
    let by_name = form
        .known_fields()
        .find(|known| is_same(form, &lenient(known), &read));
    if by_name.is_some() {
        return by_name;
    }
    // Where names are shown nested, a hook or condition that asks for `age` is told `age[]` as well; a constraint and
    // `user_info` do not see it.
    let is_nested = form.nested && !read.starts_with('[');
    let is_told = |known: &str| {
        let mut blind = form.fields().map(|rule| rule.name.as_str());
        is_nested && blind.all(|name| name != known) && form.told_fields().all(|name| name != known)
    };
    form.known_fields().find(|known| {
        reads_as(form, &read, &lenient(known)) && !has_parts(form, known) && !is_told(known)
    })
}

/// Whether the rule file itself knows the field by its parts (`age[from]`).
fn has_parts(form: &Form, name: &str) -> bool {
    let mut names = form.known_fields();
    names.any(|known| known.split_once('[').is_some_and(|(base, _)| base == name))
}

fn is_same(form: &Form, one: &str, other: &str) -> bool {
    one == other || (form.case_insensitive && one.eq_ignore_ascii_case(other))
}

/// Whether some backend that builds lists and objects of fields reads one name as another, or as something inside it:
/// `age[]`, `age[0]`, `[age]` and `age[x]` for `age`, which they replace; `tags[1]` for `tags[]`.
fn reads_as(form: &Form, name: &str, known: &str) -> bool {
    let (mut parts, mut wanted) = (parts(name), parts(known));
    loop {
        match (parts.next(), wanted.next()) {
            (_, None) => return true,
            (None, Some(rest)) => return is_place(rest) && wanted.all(is_place),
            (Some(part), Some(wanted)) => {
                let in_list =
                    (part.is_empty() && is_place(wanted)) || (wanted.is_empty() && is_place(part));
                if !in_list && !is_same(form, part, wanted) {
                    return false;
                }
            }
        }
    }
}

/// The parts of a name with brackets: `[a][b][]` is `a`, `b` and an empty one.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let bare = name.trim_start_matches('[');
    bare.split('[').map(|part| part.trim_end_matches(']'))
}

/// Whether a part of a name is a place in a list.
fn is_place(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

// === the query ===

fn check_query(form: &Form, doc: &Doc, query: &str) -> Result<(), Rejected> {
    let is_asked = form.asks(Event::Preprocess) || form.asks(Event::Submit);
    if query.is_empty() || !is_asked {
        return Ok(());
    }
    let pairs: Vec<(String, String)> = query_pairs(query).collect();
    let pairs: Vec<(Cow<'_, str>, &str)> = pairs
        .iter()
        .map(|(name, value)| (lenient(name), value.as_str()))
        .collect();
    let names = names(doc);
    for (name, _) in &pairs {
        let given = || {
            let same = pairs.iter().filter(|(other, _)| is_same(form, other, name));
            same.map(|(_, value)| *value)
        };
        let exact = names
            .iter()
            .find(|known| is_same(form, &lenient(known), name));
        let near = || {
            let known = |known: &&str| is_near(form, name, &lenient(known));
            names.iter().map(|name| &**name).find(known)
        };
        let field = exact.map(|name| &**name).or_else(near);
        let (field, fits) = match field {
            Some(field) => (field, fits(&given().collect::<Vec<_>>(), &doc.items(field))),
            None => {
                let near = |known: &&str| is_near(form, name, &lenient(known));
                let Some(field) = form.known_fields().find(near) else {
                    continue;
                };
                (field, given().all(str::is_empty))
            }
        };
        if !fits && !given().all(|value| is_demanded(form, name, value)) {
            return Err(Rejected::malformed(format!(
                "The query has another value for the field `{}` than the form itself; send it in the form alone. (If \
                 the backend reads the form's fields from the body alone, say so with query = \"apart\" in the rule \
                 file.)",
                short(field)
            )));
        }
    }
    Ok(())
}

/// The names of a doc's fields.
fn names(doc: &Doc) -> Vec<Cow<'_, str>> {
    match doc {
        Doc::Flat(flat) => flat.fields().map(|(name, _)| name.into()).collect(),
        Doc::Json(json) => {
            let members = json.value().as_object().into_iter().flatten();
            members.map(|(name, _)| name.as_str().into()).collect()
        }
    }
}

/// Whether one of two names could be read as the other.
fn is_near(form: &Form, name: &str, known: &str) -> bool {
    reads_as(form, name, known) || reads_as(form, known, name)
}

/// Whether it makes no difference if the query's values are taken for those of the body.
fn fits(given: &[&str], items: &[Item<'_>]) -> bool {
    let texts: Option<Vec<String>> = items.iter().map(Item::text).collect();
    texts.is_some_and(|texts| match texts.as_slice() {
        [only] => given.iter().all(|value| value == only),
        texts => given == texts,
    })
}

/// Whether a route of the form asks for this in its query.
fn is_demanded(form: &Form, name: &str, value: &str) -> bool {
    let routes = form.submit.iter();
    let routes = routes.filter_map(|written| route::Route::parse(written).ok());
    let mut wanted = routes.flat_map(|route| route.query);
    wanted.any(|(known, said)| {
        reads_as(form, name, &lenient(&known)) && is_same(form, value.trim(), said.trim())
    })
}
