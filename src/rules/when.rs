//! The two keys that say when something applies: `when` and `matches`. Owns reading both with their places and
//! asking them; the expressions themselves are left to [`crate::rules::condition`].

use std::ops::Range;

use serde_json::Value;

use crate::rules::condition::Condition;
use crate::rules::condition::Fault;
use crate::rules::condition::Path;
use crate::rules::condition::TooMuch;
use crate::rules::pattern;
use crate::rules::pattern::Pattern;
use crate::rules::pattern::Room;
use crate::rules::pattern::TooLong;
use crate::rules::shapes::TEXT_TABLE;
use crate::source::table::Placed;
use crate::source::table::Table;
use crate::source::table::to_json;

/// When a rule or hook applies: always, unless `when` or `matches` say otherwise.
#[derive(Debug, Clone, Default)]
pub struct When {
    condition: Option<Condition>,
    matches: Vec<(Path, Pattern)>,
    written: Vec<String>,
    numbers: Vec<(String, Range<usize>)>,
    fields: Vec<String>,
}

impl When {
    /// Reads `when` and `matches` of a table.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let mut when = Self::default();
        if let Some(text) = table.text("when") {
            when.written.push(text.value.clone());
            match Condition::compile(&text.value) {
                Ok(condition) => {
                    if let Some(fault) = condition.misnamed(&text.value) {
                        complain(table, &text, &fault, "`when`");
                    }
                    let numbers = condition.numbers(&text.value).into_iter();
                    when.numbers = numbers
                        .map(|(name, span)| (name, place_in(table, &text, span)))
                        .collect();
                    when.fields = condition.fields();
                    when.condition = Some(condition);
                }
                Err(fault) => complain(table, &text, &fault, "`when`"),
            }
        }
        when.read_matches(table);
        when
    }

    fn read_matches(&mut self, table: &Table<'_>) {
        let Some(inner) = table.table("matches", &TEXT_TABLE) else {
            return;
        };
        for (path, value) in inner.entries() {
            let regex = to_json(value.get_ref());
            if let Ok(compiled) = Path::compile(&path.value)
                && let Some(fault) = compiled.misnamed(&path.value)
            {
                let span = path.span.clone();
                table
                    .page()
                    .complain(span, format!("`matches`: {}", fault.message), fault.mend);
                continue;
            }
            let (path, span) = (path.value, value.span());
            let compiled =
                Path::compile(&path).map_err(|fault| format!("{}; {}", fault.message, fault.mend));
            let regex = regex
                .as_str()
                .ok_or("the regular expression must be a text in quotes; write for example '@example\\.org$'".to_owned());
            let both = compiled.and_then(|path| Ok((path, pattern::anywhere(regex?)?)));
            match both {
                Ok((compiled, regex)) => {
                    self.written.push(format!("{path} ~ {}", regex.as_str()));
                    self.fields.extend(compiled.field().map(str::to_owned));
                    self.matches.push((compiled, regex));
                }
                Err(why) => {
                    table
                        .page()
                        .complain(span, format!("`{path}` in `matches`: {why}"), "");
                }
            }
        }
    }

    /// Whether it applies to everything, so that no call need be looked at.
    #[must_use]
    pub const fn is_always(&self) -> bool {
        self.condition.is_none() && self.matches.is_empty()
    }

    /// The fields that it asks about by name.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Whether it applies to `call`, whose fields named in `lists` are lists by their type; it does to one in which a
    /// field that was sent more than once has a value to which it would apply. Each of its patterns is put to at most
    /// `matched` bytes of text.
    ///
    /// # Errors
    /// The call is too large to tell. Whoever asks takes it for one to which it applies: when in doubt, ask.
    pub fn applies(&self, call: &Value, lists: &[String], matched: usize) -> Result<bool, TooMuch> {
        let room = Room::new(matched);
        let mut given_up = None;
        if let Some(condition) = &self.condition {
            match condition.holds(call, lists, room) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(why) => given_up = Some(why),
            }
        }
        for (path, pattern) in &self.matches {
            match finds(path, pattern, call, room) {
                Ok(true) => {}
                // What does not apply for one reason does not for another that is too large to tell.
                Ok(false) => return Ok(false),
                Err(why) => given_up = Some(why),
            }
        }
        given_up.map_or(Ok(true), Err)
    }

    /// The fields that are compared with a number, and where in the file.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, &Range<usize>)> {
        self.numbers
            .iter()
            .map(|(name, span)| (name.as_str(), span))
    }

    /// As it was written, for `explain`.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }
}

/// Whether the pattern matches a value that the path may mean.
fn finds(path: &Path, pattern: &Pattern, call: &Value, mut room: Room) -> Result<bool, TooMuch> {
    for value in path.may_locate(call)? {
        if is_match(pattern, value, &mut room)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_match(pattern: &Pattern, value: &Value, room: &mut Room) -> Result<bool, TooLong> {
    match value {
        Value::String(text) => pattern.is_match(text, room),
        Value::Number(number) => pattern.is_match(&number.to_string(), room),
        Value::Bool(flag) => pattern.is_match(if *flag { "true" } else { "false" }, room),
        // The values of a field that was sent more than once.
        Value::Array(list) => {
            for value in list {
                if is_match(pattern, value, room)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Null | Value::Object(_) => Ok(false),
    }
}

/// The place in the file of a place in an expression.
fn place_in(table: &Table<'_>, text: &Placed<String>, span: Range<usize>) -> Range<usize> {
    let written = &table.page().text().content[text.span.clone()];
    match written.find(&text.value).filter(|_| !text.value.is_empty()) {
        Some(offset) => {
            let start = text.span.start + offset;
            start + span.start..start + span.end
        }
        // Written with escapes: the places inside do not correspond.
        None => text.span.clone(),
    }
}

/// Complains of an expression at the very place in it that is wrong.
fn complain(table: &Table<'_>, text: &Placed<String>, fault: &Fault, what: &str) {
    let span = place_in(table, text, fault.span.clone());
    table.page().complain(
        span,
        format!("{what}: {}", fault.message),
        fault.mend.as_str(),
    );
}
