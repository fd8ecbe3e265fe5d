//! What is done to a page, event by event: a form begins, a control comes, a label ends. Owns what is open and what
//! waits for something later; where the parser is is [`Walk`]'s, what a control holds [`Given`]'s, which one gets the
//! focus [`Focus`]'s, what is known about a field [`Fields`]'s.

mod beside;
mod controls;
mod left;
mod options;
mod top;

use std::sync::Arc;

use encoding_rs::Encoding;
use lol_html::html_content::ContentType;
use lol_html::html_content::EndTag;
use lol_html::send::Element;

use crate::model::hidden::Hidden;
use crate::model::lang::Lang;
use crate::model::reply::MsgType;
use crate::model::words::Words;
use crate::page::attributes;
use crate::page::change::Change;
use crate::page::change::Notice;
use crate::page::change::Place;
use crate::page::fields::Fields;
use crate::page::focus::Focus;
use crate::page::given::Given;
use crate::page::given::Wanted;
use crate::page::message;
use crate::page::message::Around;
use crate::page::moved;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;
use crate::page::parser::Page;
use crate::page::pick::Picked;
use crate::page::shared::Shared;
use crate::page::state::left::Left;
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
    id: Option<String>,
    name: String,
    disabled: bool,
    many: bool,
    /// The option to choose, if it is to be one: `None` once it is there.
    wanted: Option<Wanted>,
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

/// A text that stands right behind a control, unless its label follows: then behind that.
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
    /// The address by which the browser knows the page.
    here: Option<String>,
    notice: Option<Notice>,
    place: Place,
    frame: Option<String>,
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
    /// A textarea whose content is looked at, and where it begins.
    content: Option<(HoleId, u64)>,
    /// Notes beside fields.
    notes: usize,
    /// What no control has got.
    left: Left,
    /// Elements that are open and in which nothing is seen.
    unseen: u32,
    /// Too much has waited: nothing waits for long any more.
    hasty: bool,
}

impl Page for State {
    fn put(&mut self, chunk: &[u8]) {
        self.outlet.put(chunk);
        if self.outlet.held() > self.limit {
            self.hasty = true;
            self.settle(false);
        }
    }

    fn give_up(&mut self) {
        self.hasty = true;
        self.settle(false);
    }
}

impl State {
    /// `walk` looks for the form.
    pub(in crate::page) fn new(
        change: Change,
        walk: Walk,
        charset: &'static Encoding,
        limit: usize,
    ) -> Self {
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
            here: change.shown_at.as_ref().map(moved::target),
            walk,
            notice: change.notice,
            place: change.place,
            frame: change.frame,
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
            content: None,
            notes: 0,
            left: Left::Open,
            unseen: 0,
            hasty: false,
        }
    }

    /// It is known which form it is.
    pub(in crate::page) fn seek(&mut self, picked: Picked) {
        self.walk.seek(picked.form);
        self.given.enabled(picked.enabled);
    }

    /// Whether the form has been found.
    pub(in crate::page) const fn found(&self) -> bool {
        self.walk.found()
    }

    /// The page begins, with a byte-order mark of so many bytes.
    pub(in crate::page) fn begin(&mut self, mark: usize) {
        if self.place == Place::Start {
            let hole = self.outlet.open(mark);
            let message = self.message_html();
            self.fill(hole, &message);
        }
    }

    pub(in crate::page) fn take(&mut self, out: &mut Vec<u8>) {
        self.outlet.take(out);
    }

    /// The page is complete.
    pub(in crate::page) fn end(&mut self) {
        self.settle(true);
        // What is linked from a control must be there, wherever.
        let label = self.label.take().map(|label| label.after);
        let select = self.select_closes();
        let left = self.left_at_last();
        for html in label.into_iter().chain(select).chain([left]) {
            self.put_text(&html);
        }
        let message = self.message_html();
        self.put_text(&message);
    }

    fn put_text(&mut self, text: &str) {
        let bytes = self.charset.encode(text).0;
        self.outlet.put(&bytes);
    }

    pub(in crate::page::state) fn fill(&mut self, hole: HoleId, text: &str) {
        let bytes = self.charset.encode(text).0.into_owned();
        self.outlet.fill(hole, bytes);
    }

    /// The text of what has gone in since `from`, which stands behind `opening`.
    pub(in crate::page::state) fn text_since(&self, from: u64, opening: &str) -> Option<String> {
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
        self.settle_left();
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
    pub(in crate::page::state) fn settle_form(&mut self) {
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
            here: match self.walk.has_base() {
                false => Some(""),
                true => self.here.as_deref(),
            },
            takes_focus: self.focus.goes_to_message(),
        };
        message::html(&notice, &self.errors, &around)
    }

    pub(in crate::page::state) fn default_stays(&mut self) {
        let default = self
            .select
            .as_mut()
            .and_then(|select| select.default.take());
        if let Some(hole) = default {
            self.outlet.fill(hole, b" selected".to_vec());
        }
    }

    pub(in crate::page::state) fn aside_stays(&mut self) {
        if let Some(aside) = self.aside.take() {
            self.fill(aside.hole, &aside.html);
        }
    }

    // === where the page is ===

    pub(in crate::page) fn base(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        self.walk.base(element);
    }

    pub(in crate::page) fn template(
        &mut self,
        element: &mut Element<'_, '_>,
        shared: &Shared<Self>,
    ) {
        if self.walk.template(element) {
            shared.at_end(element, |state, _| state.walk.template_end());
        }
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

    pub(in crate::page) fn form(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) {
            return;
        }
        let is_ours = self.walk.form(element);
        shared.at_end(element, |state, end| {
            if state.walk.form_end(&end.name()) {
                state.form_end(end);
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

    fn form_end(&mut self, end: &mut EndTag<'_>) {
        self.aside_stays();
        // Controls of the form may come after it.
        let all = self.fields.are_all_met() && !self.focus.awaits();
        if all || self.walk.form_id().is_none() {
            self.settle_form();
        }
        self.left_at_end(end);
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
