//! Field constraints in HTML's own words, checked as browsers check them. Owns types, constraints, normalising
//! and which word refuses a value; when they are applied is left to `flow`.

use serde_json::Value;

use crate::model::doc::Doc;
use crate::model::doc::File;
use crate::model::doc::Item;
use crate::model::lang::Lang;
use crate::model::reply::Reply;
use crate::model::words::Tongue;
use crate::model::words::Word;
use crate::rules::kind::FieldType;
use crate::rules::kind::Typed;
use crate::rules::pattern;
use crate::rules::pattern::Pattern;
use crate::rules::pattern::Room;
use crate::rules::pattern::TooLong;
use crate::rules::place::Place;
use crate::source::measure::show_size;
use crate::source::table::Table;

/// The constraints of one field.
#[derive(Debug, Clone)]
pub struct FieldRule {
    /// The field.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    required: bool,
    kind: FieldType,
    /// Whether the type was written, and is of one value.
    takes_one: bool,
    pattern: Option<Pattern>,
    minlength: Option<u64>,
    maxlength: Option<u64>,
    min: Option<Typed>,
    max: Option<Typed>,
    step: Option<f64>,
    accept: Vec<String>,
    maxsize: Option<u64>,
    normalize: Vec<Normalize>,
    msg: Option<String>,
}

/// A change to a value before it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalize {
    /// White space at both ends goes.
    Trim,
    /// Runs of white space become one space.
    Collapse,
    /// Lower case.
    Lowercase,
    /// Upper case.
    Uppercase,
}

/// SHA-256 of `sample`.
const SAMPLE_SUM: &str = "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf";

const NORMALIZE: [(&str, Normalize); 4] = [
    ("trim", Normalize::Trim),
    ("collapse", Normalize::Collapse),
    ("lowercase", Normalize::Lowercase),
    ("uppercase", Normalize::Uppercase),
];

impl FieldRule {
    /// Reads `[fields.NAME]`; what is wrong is complained of on the page.
    #[must_use]
    pub fn read(name: &str, table: &Table<'_>) -> Self {
        let kind = table
            .word("type", &FieldType::WORDS)
            .unwrap_or(FieldType::String);
        let pattern = table
            .text("pattern")
            .and_then(|text| table.parsed(&text, pattern::html));
        let rule = Self {
            name: name.to_owned(),
            place: Place::on(table.page(), &table.span()),
            required: table.flag("required").unwrap_or(false),
            kind,
            takes_one: table.has("type") && takes_one(name, kind),
            pattern: pattern.map(|placed| placed.value),
            minlength: table.count("minlength").map(|placed| placed.value),
            maxlength: table.count("maxlength").map(|placed| placed.value),
            min: bound(table, "min", kind),
            max: bound(table, "max", kind),
            step: step(table, kind),
            accept: table
                .texts("accept")
                .into_iter()
                .map(|placed| placed.value.to_ascii_lowercase())
                .collect(),
            maxsize: table.size("maxsize").map(|placed| placed.value),
            normalize: table.words("normalize", &NORMALIZE),
            msg: table.text("msg").map(|placed| placed.value),
        };
        rule.lint(table);
        rule
    }

    /// Whether the field is a number in the doc.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self.kind, FieldType::Integer | FieldType::Number)
    }

    /// Whether the field is a list in the doc, even if it has one value.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self.kind, FieldType::List)
    }

    fn lint(&self, table: &Table<'_>) {
        if let (Some(least), Some(most)) = (self.minlength, self.maxlength)
            && least > most
        {
            table.complain(
                "minlength",
                format!("no value is at least {least} and at most {most} long"),
                "raise `maxlength`, or lower this",
            );
        }
        if let (Some(least), Some(most)) = (&self.min, &self.max)
            && most.is_below(least)
        {
            let mend = "raise `max`, or lower this";
            table.complain("min", "no value lies between `min` and `max`", mend);
        }
        let for_files = !self.accept.is_empty() || self.maxsize.is_some();
        if for_files && self.kind != FieldType::File {
            let name = if self.maxsize.is_some() {
                "maxsize"
            } else {
                "accept"
            };
            table.complain(
                name,
                format!("`{name}` is for files"),
                "add type = \"file\"",
            );
        }
    }

    /// The constraints in words, as they are written in rule files.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.required.then(|| "required".to_owned()));
        if self.kind != FieldType::String {
            words.push(format!("type {}", self.kind.word()));
        }
        if !self.normalize.is_empty() {
            let steps = self.normalize.iter().map(|step| step.word());
            words.push(format!(
                "normalize {}",
                steps.collect::<Vec<_>>().join(", ")
            ));
        }
        let pattern = self.pattern.as_ref().map(written);
        words.extend(pattern.map(|pattern| format!("pattern {pattern}")));
        let mut add = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{name} {value}")));
        };
        add("minlength", self.minlength.map(|least| least.to_string()));
        add("maxlength", self.maxlength.map(|most| most.to_string()));
        add("min", self.min.as_ref().map(ToString::to_string));
        add("max", self.max.as_ref().map(ToString::to_string));
        add("step", self.step.map(|step| step.to_string()));
        let accept = (!self.accept.is_empty()).then(|| self.accept.join(", "));
        add("accept", accept);
        add("maxsize", self.maxsize.map(show_size));
        if words.is_empty() {
            words.push("no constraint".to_owned());
        }
        words.join("; ")
    }

    /// A value that a person could have typed: of the field's type, within its bounds. A `pattern` is not looked at.
    #[must_use]
    pub fn sample(&self) -> Value {
        let bound = |typed: &Option<Typed>| typed.as_ref().map(ToString::to_string);
        let number = || bound(&self.min).or_else(|| bound(&self.max));
        let text = match self.kind {
            FieldType::String => "sample".to_owned(),
            FieldType::Integer | FieldType::Number => number().unwrap_or_else(|| "1".to_owned()),
            FieldType::Boolean => "true".to_owned(),
            FieldType::Date => number().unwrap_or_else(|| "2026-01-31".to_owned()),
            FieldType::Email => "person@example.org".to_owned(),
            FieldType::Url => "https://example.org/".to_owned(),
            FieldType::List => {
                let least = self.min.as_ref().and_then(Typed::as_f64).unwrap_or(1.0);
                let values = (1..=20).take_while(|count| f64::from(*count) <= least.max(1.0));
                return values.map(|count| format!("sample {count}")).collect();
            }
            FieldType::File => {
                let suffix = self.accept.iter().find(|wanted| wanted.starts_with('.'));
                let kind = self.accept.iter().find(|wanted| wanted.contains('/'));
                let kind = kind.map_or("text/plain".to_owned(), |kind| kind.replace("/*", "/png"));
                return serde_json::json!({
                    "filename": format!("sample{}", suffix.map_or(".txt", String::as_str)),
                    "content_type": kind, "size": 6, "sha256": SAMPLE_SUM,
                });
            }
        };
        let least = self.minlength.and_then(|least| usize::try_from(least).ok());
        let text = format!("{text:x<0$}", least.unwrap_or(0).min(1000));
        let most = self.maxlength.and_then(|most| usize::try_from(most).ok());
        let text: String = text.chars().take(most.unwrap_or(usize::MAX)).collect();
        text.into()
    }

    /// The value that normalising makes of the field, if it changes anything.
    #[must_use]
    pub fn normalized(&self, doc: &Doc) -> Option<Value> {
        if self.normalize.is_empty() {
            return None;
        }
        let items = doc.items(&self.name);
        let mut changed = false;
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            let text = match item {
                Item::Text(text) => *text,
                Item::Json(Value::String(text)) => text.as_str(),
                Item::Json(_) | Item::File(_) => return None,
            };
            let normal = self
                .normalize
                .iter()
                .fold(text.to_owned(), |text, step| step.apply(&text));
            changed |= normal != text;
            values.push(Value::String(normal));
        }
        match (changed, values.len()) {
            (false, _) => None,
            (true, 1) if !is_list(doc, &self.name) => values.pop(),
            (true, _) => Some(Value::Array(values)),
        }
    }

    /// Checks the field, its pattern with at most `matched` bytes of text. Gives the typed values for the doc, if the
    /// type is not a text and all is well.
    ///
    /// # Errors
    /// The reply that refuses the field, in the person's language.
    pub fn check(
        &self,
        doc: &Doc,
        tongue: Tongue<'_>,
        matched: usize,
    ) -> Result<Option<Vec<Value>>, Box<Refused>> {
        self.judge(doc, matched).map_err(|refusal| {
            Box::new(Refused {
                is_unknown: refusal.is_unknown,
                reply: self.refuse(&refusal, tongue),
            })
        })
    }

    fn refuse(&self, refusal: &Refusal, tongue: Tongue<'_>) -> Reply {
        let msg = match &self.msg {
            Some(msg) => msg.clone(),
            None => refusal.text(tongue),
        };
        Reply::go_on().refuse(self.name.as_str(), msg)
    }

    fn judge(&self, doc: &Doc, matched: usize) -> Result<Option<Vec<Value>>, Refusal> {
        let mut room = Room::new(matched);
        let items = doc.items(&self.name);
        let count = items.len();
        let filled: Vec<Item<'_>> = items.into_iter().filter(|item| !is_empty(item)).collect();
        if filled.is_empty() {
            return match (self.required, self.kind) {
                (false, _) => Ok(None),
                (true, FieldType::File) => Err(Word::MissingFile.into()),
                (true, _) => Err(Word::Missing.into()),
            };
        }
        if self.kind == FieldType::List {
            self.check_count(filled.len())?;
        }
        if filled.len() < count && self.minds_empty(doc) {
            return Err(self.kind.read("").err().unwrap_or(Word::Missing).into());
        }
        // Which of several counts is the backend's choice, so none could be judged.
        if self.takes_one && (count > 1 || is_list(doc, &self.name)) {
            return Err(Word::TooManyValues.into());
        }
        let checked = filled.iter().map(|item| self.check_item(item, &mut room));
        let typed: Result<Vec<Typed>, Refusal> = checked.collect();
        let values: Option<Vec<Value>> = typed?.into_iter().map(Typed::into_value).collect();
        Ok(match self.kind {
            FieldType::List => values.map(|values| vec![Value::Array(values)]),
            // Beside an empty value the others stay as they are: which one counts is the backend's choice.
            _ => values.filter(|values| values.len() == count),
        })
    }

    /// Whether an empty value beside others is one too many: a form sends one value here, and the backend may take the
    /// first or the last. Lists and names that end in `[]` have any number; before a check box comes its empty fallback.
    fn minds_empty(&self, doc: &Doc) -> bool {
        let Doc::Flat(flat) = doc else {
            return false;
        };
        if self.name.ends_with("[]") {
            return false;
        }
        match self.kind {
            FieldType::List | FieldType::File => false,
            FieldType::String => self.required,
            FieldType::Boolean => flat.items(&self.name).last().is_some_and(is_empty),
            FieldType::Integer
            | FieldType::Number
            | FieldType::Date
            | FieldType::Email
            | FieldType::Url => true,
        }
    }

    fn check_item(&self, item: &Item<'_>, room: &mut Room) -> Result<Typed, Refusal> {
        match (item, self.kind) {
            (Item::File(file), FieldType::File) => self.check_file(file),
            (Item::File(_), _) => Err(Word::NoFile.into()),
            (_, FieldType::File) => Err(Word::MissingFile.into()),
            (item, _) => {
                let text = item.text().ok_or(Word::NoValue)?;
                self.check_text(&text, room)
            }
        }
    }

    fn check_text(&self, text: &str, room: &mut Room) -> Result<Typed, Refusal> {
        let length = browser_length(text);
        if let Some(least) = self.minlength.filter(|least| length < *least) {
            let refusal = Refusal::from(Word::TooShort).with("length", &length);
            return Err(refusal.with("minlength", &least));
        }
        if let Some(most) = self.maxlength.filter(|most| length > *most) {
            let refusal = Refusal::from(Word::TooLong).with("length", &length);
            return Err(refusal.with("maxlength", &most));
        }
        if let Some(pattern) = &self.pattern {
            match pattern.is_match(text, room) {
                Ok(true) => {}
                Ok(false) => {
                    let refusal = Refusal::from(Word::WrongPattern);
                    return Err(refusal.with("pattern", &written(pattern)));
                }
                Err(TooLong) => return Err(Refusal::unknown()),
            }
        }
        let typed = self.kind.read(text)?;
        if self.kind == FieldType::List {
            return Ok(typed);
        }
        self.check_bounds(&typed)?;
        Ok(typed)
    }

    fn check_bounds(&self, typed: &Typed) -> Result<(), Refusal> {
        let is_date = self.kind == FieldType::Date;
        if let Some(least) = self.min.as_ref().filter(|least| typed.is_below(least)) {
            let word = if is_date {
                Word::TooEarly
            } else {
                Word::TooLow
            };
            return Err(Refusal::from(word).with("min", least));
        }
        if let Some(most) = self.max.as_ref().filter(|most| most.is_below(typed)) {
            let word = if is_date {
                Word::TooLate
            } else {
                Word::TooHigh
            };
            return Err(Refusal::from(word).with("max", most));
        }
        match self.step {
            Some(step) if !self.is_on_step(typed, step) => {
                Err(Refusal::from(Word::OffStep).with("step", &Typed::Number(step)))
            }
            _ => Ok(()),
        }
    }

    fn is_on_step(&self, typed: &Typed, step: f64) -> bool {
        let base = self.min.as_ref().and_then(Typed::as_f64).unwrap_or(0.0);
        let Some(value) = typed.as_f64() else {
            return true;
        };
        let steps = (value - base) / step;
        (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0)
    }

    fn check_count(&self, count: usize) -> Result<(), Refusal> {
        let count = Typed::Integer(i128::try_from(count).unwrap_or(i128::MAX));
        if let Some(least) = self.min.as_ref().filter(|least| count.is_below(least)) {
            return Err(Refusal::from(Word::TooFew).with("min", least));
        }
        if let Some(most) = self.max.as_ref().filter(|most| most.is_below(&count)) {
            return Err(Refusal::from(Word::TooMany).with("max", most));
        }
        Ok(())
    }

    fn check_file(&self, file: &File) -> Result<Typed, Refusal> {
        if let Some(most) = self.maxsize.filter(|most| file.size > *most) {
            return Err(Refusal::from(Word::FileTooLarge).with("maxsize", &show_size(most)));
        }
        if !self.accept.is_empty() && !self.accept.iter().any(|wanted| accepts(wanted, file)) {
            return Err(Refusal::from(Word::WrongFile).with("accept", &self.accept.join(", ")));
        }
        Ok(Typed::File)
    }
}

/// A field that is refused.
#[derive(Debug)]
pub struct Refused {
    /// The reply that says so.
    pub reply: Reply,
    /// Whether there is more text than its pattern is put to: nobody knows whether it is good.
    pub is_unknown: bool,
}

/// Why a value is refused, before it is put into words.
#[derive(Debug)]
struct Refusal {
    word: Word,
    slots: Vec<(&'static str, String)>,
    is_unknown: bool,
}

impl Refusal {
    /// There is too much text to tell.
    fn unknown() -> Self {
        Self {
            is_unknown: true,
            ..Word::TooMuchText.into()
        }
    }

    fn with(mut self, slot: &'static str, value: &impl ToString) -> Self {
        self.slots.push((slot, value.to_string()));
        self
    }

    fn text(&self, tongue: Tongue<'_>) -> String {
        let slots = self.slots.iter();
        let slots: Vec<_> = slots.map(|(name, value)| (*name, value.as_str())).collect();
        tongue.fill(self.word, &slots)
    }
}

impl From<Word> for Refusal {
    fn from(word: Word) -> Self {
        Self {
            word,
            slots: Vec::new(),
            is_unknown: false,
        }
    }
}

/// A pattern as it was written: it is compiled for the whole value.
fn written(pattern: &Pattern) -> &str {
    let whole = pattern.as_str();
    let inner = whole.strip_prefix("^(?:");
    inner
        .and_then(|inner| inner.strip_suffix(")$"))
        .unwrap_or(whole)
}

impl Normalize {
    fn word(self) -> &'static str {
        let found = NORMALIZE.iter().find(|(_, step)| *step == self);
        found.map_or("", |(word, _)| word)
    }

    fn apply(self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Collapse => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Lowercase => text.to_lowercase(),
            Self::Uppercase => text.to_uppercase(),
        }
    }
}

/// Whether a field of this type has one value. Not a file input, which may be `multiple`; nor a check box, as many
/// frameworks put a hidden `0` before its `1`; nor a name that says that it has several.
fn takes_one(name: &str, kind: FieldType) -> bool {
    !name.ends_with("[]") && !matches!(kind, FieldType::List | FieldType::File | FieldType::Boolean)
}

fn bound(table: &Table<'_>, name: &str, kind: FieldType) -> Option<Typed> {
    let placed = table.bound(name)?;
    let text = match &placed.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wanted = match kind {
        FieldType::List => FieldType::Integer,
        FieldType::Integer | FieldType::Number | FieldType::Date => kind,
        _ => {
            table.complain(
                name,
                format!("`{name}` is for numbers, dates and lists"),
                "add type = \"integer\"",
            );
            return None;
        }
    };
    let typed = wanted.read(&text);
    if let Err(why) = &typed {
        table.complain(
            name,
            format!("`{text}` is not a bound for this type"),
            why.text(Lang::En).trim_end_matches('.'),
        );
    }
    typed.ok()
}

fn step(table: &Table<'_>, kind: FieldType) -> Option<f64> {
    let placed = table.bound("step")?;
    let number = placed.value.as_f64().filter(|step| *step > 0.0);
    if number.is_none() || !matches!(kind, FieldType::Integer | FieldType::Number) {
        table.complain(
            "step",
            "`step` is a number over 0, for type integer or number",
            "write step = 1 and type = \"integer\"",
        );
    }
    number
}

/// Whether the field is a list even if it has one value: in a JSON doc.
fn is_list(doc: &Doc, name: &str) -> bool {
    match doc {
        Doc::Flat(_) => false,
        Doc::Json(json) => json.value().get(name).is_some_and(Value::is_array),
    }
}

fn is_empty(item: &Item<'_>) -> bool {
    match item {
        Item::Text(text) => text.is_empty(),
        Item::Json(value) => value.is_null() || value.as_str() == Some(""),
        // A browser sends a file input without a file as an empty file without a name.
        Item::File(file) => file.filename.is_empty() && file.size == 0,
    }
}

/// HTML counts UTF-16 code units, a line break as one.
fn browser_length(text: &str) -> u64 {
    let breaks = text.matches("\r\n").count();
    u64::try_from(text.encode_utf16().count() - breaks).unwrap_or(u64::MAX)
}

fn accepts(wanted: &str, file: &File) -> bool {
    if wanted.starts_with('.') {
        return file.filename.to_lowercase().ends_with(wanted);
    }
    let kind = file.content_type.as_deref().unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match wanted.strip_suffix("/*") {
        Some(family) => kind.split('/').next() == Some(family),
        None => kind == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flat::Flat;
    use crate::model::hidden::Hidden;
    use crate::rules::pattern::MATCHED;
    use crate::rules::shapes::FIELD;
    use crate::source::page::Page;
    use std::sync::Arc;

    fn rule(toml: &str) -> Result<FieldRule, String> {
        let page = Page::new("t.toml", toml);
        let rule = {
            let parsed = page.parse();
            let table = Table::new(&page, &FIELD, parsed.get_ref(), 0..0);
            FieldRule::read("f", &table)
        };
        match page.into_complaints().first() {
            Some(complaint) => Err(complaint.message.clone()),
            None => Ok(rule),
        }
    }

    fn check(toml: &str, values: &[&str]) -> Result<Option<Vec<Value>>, String> {
        let rule = rule(toml).expect("a good rule");
        let mut flat = Flat::new(&Arc::new(Hidden::default()), 16);
        for value in values {
            flat.push_text("f", value);
        }
        rule.check(&Doc::from(flat), Tongue::plain(Lang::En), MATCHED)
            .map_err(|refused| refused.reply.messages()[0].msg.clone())
    }

    #[test]
    fn browsers_rules_for_values() {
        let good = [
            ("type = 'integer'\nmin = 5\nmax = 17", "12"),
            ("type = 'integer'", "-3"),
            ("type = 'number'\nstep = 0.1", "0.7"),
            ("type = 'number'", "1e3"),
            ("type = 'date'\nmin = '2026-01-01'", "2026-02-28"),
            ("type = 'email'", "zoe.o'hara+x@example.co.uk"),
            ("type = 'email'", "a@b"),
            ("type = 'url'", "https://example.org/a?b"),
            ("type = 'boolean'", "on"),
            ("pattern = 'a|b'", "b"),
            ("maxlength = 4", "a\r\nbc"),
            ("minlength = 2", "\u{1f600}"),
            ("required = true", " "),
            ("pattern = 'x+'", ""),
        ];
        for (toml, value) in good {
            assert!(
                check(toml, &[value]).is_ok(),
                "{toml}: {value:?}: {:?}",
                check(toml, &[value])
            );
        }
        let bad = [
            ("type = 'integer'\nmin = 5\nmax = 17", "4"),
            ("type = 'integer'", "12.5"),
            ("type = 'integer'", "+3"),
            ("type = 'integer'", "0x10"),
            ("type = 'number'\nstep = 0.1", "0.75"),
            ("type = 'number'", "NaN"),
            ("type = 'number'", "1,5"),
            ("type = 'date'", "2026-02-29"),
            ("type = 'date'", "26-02-01"),
            ("type = 'date'\nmax = '2026-01-01'", "2026-01-02"),
            ("type = 'email'", "a b@example.org"),
            ("type = 'email'", "a@-b.org"),
            ("type = 'email'", "a@b."),
            ("type = 'url'", "example.org"),
            ("type = 'boolean'", "maybe"),
            ("pattern = 'a|b'", "ab"),
            ("maxlength = 4", "abcde"),
            ("required = true", ""),
        ];
        for (toml, value) in bad {
            assert!(check(toml, &[value]).is_err(), "{toml}: {value:?}");
        }
    }

    #[test]
    fn values_get_their_type() {
        assert_eq!(
            check("type = 'integer'", &["12"]),
            Ok(Some(vec![12.into()]))
        );
        assert_eq!(
            check("type = 'list'\nmin = 1", &["a"]),
            Ok(Some(vec![serde_json::json!(["a"])]))
        );
        assert_eq!(
            check("type = 'boolean'", &["off"]),
            Ok(Some(vec![false.into()]))
        );
        assert_eq!(check("", &["x"]), Ok(None));
        for toml in ["type = 'integer'", "type = 'date'", "type = 'string'"] {
            let values = ["2026", "2026"];
            assert_eq!(check(toml, &values), Err("Give one value.".to_owned()));
        }
        assert_eq!(
            check("type = 'boolean'", &["0", "1"]),
            Ok(Some(vec![false.into(), true.into()]))
        );
        assert_eq!(check("maxlength = 1", &["a", "b"]), Ok(None));
        assert_eq!(
            check("type = 'list'\nmin = 2", &["a"]),
            Err("Choose at least 2.".to_owned())
        );
        assert_eq!(
            check("required = true\nmsg = 'Please!'", &[]),
            Err("Please!".to_owned())
        );
    }

    #[test]
    fn an_empty_value_beside_others_counts_where_one_is_expected() {
        for (toml, values) in [
            ("type = 'integer'", ["1", ""]),
            ("type = 'integer'", ["", "1"]),
            ("type = 'number'", ["", "1"]),
            ("type = 'date'", ["2026-11-20", ""]),
            ("type = 'email'", ["", "a@b"]),
            ("type = 'url'", ["https://a", ""]),
            ("required = true", ["x", ""]),
            ("required = true", ["", "x"]),
            ("type = 'boolean'", ["1", ""]),
        ] {
            assert!(check(toml, &values).is_err(), "{toml}: {values:?}");
        }
        for (toml, values) in [
            ("type = 'boolean'", ["0", "1"]),
            ("type = 'boolean'", ["", "1"]),
            ("type = 'list'\nrequired = true", ["", "x"]),
            ("pattern = 'x'", ["", "x"]),
            ("type = 'integer'", ["", ""]),
        ] {
            assert!(check(toml, &values).is_ok(), "{toml}: {values:?}");
        }
        let mut tags = rule("required = true").expect("good");
        tags.name = "f[]".to_owned();
        let mut flat = Flat::new(&Arc::new(Hidden::default()), 16);
        flat.push_text("f[]", "");
        flat.push_text("f[]", "x");
        assert!(
            tags.check(&Doc::from(flat), Tongue::plain(Lang::En), MATCHED)
                .is_ok()
        );
    }

    #[test]
    fn bad_constraints_are_refused() {
        for (toml, why) in [
            ("min = 3", "`min` is for numbers"),
            ("type = 'integer'\nmin = 'x'", "not a bound"),
            ("type = 'integer'\nmin = 3\nmax = 2", "no value lies"),
            ("minlength = 3\nmaxlength = 2", "no value is"),
            ("accept = ['.pdf']", "is for files"),
            ("pattern = '('", "unclosed"),
            ("type = 'int'", "`int` is not a value of `type`"),
            ("type = 'number'\nstep = 0", "`step` is a number over 0"),
        ] {
            let error = rule(toml).expect_err(toml);
            assert!(error.contains(why), "{toml}: {error}");
        }
    }

    #[test]
    fn files_are_judged_by_type_and_size() {
        let rule =
            rule("type = 'file'\naccept = ['image/*', '.PDF']\nmaxsize = '1KiB'").expect("good");
        let verdict = |filename: &str, kind: &str, size: u64| {
            let mut flat = Flat::new(&Arc::new(Hidden::default()), 16);
            let file = File {
                filename: filename.into(),
                content_type: Some(kind.into()),
                size,
                sha256: String::new(),
            };
            flat.push_file("f", file);
            rule.check(&Doc::from(flat), Tongue::plain(Lang::En), MATCHED)
                .is_ok()
        };
        assert!(verdict("a.png", "image/png", 10));
        assert!(verdict("a.Pdf", "application/pdf", 10));
        assert!(
            verdict("", "application/octet-stream", 0),
            "no file chosen, and none is required"
        );
        assert!(!verdict("a.exe", "application/x-msdownload", 10));
        assert!(!verdict("a.png", "image/png", 2000));
    }

    #[test]
    fn normalising_changes_only_what_differs() {
        let rule = rule("normalize = ['trim', 'lowercase']").expect("good");
        let normalized = |value: &str| {
            let mut flat = Flat::new(&Arc::new(Hidden::default()), 16);
            flat.push_text("f", value);
            rule.normalized(&Doc::from(flat))
        };
        assert_eq!(
            normalized(" Ana@Example.ORG "),
            Some("ana@example.org".into())
        );
        assert_eq!(normalized("ana@example.org"), None);
    }
}
