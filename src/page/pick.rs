//! Which form of a page was sent, where several are sent to the same place: the one that holds what was sent. Owns
//! looking at each of them before anything of it goes out, and letting the page wait until that is known.
//!
//! A form that fits in every way is it, and the rest of the page is not waited for. Else all of the page is looked at:
//! a form that is the only one is it whatever it holds, since scripts add and change fields; of several it is the one
//! that fits best, and none where that is not clear.

use std::collections::HashMap;
use std::collections::HashSet;

use encoding_rs::Encoding;
use lol_html::element;
use lol_html::send::Element;
use url::Url;

use crate::page::attributes;
use crate::page::change::IsOurs;
use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::given::Given;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;
use crate::page::parser::Page;
use crate::page::parser::Parser;
use crate::page::rewrite::Limits;
use crate::page::shared::Shared;
use crate::page::walk;
use crate::page::walk::Follows;
use crate::page::walk::Walk;

/// What was found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::page) struct Picked {
    /// Which of the page's forms it is, counted from one; `None` if it is none, or that cannot be told.
    pub(in crate::page) form: Option<usize>,
    /// The names of its controls that are not disabled.
    pub(in crate::page) enabled: HashSet<String>,
}

/// A page that is looked through.
pub(in crate::page) struct Pick(Parser<State>);

/// A form that could be it.
#[derive(Debug, Default)]
struct Candidate {
    form: usize,
    /// Hidden fields and buttons that hold something else than what was sent: it is another record's, say.
    wrong: usize,
    /// Texts that it would have sent.
    missing: usize,
    /// Names that were sent and that it has.
    known: HashSet<String>,
    /// Names of buttons that were sent, and whether one holds what was sent.
    buttons: HashMap<String, bool>,
    enabled: HashSet<String>,
    has_ended: bool,
}

impl Candidate {
    fn wrong(&self) -> usize {
        self.wrong + self.buttons.values().filter(|fits| !**fits).count()
    }

    /// How much is against it, where so many names were sent: first what tells records apart.
    fn against(&self, sent: usize) -> (usize, usize) {
        let unknown = sent.saturating_sub(self.known.len());
        (self.wrong(), self.missing + unknown)
    }
}

struct State {
    walk: Walk,
    outlet: Outlet,
    /// How much of the page may wait.
    most: usize,
    given: Given,
    /// How many names were sent that forms can be told by.
    sent: usize,
    is_ours: IsOurs,
    forms: usize,
    candidates: Vec<Candidate>,
    by_id: HashMap<String, usize>,
    /// The candidate that is open.
    open: Option<usize>,
    /// Where the first candidate begins.
    hole: Option<HoleId>,
    picked: Option<Picked>,
}

impl Pick {
    /// Looks for the form that was sent with these values.
    pub(in crate::page) fn new(
        page: Url,
        is_ours: IsOurs,
        given: Given,
        charset: &'static Encoding,
        limits: Limits,
    ) -> Self {
        let state = State {
            walk: Walk::counting(page),
            outlet: Outlet::default(),
            most: limits.page,
            sent: given.names_sent(),
            given,
            is_ours,
            forms: 0,
            candidates: Vec::new(),
            by_id: HashMap::new(),
            open: None,
            hole: None,
            picked: None,
        };
        Self(Parser::new(state, charset, limits, |settings, shared| {
            walk::follow(settings, shared)
                .append_element_content_handler(element!("form", shared.handler(State::form)))
                .append_element_content_handler(element!("input", shared.handler(State::input)))
                .append_element_content_handler(element!(
                    "textarea",
                    shared.handler(State::textarea)
                ))
                .append_element_content_handler(element!("select", shared.handler(State::select)))
                .append_element_content_handler(element!("button", shared.handler(State::button)))
        }))
    }

    /// Takes the next bytes of the page, and adds to `out` what may go on. Whether it is known now which form it is:
    /// then this is to be [ended](Self::end).
    pub(in crate::page) fn write(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.write(chunk);
        self.0.with(|state| {
            state.outlet.take(out);
            state.picked.is_some()
        })
    }

    /// The page is complete, or enough is known: adds to `out` all that is left of it.
    pub(in crate::page) fn end(mut self, out: &mut Vec<u8>) -> Picked {
        self.0.end();
        self.0.with(|state| {
            let picked = state.picked.take();
            let picked = picked.unwrap_or_else(|| state.best());
            state.outlet.close();
            state.outlet.take(out);
            picked
        })
    }
}

impl Page for State {
    fn put(&mut self, chunk: &[u8]) {
        self.outlet.put(chunk);
        if self.outlet.held() > self.most {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        // What comes may fit better.
        self.picked.get_or_insert_default();
    }
}

impl Follows for State {
    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }
}

impl State {
    /// The candidate that fits best.
    fn best(&mut self) -> Picked {
        let mut against: Vec<_> = self
            .candidates
            .iter()
            .map(|one| one.against(self.sent))
            .collect();
        let found = against
            .iter()
            .enumerate()
            .min_by_key(|(_, against)| **against);
        let Some((at, &least)) = found else {
            return Picked::default();
        };
        against.retain(|other| *other == least);
        if self.candidates.len() > 1 && (against.len() > 1 || least.0 > 0) {
            return Picked::default();
        }
        self.picked(at)
    }

    fn picked(&mut self, at: usize) -> Picked {
        let candidate = &mut self.candidates[at];
        Picked {
            form: Some(candidate.form),
            enabled: std::mem::take(&mut candidate.enabled),
        }
    }

    /// More is known about a candidate.
    fn weigh(&mut self, at: usize) {
        let candidate = &self.candidates[at];
        if self.picked.is_none() && candidate.has_ended && candidate.against(self.sent) == (0, 0) {
            self.picked = Some(self.picked(at));
        }
    }

    fn form(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if self.picked.is_some() || !self.walk.counts(element) {
            return;
        }
        if let Some(tag) = self.walk.enters(element) {
            self.forms += 1;
            self.open = None;
            if tag.is_sent() && (self.is_ours)(&tag) {
                let at = self.candidates.len();
                if self.hole.is_none() {
                    self.hole = Some(self.outlet.open(0));
                }
                if let Some(id) = tag.id {
                    self.by_id.entry(id).or_insert(at);
                }
                self.open = Some(at);
                self.candidates.push(Candidate {
                    form: self.forms,
                    ..Candidate::default()
                });
            }
        }
        shared.at_end(element, |state, end| {
            state.walk.form_end(&end.name());
            if end.name() == "form"
                && let Some(at) = state.open.take()
            {
                state.candidates[at].has_ended = true;
                state.weigh(at);
            }
        });
    }

    fn input(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        let control = Control::input(element, &self.walk);
        self.control(element, &control);
    }

    fn textarea(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        let control = Control::textarea(element, &self.walk);
        self.control(element, &control);
    }

    fn select(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        let control = Control::select(element, &self.walk);
        self.control(element, &control);
    }

    fn button(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        let control = Control::button(element, &self.walk);
        self.control(element, &control);
    }

    fn control(&mut self, element: &Element<'_, '_>, control: &Control) {
        if self.picked.is_some() || control.name.is_empty() || !self.walk.counts(element) {
            return;
        }
        let at = match attributes::get(element, "form") {
            Some(id) => self.by_id.get(&id).copied(),
            None => self.open,
        };
        let Some(at) = at else {
            return;
        };
        let candidate = &mut self.candidates[at];
        let name = control.name.as_str();
        if !control.disabled {
            candidate.enabled.insert(name.to_owned());
        }
        if !self.given.tells(name) {
            return;
        }
        let is_sent = self.given.is_sent(name);
        if is_sent {
            candidate.known.insert(name.to_owned());
        }
        let value = attributes::get(element, "value").unwrap_or_default();
        match control.kind {
            _ if control.disabled => {}
            // One that is empty is filled in by scripts.
            Kind::Hidden if !value.is_empty() && !self.given.holds(name, &value) => {
                candidate.wrong += 1;
            }
            Kind::Button => {
                for part in ["x", "y"] {
                    let part = format!("{name}.{part}");
                    if self.given.is_sent(&part) {
                        candidate.known.insert(part);
                    }
                }
                if is_sent {
                    let fits = self.given.holds(name, &value);
                    *candidate.buttons.entry(name.to_owned()).or_default() |= fits;
                }
            }
            Kind::Text | Kind::Textarea if !is_sent && self.sent > 0 => candidate.missing += 1,
            _ => {}
        }
        self.weigh(at);
    }
}
