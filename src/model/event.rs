//! Which moment in a form's life a hook is asked about. Owns the names; which request is which event is left
//! to `rules`.

use std::fmt;

/// A moment at which hooks are called and their reply is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A person opens the form, before the page is answered.
    Load,
    /// A person submits, before the backend sees anything.
    Preprocess,
    /// The backend has accepted, before the person gets the answer.
    Submit,
}

impl Event {
    /// Every event, in the order in which a person meets them.
    pub const ALL: [Self; 3] = [Self::Load, Self::Preprocess, Self::Submit];

    /// The word used in rule files: `on = "preprocess"`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Preprocess => "preprocess",
            Self::Submit => "submit",
        }
    }

    /// The event of all forms: `form_preprocess`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "form_load",
            Self::Preprocess => "form_preprocess",
            Self::Submit => "form_submit",
        }
    }

    /// Reads `load`, `preprocess`, `submit`, or a full name with or without a form (`form_load_contact`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| {
            text == event.word()
                || text
                    .strip_prefix(event.name())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_word_and_by_name() {
        assert_eq!(Event::parse("load"), Some(Event::Load));
        assert_eq!(Event::parse("form_submit_contact"), Some(Event::Submit));
        assert_eq!(Event::parse("form_submitted"), None);
    }
}
