//! Regular expressions as operators write them. Owns their limits and the two ways they are applied: to a whole
//! value (HTML's `pattern`, `match()`) and anywhere in it (`search()`, `matches`).

use regex::Regex;
use regex::RegexBuilder;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 2000;
/// How large a compiled pattern may be, in bytes.
const SIZE_LIMIT: usize = 256 << 10;
const DFA_SIZE_LIMIT: usize = 1 << 20;

/// A pattern that must match the whole value.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn whole(pattern: &str) -> Result<Regex, String> {
    alone(pattern)?;
    compile(pattern, &format!("^(?:{pattern})$"))
}

/// A pattern for the whole value as HTML's `pattern` means it: `\d`, `\w` and `\b` are about ASCII alone, as in
/// JavaScript.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn html(pattern: &str) -> Result<Regex, String> {
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
pub fn anywhere(pattern: &str) -> Result<Regex, String> {
    compile(pattern, pattern)
}

fn compile(written: &str, built: &str) -> Result<Regex, String> {
    if written.len() > MAX_PATTERN {
        return Err(format!(
            "the pattern is {} bytes long; at most {MAX_PATTERN} are allowed",
            written.len()
        ));
    }
    // RFC 9485: a dot matches neither line feed nor carriage return.
    let builder = RegexBuilder::new(built)
        .crlf(true)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(DFA_SIZE_LIMIT)
        .build();
    builder.map_err(|error| explain(written, &error))
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

    #[test]
    fn whole_and_anywhere() {
        assert!(whole("a|b").expect("compiles").is_match("b"));
        assert!(!whole("a|b").expect("compiles").is_match("ab"));
        assert!(anywhere("b").expect("compiles").is_match("abc"));
        assert!(!whole("a.b").expect("compiles").is_match("a\rb"));
    }

    #[test]
    fn html_patterns_mean_what_they_mean_in_a_browser() {
        let is = |pattern: &str, text: &str| html(pattern).expect("compiles").is_match(text);
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
