//! The types of form fields, read from text as browsers do. Owns the types and their values; constraints on them
//! are left to [`crate::rules::fields`].

use std::fmt;
use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;
use serde_json::Number;
use serde_json::Value;
use url::Url;

use crate::model::words::Word;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A check box or a word for yes or no.
    Boolean,
    /// A day: `2026-11-20`.
    Date,
    /// An e-mail address as browsers judge it.
    Email,
    /// An absolute URL.
    Url,
    /// Any number of texts; a list in the doc even if there is one.
    List,
    /// An uploaded file.
    File,
}

/// A value that has been read as its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// Text, which needs no typed value in the doc.
    Text,
    /// An element of a list.
    Element(String),
    /// A whole number.
    Integer(i128),
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// A day.
    Date(Date),
    /// A file, which is in the doc already.
    File,
}

impl FieldType {
    /// The words of rule files.
    pub const WORDS: [(&'static str, Self); 9] = [
        ("string", Self::String),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("date", Self::Date),
        ("email", Self::Email),
        ("url", Self::Url),
        ("list", Self::List),
        ("file", Self::File),
    ];

    /// The word in rule files.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("string", |(word, _)| word)
    }

    /// Reads a text that is not empty.
    ///
    /// # Errors
    /// What the person who typed it is told.
    pub fn read(self, text: &str) -> Result<Typed, Word> {
        match self {
            Self::String | Self::File => Ok(Typed::Text),
            Self::List => Ok(Typed::Element(text.to_owned())),
            Self::Integer => integer(text).map(Typed::Integer).ok_or(Word::NoInteger),
            Self::Number => number(text).map(Typed::Number).ok_or(Word::NoNumber),
            Self::Boolean => boolean(text).map(Typed::Boolean).ok_or(Word::NoBoolean),
            Self::Date => date(text).map(Typed::Date).ok_or(Word::NoDate),
            Self::Email if EMAIL.is_match(text) => Ok(Typed::Text),
            Self::Email => Err(Word::NoEmail),
            Self::Url if Url::parse(text).is_ok() => Ok(Typed::Text),
            Self::Url => Err(Word::NoUrl),
        }
    }
}

impl Typed {
    /// The value for the doc; `None` where the text says it all.
    #[must_use]
    pub fn into_value(self) -> Option<Value> {
        match self {
            Self::Text | Self::File | Self::Date(_) => None,
            Self::Element(text) => Some(text.into()),
            Self::Integer(number) => Number::from_i128(number).map(Value::Number),
            Self::Number(number) => Number::from_f64(number).map(Value::Number),
            Self::Boolean(flag) => Some(flag.into()),
        }
    }

    /// The value as a floating-point number.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a step beyond 2^53 cannot be told apart in a browser either"
    )]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether it is less than `other`; false where the two have no order.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(this), Self::Integer(that)) => this < that,
            (Self::Date(this), Self::Date(that)) => this < that,
            _ => match (self.as_f64(), other.as_f64()) {
                (Some(this), Some(that)) => this < that,
                _ => false,
            },
        }
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text | Self::File => Ok(()),
            Self::Element(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Date(date) => write!(f, "{date}"),
        }
    }
}

/// HTML, section 4.10.5.1.5: what `<input type=email>` takes.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
    let pattern = format!(r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{label}(?:\.{label})*$");
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and a test compiles it"
    )]
    Regex::new(&pattern).expect("a constant pattern")
});

/// A whole number as it must look; `i64` or `u64`, so that JSON can hold it.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i128>().ok().filter(|_| plain)?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&number)
        .then_some(number)
}

/// HTML, section 2.3.4.3: a valid floating-point number.
fn number(text: &str) -> Option<f64> {
    let body = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_good = match mantissa.split_once('.') {
        Some((whole, part)) => (whole.is_empty() || digits(whole)) && digits(part),
        None => digits(mantissa),
    };
    let exponent_good = exponent
        .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|_| mantissa_good && exponent_good)?;
    number.is_finite().then_some(number)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// HTML, section 2.3.5.2: four digits or more, a dash, two, a dash, two; there is no year 0.
fn date(text: &str) -> Option<Date> {
    let plain = text.len() == 10
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = text.parse::<Date>().ok().filter(|_| plain)?;
    (date.year() > 0).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_can_hold() {
        assert_eq!(integer("18446744073709551615"), Some(i128::from(u64::MAX)));
        assert_eq!(integer("18446744073709551616"), None);
        assert_eq!(integer("007"), Some(7));
        assert_eq!(number(".5"), Some(0.5));
        assert_eq!(number("5."), None);
        assert_eq!(number("1e999"), None);
        assert_eq!(number("inf"), None);
        assert_eq!(date("0000-01-01"), None);
        assert!(date("0001-01-01").is_some());
    }

    #[test]
    fn emails_as_browsers_judge_them() {
        for (text, good) in [
            ("a@b.c", true),
            ("a@b", true),
            ("a@b..c", false),
            ("@b.c", false),
            ("a@", false),
            ("a@b_c.d", false),
            ("ä@b.c", false),
            ("a@b.c ", false),
        ] {
            assert_eq!(EMAIL.is_match(text), good, "{text}");
        }
    }
}
