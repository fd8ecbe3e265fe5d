//! Which fields never leave the gateway except to the backend: those a rule file lists, and passwords always.
//! Owns the question "is this name hidden?"; leaving the field out is done where a doc is written.

use serde_json::Value;

/// The hidden field names of one form.
///
/// A listed name hides the field of that name, and a field that has it as a bracketed or dotted part
/// (`card_number` hides `payment[card_number]` and, in a JSON doc, any member so named at any depth). Letter case does
/// not count: some backends read `Card` as `card`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    names: Vec<Box<str>>,
}

impl Hidden {
    /// Hides `names` besides passwords.
    pub fn new<N: Into<Box<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
        }
    }

    /// Adds one name.
    pub fn add(&mut self, name: &str) {
        if !self.names.iter().any(|known| **known == *name) {
            self.names.push(name.into());
        }
    }

    /// The listed names, without the rule for passwords.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether a field of this name is hidden.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        is_password(name) || (!self.names.is_empty() && self.lists(name))
    }

    /// Takes every hidden member out of a JSON value, at any depth.
    pub fn strip(&self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.retain(|name, _| !self.covers(name));
                object.values_mut().for_each(|value| self.strip(value));
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.strip(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Whether any member of a JSON value, at any depth, is hidden.
    #[must_use]
    pub fn covers_any_member(&self, value: &Value) -> bool {
        match value {
            Value::Object(object) => object
                .iter()
                .any(|(name, value)| self.covers(name) || self.covers_any_member(value)),
            Value::Array(list) => list.iter().any(|value| self.covers_any_member(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    fn lists(&self, name: &str) -> bool {
        self.names.iter().any(|listed| {
            listed.eq_ignore_ascii_case(name)
                || name
                    .split(['[', ']', '.'])
                    .any(|part| part.eq_ignore_ascii_case(listed))
        })
    }
}

/// Names of password fields in the languages of the form kits we know, letters only. `pass` and `pw` count only
/// as a whole part of the name, so that `passport` and `passenger` stay visible.
const PASSWORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "passcode",
    "motdepasse",
    "kennwort",
    "wachtwoord",
    "contrasena",
    "contraseña",
];
const WHOLE_PARTS: [&str; 4] = ["pass", "pw", "pwd", "psw"];

/// Whether a field is a password, judged by its name; a POST does not say of which type an input was.
#[must_use]
pub fn is_password(name: &str) -> bool {
    // Almost no name has one of these runs of letters; only those that do are looked at closely.
    let (mut before, mut last) = (0, 0);
    let suspicious = name.bytes().any(|byte| {
        let letter = byte | 0x20;
        let found = (letter == b's' || letter == b'w')
            && matches!(
                [before, last, letter],
                [_, b'p', _] | [_, b'n' | b't', b'w'] | [b'a', b's', b's'] | [b'r', b'a', b's']
            );
        (before, last) = (last, letter);
        found
    });
    suspicious && is_password_slowly(name)
}

#[cold]
fn is_password_slowly(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    PASSWORDS.iter().any(|word| letters.contains(word))
        || name.split(|c: char| !c.is_alphabetic()).any(|part| {
            WHOLE_PARTS
                .iter()
                .any(|word| part.eq_ignore_ascii_case(word))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_known_by_name() {
        for name in [
            "password",
            "Password",
            "new-password",
            "user[password_confirmation]",
            "passwd",
            "pwd",
            "user.pwd",
            "pass",
            "mot_de_passe",
            "Kennwort",
            "contraseña",
            "passphrase",
            "pw",
            "wachtwoord",
        ] {
            assert!(is_password(name), "{name}");
        }
    }

    #[test]
    fn innocent_names_stay_visible() {
        for name in [
            "passport_number",
            "passenger",
            "compass",
            "bypass",
            "network",
            "town",
            "first_name",
            "email",
            "class",
            "answer",
            "",
            "password_hint".trim_start_matches("password_"),
        ] {
            assert!(!is_password(name), "{name}");
        }
    }

    #[test]
    fn listed_names_hide_their_parts() {
        let hidden = Hidden::new(["card_number"]);
        assert!(hidden.covers("card_number"));
        assert!(hidden.covers("payment[card_number]"));
        assert!(hidden.covers("payment.card_number"));
        assert!(hidden.covers("Payment[Card_Number]"));
        assert!(!hidden.covers("card_number_hint"));
    }
}
