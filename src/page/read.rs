//! What a form presently holds: the values that a browser would send if the person did nothing but send it. Owns
//! reading them out of a page, piece by piece; what may be shown of them is left to `flow`.
//!
//! Left out are buttons, files, passwords and whatever is disabled.

use std::fmt;
use std::mem;

use encoding_rs::Encoding;
use lol_html::element;
use lol_html::send::Element;
use url::Url;

use crate::page::attributes;
use crate::page::change::IsOurs;
use crate::page::charset;
use crate::page::control;
use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::parser::Page;
use crate::page::parser::Parser;
use crate::page::rewrite::Limits;
use crate::page::shared::Shared;
use crate::page::text;
use crate::page::walk;
use crate::page::walk::Follows;
use crate::page::walk::Walk;

/// A page that is being read.
pub struct Reader(Parser<State>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of the page at this URL, in this charset, looking for the first form that `is_ours`.
    #[must_use]
    pub fn new(page: Url, is_ours: IsOurs, charset: &'static Encoding, limits: Limits) -> Self {
        let state = State::new(Walk::new(page, is_ours), charset, limits.held);
        Self(Parser::new(state, charset, limits, |settings, shared| {
            walk::follow(settings, shared)
                .append_element_content_handler(element!("form", shared.handler(State::form)))
                .append_element_content_handler(element!("input", shared.handler(State::input)))
                .append_element_content_handler(element!(
                    "textarea",
                    shared.handler(State::textarea)
                ))
                .append_element_content_handler(element!("select", shared.handler(State::select)))
                .append_element_content_handler(element!(
                    "optgroup",
                    shared.handler(State::optgroup)
                ))
                .append_element_content_handler(element!("option", shared.handler(State::option)))
        }))
    }

    /// Takes the next bytes of the page. Whether more of it could make a difference.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        if !self.wants_more() {
            return false;
        }
        self.0.write(chunk);
        self.wants_more()
    }

    fn wants_more(&self) -> bool {
        self.0.is_reading() && self.0.with(|state| !state.failed && !state.done)
    }

    /// The fields and their values, in order; `None` if the page does not have the form, or not in a way that could
    /// be read whole.
    #[must_use]
    pub fn end(mut self) -> Option<Vec<(String, String)>> {
        if self.wants_more() && !self.0.end() {
            return None;
        }
        self.0.with(State::finish)
    }
}

#[derive(Debug)]
struct Value {
    name: String,
    value: String,
    is_radio: bool,
}

#[derive(Debug)]
struct OpenSelect {
    name: String,
    disabled: bool,
    many: bool,
    /// Shown as a list, in which nothing need be chosen.
    is_list: bool,
    /// Values of options that are chosen, unless they are disabled.
    chosen: Vec<Option<String>>,
    /// The first that is not disabled.
    first: Option<String>,
}

#[derive(Debug)]
struct OpenOption {
    value: Option<String>,
    selected: bool,
    disabled: bool,
}

struct State {
    walk: Walk,
    charset: &'static Encoding,
    values: Vec<Value>,
    /// Bytes that may still be kept.
    left: usize,
    /// Everything that goes by, while it is wanted.
    kept: Option<Vec<u8>>,
    textarea: Option<Control>,
    select: Option<OpenSelect>,
    option: Option<OpenOption>,
    in_disabled_group: bool,
    failed: bool,
    done: bool,
}

impl Page for State {
    fn put(&mut self, chunk: &[u8]) {
        let Some(kept) = &mut self.kept else {
            return;
        };
        if kept.len() + chunk.len() > self.left {
            self.failed = true;
            self.kept = None;
        } else {
            kept.extend_from_slice(chunk);
        }
    }

    fn give_up(&mut self) {
        self.failed = true;
    }
}

impl Follows for State {
    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }
}

impl State {
    const fn new(walk: Walk, charset: &'static Encoding, left: usize) -> Self {
        Self {
            walk,
            charset,
            values: Vec::new(),
            left,
            kept: None,
            textarea: None,
            select: None,
            option: None,
            in_disabled_group: false,
            failed: false,
            done: false,
        }
    }

    fn add(&mut self, name: &str, value: String, is_radio: bool) {
        if name.is_empty() {
            return;
        }
        match self.left.checked_sub(name.len() + value.len()) {
            Some(left) => self.left = left,
            None => self.failed = true,
        }
        if self.failed {
            return;
        }
        let name = name.to_owned();
        if is_radio {
            // Of the checked buttons of a group, the last one counts.
            self.values
                .retain(|value| !(value.is_radio && value.name == name));
        }
        self.values.push(Value {
            name,
            value,
            is_radio,
        });
    }

    fn finish(&mut self) -> Option<Vec<(String, String)>> {
        self.select_ends();
        self.textarea_ends();
        if self.failed || !self.walk.found() {
            return None;
        }
        let values = mem::take(&mut self.values).into_iter();
        Some(
            values
                .map(|value| (with_crlf(value.name), with_crlf(value.value)))
                .collect(),
        )
    }

    /// The HTML that was kept.
    fn take_kept(&mut self) -> String {
        let kept = self.kept.take().unwrap_or_default();
        let (html, _) = self.charset.decode_without_bom_handling(&kept);
        charset::guess(&html).into_owned()
    }

    fn form(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if !self.walk.counts(element) {
            return;
        }
        self.walk.form(element);
        shared.at_end(element, |state, end| {
            if state.walk.form_end(&end.name()) {
                state.select_ends();
                // Controls of a form with an id may come after it.
                state.done = state.walk.form_id().is_none();
            }
        });
    }

    fn input(&mut self, element: &mut Element<'_, '_>, _: &Shared<Self>) {
        if self.done || !self.walk.owns(element) {
            return;
        }
        let control = Control::input(element, &self.walk);
        let is_checked = element.has_attribute("checked");
        let value = match control.kind {
            Kind::Checkbox | Kind::Radio if is_checked => control::checked_value(element),
            Kind::Hidden if control.name.eq_ignore_ascii_case("_charset_") => {
                charset::name(self.charset).to_owned()
            }
            Kind::Hidden => attributes::get(element, "value").unwrap_or_default(),
            Kind::Text => control::text_value(element),
            _ => return,
        };
        if !control.disabled {
            self.add(&control.name, value, control.kind == Kind::Radio);
        }
    }

    fn textarea(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if self.done || !self.walk.owns(element) {
            return;
        }
        self.textarea = Some(Control::textarea(element, &self.walk));
        self.keep_content(element, shared);
        shared.at_end(element, |state, _| state.textarea_ends());
    }

    /// Keeps what follows a start tag from here on.
    fn keep_content(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        self.kept = None;
        shared.behind(element, |state| state.kept = Some(Vec::new()));
    }

    fn textarea_ends(&mut self) {
        let Some(control) = self.textarea.take() else {
            return;
        };
        let value = text::of_textarea(&self.take_kept());
        if !control.disabled {
            self.add(&control.name, value, false);
        }
    }

    fn select(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        if self.done || !self.walk.owns(element) {
            return;
        }
        self.select_ends();
        self.in_disabled_group = false;
        let control = Control::select(element, &self.walk);
        let size = attributes::get(element, "size").and_then(|size| size.trim().parse().ok());
        self.select = Some(OpenSelect {
            name: control.name,
            disabled: control.disabled,
            many: control.kind == Kind::SelectMany,
            is_list: size.is_some_and(|size: u32| size > 1),
            chosen: Vec::new(),
            first: None,
        });
        shared.at_end(element, |state, _| state.select_ends());
    }

    fn select_ends(&mut self) {
        self.option_ends();
        let Some(mut select) = self.select.take().filter(|select| !select.disabled) else {
            return;
        };
        let chosen = if select.many {
            select.chosen
        } else if let Some(last) = select.chosen.pop() {
            vec![last]
        } else if select.is_list {
            Vec::new()
        } else {
            vec![select.first]
        };
        for value in chosen.into_iter().flatten() {
            self.add(&select.name, value, false);
        }
    }

    fn optgroup(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        self.option_ends();
        self.in_disabled_group = element.has_attribute("disabled");
        shared.at_end(element, |state, _| {
            state.option_ends();
            state.in_disabled_group = false;
        });
    }

    fn option(&mut self, element: &mut Element<'_, '_>, shared: &Shared<Self>) {
        self.option_ends();
        if self.select.is_none() || !self.walk.counts(element) {
            return;
        }
        let value = attributes::get(element, "value");
        let is_text = value.is_none();
        self.option = Some(OpenOption {
            value,
            selected: element.has_attribute("selected"),
            disabled: self.in_disabled_group || element.has_attribute("disabled"),
        });
        if is_text {
            self.keep_content(element, shared);
        }
        shared.at_end(element, |state, _| state.option_ends());
    }

    fn option_ends(&mut self) {
        let Some(option) = self.option.take() else {
            return;
        };
        let value = match option.value {
            Some(value) => value,
            None => text::of(&self.take_kept()),
        };
        let Some(select) = &mut self.select else {
            return;
        };
        let value = Some(value).filter(|_| !option.disabled);
        if option.selected {
            select.chosen.push(value);
        } else if select.first.is_none() {
            select.first = value;
        }
        let kept: usize = select.chosen.iter().flatten().map(String::len).sum();
        self.failed |= kept > self.left;
    }
}

/// Line breaks as browsers send them.
fn with_crlf(text: String) -> String {
    if text.contains(['\r', '\n']) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.replace('\n', "\r\n")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::change::FormTag;

    fn read_in(charset: &'static Encoding, page: &[u8], step: usize) -> Option<String> {
        let url = Url::parse("https://example.org/form").expect("a URL");
        let is_ours = Box::new(|form: &FormTag| form.action.path() == "/send");
        let mut reader = Reader::new(url, is_ours, charset, Limits::DEFAULT);
        for chunk in page.chunks(step) {
            if !reader.push(chunk) {
                break;
            }
        }
        let values = reader.end()?;
        let pairs: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some(pairs.join("&"))
    }

    fn read(form: &str) -> String {
        let page = format!(
            "<form action=/other><input name=no value=1></form><form action=/send>{form}</form><input name=no value=2>"
        );
        let read = |step| read_in(encoding_rs::UTF_8, page.as_bytes(), step);
        let whole = read(page.len()).expect("a form");
        assert_eq!(read(1).as_ref(), Some(&whole), "{form}");
        assert_eq!(read(7).as_ref(), Some(&whole), "{form}");
        whole
    }

    #[test]
    fn a_form_holds_what_a_browser_would_send() {
        for (form, expected) in [
            (
                "<input name=a value='R&amp;D'><input value=nameless><input name=b>",
                "a=R&D&b=",
            ),
            (
                "<input type=hidden name=h value=1><input type=hidden name=_charset_>",
                "h=1&_charset_=UTF-8",
            ),
            (
                "<input type=submit name=s value=x><input type=file name=f><input type=password name=p value=x><button name=b value=1>",
                "",
            ),
            (
                "<input name=a value=1 disabled><fieldset disabled><legend><input name=b value=2></legend><input name=c></fieldset>",
                "b=2",
            ),
            (
                "<input type=checkbox name=a checked><input type=checkbox name=a value=2 checked><input type=checkbox name=b>",
                "a=on&a=2",
            ),
            (
                "<input type=radio name=r value=1 checked><input type=radio name=r value=2 checked><input type=radio name=q>",
                "r=2",
            ),
            (
                "<textarea name=t>\n\na&lt;b\nc</textarea><textarea name=u></textarea>",
                "t=\r\na<b\r\nc&u=",
            ),
            (
                "<select name=s><option> First  one <option>2</select>",
                "s=First one",
            ),
            (
                "<select name=s><option disabled selected>x<option value=>none<option selected value=v>V</select>",
                "s=v",
            ),
            (
                "<select name=s><option>1<option selected disabled>2</select>",
                "",
            ),
            (
                "<select name=s><optgroup disabled><option>1</optgroup><option>2</select>",
                "s=2",
            ),
            ("<select name=s size=3><option>1<option>2</select>", ""),
            (
                "<select name=s multiple><option selected>1</option><option>2</option><option selected>3</select>",
                "s=1&s=3",
            ),
            (
                "<select name=s disabled><option>1</select><select name=e></select>",
                "",
            ),
            (
                "<template><input name=a value=1></template><svg><input name=b value=1></svg>",
                "",
            ),
            (
                "<input type=range name=r><input type=range name=r min=1 max=8 step=2><input type=color name=c>",
                "r=50&r=5&c=#000000",
            ),
            (
                "<input name=line value='a\nb'><input type=email name=e value=' a@b '>",
                "line=ab&e=a@b",
            ),
            ("<input name=f form=other value=1>", ""),
        ] {
            assert_eq!(read(form), expected, "{form}");
        }
    }

    #[test]
    fn a_form_with_an_id_goes_on_elsewhere() {
        let page = b"<form id=f action=/send><input name=a value=1></form><input name=b value=2 form=f><form><input name=c form=f>";
        assert_eq!(
            read_in(encoding_rs::UTF_8, page, 5).as_deref(),
            Some("a=1&b=2&c=")
        );
    }

    #[test]
    fn no_form_and_too_much_are_nothing() {
        assert_eq!(
            read_in(
                encoding_rs::UTF_8,
                b"<form action=/x><input name=a></form>",
                9
            ),
            None
        );
        let page = format!(
            "<form action=/send><textarea name=a>{}",
            "x".repeat(Limits::DEFAULT.held + 1)
        );
        assert_eq!(read_in(encoding_rs::UTF_8, page.as_bytes(), 4096), None);
        assert_eq!(
            read_in(encoding_rs::UTF_16LE, b"<form action=/send>", 9),
            None
        );
    }

    #[test]
    fn the_charset_counts() {
        let page = b"<form action=/send><input name=\xe9 value=\xfc><select name=s><option>Z\xfcrich</select>";
        let values = read_in(encoding_rs::WINDOWS_1252, page, 3);
        assert_eq!(values.as_deref(), Some("é=ü&s=Zürich"));
    }
}
