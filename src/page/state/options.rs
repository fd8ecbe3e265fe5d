//! Options of a select. Owns choosing them: by their value, or by their text once it is complete.

use lol_html::send::Element;

use crate::page::attributes;
use crate::page::charset;
use crate::page::outlet::HoleId;
use crate::page::shared::Shared;
use crate::page::state::OpenOption;
use crate::page::state::State;
use crate::page::state::controls::set_flag;

impl State {
    pub(in crate::page) fn option(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        self.option_ends();
        let Some(select) = self
            .select
            .as_ref()
            .filter(|select| !select.name.is_empty())
        else {
            return;
        };
        if !self.walk.counts(element) {
            return;
        }
        let was_chosen = element.has_attribute("selected");
        let has_default = was_chosen && !select.many && select.wanted.is_some();
        let ahead = 1 + element.tag_name_preserve_case().len();
        match attributes::get(element, "value") {
            Some(value) => {
                let chosen = self.is_option_chosen(&value);
                set_flag(element, "selected", chosen);
                if has_default && chosen == Some(false) {
                    let hole = self.outlet.open(ahead);
                    self.keep_default(hole);
                }
            }
            None => {
                element.remove_attribute("selected");
                self.option = Some(OpenOption {
                    hole: self.outlet.open(ahead),
                    from: self.outlet.len() + ahead as u64,
                    was_chosen,
                });
                shared.at_end(element, |state, _| state.option_ends());
            }
        }
    }

    pub(in crate::page) fn optgroup(&mut self, _: &mut Element<'_, '_>, _: &Shared<Self>) {
        self.option_ends();
    }

    /// The text of an option is complete, and with it its value is known.
    pub(in crate::page::state) fn option_ends(&mut self) {
        let Some(option) = self.option.take() else {
            return;
        };
        let value = self.text_since(option.from, "<option").unwrap_or_default();
        let value = charset::guess(&value).into_owned();
        let awaits = self
            .select
            .as_ref()
            .is_some_and(|select| !select.many && select.wanted.is_some());
        match self.is_option_chosen(&value) {
            Some(true) => self.outlet.fill(option.hole, b" selected".to_vec()),
            None if option.was_chosen => self.outlet.fill(option.hole, b" selected".to_vec()),
            Some(false) if option.was_chosen && awaits => self.keep_default(option.hole),
            Some(false) | None => self.outlet.fill(option.hole, Vec::new()),
        }
    }

    /// Remembers the page's own choice, in case none comes that is wanted. Of several, the last counts.
    pub(in crate::page::state) fn keep_default(&mut self, hole: HoleId) {
        let select = self.select.as_mut();
        let before = select.and_then(|select| select.default.replace(hole));
        if let Some(before) = before {
            self.outlet.fill(before, Vec::new());
        }
    }

    fn is_option_chosen(&mut self, value: &str) -> Option<bool> {
        let select = self.select.as_mut()?;
        if select.many {
            return self.given.is_chosen(&select.name, value, select.disabled);
        }
        let chosen = select
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.entry.means(value));
        if chosen {
            select.wanted = None;
            if let Some(hole) = select.default.take() {
                self.outlet.fill(hole, Vec::new());
            }
        }
        Some(chosen)
    }
}
