//! What the person entered and no control of the form could take: rows that a script had added, options that it had
//! loaded, fields behind a part of the page that cannot be read. Owns the place of its list: the end of the form, or of
//! the page.

use lol_html::html_content::ContentType;
use lol_html::html_content::EndTag;

use crate::page::entries::Entries;
use crate::page::outlet::HoleId;
use crate::page::state::State;

/// How far the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page::state) enum Left {
    /// The form has not ended.
    Open,
    /// Its place is there, but controls of the form may still come.
    Waits(HoleId),
    /// It is there, or it is known that there is nothing to list.
    Listed,
}

impl State {
    /// The form ends: here the list stands. Controls of a form with an id may come after it.
    pub(in crate::page::state) fn left_at_end(&mut self, end: &mut EndTag<'_>) {
        if self.left != Left::Open {
            return;
        }
        let html = self.left_html();
        self.left = if html.is_empty() {
            Left::Listed
        } else if self.hasty || self.walk.form_id().is_none() {
            end.before(&html, ContentType::Html);
            Left::Listed
        } else {
            Left::Waits(self.outlet.open(0))
        };
    }

    /// It is not waited for more controls.
    pub(in crate::page::state) fn settle_left(&mut self) {
        if let Left::Waits(hole) = self.left {
            self.left = Left::Listed;
            let html = self.left_html();
            self.fill(hole, &html);
        }
    }

    /// The page has ended. What is still to be said.
    pub(in crate::page::state) fn left_at_last(&mut self) -> String {
        match self.left {
            Left::Listed => String::new(),
            Left::Open | Left::Waits(_) => {
                self.left = Left::Listed;
                self.left_html()
            }
        }
    }

    fn left_html(&self) -> String {
        let entries = Entries::new(self.words.tongue(self.lang), self.given.left());
        entries.map_or_else(String::new, |entries| entries.html())
    }
}
