//! Changing a page while it streams, in memory bounded by [`Limits`]. Owns which elements somebody is told of, and that
//! the form is known before anything is put into it; reading is left to `page::parser`, changing to
//! `page::state`.
//!
//! Nothing but what is asked for is put in. A link to the gateway's stylesheet is not: pages bring their own styles,
//! their policy may forbid ours, and what is said can be read without.

use std::fmt;
use std::mem;
use std::sync::Arc;

use encoding_rs::Encoding;
use lol_html::element;
use lol_html::send::Settings;

use crate::page::change::Change;
use crate::page::change::Place;
use crate::page::change::Values;
use crate::page::given::Given;
use crate::page::parser::Parser;
use crate::page::pick::Pick;
use crate::page::shared::Shared;
use crate::page::state::State;
use crate::page::walk::Walk;

/// How much memory one page may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What the parser may keep: the tag it is in, and which elements are open.
    pub parser: usize,
    /// What may wait for something that comes later in the page.
    pub held: usize,
    /// What may wait until it is known which form was sent.
    pub page: usize,
}

impl Limits {
    /// For every page: a tag of a megabyte – with an image in it – or some thousand open elements, a form of a quarter,
    /// and a page of four where more than one form could be it.
    pub const DEFAULT: Self = Self {
        parser: 1024 * 1024,
        held: 256 * 1024,
        page: 4096 * 1024,
    };
}

/// A page on its way out.
pub struct Rewriter {
    parser: Parser<State>,
    /// Looks ahead, until it is known which form it is.
    pick: Option<Box<Pick>>,
    /// The first bytes, until it is known whether they are a byte-order mark.
    start: Option<Vec<u8>>,
}

impl fmt::Debug for Rewriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewriter")
            .field("gave_up", &!self.parser.is_reading())
            .finish_non_exhaustive()
    }
}

impl Rewriter {
    /// A rewriter for a page in this charset (see [`crate::page::charset::of_page`]).
    #[must_use]
    pub fn new(mut change: Change, charset: &'static Encoding, limits: Limits) -> Self {
        let place = change.place;
        let page = change.page.clone();
        let is_ours = mem::replace(&mut change.is_ours, Box::new(|_| false));
        let (walk, pick) = match &change.values {
            Values::Submitted(doc) => {
                let values = Values::Submitted(doc.clone());
                let given = Given::new(values, Arc::clone(&change.hidden));
                let pick = Pick::new(page.clone(), is_ours, given, charset, limits);
                (Walk::counting(page), Some(Box::new(pick)))
            }
            Values::Keep | Values::Prefill(_) => (Walk::new(page, is_ours), None),
        };
        let state = State::new(change, walk, charset, limits.held);
        let parser = Parser::new(state, charset, limits, |settings, shared| {
            handlers(settings, shared, place)
        });
        Self {
            parser,
            pick,
            start: Some(Vec::new()),
        }
    }

    /// Whether the form has been found in what was written so far.
    #[must_use]
    pub fn has_form(&self) -> bool {
        self.parser.with(|state| state.found())
    }

    /// Takes the next bytes of the page, and adds to `out` what may go out.
    pub fn write(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.start.take() {
            None => self.read(chunk),
            Some(mut start) => {
                start.extend_from_slice(chunk);
                if start.len() < MARK.len() && MARK.starts_with(&start) {
                    self.start = Some(start);
                } else {
                    self.begin(&start);
                }
            }
        }
        self.parser.with(|state| state.take(out));
    }

    fn begin(&mut self, start: &[u8]) {
        let is_marked = start.starts_with(MARK);
        let mark = if is_marked { MARK.len() } else { 0 };
        self.parser.with(|state| state.begin(mark));
        self.read(start);
    }

    fn read(&mut self, chunk: &[u8]) {
        let Some(mut pick) = self.pick.take() else {
            self.parser.write(chunk);
            return;
        };
        let mut seen = Vec::new();
        if pick.write(chunk, &mut seen) {
            self.pick_ends(*pick, seen);
        } else {
            self.pick = Some(pick);
            self.parser.write(&seen);
        }
    }

    /// It is known which form it is, or never will be.
    fn pick_ends(&mut self, pick: Pick, mut seen: Vec<u8>) {
        let picked = pick.end(&mut seen);
        self.parser.with(|state| state.seek(picked));
        self.parser.write(&seen);
    }

    /// Says that the page is complete, and adds to `out` all that is left. Whether it was read to its end: if not, the
    /// rest of it went by as it came.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(start) = self.start.take() {
            self.begin(&start);
        }
        if let Some(pick) = self.pick.take() {
            self.pick_ends(*pick, Vec::new());
        }
        let is_read = self.parser.end();
        self.parser.with(|state| {
            state.end();
            state.take(out);
        });
        is_read
    }
}

/// UTF-8's byte-order mark, which must stay first.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn handlers(
    settings: Settings<'static, 'static>,
    shared: &Shared<State>,
    place: Place,
) -> Settings<'static, 'static> {
    // To look for a role, the attributes of every tag of the page must be read.
    let main = match place {
        Place::Main => "main, [role=main i], turbo-frame",
        Place::Form | Place::Start => "main",
    };
    let settings = settings
        .append_element_content_handler(element!("base", shared.handler(State::base)))
        .append_element_content_handler(element!("body", shared.handler(State::body)))
        .append_element_content_handler(element!(main, shared.handler(State::main)))
        .append_element_content_handler(element!("template", shared.handler(State::template)))
        .append_element_content_handler(element!("form", shared.handler(State::form)))
        .append_element_content_handler(element!("fieldset", shared.handler(State::fieldset)))
        .append_element_content_handler(element!("legend", shared.handler(State::legend)))
        .append_element_content_handler(element!("label", shared.handler(State::label)))
        .append_element_content_handler(element!("input", shared.handler(State::input)))
        .append_element_content_handler(element!("textarea", shared.handler(State::textarea)))
        .append_element_content_handler(element!("select", shared.handler(State::select)))
        .append_element_content_handler(element!("optgroup", shared.handler(State::optgroup)))
        .append_element_content_handler(element!("option", shared.handler(State::option)))
        .append_element_content_handler(element!("button", shared.handler(State::button)));
    match place {
        // Behind that of the main part, which may be hidden itself.
        Place::Main => settings.append_element_content_handler(element!(
            "[hidden], dialog, details",
            shared.handler(State::unseen)
        )),
        Place::Form | Place::Start => settings,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::model::flat::Flat;
    use crate::model::lang::Lang;
    use crate::model::reply::MsgType;
    use crate::page::change::Notice;

    fn change(place: Place) -> Change {
        Change {
            notice: Some(Notice {
                kind: MsgType::Warning,
                texts: vec!["No & no.".to_owned()],
                statement: String::new(),
                changed: serde_json::Map::new(),
            }),
            frame: None,
            place,
            errors: Vec::new(),
            focus: None,
            values: Values::Keep,
            page: Url::parse("https://example.org/a/form").expect("a URL"),
            shown_at: None,
            is_ours: Box::new(|form| form.method == "POST" && form.action.path() == "/a/send"),
            hidden: Arc::default(),
            lang: Lang::En,
            words: Arc::default(),
        }
    }

    fn rewritten(change: Change, page: &str) -> String {
        let mut rewriter = Rewriter::new(change, encoding_rs::UTF_8, Limits::DEFAULT);
        let mut out = Vec::new();
        for byte in page.as_bytes() {
            rewriter.write(std::slice::from_ref(byte), &mut out);
        }
        rewriter.end(&mut out);
        String::from_utf8(out).expect("text")
    }

    const MESSAGE: &str = "<div class=\"formgate-message formgate-warning\" lang=\"en\" role=\"alert\">\n<p>No &#38; no.</p>\n</div>";

    #[test]
    fn a_frame_that_is_taken_out_has_the_message() {
        let page =
            "<main><turbo-frame id=a>x</turbo-frame><turbo-frame id=b>y</turbo-frame></main>";
        for (frame, at) in [(None, "<main>"), (Some("b"), "<turbo-frame id=b>")] {
            let change = Change {
                frame: frame.map(str::to_owned),
                ..change(Place::Main)
            };
            let expected = page.replacen(at, &format!("{at}{MESSAGE}"), 1);
            assert_eq!(rewritten(change, page), expected);
        }
    }

    #[test]
    fn the_message_stands_in_its_place() {
        for (place, page, expected) in [
            (
                Place::Form,
                "<form></form><form method=post action=send></form>",
                "<form></form><form method=post action=send>*</form>",
            ),
            (Place::Form, "<form>", "<form>*"),
            (Place::Main, "<body><main></main>", "<body><main>*</main>"),
            (Place::Main, "<body><p></p>", "<body>*<p></p>"),
            (Place::Main, "<p></p>", "<p></p>*"),
            (Place::Start, "<p></p>", "*<p></p>"),
            (Place::Start, "\u{feff}<p>", "\u{feff}*<p>"),
            (Place::Start, "", "*"),
        ] {
            let expected = expected.replace('*', MESSAGE);
            assert_eq!(rewritten(change(place), page), expected, "{page}");
        }
    }

    const OPEN: usize = 5000;

    #[test]
    fn thousands_of_elements_may_be_open() {
        let open = "<p>".repeat(OPEN);
        let page = format!("<body>{open}<form method=post action=send>");
        let expected = format!("{page}{MESSAGE}");
        assert_eq!(rewritten(change(Place::Form), &page), expected);
    }

    const SMALL: Limits = Limits {
        parser: 64 * 1024,
        held: 64 * 1024,
        page: Limits::DEFAULT.page,
    };

    #[test]
    fn a_page_beyond_the_limits_goes_out_whole_with_its_message() {
        let form = "<form method=post action=send>";
        let long = format!("<body><a title=\"{}\">{form}", "x".repeat(300_000));
        let deep = format!("<body>{}{form}", "<div>".repeat(200_000));
        for page in [long, deep] {
            for size in [1000, 16 * 1024, page.len()] {
                let mut rewriter = Rewriter::new(change(Place::Form), encoding_rs::UTF_8, SMALL);
                let mut out = Vec::new();
                for piece in page.as_bytes().chunks(size) {
                    rewriter.write(piece, &mut out);
                }
                rewriter.end(&mut out);
                let out = String::from_utf8(out).expect("text");
                let rest = out.replacen(MESSAGE, "", 1);
                assert!(rest == page && out.len() > page.len(), "{size}");
            }
        }
    }

    #[test]
    fn a_form_that_cannot_be_read_to_its_end_is_not_half_filled_in() {
        let mut flat = Flat::new(&Arc::default(), 0);
        for (name, value) in [("a", "one"), ("b", "two")] {
            flat.push_text(name, value);
        }
        let change = Change {
            values: Values::Submitted(flat.into()),
            ..change(Place::Form)
        };
        let image = format!(
            "<input type=image src=\"data:{}\">",
            "x".repeat(2 * SMALL.parser)
        );
        let page =
            format!("<form method=post action=send><input name=a>{image}<input name=b></form>");
        let mut rewriter = Rewriter::new(change, encoding_rs::UTF_8, SMALL);
        let mut out = Vec::new();
        for piece in page.as_bytes().chunks(1000) {
            rewriter.write(piece, &mut out);
        }
        rewriter.end(&mut out);
        assert!(!rewriter.has_form());
        let out = String::from_utf8(out).expect("text");
        let rest = out.strip_prefix(&page).expect("the page as it came");
        assert!(
            rest.contains("<dd>one</dd>") && rest.contains("<dd>two</dd>"),
            "{rest}"
        );
    }

    #[test]
    fn the_first_bytes_do_not_wait_for_the_last() {
        let mut rewriter = Rewriter::new(change(Place::Form), encoding_rs::UTF_8, SMALL);
        let mut out = Vec::new();
        rewriter.write(b"<title>x</title><body>", &mut out);
        assert_eq!(out, b"<title>x</title><body>");
        // What comes before the form waits for it, as the message may have to stand there; but not for ever.
        rewriter.write(b"<p>", &mut out);
        assert!(out.ends_with(b"<body>"));
        for _ in 0..10 {
            rewriter.write(&[b'.'; 10_000], &mut out);
        }
        assert!(out.len() > 90_000);
        rewriter.write(b"<form method=post action=send>", &mut out);
        assert!(out.ends_with(MESSAGE.as_bytes()));
        rewriter.write(b"<p>", &mut out);
        assert!(out.ends_with(b"<p>"));
    }
}
