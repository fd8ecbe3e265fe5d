//! Fields as browsers send them: names with one or several values. Owns how they are held, found, set and
//! written; decoding them is left to `codec`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::File;
use crate::model::doc::Item;
use crate::model::doc::one_or_list;
use crate::model::hidden::Hidden;
use crate::model::nesting;
use crate::model::write::write_string;
use crate::model::write::write_value;

/// A place in [`Flat::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Held {
    Text(Span),
    Json(Value),
    File(Box<File>),
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    One(Held),
    Many(Vec<Held>),
}

impl Values {
    fn as_slice(&self) -> &[Held] {
        match self {
            Self::One(held) => std::slice::from_ref(held),
            Self::Many(list) => list,
        }
    }
}

#[derive(Debug, Clone)]
struct Field {
    name: Span,
    hidden: bool,
    values: Values,
}

/// Fields as browsers send them: a name, and one or several values.
///
/// Names and texts stand one after the other in one string, so that a form of any size costs two allocations.
#[derive(Debug, Clone, Default)]
pub struct Flat {
    text: String,
    fields: Vec<Field>,
    /// Field positions by name, once there are too many to look through.
    index: Option<HashMap<Box<str>, u32>>,
    hidden: Arc<Hidden>,
    nested: bool,
}

/// Up to so many fields, looking through them all is quicker than hashing the name.
const LINEAR: usize = 24;

impl Flat {
    /// An empty form; `capacity` is how many bytes of names and values are to be expected.
    #[must_use]
    pub fn new(hidden: &Arc<Hidden>, capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            fields: Vec::with_capacity(16.min(capacity)),
            hidden: Arc::clone(hidden),
            ..Self::default()
        }
    }

    /// Shows names with brackets (`a[b][]`) to hooks as nested objects and lists from now on.
    ///
    /// # Errors
    /// The first name that cannot stand beside the others: `a[b]` where there is also `a`.
    pub fn nest(&mut self) -> Result<(), String> {
        match nesting::misfit(self.fields.iter().map(|field| self.name(field))) {
            Some(name) => Err(name.to_owned()),
            None => {
                self.nested = true;
                Ok(())
            }
        }
    }

    /// Changes under the names that the fields have: where bracketed names are shown as nested objects, nested
    /// changes become bracketed names.
    #[must_use]
    pub fn flattened<'j>(&self, jdoc: &'j Map<String, Value>) -> Cow<'j, Map<String, Value>> {
        if !self.nested {
            return Cow::Borrowed(jdoc);
        }
        let names: Vec<&str> = self.fields.iter().map(|field| self.name(field)).collect();
        Cow::Owned(nesting::flatten(jdoc, &names))
    }

    /// Whether bracketed names are shown as nested objects.
    #[must_use]
    pub const fn is_nested(&self) -> bool {
        self.nested
    }

    /// Adds a value at the end of the field `name`.
    pub fn push_text(&mut self, name: &str, value: &str) {
        let span = self.keep(value);
        self.push(name, Held::Text(span));
    }

    /// Adds a file at the end of the field `name`.
    pub fn push_file(&mut self, name: &str, file: File) {
        self.push(name, Held::File(Box::new(file)));
    }

    /// How many bytes of names and texts there are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field's name and values, hidden ones too, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Vec<Item<'_>>)> {
        self.fields
            .iter()
            .map(|field| (self.name(field), self.items_of(field)))
    }

    /// The values of one field, hidden or not; empty if there is none.
    #[must_use]
    pub fn items(&self, name: &str) -> Vec<Item<'_>> {
        self.find(name)
            .map_or_else(Vec::new, |field| self.items_of(field))
    }

    /// Whether there is such a field, hidden or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Whether there are fields below this name, where bracketed names are shown nested.
    #[must_use]
    pub fn has_nested(&self, name: &str) -> bool {
        self.nested
            && self.fields.iter().any(|field| {
                let rest = self.name(field).strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with('['))
            })
    }

    /// The names of the fields that a hook may see, in order.
    #[must_use]
    pub fn visible_names(&self) -> Vec<&str> {
        let visible = self.fields.iter().filter(|field| !field.hidden);
        visible.map(|field| self.name(field)).collect()
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(self.text.len()).unwrap_or(u32::MAX),
        }
    }

    fn read(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    fn name(&self, field: &Field) -> &str {
        self.read(field.name)
    }

    fn items_of<'a>(&'a self, field: &'a Field) -> Vec<Item<'a>> {
        let items = field.values.as_slice().iter();
        items
            .map(|held| match held {
                Held::Text(span) => Item::Text(self.read(*span)),
                Held::Json(value) => Item::Json(value),
                Held::File(file) => Item::File(file),
            })
            .collect()
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        let Span { start, end } = field.name;
        // The lengths tell nearly all names apart.
        (end - start) as usize == name.len()
            && self.text.as_bytes().get(start as usize..end as usize) == Some(name.as_bytes())
    }

    fn position(&self, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).map(|at| *at as usize),
            None => self
                .fields
                .iter()
                .position(|field| self.is_named(field, name)),
        }
    }

    fn find(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|at| &self.fields[at])
    }

    fn push(&mut self, name: &str, held: Held) {
        if let Some(at) = self.position(name) {
            let values = &mut self.fields[at].values;
            match values {
                Values::Many(list) => list.push(held),
                Values::One(_) => {
                    let one = std::mem::replace(values, Values::Many(Vec::with_capacity(4)));
                    if let (Values::One(first), Values::Many(list)) = (one, values) {
                        list.extend([first, held]);
                    }
                }
            }
            return;
        }
        self.add(name, Values::One(held));
    }

    fn add(&mut self, name: &str, values: Values) {
        let hidden = self.hidden.covers(name);
        let span = self.keep(name);
        let at = u32::try_from(self.fields.len()).unwrap_or(u32::MAX);
        self.fields.push(Field {
            name: span,
            hidden,
            values,
        });
        if let Some(index) = &mut self.index {
            index.insert(name.into(), at);
        } else if self.fields.len() > LINEAR {
            self.reindex();
        }
    }

    fn reindex(&mut self) {
        if self.fields.len() <= LINEAR {
            self.index = None;
            return;
        }
        let entries = self.fields.iter().zip(0..);
        self.index = Some(
            entries
                .map(|(field, at)| (self.name(field).into(), at))
                .collect(),
        );
    }

    pub(in crate::model) fn set(&mut self, name: &str, values: Vec<Value>) {
        let mut held: Vec<Held> = values.into_iter().map(Held::Json).collect();
        match (self.position(name), held.len()) {
            (None, 0) => {}
            (Some(at), 0) => {
                self.fields.remove(at);
                self.reindex();
            }
            (at, count) => {
                let values = if count == 1 {
                    Values::One(held.swap_remove(0))
                } else {
                    Values::Many(held)
                };
                match at {
                    Some(at) => self.fields[at].values = values,
                    None => self.add(name, values),
                }
            }
        }
    }

    pub(in crate::model) fn write_json(&self, out: &mut Vec<u8>, only: Option<&[String]>) {
        out.push(b'{');
        let mut first = true;
        for field in self.fields.iter().filter(|field| !field.hidden) {
            let name = self.name(field);
            if only.is_some_and(|only| !only.iter().any(|wanted| wanted == name)) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            write_string(out, name);
            out.push(b':');
            match &field.values {
                Values::One(held) => self.write_held(out, held),
                Values::Many(list) => {
                    out.push(b'[');
                    for (at, held) in list.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        self.write_held(out, held);
                    }
                    out.push(b']');
                }
            }
        }
        out.push(b'}');
    }

    fn write_held(&self, out: &mut Vec<u8>, held: &Held) {
        match held {
            Held::Text(span) => write_string(out, self.read(*span)),
            Held::Json(value) => write_value(out, value),
            Held::File(file) => write_value(out, &file.to_value()),
        }
    }

    pub(in crate::model) fn to_value(&self) -> Value {
        let mut object = Map::new();
        for field in self.fields.iter().filter(|field| !field.hidden) {
            let values = field.values.as_slice().iter().map(|held| match held {
                Held::Text(span) => self.read(*span).into(),
                Held::Json(value) => value.clone(),
                Held::File(file) => file.to_value(),
            });
            let value = match &field.values {
                Values::One(_) => one_or_list(values.collect()),
                Values::Many(_) => Value::Array(values.collect()),
            };
            object.insert(self.name(field).to_owned(), value);
        }
        if self.nested {
            object = nesting::nest(object);
        }
        Value::Object(object)
    }
}
