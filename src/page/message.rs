//! The message of a page as HTML: the same markup as the fragment's. Owns what of a change stands in it.

use crate::page::change::Change;
use crate::page::plain;
use crate::page::plain::Fragment;

/// Nothing if there is nothing to say.
pub(in crate::page) fn html(change: &Change) -> String {
    let Some(notice) = &change.notice else {
        return String::new();
    };
    let errors = change.errors.iter();
    let fragment = Fragment {
        lang: change.lang,
        kind: notice.kind.word(),
        texts: notice.texts.iter().map(String::as_str).collect(),
        errors: errors
            .map(|(field, text)| (field.as_str(), text.as_str()))
            .collect(),
        statement: Some(notice.statement.as_str()).filter(|statement| !statement.is_empty()),
    };
    plain::html(&fragment, "")
}
