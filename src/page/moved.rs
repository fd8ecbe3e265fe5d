//! A page that is shown at another address than its own: a stopped form stands where it was sent to. Owns making its
//! relative addresses mean what they meant, by a `<base>` at the top of its head, and links within the page stay
//! within it. A page with a `<base>` of its own needs none.
//!
//! An action that is not written is the page's address as the browser knows it, whatever the base; and the policy of a
//! page may forbid a base. So where forms are sent to is written out.

use std::fmt;

use encoding_rs::Encoding;
use lol_html::element;
use lol_html::html_content::ContentType;
use lol_html::send::Element;
use lol_html::send::Settings;
use url::Position;
use url::Url;

use crate::page::attributes;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;
use crate::page::parser::Page;
use crate::page::parser::Parser;
use crate::page::rewrite::Limits;
use crate::page::shared::Shared;

/// A page on its way to another address.
pub struct Moved(Parser<State>);

impl fmt::Debug for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moved").finish_non_exhaustive()
    }
}

/// What addresses in the page are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// It is not known yet.
    Open,
    /// The page's own `<base>`.
    Own,
    /// The one that was put in.
    Given,
}

struct State {
    outlet: Outlet,
    limit: usize,
    base: Base,
    /// The top of the head, until it is known whether the page has a base of its own.
    top: Option<HoleId>,
    /// The tag to put in.
    tag: String,
    /// The address at which the page is shown.
    here: String,
    /// The page's own address.
    page: Url,
}

impl Moved {
    /// Moves a page in this charset; `None` if its addresses mean the same at `shown_at`.
    #[must_use]
    pub fn new(
        page: &Url,
        shown_at: &Url,
        charset: &'static Encoding,
        limits: Limits,
    ) -> Option<Self> {
        // Even in the same folder `?page=2` would be another address.
        if page.path() == shown_at.path() && page.origin() == shown_at.origin() {
            return None;
        }
        let state = State {
            outlet: Outlet::default(),
            limit: limits.held,
            base: Base::Open,
            top: None,
            tag: format!("<base href=\"{}\">", quoted(&target(page))),
            here: quoted(&target(shown_at)),
            page: page.clone(),
        };
        let handlers = |settings: Settings<'static, 'static>, shared: &Shared<State>| {
            settings
                .append_element_content_handler(element!("head", shared.handler(State::head)))
                .append_element_content_handler(element!("base", shared.handler(State::base)))
                .append_element_content_handler(element!(
                    "link, script, style, img, form, body",
                    shared.handler(State::begins)
                ))
                .append_element_content_handler(element!("form", shared.handler(State::form)))
                .append_element_content_handler(element!(
                    "a[href^='#'], area[href^='#']",
                    shared.handler(State::link)
                ))
        };
        Some(Self(Parser::new(state, charset, limits, handlers)))
    }

    /// Takes the next bytes of the page, and adds to `out` what may go on.
    pub fn write(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.0.write(chunk);
        self.0.with(|state| state.outlet.take(out));
    }

    /// Says that the page is complete, and adds to `out` all that is left.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.0.end();
        self.0.with(|state| {
            state.settle();
            state.outlet.take(out);
        });
    }
}

impl Page for State {
    fn put(&mut self, chunk: &[u8]) {
        self.outlet.put(chunk);
        if self.outlet.held() > self.limit {
            self.settle();
        }
    }

    fn give_up(&mut self) {
        self.settle();
    }
}

impl State {
    /// It is not waited for a base of the page's own any longer.
    fn settle(&mut self) {
        if let Some(top) = self.top.take() {
            self.base = Base::Given;
            self.outlet.fill(top, self.tag.clone().into_bytes());
        }
        self.outlet.close();
    }

    fn head(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if self.base != Base::Open || self.top.is_some() {
            return;
        }
        shared.behind(element, |state| {
            state.top = Some(state.outlet.open(0));
        });
        shared.at_end(element, |state, _| state.settle());
    }

    fn base(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.base == Base::Open && attributes::get(element, "href").is_some() {
            self.base = Base::Own;
            if let Some(top) = self.top.take() {
                self.outlet.fill(top, Vec::new());
            }
        }
    }

    /// Something begins that has addresses in it: a head that is not written has begun before.
    fn begins(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if element.tag_name() == "body" {
            self.settle();
        }
        if self.base == Base::Open && self.top.is_none() {
            self.base = Base::Given;
            if element.tag_name() == "body" {
                element.prepend(&self.tag, ContentType::Html);
            } else {
                element.before(&self.tag, ContentType::Html);
            }
        }
    }

    fn form(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        let action = attributes::get(element, "action").unwrap_or_default();
        let action = action.trim();
        let action = match self.base {
            // Whatever the base's host is.
            Base::Own if action.is_empty() => {
                let page = &self.page[Position::BeforeHost..Position::AfterQuery];
                Some(format!("//{page}"))
            }
            Base::Own => None,
            Base::Open | Base::Given if action.is_empty() => Some(target(&self.page)),
            Base::Open | Base::Given => {
                let is_relative = !action.starts_with('/') && Url::parse(action).is_err();
                let meant = is_relative.then(|| self.page.join(action).ok());
                meant
                    .flatten()
                    .map(|url| url[Position::BeforePath..].to_owned())
            }
        };
        if let Some(action) = action {
            let _ = element.set_attribute("action", &quoted(&action));
        }
    }

    fn link(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.base == Base::Own {
            return;
        }
        if let Some(fragment) = element.get_attribute("href") {
            // As it is written: only what stands before it is new.
            let _ = element.set_attribute("href", &format!("{}{fragment}", self.here));
        }
    }
}

/// The path and query of a URL.
pub(in crate::page) fn target(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}"));
    format!("{}{}", url.path(), query.unwrap_or_default())
}

/// As it is written in an attribute.
fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: &str, to: &str, page: &str) -> String {
        let url =
            |target: &str| Url::parse(&format!("https://example.org{target}")).expect("a URL");
        let limits = Limits::DEFAULT;
        let moved = Moved::new(&url(from), &url(to), encoding_rs::UTF_8, limits);
        let Some(mut moved) = moved else {
            return page.to_owned();
        };
        let mut out = Vec::new();
        for byte in page.as_bytes() {
            moved.write(&[*byte], &mut out);
        }
        moved.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn addresses_mean_what_they_meant() {
        let page = "<html><head><link href=a.css></head><body><a href=\"#main\">x</a><a href=b>y</a></body></html>";
        assert_eq!(
            moved("/contact?a=1&b=2", "/contact/send", page),
            "<html><head><base href=\"/contact?a=1&amp;b=2\"><link href=a.css></head><body>\
             <a href=\"/contact/send#main\">x</a><a href=b>y</a></body></html>"
        );
        let here = "/contact?x=1";
        assert_eq!(moved("/contact", here, page), page, "the same page");
    }

    #[test]
    fn forms_are_sent_to_where_they_were() {
        for (written, meant) in [
            ("<form>", "<form action=\"/a/b?x=1&amp;y\">"),
            ("<form action=\" \">", "<form action=\"/a/b?x=1&amp;y\">"),
            ("<form action=c>", "<form action=\"/a/c\">"),
            ("<form action=\"?z=1\">", "<form action=\"/a/b?z=1\">"),
            ("<form action=\"/c\">", "<form action=\"/c\">"),
            (
                "<form action=\"https://x.example/\">",
                "<form action=\"https://x.example/\">",
            ),
        ] {
            let page = format!("<head></head>{written}</form>");
            let out = moved("/a/b?x=1&y", "/a/send", &page);
            assert!(out.contains(meant), "{written}: {out}");
        }
        let based = "<head><base href=\"https://x.example/\"></head>";
        let out = moved("/a/b", "/c", &format!("{based}<form><form action=c>"));
        let meant = "<form action=\"//example.org/a/b\"><form action=c>";
        assert_eq!(out, format!("{based}{meant}"));
    }

    #[test]
    fn a_base_of_its_own_stays_the_only_one() {
        for page in [
            "<head><link href=a><base href=\"/x/\"></head><a href=\"#a\">x</a>",
            "<base href=\"/x/\"><a href=\"#a\">x</a>",
        ] {
            assert_eq!(moved("/a/b", "/c", page), page);
        }
    }

    #[test]
    fn a_head_that_is_not_written_begins_all_the_same() {
        let base = "<base href=\"/a/b\">";
        for (page, at) in [
            ("<!doctype html><title>x</title><link href=a><p>y", "<link"),
            ("<title>x</title><body class=y><img src=a>", "<img"),
            ("<p>x<form action=\"/y\"></form>", "<form"),
        ] {
            let expected = page.replacen(at, &format!("{base}{at}"), 1);
            assert_eq!(moved("/a/b", "/c", page), expected);
        }
        assert_eq!(moved("/a/b", "/c", "<p>x"), "<p>x");
    }

    #[test]
    fn a_head_without_end_is_not_waited_for() {
        let page = format!("<head>{}", "<meta name=x>".repeat(50_000));
        let out = moved("/a/b", "/c", &page);
        assert_eq!(
            out,
            page.replacen("<head>", "<head><base href=\"/a/b\">", 1)
        );
    }
}
