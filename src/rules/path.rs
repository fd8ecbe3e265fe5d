//! Request paths, however they are written. Owns the one canonical reading that routes match on, and all others, from
//! the literal to the most generous, that a backend could have, so that no spelling of a path is a way around a hook
//! (protocol §1).
//! What to do about a path with more than one reading is left to [`crate::rules::recognise`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The canonical reading: unreserved characters decoded, `//`, `/./`, `/../` and their encoded forms resolved,
/// `;parameters` and a trailing slash dropped, the hex digits of what stays encoded in upper case.
///
/// Borrowed when the path is canonical already, as nearly all are.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(resolve(&decode_unreserved(path)))
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

/// Every reading of a path that some backend could route by, but for the canonical one: written as it is, with dots,
/// `;parameters` and empty segments resolved or taken for segments like others (Express hands `/camps/../enroll` to
/// `/camps/:camp/enroll`), and all of that of what it is when decoded generously. None where it is plain.
#[must_use]
pub fn readings(path: &str) -> Vec<String> {
    let generous = generous_text(path);
    if generous.is_none() && is_plain(path) {
        return Vec::new();
    }
    let mut readings = Vec::new();
    for text in std::iter::once(decode_unreserved(path)).chain(generous) {
        for way in 0..8 {
            let reading = read(
                &text,
                Way {
                    resolves_dots: way & 1 == 0,
                    drops_params: way & 2 == 0,
                    merges_slashes: way & 4 == 0,
                },
            );
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
    }
    let canonical = canonical(path);
    readings.retain(|reading| *reading != canonical);
    readings
}

#[cfg(test)]
fn generous(path: &str) -> Option<String> {
    generous_text(path).map(|text| resolve(&text))
}

/// The most generous decoding: until nothing is left to decode, every kind of slash a slash, cut at a NUL byte, white
/// space and dots at the end of a segment dropped. `None` where it surely changes nothing.
fn generous_text(path: &str) -> Option<String> {
    if !path.contains(['%', '\\', '\0'])
        && !path.ends_with('.')
        && !path.contains("./")
        && !path.contains(".;")
    {
        return None;
    }
    let mut bytes = path.as_bytes().to_vec();
    // Three rounds undo a triple encoding; nobody decodes more often.
    for _ in 0..3 {
        bytes = decode_everything(&bytes);
    }
    // What was encoded as `?` or `#` ends the path where it is decoded too early.
    let until = bytes
        .iter()
        .position(|byte| matches!(*byte, 0 | b'?' | b'#'))
        .unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..until]).replace('\\', "/");
    let segments = text.split('/').map(|segment| match segment {
        "." | ".." => segment,
        other => {
            let bare = other.split(';').next().unwrap_or_default();
            match bare {
                "." | ".." => bare,
                _ => bare.trim_end_matches([' ', '\t', '\r', '\n', '.']),
            }
        }
    });
    let joined: Vec<&str> = segments.collect();
    Some(joined.join("/"))
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

fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut parts = path.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for after in parts {
        match hex_pair(after.as_bytes()) {
            Some(byte)
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') =>
            {
                out.push(char::from(byte));
                out.push_str(&after[2..]);
            }
            Some(byte) => {
                out.push_str(&format!("%{byte:02X}"));
                out.push_str(&after[2..]);
            }
            None => {
                out.push('%');
                out.push_str(after);
            }
        }
    }
    out
}

/// How a backend splits a path into segments.
#[derive(Clone, Copy)]
struct Way {
    resolves_dots: bool,
    drops_params: bool,
    merges_slashes: bool,
}

fn resolve(path: &str) -> String {
    let way = Way {
        resolves_dots: true,
        drops_params: true,
        merges_slashes: true,
    };
    read(path, way)
}

fn read(path: &str, way: Way) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let bare = if way.drops_params {
            segment.split(';').next().unwrap_or_default()
        } else {
            segment
        };
        match bare {
            "" if way.merges_slashes => {}
            "." if way.resolves_dots => {}
            ".." if way.resolves_dots => drop(segments.pop()),
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

fn decode_everything(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
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
    out
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
            ("/a%2fb/%c3%a9", "/a%2Fb/%C3%A9"),
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
            assert_eq!(generous(path).as_deref(), Some("/forms/contact"), "{path}");
        }
        assert_eq!(generous("/forms/contact"), None);
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
            ("/camps%2f..%2fenroll", "/camps/../enroll"),
            ("/forms/..", "/forms/.."),
        ] {
            let readings = readings(path);
            assert!(
                readings.iter().any(|known| known == reading),
                "{path}: {readings:?}"
            );
        }
        assert!(readings("/forms/contact").is_empty());
        assert!(readings("/.well-known/x").is_empty());
    }
}
