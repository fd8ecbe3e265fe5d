//! What a page is to say and to hold. Owns the values; putting them into a page is left to
//! [`crate::page::rewrite`], deciding on them to `flow`.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::model::doc::Doc;
use crate::model::doc::Jdoc;
use crate::model::hidden::Hidden;
use crate::model::lang::Lang;
use crate::model::reply::MsgType;
use crate::model::words::Tongue;
use crate::model::words::Words;

/// Everything that is to be done to one page.
pub struct Change {
    /// The message, if there is one. It is never lost: where its place is not found, it stands at the end of the page.
    pub notice: Option<Notice>,
    /// Where the message goes.
    pub place: Place,
    /// The id of the `<turbo-frame>` that is taken out of the page: its beginning is the top of the main content.
    pub frame: Option<String>,
    /// Fields and what is wrong with them, in order. They stand beside their fields and, all of them, in the message.
    pub errors: Vec<(String, String)>,
    /// The field to focus; without it, the first with an error that the page has.
    pub focus: Option<String>,
    /// What the form's controls are to hold.
    pub values: Values,
    /// The page's own URL, which actions are resolved against.
    pub page: Url,
    /// The URL by which the browser knows it, if that is known: a stopped form is shown where it was sent to.
    pub shown_at: Option<Url>,
    /// Whether a form of the page can be the one that all this is about. If several can, it is the one that holds what
    /// was submitted; where nothing was, the first.
    pub is_ours: IsOurs,
    /// Fields whose values are never written into a page.
    pub hidden: Arc<Hidden>,
    /// The language of what is said.
    pub lang: Lang,
    /// What the form's rule file says instead of the gateway's own words.
    pub words: Arc<Words>,
}

impl Change {
    /// The gateway's own words for this page.
    #[must_use]
    pub fn tongue(&self) -> Tongue<'_> {
        self.words.tongue(self.lang)
    }
}

impl fmt::Debug for Change {
    /// Shows no value: they are a person's input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("place", &self.place)
            .field("errors", &self.errors.len())
            .finish_non_exhaustive()
    }
}

/// Knows a form by its start tag.
pub type IsOurs = Box<dyn Fn(&FormTag) -> bool + Send>;

/// Where the message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// First thing in the form.
    Form,
    /// At the top of the main content (`<main>`, `role="main"`), else of the body.
    Main,
    /// At the very beginning, for what is a part of a page only.
    Start,
}

/// What the form's controls are to hold.
#[derive(Debug, Clone)]
pub enum Values {
    /// What the page says.
    Keep,
    /// What the person left in them, in every control: one that was not sent is not checked.
    Submitted(Doc),
    /// These fields are to hold this, the others what the page says.
    Prefill(Jdoc),
}

/// What is said at the top.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The most severe kind of what is said.
    pub kind: MsgType,
    /// The messages that are about no field, the most severe first: plain text.
    pub texts: Vec<String>,
    /// A sentence about whether anything was saved; may be empty.
    pub statement: String,
    /// Fields that were changed, and to what.
    pub changed: Jdoc,
}

/// The start tag of a form, read as a browser reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormTag {
    /// Upper case; `GET` if the tag does not say.
    pub method: String,
    /// Resolved against the page's base; the page's own URL if the tag does not say.
    pub action: Url,
    /// The form's id.
    pub id: Option<String>,
}

impl FormTag {
    /// Whether such a form is ever sent anywhere.
    pub(in crate::page) fn is_sent(&self) -> bool {
        self.method != "DIALOG"
    }
}
