//! A control of a form: what its start tag says. Owns the kinds of controls; what one is to hold is left to
//! [`crate::page::given`].

use lol_html::send::Element;

use crate::page::attributes;
use crate::page::walk::Walk;

/// What a control is, as far as its value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum Kind {
    /// An input whose value is text, whatever the type makes of it.
    Text,
    Textarea,
    Select,
    SelectMany,
    Checkbox,
    Radio,
    File,
    Password,
    Hidden,
    /// Buttons of every type.
    Button,
}

impl Kind {
    fn of_input(element: &Element<'_, '_>) -> Self {
        let kind = attributes::get(element, "type").unwrap_or_default();
        match kind.trim().to_ascii_lowercase().as_str() {
            "checkbox" => Self::Checkbox,
            "radio" => Self::Radio,
            "file" => Self::File,
            "password" => Self::Password,
            "hidden" => Self::Hidden,
            "submit" | "image" | "reset" | "button" => Self::Button,
            _ => Self::Text,
        }
    }
}

/// One control.
#[derive(Debug, Clone)]
pub(in crate::page) struct Control {
    pub(in crate::page) kind: Kind,
    /// Empty if it has none, and then it is never sent.
    pub(in crate::page) name: String,
    pub(in crate::page) id: Option<String>,
    pub(in crate::page) disabled: bool,
}

impl Control {
    pub(in crate::page) fn input(element: &Element<'_, '_>, walk: &Walk) -> Self {
        Self::read(element, walk, Kind::of_input(element))
    }

    pub(in crate::page) fn textarea(element: &Element<'_, '_>, walk: &Walk) -> Self {
        Self::read(element, walk, Kind::Textarea)
    }

    pub(in crate::page) fn select(element: &Element<'_, '_>, walk: &Walk) -> Self {
        let kind = if element.has_attribute("multiple") {
            Kind::SelectMany
        } else {
            Kind::Select
        };
        Self::read(element, walk, kind)
    }

    pub(in crate::page) fn button(element: &Element<'_, '_>, walk: &Walk) -> Self {
        Self::read(element, walk, Kind::Button)
    }

    fn read(element: &Element<'_, '_>, walk: &Walk, kind: Kind) -> Self {
        Self {
            kind,
            name: attributes::get(element, "name").unwrap_or_default(),
            id: attributes::get(element, "id").filter(|id| !id.is_empty()),
            disabled: walk.disables(element),
        }
    }

    /// Whether a person can see and use it.
    pub(in crate::page) fn is_usable(&self, element: &Element<'_, '_>) -> bool {
        !self.disabled && self.kind != Kind::Hidden && !element.has_attribute("hidden")
    }
}

/// The value of a checkbox or radio button, as it is sent when it is checked.
pub(in crate::page) fn checked_value(element: &Element<'_, '_>) -> String {
    attributes::get(element, "value").unwrap_or_else(|| "on".to_owned())
}

/// The value of an input of text as a browser reads it from the tag, and what it makes of there being none.
pub(in crate::page) fn text_value(element: &Element<'_, '_>) -> String {
    let kind = attributes::get(element, "type").unwrap_or_default();
    let value = attributes::get(element, "value");
    match (kind.trim().to_ascii_lowercase().as_str(), value) {
        ("color", None) => "#000000".to_owned(),
        ("range", None) => middle(element),
        ("email" | "url", Some(value)) => value.replace(['\r', '\n'], "").trim().to_owned(),
        (_, value) => value.unwrap_or_default().replace(['\r', '\n'], ""),
    }
}

/// Where the handle of a range without a value stands.
fn middle(element: &Element<'_, '_>) -> String {
    let number = |name: &str| -> Option<f64> {
        let value = attributes::get(element, name)?.trim().parse().ok()?;
        f64::is_finite(value).then_some(value)
    };
    let min = number("min").unwrap_or(0.0);
    let max = number("max").unwrap_or(100.0).max(min);
    let step = number("step").filter(|step| *step > 0.0).unwrap_or(1.0);
    let steps = ((max - min) / 2.0 / step + 0.5).floor();
    (min + steps * step).to_string()
}
