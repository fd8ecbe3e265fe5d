//! Where in which file something was written, for `explain`, logs and complaints. Owns the value only.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::source::page::Page;

/// A file and a line in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the operator knows it.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

impl Place {
    /// The place of `span` on a page.
    #[must_use]
    pub fn on(page: &Page, span: &Range<usize>) -> Self {
        Self {
            file: page.text().name.as_str().into(),
            line: page.text().line_and_column(span.start).0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
