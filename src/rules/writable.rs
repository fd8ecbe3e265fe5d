//! Which fields a reply may change (protocol §3). Owns judging every field that a jdoc names, at every level of it:
//! an object in a JSON doc, or the brackets of a name, are no way to a field that may not be changed.

use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::event::Event;
use crate::model::flat::Flat;
use crate::model::hidden::Hidden;
use crate::model::job::Finding;
use crate::model::nesting::bracket_parts;
use crate::model::reply::Reply;
use crate::model::reply_table::Reading;
use crate::rules::form::Absent;
use crate::rules::form::Form;
use crate::rules::recognise::lenient;

/// Why a field is not changed.
enum Refusal {
    File,
    NotWritable(&'static str),
}

const HIDDEN: &str = "a hidden field cannot be changed by a jdoc";
const HOLDS_HIDDEN: &str = "this would replace a hidden field inside it; name only what changes";
const NO_OBJECT: &str = "the submission is no object, so it has no fields to change";
const UNLISTED: &str = "the field is not listed in `writable`; it was left as it is";
const UNDERSCORE: &str = "a field that starts with `_` is not writable; list it in `writable`";
const ABSENT: &str = "the submission does not carry this field; it was ignored";

impl Form {
    /// Takes out of a reply's jdoc what it may not change, with a warning – or a fault, where the form is strict.
    ///
    /// Whether the submission carries a field is asked only where there is a submission to be changed: before a page
    /// is opened there is none, and after acceptance the changes are an update of what was saved.
    pub fn admit(&self, event: Event, reading: &mut Reading, doc: &Doc) {
        let jdoc = std::mem::take(reading.reply.jdoc_mut());
        let says_errors = reading
            .reply
            .messages()
            .iter()
            .any(|message| message.field.is_some());
        let mut judge = Judge {
            form: self,
            doc,
            reading,
            says_errors,
            event,
            names: OnceCell::new(),
        };
        let mut admitted = Map::new();
        for (name, value) in jdoc {
            let path = judge.path(&name);
            if let Some(value) = judge.admitted(&path, &format!("$.jdoc.{name}"), value) {
                admitted.insert(name, value);
            }
        }
        *reading.reply.jdoc_mut() = admitted;
        if event != Event::Load {
            self.check_focus(reading, doc);
        }
    }

    fn check_focus(&self, reading: &mut Reading, doc: &Doc) {
        let unknown =
            |field: &&str| !doc.has(field) && !self.fields().any(|rule| rule.name == **field);
        if let Some(field) = Reply::focus_on(&reading.reply).filter(unknown) {
            let finding = Finding::new(
                "$.focus_on",
                format!("the submission does not carry a field `{field}`"),
            );
            reading.warnings.push(finding);
        }
    }
}

struct Judge<'a> {
    form: &'a Form,
    doc: &'a Doc,
    reading: &'a mut Reading,
    says_errors: bool,
    event: Event,
    /// The names of a flat form, once somebody asks.
    names: OnceCell<Names<'a>>,
}

impl Judge<'_> {
    /// The parts of a name at the top of a jdoc.
    fn path(&self, name: &str) -> Vec<String> {
        let parts = match self.doc {
            Doc::Flat(_) => bracket_parts(name),
            Doc::Json(_) => None,
        };
        parts.map_or_else(
            || vec![name.to_owned()],
            |parts| parts.into_iter().map(str::to_owned).collect(),
        )
    }

    /// What may be changed of `value`; `None` if nothing may.
    fn admitted(&mut self, path: &[String], place: &str, value: Value) -> Option<Value> {
        let merges = match &value {
            Value::Object(members) => !members.is_empty() && !self.is_replaced(path),
            _ => false,
        };
        if let (Value::Object(members), true) = (&value, merges) {
            let mut kept = Map::new();
            for (name, inner) in members {
                let mut deeper = path.to_vec();
                deeper.push(name.clone());
                let inner = self.admitted(&deeper, &format!("{place}.{name}"), inner.clone());
                kept.extend(inner.map(|inner| (name.clone(), inner)));
            }
            return (!kept.is_empty()).then_some(Value::Object(kept));
        }
        match self.refusal(path, &value) {
            None => {
                if !self.says_errors && self.event != Event::Load && !self.exists(path) {
                    let text = "the submission does not carry this field";
                    self.reading.warnings.push(Finding::new(place, text));
                }
                Some(value)
            }
            Some(Refusal::File) => {
                let text = "a file cannot be changed by a jdoc; leave the field out";
                self.reading.faults.push(Finding::new(place, text));
                Some(value)
            }
            Some(Refusal::NotWritable(why)) => {
                let finding = Finding::new(place, why);
                if self.form.strict {
                    self.reading.faults.push(finding);
                } else {
                    self.reading.warnings.push(finding);
                }
                None
            }
        }
    }

    fn refusal(&self, path: &[String], value: &Value) -> Option<Refusal> {
        let hidden = &self.form.hidden;
        if matches!(self.doc, Doc::Json(json) if !json.value().is_object()) {
            return Some(Refusal::NotWritable(NO_OBJECT));
        }
        let is_hidden = |part: &String| hidden.covers(part) || self.is_read_as_hidden(part);
        if path.iter().any(is_hidden) || self.is_hidden_whole(path) {
            return Some(Refusal::NotWritable(HIDDEN));
        }
        if self.holds_file(path) {
            return Some(Refusal::File);
        }
        let read_as_hidden = |name: &str| self.is_read_as_hidden(name);
        if self.holds_hidden(path)
            || is_forbidden_inside(value, hidden)
            || names_inside(value, &read_as_hidden)
        {
            return Some(Refusal::NotWritable(HOLDS_HIDDEN));
        }
        let unlisted = match &self.form.writable {
            Some(writable) => (!is_listed(writable, path)).then_some(UNLISTED),
            None => (path.iter().any(|part| is_internal(part))
                || names_inside(value, &is_internal))
            .then_some(UNDERSCORE),
        };
        let ignores = self.form.absent == Absent::Ignore && self.event == Event::Preprocess;
        let ignored = (ignores && !self.exists(path)).then_some(ABSENT);
        unlisted.or(ignored).map(Refusal::NotWritable)
    }

    /// Whether some backend would read a hidden field's name here, as it would in a request: ` card`, `[card]`, and
    /// `CARD` where letter case means nothing.
    fn is_read_as_hidden(&self, name: &str) -> bool {
        let hidden = &self.form.hidden;
        let read = lenient(name);
        let folded = |part: &str| {
            let mut names = hidden.names();
            self.form.case_insensitive && names.any(|known| known.eq_ignore_ascii_case(part))
        };
        hidden.covers(&read) || folded(&read) || read.split(['[', ']', '.']).any(folded)
    }

    /// Whether the name as a whole is hidden (`user.password` has its dot in one part).
    fn is_hidden_whole(&self, path: &[String]) -> bool {
        self.form.hidden.covers(&bracketed(path))
    }

    /// Whether what stands at a path in a JSON doc is something that an object replaces instead of joining.
    fn is_replaced(&self, path: &[String]) -> bool {
        matches!(self.at(path), Some(value) if !value.is_object() && !value.is_null())
    }

    /// The value at a path of a JSON doc.
    fn at(&self, path: &[String]) -> Option<&Value> {
        let Doc::Json(json) = self.doc else {
            return None;
        };
        path.iter()
            .try_fold(json.value(), |value, part| value.get(part.as_str()))
    }

    /// What a flat form has at a path and below it.
    fn below(&self, path: &[String]) -> Held {
        let Doc::Flat(flat) = self.doc else {
            return Held::default();
        };
        let names = self
            .names
            .get_or_init(|| Names::of(flat, &self.form.hidden));
        names.below(path)
    }

    fn exists(&self, path: &[String]) -> bool {
        match self.doc {
            Doc::Flat(_) => self.below(path).is_there,
            Doc::Json(_) => self.at(path).is_some(),
        }
    }

    fn holds_file(&self, path: &[String]) -> bool {
        self.below(path).file
    }

    fn holds_hidden(&self, path: &[String]) -> bool {
        let hidden = &self.form.hidden;
        let inside = |value| is_forbidden_inside(value, hidden);
        self.below(path).hidden || self.at(path).is_some_and(inside)
    }
}

/// What some fields are.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    is_there: bool,
    file: bool,
    hidden: bool,
}

impl Held {
    const fn join(&mut self, other: Self) {
        self.is_there |= other.is_there;
        self.file |= other.file;
        self.hidden |= other.hidden;
    }
}

/// The names of a flat form as a tree of their parts, so that asking about many paths does not look at all names for
/// each.
#[derive(Debug)]
struct Names<'d> {
    nested: bool,
    nodes: Vec<Node<'d>>,
}

#[derive(Debug, Default)]
struct Node<'d> {
    /// What is here.
    here: Held,
    /// What is here and below.
    below: Held,
    parts: HashMap<&'d str, usize>,
}

impl<'d> Names<'d> {
    fn of(flat: &'d Flat, hidden: &Hidden) -> Self {
        let mut names = Self {
            nested: flat.is_nested(),
            nodes: vec![Node::default()],
        };
        for (name, items) in flat.fields() {
            let held = Held {
                is_there: true,
                file: items.iter().any(|item| matches!(item, Item::File(_))),
                hidden: hidden.covers(name),
            };
            names.add(name, held);
        }
        names
    }

    fn add(&mut self, name: &'d str, held: Held) {
        let mut at = 0;
        for part in bracket_parts(name).unwrap_or_else(|| vec![name]) {
            let next = self.nodes.len();
            at = *self.nodes[at].parts.entry(part).or_insert(next);
            if at == next {
                self.nodes.push(Node::default());
            }
            self.nodes[at].below.join(held);
        }
        self.nodes[at].here.join(held);
    }

    fn below(&self, path: &[String]) -> Held {
        let step = |at: usize, part: &String| self.nodes[at].parts.get(part.as_str()).copied();
        match path.iter().try_fold(0, step) {
            None => Held::default(),
            Some(at) if self.nested => self.nodes[at].below,
            Some(at) => self.nodes[at].here,
        }
    }
}

/// Whether a member anywhere inside a value is hidden.
fn is_forbidden_inside(value: &Value, hidden: &Hidden) -> bool {
    names_inside(value, &|name| hidden.covers(name))
}

fn names_inside(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, inner)| is(name) || names_inside(inner, is)),
        Value::Array(list) => list.iter().any(|inner| names_inside(inner, is)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Names that frameworks keep for themselves: `_method`, `user[_destroy]`, `user._csrf`, also as lenient backends read
/// them: `.method`, `[_method]`.
fn is_internal(name: &str) -> bool {
    let starts = |part: &str| part.starts_with('_');
    name.split('.').any(starts) || lenient(name).split(['[', ']']).any(starts)
}

/// A listed name covers what lies below it; a part can be listed as `address[city]` or `address.city`.
fn is_listed(writable: &[String], path: &[String]) -> bool {
    (1..=path.len()).any(|length| {
        let (brackets, dots) = (bracketed(&path[..length]), path[..length].join("."));
        let listed = |name: &String| *name == brackets || *name == dots;
        writable.iter().any(listed)
    })
}

fn bracketed(path: &[String]) -> String {
    let mut name = String::new();
    for (at, part) in path.iter().enumerate() {
        if at == 0 {
            name.push_str(part);
        } else {
            name.push('[');
            name.push_str(part);
            name.push(']');
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::model::doc::File;
    use crate::model::json_doc::JsonDoc;
    use crate::rules::book::Book;
    use crate::rules::book::Written;
    use serde_json::json;

    fn form(keys: &str) -> Arc<Form> {
        let file = Written {
            name: "rules/f.toml".to_owned(),
            stem: "f".to_owned(),
            text: format!("[form]\nsubmit = 'POST /f'\n{keys}"),
        };
        let loaded = Book::compile(vec![file], Path::new(""), &[]).expect("good");
        Arc::clone(loaded.book.form("f").expect("the form"))
    }

    fn flat(form: &Form, names: &[&str]) -> Doc {
        let mut flat = Flat::new(&form.hidden, 64);
        for name in names {
            flat.push_text(name, "x");
        }
        let file = File {
            filename: "a.png".into(),
            content_type: None,
            size: 1,
            sha256: String::new(),
        };
        flat.push_file("user[photo]", file);
        if form.nested {
            flat.nest().expect("names fit");
        }
        Doc::from(flat)
    }

    /// What remains of a jdoc, how many warnings and how many faults there are.
    fn admitted(form: &Form, doc: &Doc, jdoc: Value) -> (Value, usize, usize) {
        let mut reading = Reading::default();
        *reading.reply.jdoc_mut() = serde_json::from_value(jdoc).expect("an object");
        form.admit(Event::Preprocess, &mut reading, doc);
        let left = Value::Object(reading.reply.jdoc().clone());
        (left, reading.warnings.len(), reading.faults.len())
    }

    #[test]
    fn absent_fields_are_appended_or_ignored_whether_writable_is_listed_or_not() {
        let jdoc = json!({"city": "Bern", "step2": "x"});
        for (keys, left) in [
            ("", json!({"city": "Bern", "step2": "x"})),
            ("absent = 'ignore'", json!({"city": "Bern"})),
            ("writable = ['step2']", json!({"step2": "x"})),
            (
                "writable = ['city', 'step2']\nabsent = 'ignore'",
                json!({"city": "Bern"}),
            ),
        ] {
            let form = form(keys);
            let doc = flat(&form, &["city"]);
            assert_eq!(admitted(&form, &doc, jdoc.clone()).0, left, "{keys}");
        }
    }

    #[test]
    fn names_with_brackets_are_judged_by_every_part() {
        let names = ["city", "a[b]", "a[c][]", "pay[card]", "user[name]"];
        let keys = "hidden = ['card']\ncsrf = ['token']\n";
        let table = [
            (json!({"a[b]": "1"}), json!({"a[b]": "1"}), 0, 0),
            (json!({"pay[card]": "1"}), json!({}), 1, 0),
            (json!({"card": "1"}), json!({}), 1, 0),
            (json!({"token": "1", "x[token]": "1"}), json!({}), 2, 0),
            (json!({"user[password]": "1"}), json!({}), 1, 0),
            (
                json!({"user[_destroy]": "1", "_method": "PUT"}),
                json!({}),
                2,
                0,
            ),
            (
                json!({"user[photo]": "x"}),
                json!({"user[photo]": "x"}),
                0,
                1,
            ),
        ];
        for nested in ["", "nested = 'brackets'"] {
            let form = form(&format!("{keys}{nested}"));
            let doc = flat(&form, &names);
            for (jdoc, left, warnings, faults) in table.clone() {
                let found = admitted(&form, &doc, jdoc.clone());
                assert_eq!(found, (left, warnings, faults), "{jdoc} {nested}");
            }
        }
    }

    /// As many names as a reply has room for, and as many fields: to look at each for each would be 400 million looks.
    #[test]
    fn many_names_are_judged_in_one_look_at_the_fields() {
        let form = form("nested = 'brackets'");
        let names: Vec<String> = (0..20_000).map(|number| format!("a[{number}]")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let doc = flat(&form, &names);
        let jdoc = names.iter().map(|name| ((*name).to_owned(), json!(1)));
        let jdoc = Value::Object(jdoc.collect());
        let began = tokio::time::Instant::now();
        assert_eq!(admitted(&form, &doc, jdoc.clone()), (jdoc, 0, 0));
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn names_that_a_backend_reads_as_protected_ones_are_protected_too() {
        let keys = "hidden = ['card', 'bank_id']\ncsrf = ['tok']\n";
        for (keys, more) in [
            (keys.to_owned(), json!({})),
            (
                format!("{keys}case_insensitive = true"),
                json!({"Tok": 1, "CARD": 1, "pay[Card]": 1, "a": {"CARD": 1}}),
            ),
        ] {
            let form = form(&keys);
            let doc = flat(&form, &["tok", "card", "city"]);
            let mut jdoc = json!({" tok": 1, ".method": 1, "[_method]": 1, " card": 1, "[card]": 1,
                "card\u{0}x": 1, "bank.id": 1, " _x": 1, "a": {" card": 1}});
            let (Value::Object(all), Value::Object(more)) = (&mut jdoc, more) else {
                unreachable!()
            };
            all.extend(more);
            let count = all.len();
            assert_eq!(admitted(&form, &doc, jdoc), (json!({}), count, 0), "{keys}");
            let fine = json!({"town": 1, "my.city": 1, "discard": 1});
            assert_eq!(admitted(&form, &doc, fine.clone()), (fine, 3, 0), "{keys}");
        }
    }

    #[test]
    fn nested_changes_are_judged_at_every_level() {
        let keys = "hidden = ['card']\ncsrf = ['token']\n";
        let brackets = form(&format!("{keys}nested = 'brackets'"));
        let names = [
            "city",
            "a[b]",
            "pay[card]",
            "pay[city]",
            "list[0][card]",
            "user[name]",
        ];
        let flat = flat(&brackets, &names);
        let object = form(keys);
        let text = json!({"city": "x", "a": {"b": 1}, "pay": {"card": 1, "city": "x"}, "list": [{"card": 1}],
            "user": {"name": "x"}});
        let text = text.to_string().into_bytes().into();
        let json = Doc::from(JsonDoc::new(text, &object.hidden, true));
        for (form, doc) in [(&brackets, &flat), (&object, &json)] {
            for (jdoc, left, refused) in [
                (json!({"a": {"b": 2}}), json!({"a": {"b": 2}}), 0),
                (
                    json!({"pay": {"card": 2, "city": "y"}}),
                    json!({"pay": {"city": "y"}}),
                    1,
                ),
                (json!({"pay": {"card": null}}), json!({}), 1),
                (json!({"pay": null}), json!({}), 1),
                (json!({"pay": "x"}), json!({}), 1),
                (json!({"pay": {"deep": {"password": 1}}}), json!({}), 1),
                (json!({"list": [{"city": 1}]}), json!({}), 1),
                (json!({"new": [{"card": 1}]}), json!({}), 1),
                (json!({"new": [{"_x": 1}]}), json!({}), 1),
                (json!({"user": {"_destroy": true}}), json!({}), 1),
                (json!({"a": {"token": "1"}}), json!({}), 1),
                (json!({"a": null}), json!({"a": null}), 0),
            ] {
                let (found, warnings, faults) = admitted(form, doc, jdoc.clone());
                assert_eq!((found, warnings, faults), (left, refused, 0), "{jdoc}");
            }
        }
        let file = json!({"user": {"photo": "x"}});
        assert_eq!(admitted(&brackets, &flat, file.clone()).2, 1);
        assert_eq!(admitted(&brackets, &flat, json!({"user": null})).2, 1);
        assert_eq!(
            admitted(&object, &json, file).2,
            0,
            "a JSON doc has no files"
        );
    }

    #[test]
    fn what_is_listed_covers_what_lies_below_it() {
        let form = form("writable = ['a', 'b.c', 'd[e]', '_note']\nstrict = true");
        let text = br#"{"a": {"x": 1}, "b": {"c": 1, "y": 1}, "d": {"e": {"f": 1}}}"#;
        let doc = Doc::from(JsonDoc::new(text.to_vec().into(), &form.hidden, false));
        for (jdoc, faults) in [
            (json!({"a": {"x": 2}}), 0),
            (json!({"a": 1}), 0),
            (json!({"b": {"c": 2}}), 0),
            (json!({"b": {"y": 2}}), 1),
            (json!({"b": null}), 1),
            (json!({"d": {"e": {"f": 2}}}), 0),
            (json!({"c": 2}), 1),
            (json!({"_note": 2}), 0),
        ] {
            assert_eq!(admitted(&form, &doc, jdoc.clone()).2, faults, "{jdoc}");
        }
    }
}
