//! What is said beside controls: what is wrong with a field, what must be done again. Owns these texts' places and
//! their links.

use lol_html::html_content::ContentType;
use lol_html::html_content::EndTag;
use lol_html::html_content::StreamingHandlerSink;
use lol_html::send::Element;

use crate::model::words::Word;
use crate::page::attributes;
use crate::page::charset;
use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::fields;
use crate::page::fields::Fields;
use crate::page::shared::Shared;
use crate::page::state::Aside;
use crate::page::state::State;
use crate::page::state::put_after;
use crate::page::text;

impl State {
    /// Says beside a control what is wrong with its field, and gives it the focus if it is its turn.
    pub(in crate::page::state) fn mark(
        &mut self,
        element: &mut Element<'_, '_>,
        control: &Control,
        chosen: bool,
        shared: &Shared<Self>,
    ) {
        if control.name.is_empty() || matches!(control.kind, Kind::Hidden | Kind::Button) {
            return;
        }
        if self.given.is_passed_over(&control.name, control.disabled) {
            return;
        }
        let mut html = String::new();
        let mut is_wrong = false;
        if let Some(at) = self.fields.of(&control.name) {
            is_wrong = self.fields.has_error(at);
            let id = control.id.clone().or_else(|| {
                // The message links to it.
                let id = format!("formgate-field-{}", at + 1);
                let is_first = is_wrong && !self.fields.is_met(at);
                is_first
                    .then(|| attributes::set(element, "id", &id))
                    .map(|()| id)
            });
            let aria = attributes::get(element, "aria-label");
            let is_first = self
                .fields
                .meet(at, control, id, aria, self.legend.as_deref());
            if is_first && let Some(label) = &mut self.label {
                label.fields.push(at);
            }
            if is_wrong {
                attributes::set(element, "aria-invalid", "true");
                attributes::add_word(element, "aria-describedby", &Fields::error_id(at));
                if is_first {
                    html = self.fields.error_html(at);
                }
            }
        }
        let note = self.note_beside(element, control, shared);
        if !html.is_empty() && !note.is_empty() {
            html.push(' ');
        }
        html += &note;
        if control.is_usable(element) {
            let outlet = &mut self.outlet;
            self.focus.meet(element, control, chosen, is_wrong, outlet);
        }
        if !html.is_empty() {
            self.put_beside(element, control, html, shared);
        }
    }

    /// What the person must do again, as no page can or may do it.
    fn note_beside(
        &mut self,
        element: &mut Element<'_, '_>,
        control: &Control,
        shared: &Shared<Self>,
    ) -> String {
        let name = &control.name;
        let word = if control.kind == Kind::File {
            let multiple = element.has_attribute("multiple");
            let had_file = self.given.had_file(name, multiple, control.disabled);
            had_file.then_some(Word::ChooseFileAgain)
        } else {
            let current = match control.kind {
                Kind::Text => attributes::get(element, "value").unwrap_or_default(),
                _ => String::new(),
            };
            let secret = control.kind == Kind::Password;
            let is_lost = self.given.is_lost(name, secret, &current) && self.given.is_news(name);
            is_lost.then_some(Word::EnterAgain)
        };
        let Some(word) = word else {
            return String::new();
        };
        self.notes += 1;
        let id = format!("formgate-note-{}", self.notes);
        attributes::add_word(element, "aria-describedby", &id);
        let text = self.words.tongue(self.lang).say(word);
        let html = fields::beside("formgate-field-note", &id, text);
        if control.kind == Kind::Textarea {
            Self::note_at_end(element, name.clone(), id, html, shared);
            return String::new();
        }
        html
    }

    /// Puts a note behind a textarea, unless it turns out to hold already what was entered. Then what is linked is
    /// empty.
    fn note_at_end(
        element: &mut Element<'_, '_>,
        name: String,
        id: String,
        html: String,
        shared: &Shared<Self>,
    ) {
        shared.hole_behind(element, |state, hole| {
            state.content = Some((hole, state.outlet.len()));
        });
        shared.at_end(element, move |state, end| {
            let content = state.content.take();
            let text = content.and_then(|(_, from)| state.content_since(from));
            let is_there = text.is_some_and(|text| !state.given.is_lost(&name, true, &text));
            if let Some((hole, _)) = content {
                state.outlet.fill(hole, Vec::new());
            }
            let html = if is_there {
                format!("<span id=\"{id}\" hidden></span>")
            } else {
                html
            };
            match &mut state.label {
                Some(label) => label.after += &html,
                None => put_after(end, "textarea", &html),
            }
        });
    }

    /// What a textarea that began at `from` holds.
    fn content_since(&self, from: u64) -> Option<String> {
        let bytes = self.outlet.since(from)?;
        let (html, _) = self.charset.decode_without_bom_handling(bytes);
        Some(text::of_textarea(&charset::guess(&html)))
    }

    /// Puts a text behind a control: not into its label, of whose text it would become a part, nor between it and
    /// a label that follows it, whose look may depend on that.
    fn put_beside(
        &mut self,
        element: &mut Element<'_, '_>,
        control: &Control,
        html: String,
        shared: &Shared<Self>,
    ) {
        if let Some(label) = &mut self.label {
            label.after += &html;
            return;
        }
        match (control.kind, &control.id) {
            (Kind::Select | Kind::SelectMany, _) => {
                if let Some(select) = &mut self.select {
                    select.after += &html;
                }
            }
            (Kind::Textarea, id) => {
                let id = id.clone();
                let within = shared.clone();
                shared.at_end(element, move |state, end| {
                    state.put_behind_end(end, "textarea", id, html, &within);
                });
            }
            (_, Some(id)) if !self.hasty => {
                let id = id.clone();
                shared.hole_behind(element, |state, hole| {
                    state.aside = Some(Aside { hole, id, html });
                });
            }
            _ => element.after(&html, ContentType::Html),
        }
    }

    /// As [`Self::put_beside`], at the end tag of a control.
    pub(in crate::page::state) fn put_behind_end(
        &self,
        end: &mut EndTag<'_>,
        name: &str,
        id: Option<String>,
        html: String,
        shared: &Shared<Self>,
    ) {
        match id {
            Some(id) if !self.hasty && !html.is_empty() && end.name() == name => {
                let shared = shared.clone();
                let open = move |_: &mut StreamingHandlerSink<'_>| {
                    shared.with(|state| {
                        let hole = state.outlet.open(0);
                        state.aside_stays();
                        state.aside = Some(Aside { hole, id, html });
                    });
                    Ok(())
                };
                end.streaming_after(Box::new(open));
            }
            _ => put_after(end, name, &html),
        }
    }
}
