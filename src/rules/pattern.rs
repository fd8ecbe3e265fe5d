//! Regular expressions as operators write them. Owns their limits and the two ways they are applied: to a whole
//! value (HTML's `pattern`, `match()`) and anywhere in it (`search()`, `matches`).

use regex::Regex;
use regex::RegexBuilder;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 2000;
/// How large a compiled pattern may be, in bytes.
const SIZE_LIMIT: usize = 256 << 10;
/// Beyond this it is a large one, which is put to less text.
const LARGE: usize = 64 << 10;
/// How many times a large one's text counts.
const LARGE_WEIGHT: usize = 4;
const DFA_SIZE_LIMIT: usize = 1 << 20;

/// How much text one pattern is put to where nobody says otherwise (`limits.matched`): the worst pattern for the worst
/// text of this size takes about a quarter of a second, and usual ones a thousandth of that.
pub const MATCHED: usize = 64 << 10;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    weight: usize,
}

/// What is left of the text that one pattern may be put to, for all values of one submission.
#[derive(Debug, Clone, Copy)]
pub struct Room(usize);

/// The pattern would be put to more text than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is more text than a pattern is put to (limits.matched)")]
pub struct TooLong;

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl Pattern {
    /// Whether it matches.
    ///
    /// # Errors
    /// [`TooLong`] where there is no room for the text.
    pub fn is_match(&self, text: &str, room: &mut Room) -> Result<bool, TooLong> {
        let costs = text.len().saturating_mul(self.weight);
        room.0 = room.0.checked_sub(costs).ok_or(TooLong)?;
        Ok(self.regex.is_match(text))
    }

    /// The longest single text that it is put to, of so many bytes for all.
    #[must_use]
    pub const fn longest(&self, matched: usize) -> usize {
        matched / self.weight
    }

    /// The expression, for what no person wrote.
    #[must_use]
    pub fn into_regex(self) -> Regex {
        self.regex
    }

    /// As it is compiled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

/// A pattern that must match the whole value.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn whole(pattern: &str) -> Result<Pattern, String> {
    alone(pattern)?;
    compile(pattern, &format!("^(?:{pattern})$"))
}

/// A pattern for the whole value as HTML's `pattern` means it: `\d`, `\w` and `\b` are about ASCII alone, as in
/// JavaScript.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn html(pattern: &str) -> Result<Pattern, String> {
    alone(pattern)?;
    compile(pattern, &format!("^(?:{})$", as_in_javascript(pattern)))
}

/// Whether the pattern is one by itself: `a)|(b` must not slip out of the group around it.
fn alone(pattern: &str) -> Result<(), String> {
    if pattern.contains(')') {
        compile(pattern, pattern)?;
    }
    Ok(())
}

/// The same pattern with JavaScript's meaning of classes. A class in brackets may stand inside another.
fn as_in_javascript(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars();
    let mut depth = 0_usize;
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match (c, escaped) {
            ('\\', Some('d')) => out.push_str("[0-9]"),
            ('\\', Some('D')) => out.push_str("[^0-9]"),
            ('\\', Some('w')) => out.push_str("[0-9A-Za-z_]"),
            ('\\', Some('W')) => out.push_str("[^0-9A-Za-z_]"),
            ('\\', Some('b')) if depth == 0 => out.push_str(r"(?-u:\b)"),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (other, _) => {
                match other {
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out.push(other);
            }
        }
    }
    out
}

/// A pattern that may match anywhere in the value.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn anywhere(pattern: &str) -> Result<Pattern, String> {
    compile(pattern, pattern)
}

fn compile(written: &str, built: &str) -> Result<Pattern, String> {
    if written.len() > MAX_PATTERN {
        return Err(format!(
            "the pattern is {} bytes long; at most {MAX_PATTERN} are allowed",
            written.len()
        ));
    }
    // RFC 9485: a dot matches neither line feed nor carriage return.
    let mut builder = RegexBuilder::new(built);
    builder.crlf(true).dfa_size_limit(DFA_SIZE_LIMIT);
    let (weight, compiled) = match builder.size_limit(LARGE).build() {
        Err(regex::Error::CompiledTooBig(_)) => {
            (LARGE_WEIGHT, builder.size_limit(SIZE_LIMIT).build())
        }
        compiled => (1, compiled),
    };
    let regex = compiled.map_err(|error| explain(written, &error))?;
    Ok(Pattern { regex, weight })
}

fn explain(pattern: &str, error: &regex::Error) -> String {
    if ["(?=", "(?!", "(?<=", "(?<!"]
        .iter()
        .any(|look| pattern.contains(look))
    {
        return "look-ahead and look-behind are not supported: they can take exponential time; write two conditions instead"
            .to_owned();
    }
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!(
                "the pattern is too large once compiled (over {SIZE_LIMIT} bytes); use smaller repetitions"
            )
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!(
                "not a regular expression: {}; a backslash makes a sign plain, as in `\\(`",
                last.trim_start_matches("error: ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &Result<Pattern, String>, text: &str) -> bool {
        let pattern = pattern.as_ref().expect("compiles");
        pattern
            .is_match(text, &mut Room::new(MATCHED))
            .expect("short")
    }

    #[test]
    fn there_is_only_so_much_text_for_one_pattern() {
        let small = anywhere("a").expect("compiles");
        let mut room = Room::new(10);
        assert_eq!(small.is_match("aaaaaa", &mut room), Ok(true));
        assert_eq!(small.is_match("bbbb", &mut room), Ok(false));
        assert_eq!(small.is_match("a", &mut room), Err(TooLong));
        let large = anywhere("[ab]*a[ab]{2500}c").expect("compiles");
        assert_eq!(large.is_match("aaa", &mut Room::new(10)), Err(TooLong));
        assert_eq!(
            (small.longest(MATCHED), large.longest(MATCHED)),
            (64 << 10, 16 << 10)
        );
        // What forms usually ask for is not large.
        for usual in [
            r"[^@\s]+@[^@\s]+\.[a-z]{2,}",
            r"[\p{L}\d .'\-]+",
            r"https?://\S+",
        ] {
            assert_eq!(html(usual).expect("compiles").weight, 1, "{usual}");
        }
    }

    #[test]
    fn whole_and_anywhere() {
        let whole = |pattern: &str, text: &str| matches(&whole(pattern), text);
        assert!(whole("a|b", "b") && !whole("a|b", "ab") && !whole("a.b", "a\rb"));
        assert!(matches(&anywhere("b"), "abc"));
    }

    #[test]
    fn html_patterns_mean_what_they_mean_in_a_browser() {
        let is = |pattern: &str, text: &str| matches(&html(pattern), text);
        assert!(is(r"\d{4}", "3014") && !is(r"\d{4}", "٣٠١٤"));
        assert!(is(r"\w+", "a_1") && !is(r"\w+", "é"));
        assert!(is(r"[\w-]+", "a-b") && is(r"[^\d]+", "é") && !is(r"[^\d]+", "a1"));
        assert!(is(r"\D+", "٣") && is(r"\W", "é") && is(r".\b.*", "a b"));
        assert!(is(r"\p{L}+", "é") && is(r"[\p{L}\d .'\-]+", "Zoë-Ann 2"));
        assert!(is(r"\/x\.y", "/x.y") && is(r"a\\d", r"a\d"));
        assert!(is("x", "x") && !is("x", "x\n") && !is("a|b", "ab") && !is("^a$|b", "cb"));
        assert!(html("a)|(b").is_err() && whole("a)|(b").is_err());
    }

    #[test]
    fn bad_patterns_are_explained() {
        assert!(whole("(").expect_err("unclosed").contains("unclosed group"));
        assert!(
            whole("(?=a)")
                .expect_err("look-ahead")
                .contains("two conditions")
        );
        assert!(
            whole(r"(\w{100}){100}")
                .expect_err("large")
                .contains("too large")
        );
        assert!(whole(&"a".repeat(3000)).expect_err("long").contains("2000"));
    }
}
