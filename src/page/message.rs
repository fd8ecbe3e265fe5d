//! The message as HTML, wherever it stands. Owns its one markup, and what of a change stands in it.

use askama::Template;
use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use crate::model::doc::scalar_text;
use crate::model::hidden::Hidden;
use crate::model::lang::Lang;
use crate::model::words::Tongue;
use crate::model::words::Word;
use crate::page::attributes;
use crate::page::change::Notice;
use crate::page::fields;
use crate::page::fields::Fields;
use crate::page::plain;

/// What cannot stand in the fragment of a URL.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'%');

/// A message: the same markup wherever it stands.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The language of the gateway's own words.
    pub lang: Lang,
    /// The kind of the main message: `error`, `warning`, …
    pub kind: &'a str,
    /// Whether it gets the focus when the page is opened.
    pub takes_focus: bool,
    /// The messages about no field, the most severe first.
    pub texts: Vec<&'a str>,
    /// What is wrong with fields.
    pub errors: Vec<Wrong<'a>>,
    /// Sentences about what was changed.
    pub changed: Vec<String>,
    /// Whether anything was saved.
    pub statement: Option<&'a str>,
}

/// What is wrong with a field.
#[derive(Debug)]
pub struct Wrong<'a> {
    field: &'a str,
    /// What a person calls it.
    label: String,
    /// The link to its control.
    link: Option<String>,
    text: &'a str,
}

impl<'a> Wrong<'a> {
    /// Of a field about which nothing more is known than its name.
    #[must_use]
    pub fn new(field: &'a str, text: &'a str) -> Self {
        Self {
            field,
            label: fields::readable(field),
            link: None,
            text,
        }
    }
}

/// What a message is made of, besides what it says.
pub(in crate::page) struct Around<'a> {
    pub(in crate::page) tongue: Tongue<'a>,
    pub(in crate::page) fields: &'a Fields,
    pub(in crate::page) hidden: &'a Hidden,
    /// What stands before the `#` of a link that stays in the page; `None` if none would.
    pub(in crate::page) here: Option<&'a str>,
    pub(in crate::page) takes_focus: bool,
}

/// The message, with every error, linked with its field, and every field that was changed.
pub(in crate::page) fn html(
    notice: &Notice,
    errors: &[(String, String)],
    around: &Around<'_>,
) -> String {
    let fields = around.fields;
    let errors = errors.iter().map(|(field, text)| Wrong {
        field,
        link: fields
            .id(field)
            .and_then(|id| Some(format!("{}#{}", around.here?, fragment(id)))),
        label: fields.label(field),
        text,
    });
    let mut sentences = Vec::new();
    for (name, value) in &notice.changed {
        add_changed(&mut sentences, around, name, value);
    }
    let message = Message {
        lang: around.tongue.lang(),
        kind: notice.kind.word(),
        takes_focus: around.takes_focus,
        texts: notice.texts.iter().map(String::as_str).collect(),
        errors: errors.collect(),
        changed: sentences,
        statement: Some(&*notice.statement).filter(|statement| !statement.is_empty()),
    };
    attributes::bare(plain::html(&message, "").into()).into_owned()
}

/// The longest value that is said in full, in characters.
const MAX_VALUE: usize = 200;

/// Adds a sentence about a field that was changed; about its members, if it is an object.
fn add_changed(sentences: &mut Vec<String>, around: &Around<'_>, name: &str, value: &Value) {
    if around.hidden.covers(name) {
        return;
    }
    let items = match value {
        Value::Object(object) => {
            for (member, value) in object {
                add_changed(sentences, around, &format!("{name}[{member}]"), value);
            }
            return;
        }
        Value::Array(list) => list.as_slice(),
        value => std::slice::from_ref(value),
    };
    let texts: Vec<String> = items.iter().filter_map(scalar_text).collect();
    let mut text = texts.join(", ");
    if let Some((at, _)) = text.char_indices().nth(MAX_VALUE) {
        text.truncate(at);
        text.push('…');
    }
    let label = around.fields.label(name);
    sentences.push(if text.is_empty() {
        around.tongue.fill(Word::FieldEmptied, &[("field", &label)])
    } else {
        let values = [("field", label.as_str()), ("value", text.as_str())];
        around.tongue.fill(Word::FieldChanged, &values)
    });
}

/// An id as it is written behind the `#` of a link.
fn fragment(id: &str) -> String {
    utf8_percent_encode(id, FRAGMENT).to_string()
}
