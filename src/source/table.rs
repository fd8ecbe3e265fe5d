//! Reading a TOML table key by key: each value is taken as the kind it should be, or complained of at its place.
//! Owns the kinds; which keys there are is left to the table's [`Shape`].

use std::ops::Range;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::source::measure;
use crate::source::page::Page;
use crate::source::shape::Shape;
use crate::source::shape::suggestion;

/// A value and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// The bytes it was read from.
    pub span: Range<usize>,
}

/// One table of a page.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    page: &'a Page,
    shape: &'static Shape,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
}

impl<'a> Table<'a> {
    /// Begins to read a table; keys that its shape does not know are complained of at once.
    #[must_use]
    pub fn new(
        page: &'a Page,
        shape: &'static Shape,
        entries: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Self {
        if shape.others.is_none() {
            for key in entries
                .keys()
                .filter(|key| shape.key(key.get_ref()).is_none())
            {
                let message = format!("unknown key `{}` in {}", key.get_ref(), shape.title);
                let names = shape.keys.iter().map(|key| key.name);
                page.complain(key.span(), message, suggestion(key.get_ref(), names));
            }
        }
        Self {
            page,
            shape,
            entries,
            span,
        }
    }

    /// The page it stands on.
    #[must_use]
    pub const fn page(&self) -> &'a Page {
        self.page
    }

    /// Where the table stands: its header, or the braces of an inline table.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where a key's name stands; the table itself if it has no such key.
    #[must_use]
    pub fn key_span(&self, name: &str) -> Range<usize> {
        let key = self.entries.keys().find(|key| key.get_ref() == name);
        key.map_or_else(|| self.span(), Spanned::span)
    }

    /// Complains of this key's value, or of the table if it has no such key.
    pub fn complain(&self, name: &str, message: impl Into<String>, label: impl Into<String>) {
        let span = self
            .entries
            .get(name)
            .map_or_else(|| self.span(), Spanned::span);
        self.page.complain(span, message, label);
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the key's value is a list with nothing in it.
    #[must_use]
    pub fn is_empty_list(&self, name: &str) -> bool {
        let list = self.get(name).and_then(|value| value.get_ref().as_array());
        list.is_some_and(|list| list.is_empty())
    }

    /// The keys and values as they stand.
    pub fn entries(&self) -> impl Iterator<Item = (Placed<String>, &'a Spanned<DeValue<'a>>)> {
        self.entries.iter().map(|(key, value)| {
            let placed = Placed {
                value: key.get_ref().to_string(),
                span: key.span(),
            };
            (placed, value)
        })
    }

    fn get(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        debug_assert!(
            self.shape.key(name).is_some(),
            "`{name}` is not in the shape {}",
            self.shape.title
        );
        self.entries.get(name)
    }

    /// Takes a value as some kind; `wanted` names the kind in the complaint, `mend` says what to write instead.
    fn take<T>(
        &self,
        name: &str,
        wanted: &str,
        mend: impl FnOnce(&'a DeValue<'a>) -> String,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.get(name)?;
        let taken = read(value.get_ref());
        if taken.is_none() {
            let message = format!(
                "`{name}` in {} must be {wanted}, not {}",
                self.shape.title,
                kind_of(value.get_ref())
            );
            self.page
                .complain(value.span(), message, mend(value.get_ref()));
        }
        taken.map(|taken| Placed {
            value: taken,
            span: value.span(),
        })
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Placed<String>> {
        self.take(name, "a text in quotes", quoted, |value| {
            value.as_str().map(str::to_owned)
        })
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        let mend = |_: &DeValue<'_>| "write true or false, without quotes".to_owned();
        self.take(name, "true or false", mend, DeValue::as_bool)
            .map(|placed| placed.value)
    }

    /// A whole number, not negative.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<Placed<u64>> {
        let mend = |value: &DeValue<'_>| match value.as_str() {
            Some(text) if text.parse::<u64>().is_ok() => format!("write {text}, without quotes"),
            _ => "write a number such as 3".to_owned(),
        };
        self.take(name, "a whole number, 0 or more", mend, |value| {
            let integer = value.as_integer()?;
            u64::from_str_radix(integer.as_str(), integer.radix()).ok()
        })
    }

    /// A number or a text, as JSON.
    #[must_use]
    pub fn bound(&self, name: &str) -> Option<Placed<Value>> {
        let mend = |_: &DeValue<'_>| "write a number, or a date in quotes".to_owned();
        self.take(name, "a number or a text", mend, |value| match value {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::String(_) | DeValue::Datetime(_) => {
                Some(to_json(value))
            }
            _ => None,
        })
    }

    /// A duration such as `"3s"`.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Placed<Duration>> {
        let mend = |value: &DeValue<'_>| match value.as_integer() {
            Some(number) => format!("write \"{}s\"", number.as_str()),
            None => "write for example \"3s\"".to_owned(),
        };
        let text = self.take(name, "a duration in quotes", mend, |value| {
            value.as_str().map(str::to_owned)
        })?;
        self.parsed(&text, measure::duration)
    }

    /// A size such as `"32MiB"`, in bytes.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<Placed<u64>> {
        let mend = |value: &DeValue<'_>| match value.as_integer() {
            Some(number) => format!("write \"{}B\"", number.as_str()),
            None => "write for example \"32MiB\"".to_owned(),
        };
        let text = self.take(name, "a size in quotes", mend, |value| {
            value.as_str().map(str::to_owned)
        })?;
        self.parsed(&text, measure::size)
    }

    /// A text that `read` understands; its error is complained of.
    pub fn parsed<T>(
        &self,
        text: &Placed<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        match read(&text.value) {
            Ok(value) => Some(Placed {
                value,
                span: text.span.clone(),
            }),
            Err(message) => {
                self.page.complain(text.span.clone(), message, "");
                None
            }
        }
    }

    /// One of a few words.
    #[must_use]
    pub fn word<T: Copy>(&self, name: &str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(name)?;
        self.one_of(name, &text, words)
    }

    fn one_of<T: Copy>(
        &self,
        name: &str,
        text: &Placed<String>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let message = format!("`{}` is not a value of `{name}`", text.value);
            let label = suggestion(&text.value, words.iter().map(|(word, _)| *word));
            self.page.complain(text.span.clone(), message, label);
        }
        found.map(|(_, value)| *value)
    }

    /// A list of some words.
    #[must_use]
    pub fn words<T: Copy>(&self, name: &str, words: &[(&'static str, T)]) -> Vec<T> {
        let texts = self.texts(name);
        texts
            .iter()
            .filter_map(|text| self.one_of(name, text, words))
            .collect()
    }

    /// A list of texts, or one text alone.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<Placed<String>> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let mut list = Vec::new();
        let items: &[Spanned<DeValue<'_>>] = match value.get_ref() {
            DeValue::Array(array) => array,
            _ => std::slice::from_ref(value),
        };
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => list.push(Placed {
                    value: text.to_owned(),
                    span: item.span(),
                }),
                None => self.page.complain(
                    item.span(),
                    format!(
                        "`{name}` in {} must be a text or a list of texts",
                        self.shape.title
                    ),
                    quoted(item.get_ref()),
                ),
            }
        }
        list
    }

    /// A table.
    #[must_use]
    pub fn table(&self, name: &str, shape: &'static Shape) -> Option<Self> {
        let value = self.get(name)?;
        self.sub(name, value, shape)
    }

    /// A value taken as a table of this shape.
    pub fn sub(
        &self,
        name: &str,
        value: &'a Spanned<DeValue<'a>>,
        shape: &'static Shape,
    ) -> Option<Self> {
        let Some(entries) = value.get_ref().as_table() else {
            let message = format!("`{name}` must be a table, not {}", kind_of(value.get_ref()));
            let mend = match shape.keys.first() {
                _ if self.is_doubled(value) => format!("write [{name}]"),
                Some(key) => format!("write {name} = {{ {} = … }}", key.name),
                None => format!("write {name} = {{ … }}"),
            };
            self.page.complain(value.span(), message, mend);
            return None;
        };
        Some(Table::new(self.page, shape, entries, value.span()))
    }

    /// Whether a value was written as `[[name]]`.
    fn is_doubled(&self, value: &Spanned<DeValue<'_>>) -> bool {
        let text = self.page.text();
        let written = text.content.get(value.span()).unwrap_or_default();
        written.starts_with("[[")
    }

    /// An array of tables: every `[[name]]`.
    #[must_use]
    pub fn tables(&self, name: &str, shape: &'static Shape) -> Vec<Self> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.page.complain(
                value.span(),
                format!("`{name}` must be an array of tables"),
                format!("write [[{name}]]"),
            );
            return Vec::new();
        };
        array
            .iter()
            .filter_map(|item| self.sub(name, item, shape))
            .collect()
    }

    /// Any value, as JSON.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<Placed<Value>> {
        let value = self.get(name)?;
        Some(Placed {
            value: to_json(value.get_ref()),
            span: value.span(),
        })
    }
}

/// A value in quotes, to be written instead.
fn quoted(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => format!("write \"{}\"", number.as_str()),
        DeValue::Float(number) => format!("write \"{}\"", number.as_str()),
        DeValue::Boolean(flag) => format!("write \"{flag}\""),
        _ => "write a text in quotes".to_owned(),
    }
}

/// What a value is, for a sentence.
fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(number) if number.as_str().starts_with('-') => "a negative number",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A TOML value as JSON; dates become text.
#[must_use]
pub fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            parsed.map_or(Value::Null, Into::into)
        }
        DeValue::Float(float) => float
            .as_str()
            .parse::<f64>()
            .map_or(Value::Null, Into::into),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(array) => array.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members = table.iter();
            let members =
                members.map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}
