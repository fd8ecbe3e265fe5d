//! The fields that a message names, and what the page says about them: which controls they have, what a person
//! calls them. Owns this, and the text that stands beside a field.

use crate::page::attributes;
use crate::page::control::Control;
use crate::page::control::Kind;

/// Labels that are remembered; a form with more is not read by anybody.
const MAX_LABELS: usize = 1000;

/// A field that has errors or was changed.
#[derive(Debug, Default)]
pub(in crate::page) struct Field {
    name: String,
    /// What is wrong with it.
    texts: Vec<String>,
    /// How many controls it has so far.
    controls: usize,
    kind: Option<Kind>,
    id: Option<String>,
    /// What the label around its first control says.
    around: Option<String>,
    /// What stands over its group of controls.
    legend: Option<String>,
    aria: Option<String>,
}

/// Whether a control of this name belongs to a field; PHP's lists have brackets that nobody writes in a rule, and a field
/// within another may be written with dots.
pub(in crate::page) fn is_named(field: &str, control: &str) -> bool {
    let control = control.strip_suffix("[]").unwrap_or(control);
    control == field || field.strip_suffix("[]") == Some(control) || is_dotted(field, control)
}

/// Whether the field `a.b.c` is that of the control `a[b][c]`.
fn is_dotted(field: &str, control: &str) -> bool {
    let Some((first, rest)) = control.split_once('[') else {
        return false;
    };
    let parts = rest.strip_suffix(']').map(|rest| rest.split("]["));
    let parts = parts.into_iter().flatten();
    field.split('.').eq(std::iter::once(first).chain(parts))
}

/// The name of a field as a person would write it: `first_name` is `First name`.
pub(in crate::page) fn readable(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut before = ' ';
    for c in name.chars() {
        let is_word = c.is_alphanumeric();
        if (!is_word || (c.is_uppercase() && before.is_lowercase())) && !text.ends_with(' ') {
            text.push(' ');
        }
        if is_word {
            text.extend(c.to_lowercase());
        }
        before = c;
    }
    let text = text.trim();
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => name.to_owned(),
    }
}

/// What a label says, without marks that belong to the form and not to the field's name.
fn tidy(label: &str) -> Option<&str> {
    let tidy = label.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '*'));
    (!tidy.is_empty() && tidy.chars().count() <= 120).then_some(tidy)
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::page) struct Fields {
    list: Vec<Field>,
    /// What labels for an id say.
    labels: Vec<(String, String)>,
}

impl Fields {
    pub(in crate::page) fn new<'c>(
        errors: &[(String, String)],
        changed: impl Iterator<Item = &'c String>,
    ) -> Self {
        let mut fields = Self::default();
        for (name, text) in errors {
            fields.named(name).texts.push(text.clone());
        }
        for name in changed {
            fields.named(name);
        }
        fields
    }

    fn named(&mut self, name: &str) -> &mut Field {
        let at = self.list.iter().position(|field| field.name == name);
        let at = at.unwrap_or_else(|| {
            self.list.push(Field {
                name: name.to_owned(),
                ..Field::default()
            });
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// The place of the field that a control belongs to.
    pub(in crate::page) fn of(&self, control: &str) -> Option<usize> {
        self.list
            .iter()
            .position(|field| is_named(&field.name, control))
    }

    /// Whether every field has been met.
    pub(in crate::page) fn are_all_met(&self) -> bool {
        self.list.iter().all(|field| field.controls > 0)
    }

    /// Whether a field has a control so far.
    pub(in crate::page) fn is_met(&self, at: usize) -> bool {
        self.list[at].controls > 0
    }

    /// Remembers a control of a field. Whether it is the first.
    pub(in crate::page) fn meet(
        &mut self,
        at: usize,
        control: &Control,
        id: Option<String>,
        aria: Option<String>,
        legend: Option<&str>,
    ) -> bool {
        let field = &mut self.list[at];
        field.controls += 1;
        if field.controls > 1 {
            return false;
        }
        field.kind = Some(control.kind);
        field.id = id;
        field.aria = aria;
        field.legend = legend.map(str::to_owned);
        true
    }

    /// Whether there is something wrong with a field.
    pub(in crate::page) fn has_error(&self, at: usize) -> bool {
        !self.list[at].texts.is_empty()
    }

    /// The id of the text beside a field.
    pub(in crate::page) fn error_id(at: usize) -> String {
        format!("formgate-error-{}", at + 1)
    }

    /// The text beside a field.
    pub(in crate::page) fn error_html(&self, at: usize) -> String {
        let text = self.list[at].texts.join("\n");
        beside("formgate-field-error", &Self::error_id(at), &text)
    }

    /// The label around the first control of a field ends.
    pub(in crate::page) fn label_around(&mut self, at: usize, text: &str) {
        self.list[at].around = Some(text.to_owned());
    }

    /// A label for an id ends.
    pub(in crate::page) fn label_for(&mut self, id: String, text: String) {
        if self.labels.len() < MAX_LABELS && !self.list.is_empty() {
            self.labels.push((id, text));
        }
    }

    /// What a person calls a field.
    pub(in crate::page) fn label(&self, name: &str) -> String {
        let found = self.list.iter().find(|field| field.name == name);
        let label = found.and_then(|field| {
            let id = field.id.as_deref();
            let by_id = self.labels.iter().find(|(known, _)| Some(&**known) == id);
            let is_group = match field.kind {
                Some(Kind::Radio) => true,
                Some(Kind::Checkbox) => field.controls > 1,
                _ => false,
            };
            let own = || field.around.as_deref().or(by_id.map(|(_, text)| &**text));
            let label = if is_group {
                field.legend.as_deref()
            } else {
                field.aria.as_deref().or_else(own)
            };
            label.and_then(tidy)
        });
        label.map_or_else(|| readable(name), str::to_owned)
    }

    /// The id of the first control of a field.
    pub(in crate::page) fn id(&self, name: &str) -> Option<&str> {
        let field = self.list.iter().find(|field| field.name == name)?;
        field.id.as_deref()
    }
}

/// A text beside a control. Its line breaks are kept whether or not the page has a stylesheet for it.
pub(in crate::page) fn beside(class: &str, id: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().map(attributes::escape).collect();
    let text = lines.join("<br>");
    format!("<span class=\"{class}\" id=\"{id}\">{text}</span>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_by_their_controls() {
        for (field, control) in [
            ("a", "a"),
            ("a", "a[]"),
            ("a[]", "a[]"),
            ("user.email", "user[email]"),
            ("user[email]", "user[email]"),
            ("user.tags", "user[tags][]"),
            ("a.0.b", "a[0][b]"),
        ] {
            assert!(is_named(field, control), "{field} {control}");
        }
        for (field, control) in [
            ("a", "b"),
            ("user.email", "user[name]"),
            ("a.b", "a[b"),
            ("a", "a[b]"),
            ("a.b", "ab"),
        ] {
            assert!(!is_named(field, control), "{field} {control}");
        }
    }

    #[test]
    fn names_are_made_readable() {
        for (name, expected) in [
            ("first_name", "First name"),
            ("user[email]", "User email"),
            ("dateOfBirth", "Date of birth"),
            ("interests[]", "Interests"),
            ("zip", "Zip"),
            ("straße-2", "Straße 2"),
            ("[]", "[]"),
        ] {
            assert_eq!(readable(name), expected);
        }
    }

    #[test]
    fn labels_lose_their_marks() {
        assert_eq!(tidy("E-mail: *"), Some("E-mail"));
        assert_eq!(tidy(" * "), None);
        assert_eq!(tidy(&"x".repeat(121)), None);
    }
}
