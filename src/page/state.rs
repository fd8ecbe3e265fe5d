//! What is done to a page, event by event: a form begins, a control comes, a label ends. Owns what is open and what
//! waits for something later; where the parser is is [`Walk`]'s, what a control holds [`Given`]'s, which one gets the
//! focus [`Focus`]'s, what is known about a field [`Fields`]'s.

use std::sync::Arc;

use encoding_rs::Encoding;
use lol_html::html_content::ContentType;
use lol_html::html_content::EndTag;
use lol_html::send::Element;

use crate::model::hidden::Hidden;
use crate::model::lang::Lang;
use crate::model::reply::MsgType;
use crate::model::words::Word;
use crate::model::words::Words;
use crate::page::attributes;
use crate::page::change::Change;
use crate::page::change::Notice;
use crate::page::change::Place;
use crate::page::control;
use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::fields;
use crate::page::fields::Fields;
use crate::page::focus::Focus;
use crate::page::given::Entry;
use crate::page::given::Given;
use crate::page::message;
use crate::page::message::Around;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;
use crate::page::shared::Shared;
use crate::page::text;
use crate::page::walk::Walk;

impl Shared<State> {
    /// Opens a hole right behind a start tag, once the tag has gone out.
    fn hole_behind(
        &self,
        element: &mut Element<'_, '_>,
        then: impl FnOnce(&mut State, HoleId) + Send + 'static,
    ) {
        self.behind(element, |state| {
            let hole = state.outlet.open(0);
            then(state, hole);
        });
    }
}

#[derive(Debug)]
struct OpenLabel {
    target: Option<String>,
    /// Where its start tag is.
    from: u64,
    /// Texts that stand after it.
    after: String,
    /// Fields whose first control is in it.
    fields: Vec<usize>,
}

#[derive(Debug)]
struct OpenSelect {
    name: String,
    disabled: bool,
    many: bool,
    /// The option to choose, if it is to be one: `None` once it is there.
    wanted: Option<Entry>,
    /// The page's own choice, if none comes that is wanted.
    default: Option<HoleId>,
    /// Texts that stand after it.
    after: String,
}

/// An option whose value is its text.
#[derive(Debug)]
struct OpenOption {
    hole: HoleId,
    from: u64,
    was_chosen: bool,
}

/// A text that stands right behind a checkbox, unless a label follows: then behind that.
#[derive(Debug)]
struct Aside {
    hole: HoleId,
    id: String,
    html: String,
}

pub(in crate::page) struct State {
    outlet: Outlet,
    charset: &'static Encoding,
    limit: usize,
    walk: Walk,
    notice: Option<Notice>,
    place: Place,
    errors: Vec<(String, String)>,
    hidden: Arc<Hidden>,
    lang: Lang,
    words: Arc<Words>,
    given: Given,
    fields: Fields,
    focus: Focus,
    /// Where the message goes, if it is known already.
    message: Option<HoleId>,
    /// Where the message goes if no better place comes.
    top: Option<HoleId>,
    label: Option<OpenLabel>,
    legend: Option<String>,
    select: Option<OpenSelect>,
    option: Option<OpenOption>,
    aside: Option<Aside>,
    /// Texts for files that must be chosen again.
    files: usize,
    /// Too much has waited: nothing waits for long any more.
    hasty: bool,
}

impl State {
    pub(in crate::page) fn new(change: Change, charset: &'static Encoding, limit: usize) -> Self {
        let changed = change
            .notice
            .iter()
            .flat_map(|notice| notice.changed.keys());
        let kind = change.notice.as_ref().map(|notice| notice.kind);
        let alarms = change.place == Place::Form && kind == Some(MsgType::Error);
        Self {
            fields: Fields::new(&change.errors, changed),
            outlet: Outlet::default(),
            charset,
            limit,
            walk: Walk::new(change.page, change.is_ours),
            notice: change.notice,
            place: change.place,
            given: Given::new(change.values, Arc::clone(&change.hidden)),
            hidden: change.hidden,
            lang: change.lang,
            words: change.words,
            focus: Focus::new(change.focus, !change.errors.is_empty(), alarms),
            errors: change.errors,
            message: None,
            top: None,
            label: None,
            legend: None,
            select: None,
            option: None,
            aside: None,
            files: 0,
            hasty: false,
        }
    }

    /// The page begins, with a byte-order mark of so many bytes.
    pub(in crate::page) fn begin(&mut self, mark: usize) {
        if self.place == Place::Start {
            let hole = self.outlet.open(mark);
            let message = self.message_html();
            self.fill(hole, &message);
        }
    }

    pub(in crate::page) fn put(&mut self, chunk: &[u8]) {
        self.outlet.put(chunk);
        if self.outlet.held() > self.limit {
            self.hasty = true;
            self.settle(false);
        }
    }

    pub(in crate::page) fn take(&mut self, out: &mut Vec<u8>) {
        self.outlet.take(out);
    }

    /// From here on the page goes out as it comes.
    pub(in crate::page) fn give_up(&mut self) {
        self.hasty = true;
        self.settle(false);
    }

    /// The page is complete.
    pub(in crate::page) fn end(&mut self) {
        self.settle(true);
        // What is linked from a control must be there, wherever.
        let label = self.label.take().map(|label| label.after);
        let select = self.select.take().map(|select| select.after);
        for html in label.into_iter().chain(select) {
            self.put_text(&html);
        }
        let message = self.message_html();
        self.put_text(&message);
    }

    fn put_text(&mut self, text: &str) {
        let bytes = self.charset.encode(text).0;
        self.outlet.put(&bytes);
    }

    fn fill(&mut self, hole: HoleId, text: &str) {
        let bytes = self.charset.encode(text).0.into_owned();
        self.outlet.fill(hole, bytes);
    }

    /// The text of what has gone in since `from`, which stands behind `opening`.
    fn text_since(&self, from: u64, opening: &str) -> Option<String> {
        let bytes = self.outlet.since(from)?;
        let (html, _) = self.charset.decode_without_bom_handling(bytes);
        Some(text::of(&format!("{opening}{html}")))
    }

    // === what waits ===

    /// Decides whatever waits for more of the page.
    fn settle(&mut self, complete: bool) {
        if let Some(option) = self.option.take() {
            self.outlet.fill(option.hole, Vec::new());
        }
        self.default_stays();
        self.aside_stays();
        self.settle_form();
        if let Some(hole) = self.top.take() {
            // A place further down is better than none, but if the form can still come, it is awaited.
            let message = if complete || self.place == Place::Main {
                self.message_html()
            } else {
                String::new()
            };
            self.fill(hole, &message);
        }
        self.outlet.close();
    }

    /// All of the form has been seen: now it is known where the focus is and what the fields are called.
    fn settle_form(&mut self) {
        self.focus.settle(&mut self.outlet);
        if let Some(hole) = self.message.take() {
            let message = self.message_html();
            self.fill(hole, &message);
        }
    }

    /// The message as HTML, once; nothing after that.
    fn message_html(&mut self) -> String {
        let Some(notice) = self.notice.take() else {
            return String::new();
        };
        let around = Around {
            tongue: self.words.tongue(self.lang),
            fields: &self.fields,
            hidden: &self.hidden,
            links: !self.walk.has_base(),
            takes_focus: self.focus.goes_to_message(),
        };
        message::html(&notice, &self.errors, &around)
    }

    fn default_stays(&mut self) {
        let default = self
            .select
            .as_mut()
            .and_then(|select| select.default.take());
        if let Some(hole) = default {
            self.outlet.fill(hole, b" selected".to_vec());
        }
    }

    fn aside_stays(&mut self) {
        if let Some(aside) = self.aside.take() {
            self.fill(aside.hole, &aside.html);
        }
    }

    // === where the page is ===

    pub(in crate::page) fn base(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.walk.counts(element) {
            self.walk.base(element);
        }
    }

    pub(in crate::page) fn template(
        &mut self,
        element: &mut Element<'_, '_>,
        shared: &Shared<Self>,
    ) {
        self.walk.template();
        shared.at_end(element, |state, _| state.walk.template_end());
    }

    pub(in crate::page) fn fieldset(
        &mut self,
        element: &mut Element<'_, '_>,
        shared: &Shared<Self>,
    ) {
        if !self.walk.counts(element) {
            return;
        }
        self.aside_stays();
        self.legend = None;
        self.walk.fieldset(element);
        shared.at_end(element, |state, _| {
            state.aside_stays();
            state.legend = None;
            state.walk.fieldset_end();
        });
    }

    pub(in crate::page) fn legend(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) {
            return;
        }
        self.walk.legend();
        let from = self.outlet.len();
        shared.at_end(element, move |state, _| {
            state.legend = state.text_since(from, "");
            state.walk.legend_end();
        });
    }

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
        if !self.walk.counts(element) || !self.awaits_top() {
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

    /// Whether the message is still to be put at the top of something.
    const fn awaits_top(&self) -> bool {
        self.notice.is_some() && self.message.is_none() && !self.hasty
    }

    fn top_is_not_needed(&mut self) {
        if let Some(hole) = self.top.take() {
            self.outlet.fill(hole, Vec::new());
        }
    }

    pub(in crate::page) fn form(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) {
            return;
        }
        let is_ours = self.walk.form(element);
        shared.at_end(element, |state, end| {
            if state.walk.form_end(&end.name()) {
                state.form_end();
            }
        });
        if !is_ours || self.place != Place::Form {
            return;
        }
        self.top_is_not_needed();
        if self.hasty || (self.errors.is_empty() && !self.focus.awaits()) {
            let message = self.message_html();
            element.prepend(&message, ContentType::Html);
        } else if self.notice.is_some() {
            shared.hole_behind(element, |state, hole| state.message = Some(hole));
        }
    }

    fn form_end(&mut self) {
        self.aside_stays();
        // Controls of the form may come after it.
        let all = self.fields.are_all_met() && !self.focus.awaits();
        if all || self.walk.form_id().is_none() {
            self.settle_form();
        }
    }

    // === labels ===

    pub(in crate::page) fn label(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.found() || !self.walk.counts(element) {
            return;
        }
        let target = attributes::get(element, "for");
        let mut after = String::new();
        match self.aside.take() {
            Some(aside) if target.as_deref() == Some(&*aside.id) => {
                self.outlet.fill(aside.hole, Vec::new());
                after = aside.html;
            }
            other => {
                self.aside = other;
                self.aside_stays();
            }
        }
        if let Some(open) = self.label.take() {
            element.before(&open.after, ContentType::Html);
        }
        self.label = Some(OpenLabel {
            target,
            from: self.outlet.len(),
            after,
            fields: Vec::new(),
        });
        shared.at_end(element, Self::label_end);
    }

    fn label_end(&mut self, end: &mut EndTag<'_>) {
        let Some(label) = self.label.take() else {
            return;
        };
        if let Some(text) = self.text_since(label.from, "") {
            for at in label.fields {
                self.fields.label_around(at, &text);
            }
            if let Some(id) = label.target {
                self.fields.label_for(id, text);
            }
        }
        put_after(end, "label", &label.after);
    }

    // === controls ===

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
        if let Some(text) = self.given.text(&control.name) {
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
            self.given.choice(&control.name)
        };
        let is_touched = many || choice.is_some();
        // One before it that has no end ends here.
        self.option_ends();
        self.default_stays();
        let unsaid = self.select.take().map(|select| select.after);
        self.select = Some(OpenSelect {
            // Without a name, no option is looked at.
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
        shared.at_end(element, |state, end| {
            state.option_ends();
            state.default_stays();
            if let Some(select) = state.select.take() {
                put_after(end, "select", &select.after);
            }
        });
    }

    /// A button only loses the page's own focus.
    pub(in crate::page) fn button(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.walk.counts(element) {
            self.focus.take_off(element);
        }
    }

    /// Whether a control is the form's; what waits for a control has waited long enough.
    fn takes_control(&mut self, element: &mut Element<'_, '_>) -> bool {
        if !self.walk.counts(element) {
            return false;
        }
        self.focus.take_off(element);
        self.aside_stays();
        self.walk.owns(element)
    }

    /// Puts the value into an input. Whether it is checked now.
    fn fill_input(&mut self, element: &mut Element<'_, '_>, control: &Control) -> bool {
        let name = &control.name;
        match control.kind {
            Kind::Text => {
                if let Some(text) = self.given.text(name) {
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
                self.given.pass(name, &value);
                false
            }
            Kind::File | Kind::Password | Kind::Button => false,
            Kind::Textarea | Kind::Select | Kind::SelectMany => false,
        }
    }

    /// Says beside a control what is wrong with its field, and gives it the focus if it is its turn.
    fn mark(
        &mut self,
        element: &mut Element<'_, '_>,
        control: &Control,
        chosen: bool,
        shared: &Shared<Self>,
    ) {
        if control.name.is_empty() || matches!(control.kind, Kind::Hidden | Kind::Button) {
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
        let multiple = element.has_attribute("multiple");
        if control.kind == Kind::File && self.given.had_file(&control.name, multiple) {
            self.files += 1;
            let id = format!("formgate-file-{}", self.files);
            attributes::add_word(element, "aria-describedby", &id);
            let text = self.words.tongue(self.lang).say(Word::ChooseFileAgain);
            html += &fields::beside("formgate-field-note", &id, text);
        }
        if control.is_usable(element) {
            let outlet = &mut self.outlet;
            self.focus.meet(element, control, chosen, is_wrong, outlet);
        }
        if !html.is_empty() {
            self.put_beside(element, control, html, shared);
        }
    }

    /// Puts a text behind a control: not into its label, of whose text it would become a part, nor between a checkbox
    /// and the label that follows it.
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
            (Kind::Checkbox | Kind::Radio, Some(id)) if !self.hasty => {
                let id = id.clone();
                shared.hole_behind(element, |state, hole| {
                    state.aside = Some(Aside { hole, id, html });
                });
            }
            (Kind::Select | Kind::SelectMany, _) => {
                if let Some(select) = &mut self.select {
                    select.after += &html;
                }
            }
            (Kind::Textarea, _) => shared.at_end(element, move |_, end| {
                put_after(end, "textarea", &html);
            }),
            _ => element.after(&html, ContentType::Html),
        }
    }

    // === options ===

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
    fn option_ends(&mut self) {
        let Some(option) = self.option.take() else {
            return;
        };
        let value = self.text_since(option.from, "<option").unwrap_or_default();
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
    fn keep_default(&mut self, hole: HoleId) {
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
            .is_some_and(|wanted| wanted.means(value));
        if chosen {
            select.wanted = None;
            if let Some(hole) = select.default.take() {
                self.outlet.fill(hole, Vec::new());
            }
        }
        Some(chosen)
    }
}

/// Sets or takes off an attribute without a value.
fn set_flag(element: &mut Element<'_, '_>, name: &str, wanted: Option<bool>) {
    let is = element.has_attribute(name);
    match wanted {
        // A constant name is a good name.
        Some(true) if !is => drop(element.set_attribute(name, "")),
        Some(false) if is => element.remove_attribute(name),
        _ => {}
    }
}

/// Puts HTML after the end of an element, which may have no end tag of its own.
fn put_after(end: &mut EndTag<'_>, name: &str, html: &str) {
    if html.is_empty() {
        return;
    }
    if end.name() == name {
        end.after(html, ContentType::Html);
    } else {
        end.before(html, ContentType::Html);
    }
}
