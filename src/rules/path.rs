//! Request paths, however they are written. Owns the one canonical reading that routes match on, and all others, from
//! the literal to the most generous, that a backend could have, so that no spelling of a path is a way around a hook
//! (protocol §1).
//! What to do about a path with more than one reading is left to [`crate::rules::recognise`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The canonical reading: characters decoded, `//`, `/./`, `/../` and their encoded forms resolved, `;parameters` and a
/// trailing slash dropped, the hex digits of what stays encoded – bytes that would split or end the path, or are no
/// text – in upper case.
///
/// Borrowed when the path is canonical already, as nearly all are.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(read(&decode_text(path), Way::All))
}

/// Why a path has more than one reading; `None` if it has only one.
#[must_use]
pub fn ambiguity(path: &str) -> Option<&'static str> {
    if !path.contains(['%', '\\', '\0']) {
        return None;
    }
    if path.contains('\\') {
        return Some("a backslash");
    }
    if path.contains('\0') {
        return Some("a NUL byte");
    }
    path.split('%')
        .skip(1)
        .find_map(|after| ambiguous_escape(after.as_bytes()))
}

fn ambiguous_escape(after: &[u8]) -> Option<&'static str> {
    let Some(byte) = hex_pair(after) else {
        return Some("a broken percent-encoding");
    };
    match byte {
        b'/' => Some("an encoded slash"),
        b'\\' => Some("an encoded backslash"),
        0 => Some("an encoded NUL byte"),
        0xc0 | 0xc1 => Some("an overlong encoding"),
        b'%' if hex_pair(&after[2..]).is_some() => Some("a double encoding"),
        _ => None,
    }
}

/// So many readings are told apart; a path that has more was made to hide one.
const MOST_READINGS: usize = 256;
/// So long may they be together, in bytes, as each is looked at in every way.
const MOST_BYTES: usize = 128 << 10;

/// Every reading of a path that some backend, behind whatever stands before it, could route by, but for the canonical
/// one: what decoding (carefully or generously), turning backslashes, resolving dots, dropping `;parameters`, empty
/// segments and what ends a path too early make of it, each of them or not, in any order. Express hands
/// `/camps/../enroll` to `/camps/:camp/enroll`. Empty where the path is plain; `None` if there are too many.
#[must_use]
pub fn readings(path: &str) -> Option<Vec<String>> {
    if is_plain(path) && !is_odd(path) {
        return Some(Vec::new());
    }
    // The usual oddity of good paths.
    if path
        .strip_suffix('/')
        .is_some_and(|path| is_plain(path) && !is_odd(path))
    {
        return Some(vec![path.to_owned()]);
    }
    let mut readings = vec![path.to_owned()];
    let mut bytes = path.len();
    let mut at = 0;
    while let Some(reading) = readings.get(at).cloned() {
        for change in CHANGES {
            let changed = change(&reading);
            if !readings.contains(&changed) {
                bytes += changed.len();
                readings.push(changed);
            }
        }
        if readings.len() > MOST_READINGS || bytes > MOST_BYTES {
            return None;
        }
        at += 1;
    }
    let canonical = canonical(path);
    readings.retain(|reading| *reading != canonical);
    Some(readings)
}

/// Whether there is more to a path than [`canonical`] changes.
fn is_odd(path: &str) -> bool {
    path.contains(['%', '\\', '\0'])
        || path.ends_with('.')
        || path.contains("./")
        || path.contains(".;")
}

/// What backends do to a path.
const CHANGES: [fn(&str) -> String; 8] = [
    decode_text,
    decode_everything,
    |path| path.replace('\\', "/"),
    |path| read(path, Way::Dots),
    |path| read(path, Way::Params),
    |path| read(path, Way::Slashes),
    cut,
    trim,
];

/// Without what follows a byte that ends a path where it is decoded too early.
fn cut(path: &str) -> String {
    path.split(['\0', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Without white space and dots at the end of segments.
fn trim(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "." | ".." => segment,
        other => other.trim_end_matches([' ', '\t', '\r', '\n', '.']),
    });
    let segments: Vec<&str> = segments.collect();
    segments.join("/")
}

/// The path behind `//host`, as URL parsers read a target that begins with two slashes of either kind.
#[must_use]
pub fn behind_authority(path: &str) -> Option<String> {
    let slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    if !path.as_bytes().get(..2)?.iter().all(slash) {
        return None;
    }
    let path = path.replace('\\', "/");
    let rest = path.trim_start_matches('/');
    Some(rest.find('/').map_or("/", |at| &rest[at..]).to_owned())
}

/// The path of a target that may be a whole URL.
#[must_use]
pub fn of_target(target: &str) -> Option<&str> {
    let target = target.trim();
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    target
        .split(['?', '#'])
        .next()
        .filter(|path| !path.is_empty())
}

/// One segment's text as a person would read it: percent-decoded.
#[must_use]
pub fn readable(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let odd = |at: usize, byte: u8| match byte {
        b'%' | b';' => true,
        b'/' => matches!(bytes.get(at + 1), Some(b'/' | b'.')) || (at + 1 == bytes.len() && at > 0),
        _ => false,
    };
    bytes.first() == Some(&b'/') && !bytes.iter().enumerate().any(|(at, byte)| odd(at, *byte))
}

/// Everything decoded but what would split the path, end it or be no text: so that a character has one form, however
/// it is written.
fn decode_text(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut parts = path.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for after in parts {
        match hex_pair(after.as_bytes()) {
            Some(byte) => {
                if is_text(byte) {
                    bytes.push(byte);
                } else {
                    bytes.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
                bytes.extend_from_slice(&after.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(after.as_bytes());
            }
        }
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const fn is_text(byte: u8) -> bool {
    !matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#') && !byte.is_ascii_control()
}

/// What of a path's segments is resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    All,
    Dots,
    Params,
    Slashes,
}

fn read(path: &str, way: Way) -> String {
    let does = |what: Way| way == Way::All || way == what;
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let bare = if does(Way::Params) {
            segment.split(';').next().unwrap_or_default()
        } else {
            segment
        };
        match bare {
            "" if does(Way::Slashes) => {}
            "." if does(Way::Dots) => {}
            ".." if does(Way::Dots) => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

/// Every escape decoded, broken ones and overlong ones too.
fn decode_everything(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (decoded, taken) = decode_one(byte, after);
        // A broken escape loses its `%` somewhere.
        if decoded == b'%' && taken == 0 {
            rest = after;
            continue;
        }
        out.push(decoded);
        rest = &after[taken..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One byte, and how many bytes after the first it took: `%2f`, `%u002f`, `%c0%af`.
fn decode_one(byte: u8, after: &[u8]) -> (u8, usize) {
    if byte != b'%' {
        return (byte, 0);
    }
    if let [b'u' | b'U', b'0', b'0', digits @ ..] = after {
        return hex_pair(digits).map_or((byte, 0), |decoded| (decoded, 5));
    }
    match hex_pair(after) {
        Some(lead @ (0xc0 | 0xc1)) => match after[2..].split_first() {
            Some((b'%', more)) => match hex_pair(more) {
                Some(tail) if tail & 0xc0 == 0x80 => (((lead & 1) << 6) | (tail & 0x3f), 5),
                _ => (lead, 2),
            },
            _ => (lead, 2),
        },
        Some(decoded) => (decoded, 2),
        None => (byte, 0),
    }
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (high, low) = (digit(bytes.first()?)?, digit(bytes.get(1)?)?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_canonical_reading() {
        for (path, expected) in [
            ("/forms/contact", "/forms/contact"),
            ("/", "/"),
            ("/forms/contact/", "/forms/contact"),
            ("//forms///contact", "/forms/contact"),
            ("/forms/./contact", "/forms/contact"),
            ("/forms/x/../contact", "/forms/contact"),
            ("/../forms/contact", "/forms/contact"),
            ("/%66orms/%63ontact", "/forms/contact"),
            ("/forms/%2e%2E/forms/contact", "/forms/contact"),
            ("/forms;v=1/contact;jsessionid=2", "/forms/contact"),
            ("/forms/..;/forms/contact", "/forms/contact"),
            ("/a%2fb/%c3%a9", "/a%2Fb/é"),
            ("/a%2b%3Ab%20c%7c", "/a+:b c|"),
            ("/a%c3%a9%ff%3b%0a%25", "/aé%FF%3B%0A%25"),
            ("/a%zz", "/a%zz"),
            ("/é", "/é"),
            ("/.", "/"),
            ("", "/"),
        ] {
            assert_eq!(canonical(path), expected, "{path}");
        }
        assert!(matches!(canonical("/forms/contact.html"), Cow::Borrowed(_)));
    }

    #[test]
    fn targets_with_an_authority() {
        assert_eq!(behind_authority("//h/forms/x").as_deref(), Some("/forms/x"));
        assert_eq!(behind_authority("///h/x").as_deref(), Some("/x"));
        assert_eq!(behind_authority("//h").as_deref(), Some("/"));
        assert_eq!(behind_authority("/a//b"), None);
        assert_eq!(of_target("https://h/a?b"), Some("/a"));
        assert_eq!(of_target(" /a#b"), Some("/a"));
        assert_eq!(of_target("https://h"), Some("/"));
        assert_eq!(of_target(""), None);
    }

    #[test]
    fn a_host_may_stand_before_a_path() {
        for path in [
            "//evil/contact",
            "/\\evil/contact",
            "\\\\evil\\contact",
            "///evil:80/contact",
        ] {
            let behind = behind_authority(path);
            assert_eq!(behind.as_deref(), Some("/contact"), "{path}");
        }
        for path in ["/evil/contact", "/", "", "/a\\b"] {
            assert_eq!(behind_authority(path), None, "{path}");
        }
    }

    #[test]
    fn paths_with_more_than_one_reading() {
        for path in [
            "/forms%2fcontact",
            "/forms%5ccontact",
            "/forms\\contact",
            "/forms/contact%00.png",
            "/forms/%252e%252e/x",
            "/forms/%c0%afcontact",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%u002fb",
        ] {
            assert!(ambiguity(path).is_some(), "{path}");
        }
        for path in [
            "/forms/contact",
            "/caf%C3%A9",
            "/a%20b",
            "/100%25",
            "/a%26b",
        ] {
            assert_eq!(ambiguity(path), None, "{path}");
        }
    }

    #[test]
    fn the_generous_reading_sees_through_all_of_them() {
        for path in [
            "/forms%2fcontact",
            "/forms%5ccontact",
            "/forms\\contact",
            "/forms/contact%00.png",
            "/forms/%252e%252e/forms/contact",
            "/forms%c0%afcontact",
            "/forms%u002fcontact",
            "/forms%252fcontact",
            "/forms/contact%20",
            "/forms/contact.",
            "/forms/contact%09",
            "/forms/contact%2e",
            "/forms/contact.;x",
            "/forms/contact%",
            "/forms/con%tact",
            "/forms/contact%3Bx",
            "/forms/contact%3Fx=1",
            "/forms/contact%23x",
            "/x/%c0%ae%c0%ae/forms/contact",
        ] {
            let readings = readings(path).expect("few");
            assert!(
                readings.iter().any(|reading| reading == "/forms/contact"),
                "{path}: {readings:?}"
            );
        }
        for path in [
            "/camps/lake/enroll",
            "/a%20b/c;d=1/./e//",
            "/x%2f..%2fy",
            "/%E4%BD%A0%E5%A5%BD",
        ] {
            let readings = readings(path).expect("few");
            assert!(readings.len() < 60, "{path}: {}", readings.len());
        }
        assert_eq!(readings("/forms/contact"), Some(Vec::new()));
        let hiding = format!("/contact%{}", "25".repeat(300));
        assert_eq!(readings(&hiding), None);
        // Few, but each is as much work as it is long.
        let long = format!("/{}%252fx", "%61".repeat(20_000));
        assert_eq!(readings(&long), None);
    }

    #[test]
    fn readings_of_backends_that_resolve_nothing() {
        for (path, reading) in [
            ("/camps/../enroll", "/camps/../enroll"),
            ("/camps/%2e%2E/enroll", "/camps/../enroll"),
            ("/camps/./enroll", "/camps/./enroll"),
            ("/camps/..;/enroll", "/camps/..;/enroll"),
            ("/camps/..;/enroll", "/camps/../enroll"),
            ("/camps/;x/enroll", "/camps/;x/enroll"),
            ("/camps/;x/enroll", "/camps//enroll"),
            ("/camps//enroll", "/camps//enroll"),
            ("//camps/../enroll", "/camps/../enroll"),
            ("/camps//lake//..//enroll", "/camps/lake/enroll"),
            ("/camps%2f..%2fenroll", "/camps/../enroll"),
            ("/forms/..", "/forms/.."),
        ] {
            let readings = readings(path).expect("few");
            assert!(
                readings.iter().any(|known| known == reading),
                "{path}: {readings:?}"
            );
        }
        assert_eq!(readings("/forms/contact"), Some(Vec::new()));
        assert_eq!(readings("/.well-known/x"), Some(Vec::new()));
    }
}
