//! Routes as rule files write them: `POST /camps/{camp}/enroll?action=submit`. Owns reading one; matching requests
//! against many is left to [`crate::rules::recognise`].

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::rules::path;

/// What of a parameter's value is encoded when it is filled in: everything but unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What of a fixed segment is encoded: what no target may hold as it is. Escapes that are left in it stay.
const FIXED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A route: a method, a path pattern, and what the query must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In upper case.
    pub method: String,
    /// The path, segment by segment.
    pub segments: Vec<Segment>,
    /// Names and values that must stand in the query, in any order.
    pub query: Vec<(String, String)>,
    /// As it was written.
    pub written: String,
}

/// One part of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this, in its canonical reading.
    Fixed(String),
    /// `{name}`: any one segment.
    Param(String),
    /// `{name...}`: the rest of the path, at least one segment.
    Rest(String),
}

impl Route {
    /// Reads `METHOD /path/{param}/{rest...}?name=value`.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(written: &str) -> Result<Self, String> {
        let wanted = "write a method and a path, for example \"POST /forms/contact\"";
        let (method, target) = written
            .split_once(' ')
            .ok_or_else(|| format!("`{written}` is not a route; {wanted}"))?;
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
            return Err(format!("`{method}` is not a method; {wanted}"));
        }
        let target = target.trim();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with('/') {
            return Err(format!("the path `{path}` must start with `/`; {wanted}"));
        }
        if target.contains('#') {
            return Err(format!(
                "the path `{path}` has a `#`, and no request has one; leave out what follows it, or write `%23`"
            ));
        }
        if let Some(what) = path::ambiguity(path) {
            return Err(format!(
                "the path `{path}` has {what}; no request to such a path is ever let through"
            ));
        }
        Ok(Self {
            method: method.to_ascii_uppercase(),
            segments: segments(path)?,
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            written: written.to_owned(),
        })
    }

    /// The names of its parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Fixed(_) => None,
            Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The target that this route matches, with the values of its parameters filled in; `None` if one is missing.
    #[must_use]
    pub fn fill(&self, params: &[(String, String)]) -> Option<String> {
        let value = |name: &str| {
            let found = params.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut target = String::new();
        for segment in &self.segments {
            target.push('/');
            match segment {
                Segment::Fixed(text) => target.extend(utf8_percent_encode(text, FIXED)),
                Segment::Param(name) => target.extend(utf8_percent_encode(value(name)?, SEGMENT)),
                Segment::Rest(name) => {
                    let parts = value(name)?.split('/');
                    let parts: Vec<String> = parts
                        .map(|part| utf8_percent_encode(part, SEGMENT).to_string())
                        .collect();
                    target.push_str(&parts.join("/"));
                }
            }
        }
        if target.is_empty() {
            target.push('/');
        }
        if !self.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.query);
            target.push('?');
            target.push_str(&query.finish());
        }
        Some(target)
    }

    /// The pattern with its parameter names left out: two routes with the same shape match the same requests.
    #[must_use]
    pub fn shape(&self) -> String {
        let mut shape = self.method.clone();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Fixed(text) => shape.push_str(text),
                Segment::Param(_) => shape.push_str("{}"),
                Segment::Rest(_) => shape.push_str("{...}"),
            }
        }
        let mut query = self.query.clone();
        query.sort();
        for (name, value) in query {
            shape.push_str(&format!("?{name}={value}"));
        }
        shape
    }
}

fn segments(path: &str) -> Result<Vec<Segment>, String> {
    let mut segments: Vec<Segment> = Vec::new();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate() {
        let segment = segment(part)?;
        if let Segment::Param(name) | Segment::Rest(name) = &segment {
            let again = |known: &Segment| matches!(known, Segment::Param(other) if other == name);
            if segments.iter().any(again) {
                return Err(format!(
                    "the path names `{{{name}}}` twice; give one of them another name"
                ));
            }
        }
        if matches!(segment, Segment::Rest(_)) && at + 1 < parts.len() {
            return Err(format!(
                "`{part}` takes the rest of the path; move it to the end"
            ));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn segment(part: &str) -> Result<Segment, String> {
    let Some(inner) = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    else {
        if part.contains(['{', '}']) {
            return Err(format!(
                "`{part}`: a parameter is a whole segment; write `/{{name}}/`"
            ));
        }
        let fixed = path::canonical(&format!("/{part}"))
            .trim_start_matches('/')
            .to_owned();
        return Ok(Segment::Fixed(fixed));
    };
    let (name, rest) = match inner.strip_suffix("...") {
        Some(name) => (name, true),
        None => (inner, false),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "`{{{inner}}}`: a parameter's name has letters, digits and `_` only, as `{{camp_id}}`"
        ));
    }
    let name = name.to_owned();
    Ok(if rest {
        Segment::Rest(name)
    } else {
        Segment::Param(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let route = Route::parse("post /camps/{camp}/enroll/?action=submit").expect("a route");
        assert_eq!(route.method, "POST");
        assert_eq!(
            route.segments,
            [
                Segment::Fixed("camps".into()),
                Segment::Param("camp".into()),
                Segment::Fixed("enroll".into())
            ]
        );
        assert_eq!(route.query, [("action".to_owned(), "submit".to_owned())]);
        assert_eq!(route.shape(), "POST/camps/{}/enroll?action=submit");
        assert!(Route::parse("GET /").expect("the root").segments.is_empty());
    }

    #[test]
    fn routes_are_filled_in() {
        let params = [("camp", "Zürich & 1"), ("rest", "a/b c")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (written, target) in [
            ("GET /", Some("/")),
            ("GET /contact", Some("/contact")),
            (
                "GET /camps/{camp}/enroll",
                Some("/camps/Z%C3%BCrich%20%26%201/enroll"),
            ),
            (
                "GET /f/{rest...}?step=1&a=b%20c",
                Some("/f/a/b%20c?step=1&a=b+c"),
            ),
            (
                "GET /über uns/{camp}",
                Some("/%C3%BCber%20uns/Z%C3%BCrich%20%26%201"),
            ),
            ("GET /a%20b%3b/c+d", Some("/a%20b%3B/c+d")),
            ("GET /camps/{other}", None),
        ] {
            let filled = Route::parse(written).expect("a route").fill(&params);
            assert_eq!(filled.as_deref(), target, "{written}");
        }
    }

    #[test]
    fn bad_routes_are_explained() {
        for (written, why) in [
            ("/forms", "not a route"),
            ("POST forms", "must start with `/`"),
            ("POST /a/{b", "whole segment"),
            ("POST /a/{x...}/b", "to the end"),
            ("POST /{a}/{a}", "twice"),
            ("POST /{a b}", "letters"),
            ("P0ST /", "not a method"),
            ("POST /a%2fb", "encoded slash"),
            ("POST /a#b", "`#`"),
        ] {
            let error = Route::parse(written).expect_err(written);
            assert!(error.contains(why), "{written}: {error}");
        }
    }
}
