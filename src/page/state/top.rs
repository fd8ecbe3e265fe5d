//! The top of the page's main content, where a message stands that is about no form of it. Owns finding one that a
//! person sees; the top of the body is better than none.

use lol_html::html_content::ContentType;
use lol_html::send::Element;

use crate::page::attributes;
use crate::page::change::Place;
use crate::page::shared::Shared;
use crate::page::state::State;

impl State {
    /// The top of the body, or of the main part of it.
    pub(in crate::page) fn body(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) {
            return;
        }
        shared.at_end(element, |state, end| {
            // Whoever reads this far shall see it.
            if state.top.is_none() && state.message.is_none() {
                let message = state.message_html();
                end.before(&message, ContentType::Html);
            }
        });
        if self.awaits_top() && self.top.is_none() {
            shared.hole_behind(element, |state, hole| state.top = Some(hole));
        }
    }

    pub(in crate::page) fn main(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) || !self.awaits_top() || !self.is_main(element) {
            return;
        }
        if self.place == Place::Main {
            let message = self.message_html();
            element.prepend(&message, ContentType::Html);
            self.top_is_not_needed();
        } else {
            shared.hole_behind(element, |state, hole| {
                state.top_is_not_needed();
                state.top = Some(hole);
            });
        }
    }

    /// Something begins in which nothing is seen for now, unless it is open.
    pub(in crate::page) fn unseen(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        let is_open = !element.has_attribute("hidden") && element.has_attribute("open");
        if is_open || !element.can_have_content() || !self.walk.counts(element) {
            return;
        }
        self.unseen += 1;
        shared.at_end(element, |state, _| {
            state.unseen = state.unseen.saturating_sub(1);
        });
    }

    /// Whether this is where the main content is: of the page, or of the only part of it that is seen.
    fn is_main(&self, element: &Element<'_, '_>) -> bool {
        if self.unseen > 0 || element.has_attribute("hidden") || !shows(element) {
            return false;
        }
        let is_frame = element.tag_name() == "turbo-frame";
        match &self.frame {
            Some(id) if self.place == Place::Main => {
                is_frame && attributes::get(element, "id").is_some_and(|found| *found == **id)
            }
            _ => !is_frame,
        }
    }

    /// Whether the message is still to be put at the top of something.
    const fn awaits_top(&self) -> bool {
        self.notice.is_some() && self.message.is_none() && !self.hasty
    }

    pub(in crate::page::state) fn top_is_not_needed(&mut self) {
        if let Some(hole) = self.top.take() {
            self.outlet.fill(hole, Vec::new());
        }
    }
}

/// Whether what stands in an element is shown: a role can be given to any.
fn shows(element: &Element<'_, '_>) -> bool {
    const NOT: [&str; 12] = [
        "audio", "button", "canvas", "iframe", "noscript", "object", "option", "script", "select",
        "style", "textarea", "video",
    ];
    element.can_have_content() && !NOT.contains(&&*element.tag_name())
}
