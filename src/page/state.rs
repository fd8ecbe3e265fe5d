//! What is known of a page while it is rewritten. Owns finding the form that is ours and the place of the message;
//! reading the page is left to [`crate::page::rewrite`].

use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use encoding_rs::Encoding;
use lol_html::html_content::ContentType;
use lol_html::html_content::StreamingHandlerSink;
use lol_html::send::Element;
use url::Url;

use crate::page::attributes;
use crate::page::change::Change;
use crate::page::change::FormTag;
use crate::page::change::Place;
use crate::page::message;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;
use crate::page::rewrite::Limits;

/// What the handlers and the sink share. They run one after the other, never at once.
#[derive(Clone)]
pub(in crate::page) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(in crate::page) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(in crate::page) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(in crate::page) struct State {
    outlet: Outlet,
    charset: &'static Encoding,
    limits: Limits,
    change: Change,
    base: Option<Url>,
    /// Whether the form that is ours has been seen.
    found: bool,
    said: bool,
    /// The place at the top of the body, until it is known whether there is a main part.
    body: Option<HoleId>,
}

impl State {
    pub(in crate::page) fn new(change: Change, charset: &'static Encoding, limits: Limits) -> Self {
        let mut state = Self {
            outlet: Outlet::default(),
            charset,
            limits,
            change,
            base: None,
            found: false,
            said: false,
            body: None,
        };
        if state.change.place == Place::Start {
            let message = state.message();
            state.put_text(&message);
        }
        state
    }

    pub(in crate::page) fn put(&mut self, chunk: &[u8]) {
        self.outlet.put(chunk);
        if self.outlet.held() > self.limits.held {
            self.settle();
        }
    }

    pub(in crate::page) fn take(&mut self, out: &mut Vec<u8>) {
        self.outlet.take(out);
    }

    /// From here on the page goes out as it comes.
    pub(in crate::page) fn give_up(&mut self) {
        self.settle();
    }

    pub(in crate::page) fn end(&mut self) {
        self.settle();
        let message = self.message();
        self.put_text(&message);
    }

    /// Decides whatever waits for more of the page.
    fn settle(&mut self) {
        if let Some(hole) = self.body.take() {
            let message = self.message();
            self.outlet
                .fill(hole, self.charset.encode(&message).0.into_owned());
        }
        self.outlet.close();
    }

    fn put_text(&mut self, text: &str) {
        let bytes = self.charset.encode(text).0;
        self.outlet.put(&bytes);
    }

    /// The message as HTML, once; nothing after that.
    fn message(&mut self) -> String {
        if mem::replace(&mut self.said, true) {
            return String::new();
        }
        message::html(&self.change)
    }

    pub(in crate::page) fn base(&mut self, element: &mut Element<'_, '_>, _: &Shared) {
        if self.base.is_none()
            && let Some(href) = attributes::get(element, "href")
        {
            self.base = self.change.page.join(href.trim()).ok();
        }
    }

    pub(in crate::page) fn form(&mut self, element: &mut Element<'_, '_>, _: &Shared) {
        if self.found || !(self.change.is_ours)(&self.form_tag(element)) {
            return;
        }
        self.found = true;
        if self.change.place == Place::Form {
            let message = self.message();
            element.prepend(&message, ContentType::Html);
        }
    }

    fn form_tag(&self, element: &Element<'_, '_>) -> FormTag {
        let page = &self.change.page;
        let action = attributes::get(element, "action").unwrap_or_default();
        let action = match action.trim() {
            "" => page.clone(),
            action => {
                let base = self.base.as_ref().unwrap_or(page);
                base.join(action).unwrap_or_else(|_| page.clone())
            }
        };
        let method = attributes::get(element, "method").unwrap_or_default();
        let method = match method.trim().to_ascii_uppercase() {
            method if method == "POST" || method == "DIALOG" => method,
            _ => "GET".to_owned(),
        };
        FormTag {
            method,
            action,
            id: attributes::get(element, "id"),
        }
    }

    pub(in crate::page) fn main(&mut self, element: &mut Element<'_, '_>, _: &Shared) {
        if self.change.place != Place::Main || self.said {
            return;
        }
        let message = self.message();
        element.prepend(&message, ContentType::Html);
        if let Some(hole) = self.body.take() {
            self.outlet.fill(hole, Vec::new());
        }
    }

    pub(in crate::page) fn body(&mut self, element: &mut Element<'_, '_>, shared: &Shared) {
        if self.change.place != Place::Main || self.said || self.body.is_some() {
            return;
        }
        let shared = shared.clone();
        element.streaming_prepend(Box::new(move |_: &mut StreamingHandlerSink<'_>| {
            shared.with(|state| state.body = Some(state.outlet.open(0)));
            Ok(())
        }));
    }
}
