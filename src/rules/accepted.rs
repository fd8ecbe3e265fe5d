//! The backend's answer as a rule file reads it: which statuses mean accepted, where the submission's id is, where
//! a later change goes. Owns reading these keys and applying them.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use regex::Regex;
use serde_json::Value;

use crate::model::template::Template;
use crate::rules::condition::Path;
use crate::rules::pattern;
use crate::source::table::Table;

/// The statuses that mean accepted, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted(Vec<(u16, u16)>);

impl Default for Accepted {
    fn default() -> Self {
        Self(vec![(200, 299), (300, 399)])
    }
}

impl Accepted {
    /// Reads `accepted`: `2xx`, `303`.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let texts = table.texts("accepted");
        let ranges = texts
            .iter()
            .filter_map(|text| table.parsed(text, Self::range));
        let ranges: Vec<(u16, u16)> = ranges.map(|placed| placed.value).collect();
        if table.is_empty_list("accepted") {
            let mend = "write [\"2xx\", \"3xx\"], or leave it out";
            table.complain(
                "accepted",
                "with an empty `accepted` nothing is ever accepted",
                mend,
            );
        }
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    fn range(text: &str) -> Result<(u16, u16), String> {
        let wrong = || format!("`{text}` is not a status; write for example \"2xx\" or \"303\"");
        let (low, high) = match text.strip_suffix("xx") {
            Some(class) => {
                let class: u16 = class.parse().map_err(|_| wrong())?;
                (class * 100, class * 100 + 99)
            }
            None => {
                let status: u16 = text.parse().map_err(|_| wrong())?;
                (status, status)
            }
        };
        if (200..=599).contains(&low) {
            Ok((low, high))
        } else {
            Err(wrong())
        }
    }

    /// Whether this status means accepted.
    #[must_use]
    pub fn takes(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&status))
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (low, high)) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            match high - low {
                0 => write!(f, "{low}")?,
                _ => write!(f, "{}xx", low / 100)?,
            }
        }
        Ok(())
    }
}

/// Where the submission's id is found in the backend's answer.
#[derive(Debug, Clone)]
pub enum SubmissionId {
    /// In its JSON body.
    Body(Path),
    /// In its `location` header, as the first group.
    Location(Regex),
}

impl SubmissionId {
    /// Reads `$.id` or `location:/camps/.+/(\d+)$`.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(written) = text.strip_prefix("location:") else {
            let path = Path::compile(text)
                .map_err(|fault| format!("{}; {}", fault.message, fault.mend))?;
            return Ok(Self::Body(path));
        };
        let regex = pattern::anywhere(written)?.into_regex();
        if regex.captures_len() < 2 {
            return Err(format!(
                "`{written}` needs a group in parentheses around the id; write for example `location:/camps/(\\d+)$`"
            ));
        }
        Ok(Self::Location(regex))
    }

    /// Finds the id.
    #[must_use]
    pub fn find(&self, location: Option<&str>, body: Option<&Value>) -> Option<String> {
        match self {
            Self::Location(regex) => {
                let captures = regex.captures(location?)?;
                captures.get(1).map(|group| group.as_str().to_owned())
            }
            Self::Body(path) => match path.locate(body?).ok()?.first()? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            },
        }
    }
}

/// Where a `form_submit` jdoc is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// In upper case.
    pub method: String,
    target: Template,
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.fill(|name| format!("{{{name}}}").into());
        write!(f, "{} {target}", self.method)
    }
}

impl Update {
    /// Reads `PATCH /api/enrollments/{submission_id}`.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "write for example \"PATCH /api/enrollments/{submission_id}\"";
        let (method, target) = text
            .split_once(' ')
            .ok_or_else(|| format!("`{text}` has no method and path; {wanted}"))?;
        let method = method.to_ascii_uppercase();
        if !["PATCH", "PUT", "POST"].contains(&method.as_str()) {
            return Err(format!("`{method}` cannot carry changes; {wanted}"));
        }
        if !target.starts_with('/') || target.bytes().any(|byte| byte <= b' ' || !byte.is_ascii()) {
            return Err(format!("`{target}` is not a path; {wanted}"));
        }
        let slot = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let written = target;
        let target = Template::compile(target, slot)?;
        let filled: String = target.fill(|_| "x".into());
        if http::Uri::try_from(filled).is_err() {
            return Err(format!(
                "`{written}` has a character that no path may have; percent-encode it"
            ));
        }
        Ok(Self { method, target })
    }

    /// The slots of its path.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.target.slots()
    }

    /// The path of one update; `None` if a slot has no value, for an update without its id could hit anything – and so
    /// could one whose id is dots, which backends resolve even where they are encoded.
    #[must_use]
    pub fn path(
        &self,
        submission_id: Option<&str>,
        form: &str,
        params: &[(String, String)],
    ) -> Option<String> {
        let value = |name: &str| match name {
            "submission_id" => submission_id,
            "form" => Some(form),
            other => params
                .iter()
                .find(|(param, _)| param == other)
                .map(|(_, value)| value.as_str()),
        };
        if self
            .target
            .slots()
            .any(|slot| matches!(value(slot), None | Some("" | "." | "..")))
        {
            return None;
        }
        Some(self.target.fill(|name| {
            Cow::Owned(
                utf8_percent_encode(value(name).unwrap_or_default(), NON_ALPHANUMERIC).to_string(),
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_found() {
        let location = SubmissionId::parse(r"location:/camps/.+/(\d+)$").expect("good");
        assert_eq!(
            location.find(Some("/camps/lake/17"), None).as_deref(),
            Some("17")
        );
        let body = SubmissionId::parse("$.data.id").expect("good");
        assert_eq!(
            body.find(None, Some(&json!({"data": {"id": 9}})))
                .as_deref(),
            Some("9")
        );
        assert!(SubmissionId::parse("location:/x").is_err());
        assert!(SubmissionId::parse("id").is_err());
    }

    #[test]
    fn an_update_needs_its_id() {
        let update = Update::parse("patch /api/{form}/{submission_id}").expect("good");
        assert!(Update::parse("PATCH /api/<b>/{submission_id}").is_err());
        for nothing in ["", ".", ".."] {
            assert_eq!(update.path(Some(nothing), "camp", &[]), None);
        }
        assert_eq!(
            update.path(Some("a/b"), "camp", &[]).as_deref(),
            Some("/api/camp/a%2Fb")
        );
        assert_eq!(update.path(None, "camp", &[]), None);
        assert!(Update::parse("DELETE /x").is_err());
    }

    #[test]
    fn statuses() {
        assert_eq!(Accepted::range("3xx"), Ok((300, 399)));
        assert!(
            Accepted::range("1xx").is_err()
                && Accepted::range("6xx").is_err()
                && Accepted::range("ok").is_err()
        );
        assert!(Accepted::default().takes(303) && !Accepted::default().takes(422));
    }
}
