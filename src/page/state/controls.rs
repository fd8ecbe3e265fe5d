//! Controls as they come. Owns putting into them what they are to hold.

use lol_html::html_content::ContentType;
use lol_html::send::Element;

use crate::page::attributes;
use crate::page::control;
use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::shared::Shared;
use crate::page::state::OpenSelect;
use crate::page::state::State;

impl State {
    pub(in crate::page) fn input(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.takes_control(element) {
            return;
        }
        let control = Control::input(element, &self.walk);
        let chosen = self.fill_input(element, &control);
        self.mark(element, &control, chosen, shared);
    }

    pub(in crate::page) fn textarea(
        &mut self,
        element: &mut Element<'_, '_>,
        shared: &Shared<Self>,
    ) {
        if !self.takes_control(element) {
            return;
        }
        let control = Control::textarea(element, &self.walk);
        if let Some(text) = self.given.text(&control.name, control.disabled) {
            // The parser drops one line break at the beginning.
            let html = format!("\n{}", attributes::escape(&text));
            element.set_inner_content(&html, ContentType::Html);
        }
        self.mark(element, &control, false, shared);
    }

    pub(in crate::page) fn select(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.takes_control(element) {
            return;
        }
        let control = Control::select(element, &self.walk);
        let many = control.kind == Kind::SelectMany;
        let choice = if many {
            None
        } else {
            self.given.choice(&control.name, control.disabled)
        };
        let is_touched =
            choice.is_some() || (many && self.given.is_about(&control.name, control.disabled));
        // One before it that has no end ends here.
        self.option_ends();
        self.default_stays();
        let unsaid = self.select_closes();
        self.select = Some(OpenSelect {
            // Without a name, no option is looked at.
            id: control.id.clone(),
            name: if is_touched {
                control.name.clone()
            } else {
                String::new()
            },
            disabled: control.disabled,
            many,
            wanted: choice.flatten(),
            default: None,
            after: unsaid.unwrap_or_default(),
        });
        self.mark(element, &control, false, shared);
        let within = shared.clone();
        shared.at_end(element, move |state, end| {
            state.option_ends();
            state.default_stays();
            let id = state.select.as_mut().and_then(|select| select.id.take());
            if let Some(after) = state.select_closes() {
                state.put_behind_end(end, "select", id, after, &within);
            }
        });
    }

    /// No more options come. What stands after the select.
    pub(in crate::page::state) fn select_closes(&mut self) -> Option<String> {
        let select = self.select.take()?;
        if let Some(wanted) = &select.wanted {
            self.given.lose(&select.name, wanted);
        }
        Some(select.after)
    }

    /// A button loses the page's own focus, and keeps its value.
    pub(in crate::page) fn button(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.walk.counts(element) {
            self.focus.take_off(element);
        }
        if self.walk.owns(element)
            && let Some(name) = attributes::get(element, "name")
        {
            self.given.is_not_missed(&name);
        }
    }

    /// Whether a control is the form's; what waits for a control has waited long enough.
    pub(in crate::page::state) fn takes_control(&mut self, element: &mut Element<'_, '_>) -> bool {
        if !self.walk.counts(element) {
            return false;
        }
        self.focus.take_off(element);
        self.aside_stays();
        let owns = self.walk.owns(element);
        if owns && let Some(name) = attributes::get(element, "dirname") {
            // The browser says there in which direction the text is written.
            self.given.is_not_missed(&name);
        }
        owns
    }

    /// Puts the value into an input. Whether it is checked now.
    fn fill_input(&mut self, element: &mut Element<'_, '_>, control: &Control) -> bool {
        let name = &control.name;
        match control.kind {
            Kind::Text => {
                if let Some(text) = self.given.text(name, control.disabled) {
                    attributes::set(element, "value", &text);
                }
                false
            }
            Kind::Checkbox | Kind::Radio => {
                let value = control::checked_value(element);
                let chosen = if control.kind == Kind::Radio {
                    self.given.is_radio_chosen(name, &value, control.disabled)
                } else {
                    self.given.is_chosen(name, &value, control.disabled)
                };
                set_flag(element, "checked", chosen);
                element.has_attribute("checked")
            }
            Kind::Hidden => {
                let value = attributes::get(element, "value").unwrap_or_default();
                self.given.pass(name, &value, control.disabled);
                if !value.is_empty() {
                    // One that is empty is filled in by a script, with what the person did.
                    self.given.is_not_missed(name);
                }
                false
            }
            Kind::Button => {
                for name in [name, &format!("{name}.x"), &format!("{name}.y")] {
                    self.given.is_not_missed(name);
                }
                false
            }
            Kind::Password | Kind::File => {
                self.given.is_not_missed(name);
                false
            }
            Kind::Textarea | Kind::Select | Kind::SelectMany => false,
        }
    }
}

/// Sets or takes off an attribute without a value.
pub(in crate::page::state) fn set_flag(
    element: &mut Element<'_, '_>,
    name: &str,
    wanted: Option<bool>,
) {
    let is = element.has_attribute(name);
    match wanted {
        // A constant name is a good name.
        Some(true) if !is => drop(element.set_attribute(name, "")),
        Some(false) if is => element.remove_attribute(name),
        _ => {}
    }
}
