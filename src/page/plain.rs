//! The plain page and the fragment. Owns their HTML; every text in it is escaped.

use askama::Template;

use crate::model::lang::Lang;
use crate::model::words::Tongue;
use crate::model::words::Word;

/// A page that stands for itself: accessible, without script or inline style.
#[derive(Debug, Template)]
#[template(path = "plain.html")]
pub struct PlainPage<'a> {
    /// The language of the page, and the gateway's own words in it.
    pub tongue: Tongue<'a>,
    /// The title and heading.
    pub title: &'a str,
    /// The kind of the main message: `error`, `warning`, …
    pub kind: &'a str,
    /// The messages, the most severe first.
    pub texts: Vec<&'a str>,
    /// Field and what is wrong with it.
    pub errors: Vec<(&'a str, &'a str)>,
    /// Whether anything was saved.
    pub statement: Option<&'a str>,
    /// Where the form is.
    pub back: Option<&'a str>,
    /// What the person typed, so that it is not lost: field and text.
    pub entries: Vec<(String, String)>,
    /// What is wrong and where, for whoever is asked for help; in English.
    pub detail: Option<&'a str>,
    /// For whoever is asked for help.
    pub request_id: &'a str,
}

impl PlainPage<'_> {
    fn reference(&self) -> String {
        self.tongue
            .fill(Word::Reference, &[("id", self.request_id)])
    }
}

/// The messages alone, to be put into a page that is already there.
#[derive(Debug, Template)]
#[template(path = "fragment.html")]
pub struct Fragment<'a> {
    /// The language of what is said.
    pub lang: Lang,
    /// As in [`PlainPage`].
    pub kind: &'a str,
    /// As in [`PlainPage`].
    pub texts: Vec<&'a str>,
    /// As in [`PlainPage`].
    pub errors: Vec<(&'a str, &'a str)>,
    /// As in [`PlainPage`].
    pub statement: Option<&'a str>,
}

/// Writes a template. The templates are part of the program and write to memory, so they cannot fail; if one did,
/// the title alone would be a page.
#[must_use]
pub fn html(template: &impl Template, title: &str) -> String {
    template
        .render()
        .unwrap_or_else(|_| format!("<!doctype html><title>{title}</title>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let page = PlainPage {
            tongue: Tongue::plain(Lang::Fr),
            title: "No",
            kind: "error",
            texts: vec!["<script>alert(1)</script>"],
            errors: vec![("a\"b", "x & y")],
            statement: Some("<b>"),
            back: Some("/\"><script>"),
            entries: vec![("c".into(), "</dd>".into())],
            detail: Some("<script>"),
            request_id: "<script>",
        };
        let html = html(&page, "No");
        assert!(
            !html.contains("<script>") && !html.contains("</dd></dd>"),
            "{html}"
        );
        assert!(
            html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"),
            "{html}"
        );
        assert!(html.contains("role=\"alert\"") && html.contains("<html lang=\"fr\">"));
    }
}
