//! A complaint: what is wrong in a file, where, and how to mend it. Owns its picture with line, caret and label;
//! finding something to complain of is left to whoever reads.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use serde_json::Value;
use serde_json::json;

/// A file's name and content.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// The path as the person knows it.
    pub name: String,
    /// All of it.
    pub content: String,
}

impl Text {
    /// Line and column of a byte, both from 1; the column in characters.
    #[must_use]
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.content.len());
        let before = self.content.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[start..].chars().count() + 1,
        )
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but something is probably not meant.
    Warning,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
///
/// ```text
/// error: unknown key `on_failur` in [[hook]]
///   --> rules/enrollment.toml:41:1
///    |
/// 41 | on_failur = "stop"
///    | ^^^^^^^^^ did you mean `on_failure`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// How to mend it; may be empty.
    pub label: String,
    /// The file and the bytes in it; `None` where the complaint is not about text (a folder that is not there).
    pub place: Option<(Arc<Text>, Range<usize>)>,
}

impl Complaint {
    /// An error that has no place in a file.
    pub fn about(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: what.into(),
            label: mend.into(),
            place: None,
        }
    }

    /// Whether the file cannot be used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it is, for people: `rules/contact.toml:3:1`.
    #[must_use]
    pub fn at(&self) -> Option<String> {
        let (text, span) = self.place.as_ref()?;
        let (line, column) = text.line_and_column(span.start);
        Some(format!("{}:{line}:{column}", text.name))
    }

    /// The picture, with colours if it goes to a terminal.
    #[must_use]
    pub fn picture(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let group = match &self.place {
            Some((text, span)) => {
                let mut annotation = AnnotationKind::Primary.span(visible(&text.content, span));
                if !self.label.is_empty() {
                    annotation = annotation.label(self.label.as_str());
                }
                title.element(
                    Snippet::source(text.content.as_str())
                        .path(text.name.as_str())
                        .annotation(annotation),
                )
            }
            None if self.label.is_empty() => {
                title.elements(Vec::<annotate_snippets::Message<'_>>::new())
            }
            None => title.element(Level::HELP.message(self.label.as_str())),
        };
        renderer.render(&[group]).to_string()
    }

    /// The same for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (file, line, column) = match &self.place {
            Some((text, span)) => {
                let (line, column) = text.line_and_column(span.start);
                (Some(text.name.as_str()), Some(line), Some(column))
            }
            None => (None, None, None),
        };
        json!({
            "severity": self.severity.word(), "message": self.message, "mend": self.label,
            "file": file, "line": line, "column": column,
        })
    }
}

/// A span that the picture can show: inside the text, on character borders, on its first line.
fn visible(content: &str, span: &Range<usize>) -> Range<usize> {
    let mut start = span.start.min(content.len());
    while !content.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = content[start..]
        .find('\n')
        .map_or(content.len(), |newline| start + newline);
    let mut end = span.end.clamp(start, line_end);
    while !content.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_points() {
        let content = "[form]\nid = \"x\"\n\n[[hook]]\non_failur = \"stop\"\n";
        let start = content.find("on_failur").expect("there");
        let text = Text {
            name: "rules/enrollment.toml".into(),
            content: content.into(),
        };
        let complaint = Complaint {
            severity: Severity::Error,
            message: "unknown key `on_failur` in [[hook]]".into(),
            label: "did you mean `on_failure`?".into(),
            place: Some((Arc::new(text), start..start + 9)),
        };
        let expected = "\
error: unknown key `on_failur` in [[hook]]
 --> rules/enrollment.toml:5:1
  |
5 | on_failur = \"stop\"
  | ^^^^^^^^^ did you mean `on_failure`?";
        assert_eq!(complaint.picture(false), expected);
        assert_eq!(complaint.at().as_deref(), Some("rules/enrollment.toml:5:1"));
    }

    #[test]
    fn a_complaint_without_a_place_says_how_to_mend_it() {
        let complaint = Complaint::about(
            "there is no folder `rules`",
            "make it, or name another with --rules",
        );
        let picture = complaint.picture(false);
        assert!(
            picture.contains("error: there is no folder `rules`"),
            "{picture}"
        );
        assert!(picture.contains("make it"), "{picture}");
    }
}
