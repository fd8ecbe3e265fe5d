//! What a person entered, as a list: where it cannot stand in its fields, it is still not lost. Owns the list's one
//! markup, and which fields a person fills in; which of them are listed is left to whoever makes the list.

use askama::Template;

use crate::model::words::Tongue;
use crate::model::words::Word;
use crate::page::attributes;
use crate::page::fields;
use crate::page::plain;

/// The list: fields and texts.
#[derive(Debug, Template)]
#[template(path = "entries.html")]
pub struct Entries<'a> {
    /// The gateway's own words in it.
    pub tongue: Tongue<'a>,
    /// The name of each field, and what was entered.
    pub list: Vec<(String, String)>,
}

impl<'a> Entries<'a> {
    /// A list; nothing if there is nothing in it.
    #[must_use]
    pub fn new(tongue: Tongue<'a>, list: Vec<(String, String)>) -> Option<Self> {
        (!list.is_empty()).then_some(Self { tongue, list })
    }

    fn label(name: &str) -> String {
        fields::readable(name)
    }

    pub(in crate::page) fn html(&self) -> String {
        attributes::bare(plain::html(self, "").into()).into_owned()
    }
}

/// Parts of the names of fields that scripts fill in to show that all is well; nobody types into them.
const OF_MACHINES: [&str; 7] = [
    "authenticity",
    "captcha",
    "csrf",
    "nonce",
    "turnstile",
    "verificationtoken",
    "xsrf",
];

/// Parts of the names of fields into which people type what nobody is to see, as into a password's.
const UNSEEN: [&str; 5] = ["cvc", "cvv", "otp", "pin", "tan"];

/// Whether a person may have filled in a field of this name, and may see it again: frameworks keep names with `_` for
/// themselves.
#[must_use]
pub fn may_be_typed(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let mut parts = lower.split(|c: char| !c.is_ascii_alphanumeric());
    !name.starts_with('_')
        && !OF_MACHINES.iter().any(|part| lower.contains(part))
        && !parts.any(|part| UNSEEN.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lang::Lang;

    #[test]
    fn line_breaks_are_kept_and_everything_is_escaped() {
        let list = vec![("first_<b>".to_owned(), "one\r\n<i>".to_owned())];
        let entries = Entries::new(Tongue::plain(Lang::De), list).expect("a list");
        assert_eq!(
            entries.html(),
            "<details class=\"formgate-entries\" open>\n<summary lang=\"de\">Ihre Eingaben</summary>\n<dl>\n\
             <dt>First b</dt>\n<dd>one<br>&#60;i&#62;</dd>\n</dl>\n</details>"
        );
        assert!(Entries::new(Tongue::plain(Lang::De), Vec::new()).is_none());
    }

    #[test]
    fn what_machines_fill_in_was_not_typed() {
        for name in [
            "_method",
            "csrf_token",
            "csrfmiddlewaretoken",
            "authenticity_token",
            "__RequestVerificationToken",
            "card[cvc]",
            "pin",
            "g-recaptcha-response",
            "cf-turnstile-response",
        ] {
            assert!(!may_be_typed(name), "{name}");
        }
        for name in ["name", "token", "shipping", "opinion", "tank"] {
            assert!(may_be_typed(name), "{name}");
        }
    }
}
