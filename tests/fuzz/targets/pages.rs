//! Pages that are changed, moved and read while they stream: borders mean nothing, nothing is lost where nothing is
//! to be changed, and what a person typed is never an element.

use std::sync::Arc;

use encoding_rs::Encoding;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use formgate::model::lang::Lang;
use formgate::model::reply::MsgType;
use formgate::page::change::Change;
use formgate::page::change::Notice;
use formgate::page::change::Place;
use formgate::page::change::Values;
use formgate::page::charset;
use formgate::page::moved::Moved;
use formgate::page::read::Reader;
use formgate::page::rewrite::Limits;
use formgate::page::rewrite::Rewriter;
use scraper::Html;
use scraper::Selector;
use url::Url;

use super::pieces;
use super::variant;

const HOSTILE: &str = "\"'><hostile-element x=\"</textarea></title></select><hostile-element>&lt;";

const PLACES: [Place; 3] = [Place::Form, Place::Main, Place::Start];

const CHARSETS: [&Encoding; 6] = [
    encoding_rs::UTF_8,
    encoding_rs::WINDOWS_1252,
    encoding_rs::SHIFT_JIS,
    encoding_rs::GB18030,
    encoding_rs::KOI8_R,
    encoding_rs::X_USER_DEFINED,
];

fn page_url() -> Url {
    Url::parse("https://example.org/form").expect("a URL")
}

fn change(which: usize, is_something: bool) -> Change {
    let hidden = Arc::<Hidden>::default();
    let mut flat = Flat::new(&hidden, 0);
    for name in ["a", "b", "c[]"] {
        flat.push_text(name, HOSTILE);
    }
    Change {
        notice: is_something.then(|| Notice {
            kind: MsgType::Error,
            texts: vec![HOSTILE.to_owned()],
            statement: String::new(),
            changed: serde_json::Map::new(),
        }),
        frame: None,
        place: PLACES[which % PLACES.len()],
        errors: Vec::from_iter(is_something.then(|| ("a".to_owned(), HOSTILE.to_owned()))),
        focus: is_something.then(|| "b".to_owned()),
        values: if is_something {
            Values::Submitted(flat.into())
        } else {
            Values::Keep
        },
        page: page_url(),
        shown_at: None,
        is_ours: Box::new(|form| form.action.path() == "/send"),
        hidden,
        lang: Lang::En,
        words: Arc::default(),
    }
}

fn rewritten<'p>(
    change: Change,
    charset: &'static Encoding,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Vec<u8> {
    let mut rewriter = Rewriter::new(change, charset, Limits::DEFAULT);
    let mut out = Vec::new();
    for piece in pieces {
        rewriter.write(piece, &mut out);
    }
    rewriter.end(&mut out);
    out
}

fn moved<'p>(charset: &'static Encoding, pieces: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    let shown_at = Url::parse("https://example.org/deep/send").expect("a URL");
    let mut moved =
        Moved::new(&page_url(), &shown_at, charset, Limits::DEFAULT).expect("another address");
    let mut out = Vec::new();
    for piece in pieces {
        moved.write(piece, &mut out);
    }
    moved.end(&mut out);
    out
}

fn read<'p>(
    charset: &'static Encoding,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Option<Vec<(String, String)>> {
    let is_ours = Box::new(|form: &formgate::page::change::FormTag| form.action.path() == "/send");
    let mut reader = Reader::new(page_url(), is_ours, charset, Limits::DEFAULT);
    for piece in pieces {
        reader.push(piece);
    }
    reader.end()
}

pub(super) fn page(input: &[u8]) -> String {
    let (which, page) = variant(input);
    let charset = CHARSETS[which % CHARSETS.len()];
    let whole = || std::iter::once(page);
    assert_eq!(
        rewritten(change(which, false), charset, pieces(page)),
        page,
        "nothing to change"
    );
    let out = rewritten(change(which, true), charset, whole());
    assert_eq!(rewritten(change(which, true), charset, pieces(page)), out);
    assert!(
        out.len() <= page.len() * 100 + 20_000,
        "{} bytes of {}",
        out.len(),
        page.len()
    );
    assert_eq!(moved(charset, pieces(page)), moved(charset, whole()));
    let values = read(charset, whole());
    assert_eq!(read(charset, pieces(page)), values);
    let _ = charset::of_page(None, page);
    if !String::from_utf8_lossy(page)
        .to_ascii_lowercase()
        .contains("hostile")
    {
        let (text, _) = charset.decode_without_bom_handling(&out);
        let html = Html::parse_document(&text);
        let hostile = Selector::parse("hostile-element").expect("a selector");
        assert_eq!(html.select(&hostile).count(), 0, "{text}");
    }
    let grown = out.len().saturating_sub(page.len()) / 100;
    format!(
        "{} {} {}",
        charset.name(),
        "x".repeat(grown.min(40)),
        values.map_or(9, |values| values.len().min(5))
    )
}
