//! What changing a page costs while it streams, and reading a form out of one: a page of 300 KB with one form, a small
//! page, and what it takes in memory and in time before the first byte.
//!
//! `cargo bench --profile ci --bench page`

use std::hint::black_box;
use std::sync::Arc;

use divan::AllocProfiler;
use divan::Bencher;
use divan::counter::BytesCount;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use formgate::model::lang::Lang;
use formgate::model::reply::MsgType;
use formgate::page::change::Change;
use formgate::page::change::FormTag;
use formgate::page::change::Notice;
use formgate::page::change::Place;
use formgate::page::change::Values;
use formgate::page::moved::Moved;
use formgate::page::read::Reader;
use formgate::page::rewrite::Limits;
use formgate::page::rewrite::Rewriter;
use serde_json::Map;
use url::Url;

#[global_allocator]
static ALLOCATOR: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    divan::main();
}

/// How pieces come off a socket.
const PIECE: usize = 16 * 1024;

const ROW: &str = r#"<li class="card card--wide" id="camp-17"><a class="card__link" href="/camps/lake?week=17&amp;lang=en" title="Lake camp">
  <img class="card__image" src="/static/images/lake-640.jpg" alt="" width="640" height="360" loading="lazy">
  <h3 class="card__title">Lake camp, week 17</h3><p class="card__text">Sailing, swimming and a night under the stars; for
  children from <strong>9 to 14</strong> years, with two guides for every ten of them.</p></a><!-- teaser -->
  <span class="badge badge--free" data-count="4">4 places</span></li>
"#;

const SCRIPT: &str = "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments)}if(1<2){gtag('x')}</script>\n";

fn controls(count: usize) -> String {
    let one = |at: usize| {
        format!(
            "<p><label for=\"f{at}\">Field {at}</label> <input id=\"f{at}\" class=\"input\" type=\"text\" name=\"field_{at}\" value=\"\" autocomplete=\"off\"></p>\n"
        )
    };
    let options: String = (0..200)
        .map(|at| format!("<option value=\"c{at}\">Country {at}</option>"))
        .collect();
    let fields: String = (0..count).map(one).collect();
    format!(
        "{fields}<select name=\"country\">{options}</select><textarea name=\"text\"></textarea><button>Send</button>"
    )
}

/// A page with rows around one form.
fn page(bytes: usize) -> Vec<u8> {
    let form = format!(
        "<form method=\"post\" action=\"/send\"><input type=hidden name=token value=x>{}</form>",
        controls(20)
    );
    let rows = bytes.saturating_sub(form.len()) / (ROW.len() + SCRIPT.len() / 8) / 2;
    let half: String = (0..rows)
        .map(|at| {
            if at % 8 == 0 {
                format!("{SCRIPT}{ROW}")
            } else {
                ROW.to_owned()
            }
        })
        .collect();
    let page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Camps</title></head><body><header><form action=/search><input name=q></form></header><main><ul>{half}</ul>{form}<ul>{half}</ul></main></body></html>"
    );
    page.into_bytes()
}

fn small_page() -> Vec<u8> {
    b"<!doctype html><title>Form</title><body><form method=post action=/send><label>E-mail <input name=field_1></label><button>Send</button></form>".to_vec()
}

fn is_ours() -> Box<dyn Fn(&FormTag) -> bool + Send> {
    Box::new(|form| form.method == "POST" && form.action.path() == "/send")
}

fn url() -> Url {
    Url::parse("https://example.org/form").expect("a URL")
}

fn change(place: Place) -> Change {
    let hidden = Arc::<Hidden>::default();
    let mut flat = Flat::new(&hidden, 0);
    for at in 0..20 {
        flat.push_text(&format!("field_{at}"), "Ana & Ben");
    }
    flat.push_text("token", "x");
    flat.push_text("country", "c120");
    flat.push_text("text", "Some text.\r\nA second line.");
    Change {
        notice: Some(Notice {
            kind: MsgType::Error,
            texts: vec!["Please look again.".to_owned()],
            statement: "Nothing was submitted.".to_owned(),
            changed: Map::new(),
        }),
        frame: None,
        place,
        errors: vec![("field_1".to_owned(), "Is this right?".to_owned())],
        focus: None,
        values: Values::Submitted(flat.into()),
        page: url(),
        shown_at: None,
        is_ours: is_ours(),
        hidden,
        lang: Lang::En,
        words: Arc::default(),
    }
}

fn rewrite(page: &[u8], place: Place) -> usize {
    let mut rewriter = Rewriter::new(change(place), encoding_rs::UTF_8, Limits::DEFAULT);
    let mut sent = 0;
    let mut out = Vec::new();
    for piece in page.chunks(PIECE) {
        rewriter.write(piece, &mut out);
        sent += out.len();
        black_box(&out);
        out.clear();
    }
    rewriter.end(&mut out);
    sent + out.len()
}

fn rewrite_elsewhere(page: &[u8]) -> usize {
    let here = url().join("/send").expect("a URL");
    let moved = Moved::new(&url(), &here, encoding_rs::UTF_8, Limits::DEFAULT);
    let mut moved = moved.expect("another address");
    let change = Change {
        shown_at: Some(here),
        ..change(Place::Form)
    };
    let mut rewriter = Rewriter::new(change, encoding_rs::UTF_8, Limits::DEFAULT);
    let mut sent = 0;
    let (mut between, mut out) = (Vec::new(), Vec::new());
    for piece in page.chunks(PIECE) {
        moved.write(piece, &mut between);
        rewriter.write(&between, &mut out);
        between.clear();
        sent += out.len();
        black_box(&out);
        out.clear();
    }
    moved.end(&mut between);
    rewriter.write(&between, &mut out);
    rewriter.end(&mut out);
    sent + out.len()
}

/// A stopped form's page.
#[divan::bench(args = [10_000, 300_000])]
fn stopped(bencher: Bencher<'_, '_>, bytes: usize) {
    let page = page(bytes);
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| rewrite(black_box(&page), Place::Form));
}

/// A stopped form's page that is shown where the form was sent to: its addresses are seen to first.
#[divan::bench]
fn stopped_elsewhere(bencher: Bencher<'_, '_>) {
    let page = page(300_000);
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| rewrite_elsewhere(black_box(&page)));
}

/// An accepted page, which is searched for its main part.
#[divan::bench]
fn accepted(bencher: Bencher<'_, '_>) {
    let page = page(300_000);
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| rewrite(black_box(&page), Place::Main));
}

/// What every page costs, whatever its size.
#[divan::bench]
fn small(bencher: Bencher<'_, '_>) {
    let page = small_page();
    bencher.bench_local(|| rewrite(black_box(&page), Place::Form));
}

/// Until the first byte of a large page may go out.
#[divan::bench]
fn first_byte(bencher: Bencher<'_, '_>) {
    let page = page(300_000);
    bencher.bench_local(|| {
        let mut rewriter = Rewriter::new(change(Place::Form), encoding_rs::UTF_8, Limits::DEFAULT);
        let mut out = Vec::new();
        rewriter.write(&page[..PIECE], &mut out);
        assert!(!out.is_empty());
        out
    });
}

/// Memory does not grow with the page: compare the most that was allocated at once.
#[divan::bench(args = [1, 10, 100], sample_count = 1, sample_size = 1)]
fn megabytes(bencher: Bencher<'_, '_>, count: usize) {
    let page = page(1_000_000);
    bencher
        .counter(BytesCount::new(count * page.len()))
        .bench_local(|| {
            let mut rewriter =
                Rewriter::new(change(Place::Form), encoding_rs::UTF_8, Limits::DEFAULT);
            let mut out = Vec::new();
            for piece in (0..count).flat_map(|_| page.chunks(PIECE)) {
                rewriter.write(piece, &mut out);
                black_box(&out);
                out.clear();
            }
            rewriter.end(&mut out);
            out
        });
}

/// The values of the form.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let page = page(300_000);
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| {
            let mut reader = Reader::new(url(), is_ours(), encoding_rs::UTF_8, Limits::DEFAULT);
            for piece in page.chunks(PIECE) {
                if !reader.push(piece) {
                    break;
                }
            }
            reader.end().expect("a form")
        });
}
