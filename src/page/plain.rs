//! The plain page, which stands for itself. Owns its HTML; every text in it is escaped. The message in it is
//! [`crate::page::message`]'s.

use askama::Template;

use crate::model::words::Tongue;
use crate::model::words::Word;
use crate::page::entries::Entries;
use crate::page::message::Message;

/// A page that stands for itself: accessible, without script or inline style.
#[derive(Debug, Template)]
#[template(path = "plain.html")]
pub struct PlainPage<'a> {
    /// The language of the page, and the gateway's own words in it.
    pub tongue: Tongue<'a>,
    /// The title and heading.
    pub title: &'a str,
    /// The message.
    pub message: Message<'a>,
    /// Whether anything was saved.
    pub statement: Option<&'a str>,
    /// Where the form is.
    pub back: Option<&'a str>,
    /// What the person typed, so that it is not lost.
    pub entries: Option<Entries<'a>>,
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
    use crate::model::lang::Lang;
    use crate::page::message::Wrong;

    #[test]
    fn everything_is_escaped() {
        let page = PlainPage {
            tongue: Tongue::plain(Lang::Fr),
            title: "No",
            message: Message {
                lang: Lang::Fr,
                kind: "error",
                takes_focus: false,
                texts: vec!["<script>alert(1)</script>"],
                errors: vec![Wrong::new("a\"b<script>", "x & y<script>")],
                changed: vec!["<script>".to_owned()],
                statement: Some("<script>"),
            },
            statement: Some("<b>"),
            back: Some("/\"><script>"),
            entries: Entries::new(Tongue::plain(Lang::Fr), vec![("c".into(), "</dd>".into())]),
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
