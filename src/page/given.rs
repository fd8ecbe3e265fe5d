//! What the controls of a form are to hold. Owns giving out values one by one, as a browser collects them: the n-th
//! control of a name gets its n-th value. Writing them into tags is left to [`crate::page::state`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::doc::scalar_text;
use crate::model::flat::Flat;
use crate::model::hidden::Hidden;
use crate::page::change::Values;
use crate::page::entries::may_be_typed;

/// One value of a field. Line breaks in it are LF: browsers send every one as CR LF, whatever the page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::page) enum Entry {
    Text(Arc<str>),
    Flag(bool),
    /// A file; the flag says whether one was chosen.
    File(bool),
}

impl Entry {
    fn of(item: &Item<'_>) -> Option<Self> {
        match item {
            Item::Text(text) => Some(Self::Text(with_lf(text).into())),
            Item::Json(Value::Bool(flag)) => Some(Self::Flag(*flag)),
            Item::Json(value) => scalar_text(value).map(|text| Self::Text(with_lf(&text).into())),
            Item::File(file) => Some(Self::File(!file.filename.is_empty())),
        }
    }

    /// Whether a control or option with this value is meant by it. A yes or no is meant by the words that a field of
    /// the type `boolean` takes for it.
    pub(in crate::page) fn means(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => **text == *with_lf(value),
            Self::Flag(flag) => {
                let words: &[&str] = if *flag {
                    &["true", "on", "yes", "1"]
                } else {
                    &["false", "off", "no", "0"]
                };
                words.iter().any(|word| word.eq_ignore_ascii_case(value))
            }
            Self::File(_) => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::File(_) => String::new(),
        }
    }
}

fn with_lf(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") {
        text.replace("\r\n", "\n").into()
    } else {
        text.into()
    }
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    Free,
    /// A control holds it.
    Held,
    /// A control could have held it and turned out not to.
    Lost,
}

/// The values of one field. Each is looked at a few times at most, however many controls there are: both their numbers
/// can be large, and one of them is said by whoever sends.
#[derive(Debug, Default)]
struct Field {
    entries: Vec<Entry>,
    seats: Vec<Seat>,
    /// Before it, no value is free except files.
    next: usize,
    /// Before it, no file is free.
    next_file: usize,
    /// The places of texts, the first one last; once one was looked for.
    by_text: Option<HashMap<Arc<str>, Vec<usize>>>,
    /// The first yes or no.
    flag: Option<bool>,
    /// Whether a checkbox shows it.
    is_flag_held: bool,
    #[cfg(test)]
    looks: usize,
}

impl Field {
    fn new(entries: Vec<Entry>) -> Self {
        let flag = entries.iter().find_map(|entry| match entry {
            Entry::Flag(flag) => Some(*flag),
            Entry::Text(_) | Entry::File(_) => None,
        });
        Self {
            seats: vec![Seat::Free; entries.len()],
            entries,
            flag,
            ..Self::default()
        }
    }

    #[cfg(test)]
    const fn look(&mut self) {
        self.looks += 1;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "looks are counted in tests only")]
    const fn look(&self) {}

    /// The first value that is free and no file.
    fn first(&mut self) -> Option<usize> {
        while self.next < self.entries.len() {
            self.look();
            let is_file = matches!(self.entries[self.next], Entry::File(_));
            if !is_file && self.seats[self.next] == Seat::Free {
                return Some(self.next);
            }
            self.next += 1;
        }
        None
    }

    fn take_first(&mut self) -> Option<usize> {
        let at = self.first()?;
        self.seats[at] = Seat::Held;
        Some(at)
    }

    /// Whether one of the texts is this one.
    fn has_text(&mut self, text: &str) -> bool {
        let by_text = self.by_text.take().unwrap_or_else(|| self.index());
        let has = by_text.contains_key(&*with_lf(text));
        self.by_text = Some(by_text);
        has
    }

    /// Takes the first free text that is this one. Whether there was one.
    fn take_text(&mut self, text: &str) -> bool {
        let mut by_text = self.by_text.take().unwrap_or_else(|| self.index());
        let mut places = by_text.get_mut(&*with_lf(text));
        let mut found = false;
        while let Some(at) = places.as_mut().and_then(|places| places.pop()) {
            self.look();
            if self.seats[at] == Seat::Free {
                self.seats[at] = Seat::Held;
                found = true;
                break;
            }
        }
        self.by_text = Some(by_text);
        found
    }

    fn index(&mut self) -> HashMap<Arc<str>, Vec<usize>> {
        let mut by_text = HashMap::<_, Vec<usize>>::new();
        for at in (0..self.entries.len()).rev() {
            self.look();
            if let Entry::Text(text) = &self.entries[at] {
                by_text.entry(Arc::clone(text)).or_default().push(at);
            }
        }
        by_text
    }

    /// The texts that no control holds.
    fn left(&self) -> Vec<String> {
        let seats = self.entries.iter().zip(&self.seats);
        let left = seats.filter(|(entry, seat)| {
            let is_flag = matches!(entry, Entry::Flag(_));
            **seat != Seat::Held && !(is_flag && self.is_flag_held)
        });
        left.map(|(entry, _)| entry.text()).collect()
    }

    /// Takes the next file; whether one was chosen.
    fn take_file(&mut self) -> Option<bool> {
        while self.next_file < self.entries.len() {
            self.look();
            let at = self.next_file;
            self.next_file += 1;
            if let Entry::File(chosen) = self.entries[at] {
                self.seats[at] = Seat::Held;
                return Some(chosen);
            }
        }
        None
    }
}

/// What was entered in a field that is never put into a page.
#[derive(Debug)]
enum Secret {
    Nothing,
    /// The same everywhere.
    One(Arc<str>),
    Several,
}

/// A value that a choice is to show.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Wanted {
    pub(in crate::page) entry: Entry,
    at: usize,
}

/// The values, as far as they have not been given out.
#[derive(Debug)]
pub(in crate::page) struct Given {
    values: Values,
    hidden: Arc<Hidden>,
    /// Fields that were asked for; `None` for those that are to be left alone.
    fields: HashMap<String, Option<Field>>,
    /// Fields that are never put into a page, as far as they were asked for.
    secrets: HashMap<String, Secret>,
    /// Fields that have been said to be lost.
    lost: HashSet<String>,
    /// Fields none of whose values is missed.
    unmissed: HashSet<String>,
    /// Names of controls of the form that are not disabled.
    enabled: HashSet<String>,
}

impl Given {
    pub(in crate::page) fn new(values: Values, hidden: Arc<Hidden>) -> Self {
        Self {
            values,
            hidden,
            fields: HashMap::new(),
            secrets: HashMap::new(),
            lost: HashSet::new(),
            unmissed: HashSet::new(),
            enabled: HashSet::new(),
        }
    }

    /// A disabled control with one of these names holds nothing of what was sent: another one sent it.
    pub(in crate::page) fn enabled(&mut self, names: HashSet<String>) {
        self.enabled = names;
    }

    /// Whether a control was not sent, but another one of its name.
    pub(in crate::page) fn is_passed_over(&self, name: &str, disabled: bool) -> bool {
        disabled && self.is_submitted() && self.enabled.contains(name)
    }

    /// How many names were sent that [tell](Self::tells) forms apart. A JSON doc does not have the names of controls.
    pub(in crate::page) fn names_sent(&self) -> usize {
        let Values::Submitted(doc @ Doc::Flat(_)) = &self.values else {
            return 0;
        };
        let names = doc.visible_names();
        names.iter().filter(|name| self.tells(name)).count()
    }

    /// Whether forms can be told apart by fields of this name: not by what is another each time a page is shown.
    pub(in crate::page) fn tells(&self, name: &str) -> bool {
        name == "_method" || (may_be_typed(name) && !self.hidden.covers(name))
    }

    /// Whether a field of this name was sent.
    pub(in crate::page) fn is_sent(&mut self, name: &str) -> bool {
        match &self.values {
            Values::Submitted(Doc::Flat(flat)) => flat.has(name),
            Values::Submitted(Doc::Json(_)) => {
                let field = self.field(name, false);
                field.is_some_and(|field| !field.entries.is_empty())
            }
            Values::Keep | Values::Prefill(_) => false,
        }
    }

    /// Whether a field of this name was sent with this value.
    pub(in crate::page) fn holds(&mut self, name: &str, value: &str) -> bool {
        let field = self.field(name, false);
        field.is_some_and(|field| field.has_text(value))
    }

    const fn is_submitted(&self) -> bool {
        matches!(self.values, Values::Submitted(_))
    }

    /// The text of the next control of this name; `None` to leave it as it is.
    pub(in crate::page) fn text(&mut self, name: &str, disabled: bool) -> Option<String> {
        let is_submitted = self.is_submitted();
        let field = self.field(name, disabled)?;
        match field.take_first() {
            Some(at) => Some(field.entries[at].text()),
            // A control that was disabled was not sent; a field that is to hold less holds nothing more.
            None => (!is_submitted).then(String::new),
        }
    }

    /// Whether the checkbox or option with this value is to be chosen; `None` to leave it as it is.
    pub(in crate::page) fn is_chosen(
        &mut self,
        name: &str,
        value: &str,
        disabled: bool,
    ) -> Option<bool> {
        let is_unsent = disabled && self.is_submitted();
        let field = self.field(name, disabled)?;
        field.is_flag_held = true;
        let chosen = field.take_text(value) || field.flag.unwrap_or_default();
        (chosen || !is_unsent).then_some(chosen)
    }

    /// As [`Self::is_chosen`], for a radio button: of two, yes and no, a flag means one; and of what was sent, only the
    /// first can be one of a group's, for what follows is that of a text field beside it.
    pub(in crate::page) fn is_radio_chosen(
        &mut self,
        name: &str,
        value: &str,
        disabled: bool,
    ) -> Option<bool> {
        let is_submitted = self.is_submitted();
        let field = self.field(name, disabled)?;
        if !is_submitted && field.take_text(value) {
            return Some(true);
        }
        let first = field.first();
        let is_it = first.is_some_and(|at| field.entries[at].means(value));
        if is_it {
            field.take_first();
        }
        (is_it || !(is_submitted && disabled)).then_some(is_it)
    }

    /// What the next choice of this name is to be: `Some(None)` for nothing, `None` to leave it as it is.
    pub(in crate::page) fn choice(&mut self, name: &str, disabled: bool) -> Option<Option<Wanted>> {
        let is_submitted = self.is_submitted();
        let field = self.field(name, disabled)?;
        match field.take_first() {
            Some(at) => Some(Some(Wanted {
                entry: field.entries[at].clone(),
                at,
            })),
            None => (!is_submitted).then_some(None),
        }
    }

    /// The choice has no option for it.
    pub(in crate::page) fn lose(&mut self, name: &str, wanted: &Wanted) {
        if let Some(Some(field)) = self.fields.get_mut(name) {
            field.seats[wanted.at] = Seat::Lost;
        }
    }

    /// A hidden field holds this: then it is no other control's.
    pub(in crate::page) fn pass(&mut self, name: &str, value: &str, disabled: bool) {
        if self.is_submitted()
            && let Some(field) = self.field(name, disabled)
        {
            field.take_text(value);
        }
    }

    /// Whether a file was chosen in the next control of this name, which nobody can put back into it.
    pub(in crate::page) fn had_file(&mut self, name: &str, multiple: bool, disabled: bool) -> bool {
        if !self.is_submitted() {
            return false;
        }
        let Some(field) = self.field(name, disabled) else {
            return false;
        };
        let mut had = false;
        while let Some(chosen) = field.take_file() {
            had |= chosen;
            if !multiple {
                break;
            }
        }
        had
    }

    /// Whether the person entered something other than `current` in a field that is never put into a page.
    pub(in crate::page) fn is_lost(&mut self, name: &str, secret: bool, current: &str) -> bool {
        if !self.is_submitted() || !(secret || self.hidden.covers(name)) {
            return false;
        }
        let entered = self
            .secrets
            .entry(name.to_owned())
            .or_insert_with(|| secret_of(&self.values, name));
        match entered {
            Secret::Nothing => false,
            Secret::One(text) => **text != *with_lf(current),
            Secret::Several => true,
        }
    }

    /// A field of this name holds what the page says, or nothing that may be shown: no value of it is missed.
    pub(in crate::page) fn is_not_missed(&mut self, name: &str) {
        if self.is_submitted() && !self.unmissed.contains(name) {
            self.unmissed.insert(name.to_owned());
        }
    }

    /// What the person entered and no control has got so far, by field.
    pub(in crate::page) fn left(&self) -> Vec<(String, String)> {
        let Values::Submitted(doc) = &self.values else {
            return Vec::new();
        };
        let mut left = Vec::new();
        for name in doc.visible_names() {
            if self.unmissed.contains(&*name) || !may_be_typed(&name) {
                continue;
            }
            let mut texts = match self.asked_for(&name) {
                Some(field) => field.left(),
                None => doc.items(&name).iter().filter_map(Item::text).collect(),
            };
            texts.retain(|text| !text.is_empty());
            if !texts.is_empty() {
                left.push((name.into_owned(), texts.join(", ")));
            }
        }
        left
    }

    /// A field that a control asked for, under its own name or that of a list.
    fn asked_for(&self, name: &str) -> Option<&Field> {
        let own = self.fields.get(name);
        own.or_else(|| self.fields.get(&format!("{name}[]")))?
            .as_ref()
    }

    /// Whether it is the first time that something is said to be lost.
    pub(in crate::page) fn is_news(&mut self, name: &str) -> bool {
        self.lost.insert(name.to_owned())
    }

    /// Whether something is to be done to a control of this name.
    pub(in crate::page) fn is_about(&mut self, name: &str, disabled: bool) -> bool {
        self.field(name, disabled).is_some()
    }

    /// The values that a control of this name may take, if any.
    fn field(&mut self, name: &str, disabled: bool) -> Option<&mut Field> {
        if matches!(self.values, Values::Keep) || name.is_empty() {
            return None;
        }
        if self.is_passed_over(name, disabled) {
            return None;
        }
        if !self.fields.contains_key(name) {
            let field = if self.hidden.covers(name) {
                None
            } else {
                entries(&self.values, name).map(Field::new)
            };
            self.fields.insert(name.to_owned(), field);
        }
        self.fields.get_mut(name)?.as_mut()
    }
}

fn secret_of(values: &Values, name: &str) -> Secret {
    let mut secret = Secret::Nothing;
    for entry in entries(values, name).unwrap_or_default() {
        let text: Arc<str> = match entry {
            Entry::Text(text) => text,
            Entry::Flag(flag) => flag.to_string().into(),
            Entry::File(_) => continue,
        };
        secret = match secret {
            Secret::Nothing if !text.is_empty() => Secret::One(text),
            Secret::One(one) if !text.is_empty() && text != one => return Secret::Several,
            secret => secret,
        };
    }
    secret
}

/// The values of a field; `None` if nothing is said about it.
fn entries(values: &Values, name: &str) -> Option<Vec<Entry>> {
    match values {
        Values::Keep => None,
        Values::Submitted(Doc::Flat(flat)) => Some(flat_entries(flat, name)),
        Values::Submitted(Doc::Json(json)) => {
            let found = json.value().as_object().and_then(|doc| find(doc, name));
            Some(found.and_then(json_entries).unwrap_or_default())
        }
        Values::Prefill(jdoc) => find(jdoc, name).and_then(json_entries),
    }
}

fn flat_entries(flat: &Flat, name: &str) -> Vec<Entry> {
    let items = flat.items(name);
    items.iter().filter_map(Entry::of).collect()
}

/// Nothing can be made of an object.
fn json_entries(value: &Value) -> Option<Vec<Entry>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => {
            let items = list.iter();
            Some(
                items
                    .filter_map(|value| Entry::of(&Item::Json(value)))
                    .collect(),
            )
        }
        Value::Object(_) => None,
        value => Some(Entry::of(&Item::Json(value)).into_iter().collect()),
    }
}

/// The value of a field in JSON: the member of this name, or the place that its brackets name.
fn find<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('[')?;
    let mut value = object.get(first)?;
    let mut parts = rest.strip_suffix(']')?.split("][").peekable();
    while let Some(part) = parts.next() {
        value = match value {
            // `a[]` is the list itself.
            Value::Array(_) if part.is_empty() && parts.peek().is_none() => value,
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            Value::Object(object) => object.get(part)?,
            _ if part.is_empty() && parts.peek().is_none() => value,
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    use crate::model::json_doc::JsonDoc;

    fn submitted(pairs: &[(&str, &str)]) -> Given {
        let hidden = Arc::new(Hidden::new(["card"]));
        let mut flat = Flat::new(&hidden, 0);
        for (name, value) in pairs {
            flat.push_text(name, value);
        }
        Given::new(Values::Submitted(flat.into()), hidden)
    }

    fn prefill(jdoc: Value) -> Given {
        let Value::Object(jdoc) = jdoc else {
            unreachable!("an object")
        };
        Given::new(Values::Prefill(jdoc), Arc::default())
    }

    #[test]
    fn the_nth_control_gets_the_nth_value() {
        let mut given = submitted(&[("a", "1"), ("b", "x"), ("a", "2")]);
        assert_eq!(given.text("a", false).as_deref(), Some("1"));
        assert_eq!(given.text("a", false).as_deref(), Some("2"));
        assert_eq!(given.text("a", false), None);
        assert_eq!(given.text("c", false), None);
    }

    #[test]
    fn hidden_fields_take_their_own_value_first() {
        let mut given = submitted(&[("agree", "0"), ("agree", "1"), ("card", "4111")]);
        given.pass("agree", "0", false);
        assert_eq!(given.text("agree", false).as_deref(), Some("1"));
        assert_eq!(given.text("card", false), None);
        assert_eq!(given.is_chosen("card", "x", false), None);
        assert!(!given.is_lost("agree", false, "") && !given.is_lost("card", false, "4111"));
        assert!(given.is_lost("card", false, "") && given.is_lost("agree", true, ""));
    }

    #[test]
    fn what_was_not_sent_is_not_checked_unless_it_was_disabled() {
        let mut given = submitted(&[("a", "on"), ("text", "one\r\ntwo")]);
        assert_eq!(given.is_chosen("a", "on", false), Some(true));
        assert_eq!(given.is_chosen("a", "on", false), Some(false));
        assert_eq!(given.is_chosen("b", "on", false), Some(false));
        assert_eq!(given.is_chosen("b", "on", true), None);
        assert_eq!(given.is_radio_chosen("text", "one\ntwo", false), Some(true));
    }

    #[test]
    fn a_prefill_is_about_its_own_fields_only() {
        let mut given = prefill(
            json!({"a": null, "n": 12, "yes": true, "list": ["x", "y"], "o": {"p": ["q"]}}),
        );
        assert_eq!(given.text("a", false).as_deref(), Some(""));
        assert_eq!(given.text("n", false).as_deref(), Some("12"));
        assert_eq!(given.text("n", false).as_deref(), Some(""));
        assert_eq!(given.text("other", false), None);
        assert_eq!(given.text("o", false), None);
        assert_eq!(given.is_chosen("yes", "agreed", false), Some(true));
        assert_eq!(given.is_radio_chosen("yes", "no", false), Some(false));
        assert_eq!(given.is_radio_chosen("yes", "yes", false), Some(true));
        assert_eq!(given.is_chosen("list[]", "y", true), Some(true));
        assert_eq!(
            given.choice("o[p][0]", false),
            Some(Some(Wanted {
                entry: Entry::Text("q".into()),
                at: 0
            }))
        );
        assert_eq!(given.choice("a", false), Some(None));
        assert_eq!(given.choice("other", false), None);
    }

    #[test]
    fn json_docs_are_read_by_name_or_brackets() {
        let doc = JsonDoc::new(
            Bytes::from_static(
                br#"{"user": {"email": "a@b", "tags": [1, 2]}, "ok": false, "x": null}"#,
            ),
            &Arc::default(),
            false,
        );
        let mut given = Given::new(Values::Submitted(doc.into()), Arc::default());
        assert_eq!(given.text("user[email]", false).as_deref(), Some("a@b"));
        assert_eq!(given.is_chosen("user[tags][]", "2", false), Some(true));
        assert_eq!(given.is_chosen("ok", "on", false), Some(false));
        assert_eq!(given.text("x", false), None);
        assert_eq!(given.text("user", false), None);
    }

    /// How often values are looked at where `count` of one name are sent, and as many options could be them.
    fn looks(count: usize, each: impl Fn(&mut Given, &str)) -> usize {
        let values: Vec<String> = (0..count).map(|at| format!("{at}\r\n")).collect();
        let pairs: Vec<(&str, &str)> = values.iter().map(|value| ("a", &**value)).collect();
        let mut given = submitted(&pairs);
        for value in values.iter().rev() {
            each(&mut given, value);
        }
        let field = given.fields["a"].as_ref().expect("a field");
        field.looks
    }

    #[test]
    fn a_value_is_looked_at_a_few_times_however_many_there_are() {
        for each in [
            (|given, value| {
                assert_eq!(given.is_chosen("a", value, false), Some(true));
            }) as fn(&mut Given, &str),
            |given, value| {
                assert_eq!(given.is_chosen("a", value, false), Some(true));
                assert_eq!(given.is_chosen("a", "none", false), Some(false));
                given.is_radio_chosen("a", "none", false);
            },
            |given, value| {
                given.text("a", false);
                given.is_chosen("a", value, false);
            },
            |given, value| {
                given.pass("a", value, false);
                given.text("a", false);
            },
            |given, value| {
                given.choice("a", false);
                given.had_file("a", true, false);
                given.pass("a", value, false);
            },
        ] {
            for count in [100, 10_000] {
                assert!(looks(count, each) <= 5 * count, "{count}");
            }
        }
    }

    #[test]
    fn of_radio_buttons_and_a_text_field_beside_them_each_gets_its_own() {
        let mut given = submitted(&[("r", "2"), ("r", "1")]);
        assert_eq!(given.is_radio_chosen("r", "1", false), Some(false));
        assert_eq!(given.is_radio_chosen("r", "2", false), Some(true));
        assert_eq!(given.text("r", false).as_deref(), Some("1"));
    }

    #[test]
    fn what_is_disabled_was_not_sent() {
        let mut given = submitted(&[("a", "1"), ("r", "1")]);
        given.enabled(HashSet::from(["a".to_owned(), "r".to_owned()]));
        assert_eq!(given.text("a", true), None);
        assert_eq!(given.is_chosen("a", "1", true), None);
        assert_eq!(given.is_radio_chosen("r", "1", true), None);
        assert_eq!(given.choice("a", true), None);
        given.pass("a", "1", true);
        assert_eq!(given.text("a", false).as_deref(), Some("1"));
        // One that a script had enabled.
        let mut given = submitted(&[("a", "1")]);
        assert_eq!(given.is_chosen("a", "2", true), None);
        assert_eq!(given.text("a", true).as_deref(), Some("1"));
    }
}
