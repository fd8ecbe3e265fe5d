//! Laws of pages that are rewritten while they stream: borders between pieces mean nothing, nothing is lost, where
//! there is nothing to change nothing is changed, and html5ever, reading the result, finds what the person typed, one
//! message, links that lead somewhere, and not one element or attribute more.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use encoding_rs::Encoding;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use formgate::model::lang::Lang;
use formgate::model::reply::MsgType;
use formgate::page::change::Change;
use formgate::page::change::FormTag;
use formgate::page::change::Notice;
use formgate::page::change::Place;
use formgate::page::change::Values;
use formgate::page::charset;
use formgate::page::moved::Moved;
use formgate::page::read::Reader;
use formgate::page::rewrite::Limits;
use formgate::page::rewrite::Rewriter;
use proptest::prelude::*;
use proptest::sample::select;
use scraper::ElementRef;
use scraper::Html;
use scraper::Selector;
use url::Url;

use crate::cut;
use crate::cuts;

/// What a rewriter is told, as often as it is needed.
#[derive(Debug, Clone)]
struct Told {
    texts: Option<Vec<String>>,
    place: Place,
    errors: Vec<(String, String)>,
    focus: Option<String>,
    submitted: Option<Vec<(String, String)>>,
}

fn page_url() -> Url {
    Url::parse("https://example.org/form").expect("a URL")
}

fn is_ours() -> Box<dyn Fn(&FormTag) -> bool + Send> {
    Box::new(|form| form.action.path() == "/send")
}

impl Told {
    const NOTHING: Self = Self {
        texts: None,
        place: Place::Form,
        errors: Vec::new(),
        focus: None,
        submitted: None,
    };

    fn change(&self) -> Change {
        let hidden = Arc::<Hidden>::default();
        Change {
            notice: self.texts.as_ref().map(|texts| Notice {
                kind: MsgType::Error,
                texts: texts.clone(),
                statement: String::new(),
                changed: serde_json::Map::new(),
            }),
            frame: None,
            place: self.place,
            errors: self.errors.clone(),
            focus: self.focus.clone(),
            values: self.submitted.as_ref().map_or(Values::Keep, |pairs| {
                let mut flat = Flat::new(&hidden, 0);
                for (name, value) in pairs {
                    flat.push_text(name, value);
                }
                Values::Submitted(flat.into())
            }),
            page: page_url(),
            shown_at: None,
            is_ours: is_ours(),
            hidden,
            lang: Lang::En,
            words: Arc::default(),
        }
    }
}

fn rewritten(
    told: &Told,
    charset: &'static Encoding,
    limits: Limits,
    pieces: &[Vec<u8>],
) -> Vec<u8> {
    let mut rewriter = Rewriter::new(told.change(), charset, limits);
    let mut out = Vec::new();
    for piece in pieces {
        rewriter.write(piece, &mut out);
    }
    rewriter.end(&mut out);
    out
}

/// The page, shown at another address than its own.
fn moved(charset: &'static Encoding, limits: Limits, pieces: &[Vec<u8>]) -> Vec<u8> {
    let shown_at = Url::parse("https://example.org/deep/send").expect("a URL");
    let moved = Moved::new(&page_url(), &shown_at, charset, limits);
    let mut moved = moved.expect("another address");
    let mut out = Vec::new();
    for piece in pieces {
        moved.write(piece, &mut out);
    }
    moved.end(&mut out);
    out
}

// === pages of any kind ===

/// Pieces of pages that have misled somebody's parser before.
const PIECES: [&str; 62] = [
    "<form action=/send>",
    "<form action='/send' id=f>",
    "<form action=/other>",
    "</form>",
    "<div>",
    "</div>",
    "<p>",
    "<body>",
    "</body>",
    "<main>",
    "</main>",
    "<html>",
    "</html>",
    "<head>",
    "<base href='/x/'>",
    "<table><tr><td>",
    "</table>",
    "<input name=a>",
    "<input name=a value='x' type=checkbox checked>",
    "<input name=b type=radio id=i>",
    "<INPUT NAME=\"a\"/>",
    "<input name=a form=f>",
    "<input",
    " name=a",
    " value=\"",
    "\"",
    "'",
    ">",
    "<",
    "</",
    "<!--",
    "-->",
    "<!-- > -->",
    "<![CDATA[",
    "]]>",
    "<textarea name=a>",
    "</textarea>",
    "<select name=a>",
    "<select name=a multiple>",
    "</select>",
    "<option>",
    "<option value=1>",
    "</option>",
    "<optgroup>",
    "</optgroup>",
    "<label for=i>",
    "<label>",
    "</label>",
    "<fieldset disabled>",
    "</fieldset>",
    "<legend>x",
    "<template>",
    "</template>",
    "<svg>",
    "</svg>",
    "<math><mi>",
    "<script>if (a<b) '<form action=/send>'</script>",
    "<style><form action=/send></style>",
    "<title><input name=a></title>",
    "<noscript><input name=a></noscript>",
    "&amp;&lt;&bogus",
    "text\u{e9}\u{65e5}",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => "[ \\n]{0,3}[a-z]{0,40}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn told() -> impl Strategy<Value = Told> {
    let text = "[a-z<>&\"'é日]{0,8}";
    let pair = (select(vec!["a", "b"]).prop_map(str::to_owned), text);
    (
        prop::option::of(prop::collection::vec(text, 0..2)),
        select(vec![Place::Form, Place::Main, Place::Start]),
        prop::collection::vec(pair.clone(), 0..3),
        prop::option::of(select(vec!["a".to_owned(), "b".to_owned()])),
        prop::option::of(prop::collection::vec(pair, 0..4)),
    )
        .prop_map(|(texts, place, errors, focus, submitted)| Told {
            texts,
            place,
            errors,
            focus,
            submitted,
        })
}

fn charset() -> impl Strategy<Value = &'static Encoding> {
    select(vec![
        encoding_rs::UTF_8,
        encoding_rs::WINDOWS_1252,
        encoding_rs::SHIFT_JIS,
        encoding_rs::EUC_KR,
        encoding_rs::BIG5,
        encoding_rs::GB18030,
        encoding_rs::KOI8_R,
        encoding_rs::X_USER_DEFINED,
    ])
}

/// Limits that pages of this size pass now and then.
fn limits() -> impl Strategy<Value = Limits> {
    select(vec![0, 10, 40, 100_000]).prop_map(|held| Limits {
        held,
        ..Limits::DEFAULT
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn borders_between_pieces_mean_nothing(page in soup(), told in told(), charset in charset(), limits in limits(), cuts in cuts()) {
        let whole = rewritten(&told, charset, limits, std::slice::from_ref(&page));
        let cut = rewritten(&told, charset, limits, &cut(&page, &cuts));
        prop_assert_eq!(String::from_utf8_lossy(&cut), String::from_utf8_lossy(&whole));
        let bytes: Vec<Vec<u8>> = page.iter().map(|byte| vec![*byte]).collect();
        prop_assert_eq!(&rewritten(&told, charset, limits, &bytes), &whole);
    }

    #[test]
    fn with_nothing_to_change_nothing_is_changed(page in soup(), charset in charset(), limits in limits(), cuts in cuts()) {
        prop_assert_eq!(&rewritten(&Told::NOTHING, charset, limits, &cut(&page, &cuts)), &page);
    }

    #[test]
    fn a_page_that_is_shown_elsewhere_is_the_same_however_it_is_cut(page in soup(), charset in charset(), limits in limits(), cuts in cuts()) {
        let whole = moved(charset, limits, std::slice::from_ref(&page));
        prop_assert_eq!(&moved(charset, limits, &cut(&page, &cuts)), &whole);
        let bytes: Vec<Vec<u8>> = page.iter().map(|byte| vec![*byte]).collect();
        prop_assert_eq!(&moved(charset, limits, &bytes), &whole);
    }

    #[test]
    fn a_page_that_is_shown_elsewhere_gets_a_base_and_loses_nothing(page in soup(), parser in 0_usize..3000, cuts in cuts()) {
        // Without forms, whose actions are written out.
        let page = String::from_utf8_lossy(&page).replace("form", "farm").into_bytes();
        for limits in [Limits::DEFAULT, Limits { parser, ..Limits::DEFAULT }] {
            let out = moved(encoding_rs::UTF_8, limits, &cut(&page, &cuts));
            let base = b"<base href=\"/form\">";
            let mut rest = out.clone();
            if let Some(at) = out.windows(base.len()).position(|window| window == base) {
                drop(rest.drain(at..at + base.len()));
            }
            prop_assert_eq!(String::from_utf8_lossy(&rest), String::from_utf8_lossy(&page));
        }
    }

    #[test]
    fn a_page_that_cannot_be_read_goes_out_whole(page in soup(), told in told(), parser in 0_usize..3000, cuts in cuts()) {
        // All that is put in stands in the message or beside a field; without it, the page is there to its last byte.
        let told = Told { errors: Vec::new(), focus: None, submitted: None, ..told };
        let limits = Limits { parser, ..Limits::DEFAULT };
        let out = rewritten(&told, encoding_rs::UTF_8, limits, &cut(&page, &cuts));
        let message = rewritten(&told, encoding_rs::UTF_8, limits, &[]);
        let plain = String::from_utf8_lossy(&message).replace(" tabindex=\"-1\" autofocus", "").into_bytes();
        let found = [message, plain].into_iter().find_map(|message| {
            let at = out.windows(message.len().max(1)).position(|window| window == message);
            at.filter(|_| !message.is_empty()).map(|at| (at, message.len()))
        });
        let mut rest = out.clone();
        match found {
            Some((at, length)) => drop(rest.drain(at..at + length)),
            None => prop_assert!(told.texts.is_none(), "the message is lost"),
        }
        // The page's own focus goes where the message takes it.
        prop_assert_eq!(rest, page);
    }

    #[test]
    fn no_page_makes_a_panic(page in soup(), told in told(), charset in charset(), parser in 0_usize..3000, cuts in cuts()) {
        let mut reader = Reader::new(page_url(), is_ours(), charset, Limits::DEFAULT);
        let mut cut_reader = Reader::new(page_url(), is_ours(), charset, Limits::DEFAULT);
        reader.push(&page);
        for piece in cut(&page, &cuts) {
            cut_reader.push(&piece);
        }
        prop_assert_eq!(reader.end(), cut_reader.end());
        let _ = charset::of_page(None, &page);
        let limits = Limits { parser, ..Limits::DEFAULT };
        let _ = rewritten(&told, charset, limits, &cut(&page, &cuts));
    }
}

// === forms, and what a browser makes of them ===

#[derive(Debug, Clone)]
enum Control {
    Text {
        kind: &'static str,
        old: String,
        typed: String,
    },
    Area {
        old: String,
        typed: String,
    },
    Check {
        value: Option<String>,
        was: bool,
        is: bool,
    },
    Radios {
        values: Vec<String>,
        was: usize,
        is: usize,
    },
    Select {
        options: Vec<Choice>,
        is: usize,
    },
    Many {
        options: Vec<Choice>,
        are: Vec<bool>,
    },
    Quiet {
        kind: &'static str,
        value: String,
    },
}

/// An option: its value if it has one, its text, whether the page has chosen it.
#[derive(Debug, Clone)]
struct Choice {
    value: Option<String>,
    text: String,
    was: bool,
}

#[derive(Debug, Clone)]
struct Field {
    control: Control,
    label: u8,
    error: Option<String>,
}

fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[a-z0-9 ]{0,8}",
        2 => "\\PC{0,12}",
        // Control characters of Latin-1 have no reference of their own in HTML.
        1 => any::<String>().prop_map(|text| text.replace(|c| ('\u{80}'..'\u{a0}').contains(&c), "")),
        2 => select(vec![
            "\"><script>x</script>", "</textarea><b>", "'><i>", "&lt;b&gt;", "&amp", "\nline", "\r\n\r\n", "--><b>", "</select><b>", "\u{0}<x>", "</label></form><b>",
        ]).prop_map(str::to_owned),
    ]
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (
        prop::option::of("[a-z<&\"]{0,3}"),
        "[a-zé&<>\"' ]{0,6}",
        any::<bool>(),
    );
    prop::collection::vec(choice, 1..5).prop_map(|choices| {
        let choices = choices.into_iter().enumerate();
        choices
            .map(|(at, (value, text, was))| Choice {
                value: value.map(|value| format!("{value}{at}")),
                text: format!(" {text}{at}\n"),
                was,
            })
            .collect()
    })
}

fn field() -> impl Strategy<Value = Field> {
    let text = select(vec![
        "text", "search", "email", "url", "tel", "number", "date", "wombat",
    ]);
    let control = prop_oneof![
        3 => (text, typed(), typed()).prop_map(|(kind, old, typed)| Control::Text { kind, old, typed }),
        2 => (typed(), typed()).prop_map(|(old, typed)| Control::Area { old, typed }),
        2 => (prop::option::of("[a-z\"&]{0,4}"), any::<bool>(), any::<bool>())
            .prop_map(|(value, was, is)| Control::Check { value, was, is }),
        1 => (1_usize..4, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(count, was, is)| Control::Radios {
            values: (0..count).map(|at| format!("<{at}>")).collect(),
            was: was.index(count + 1),
            is: is.index(count + 1),
        }),
        2 => (choices(), any::<prop::sample::Index>())
            .prop_map(|(options, is)| Control::Select { is: is.index(options.len()), options }),
        1 => (choices(), prop::collection::vec(any::<bool>(), 5))
            .prop_map(|(options, are)| Control::Many { options, are }),
        1 => (select(vec!["hidden", "password", "submit", "file"]), "[a-z]{0,3}")
            .prop_map(|(kind, value)| Control::Quiet { kind, value }),
    ];
    (control, 0_u8..4, prop::option::weighted(0.3, typed())).prop_map(|(control, label, error)| {
        Field {
            control,
            label,
            error,
        }
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

impl Field {
    /// Text fields share a name, so that they repeat.
    fn name(&self, at: usize) -> String {
        match &self.control {
            Control::Text { .. } | Control::Area { .. } => format!("t{}[]", at % 2),
            _ => format!("n{at}"),
        }
    }

    fn html(&self, at: usize) -> String {
        let name = self.name(at);
        let id = format!("i{at}");
        let flag = |is: bool, word: &str| {
            if is {
                format!(" {word}")
            } else {
                String::new()
            }
        };
        let options = |options: &[Choice]| -> String {
            let html = options.iter().map(|Choice { value, text, was }| {
                let value = value
                    .as_ref()
                    .map(|value| format!(" value=\"{}\"", escaped(value)));
                format!(
                    "<option{}{}>{}",
                    value.unwrap_or_default(),
                    flag(*was, "selected"),
                    escaped(text)
                )
            });
            html.collect()
        };
        let control = match &self.control {
            Control::Text { kind, old, .. } => format!(
                "<input id={id} type={kind} name={name} value=\"{}\">",
                escaped(old)
            ),
            Control::Area { old, .. } => format!(
                "<textarea id={id} name={name}>\n{}</textarea>",
                escaped(old)
            ),
            Control::Check { value, was, .. } => {
                let value = value
                    .as_ref()
                    .map(|value| format!(" value=\"{}\"", escaped(value)));
                format!(
                    "<input id={id} type=checkbox name={name}{}{}>",
                    value.unwrap_or_default(),
                    flag(*was, "checked")
                )
            }
            Control::Radios { values, was, .. } => {
                let buttons = values.iter().enumerate().map(|(button, value)| {
                    format!(
                        "<label><input type=radio name={name} value='{value}'{}>x</label>",
                        flag(button == *was, "checked")
                    )
                });
                return buttons.collect();
            }
            Control::Select { options: list, .. } => {
                format!("<select id={id} name={name}>{}</select>", options(list))
            }
            Control::Many { options: list, .. } => format!(
                "<select id={id} name={name} multiple>{}</select>",
                options(list)
            ),
            Control::Quiet { kind, value } => {
                format!("<input id={id} type={kind} name={name} value=\"{value}\">")
            }
        };
        match self.label {
            0 => control,
            1 => format!("<label>The {at} {control}</label>"),
            2 => format!("<p><label for={id}>The {at}</label>{control}"),
            _ => format!("<table><tr><td>{control}<label for={id}>The {at}</label></table>"),
        }
    }

    /// What a browser sends of it, as the person left it.
    fn sent(&self, at: usize) -> Vec<(String, String)> {
        let value_of = |choice: &Choice| {
            let text = || {
                choice
                    .text
                    .split_ascii_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            choice.value.clone().unwrap_or_else(text)
        };
        let values = match &self.control {
            Control::Text { typed, .. } | Control::Area { typed, .. } => vec![typed.clone()],
            Control::Check { value, is, .. } => {
                let value = value.clone().unwrap_or_else(|| "on".to_owned());
                Vec::from_iter(is.then_some(value))
            }
            Control::Radios { values, is, .. } => Vec::from_iter(values.get(*is).cloned()),
            Control::Select { options, is } => vec![value_of(&options[*is])],
            Control::Many { options, are } => {
                let chosen = options.iter().zip(are).filter(|(_, is)| **is);
                chosen.map(|(choice, _)| value_of(choice)).collect()
            }
            Control::Quiet {
                kind: "hidden" | "submit",
                value,
            } => vec![value.clone()],
            Control::Quiet { .. } => vec!["typed".to_owned()],
        };
        values
            .into_iter()
            .map(|value| (self.name(at), value))
            .collect()
    }
}

/// Text as a parser reads it.
fn read(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r'], "\n")
        .replace('\0', "\u{fffd}")
}

fn all<'h>(html: &'h Html, selector: &str) -> Vec<ElementRef<'h>> {
    html.select(&Selector::parse(selector).expect("a selector"))
        .collect()
}

fn attr<'h>(element: &ElementRef<'h>, name: &str) -> Option<&'h str> {
    element.value().attr(name)
}

/// What a browser would send of the first form that is ours, but for quiet fields.
fn held(html: &Html) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for control in all(html, "form[action='/send'] :is(input, textarea, select)") {
        let name = attr(&control, "name").unwrap_or_default().to_owned();
        let values = match (
            control.value().name(),
            attr(&control, "type").unwrap_or_default(),
        ) {
            ("textarea", _) => vec![control.text().collect()],
            ("select", _) => {
                let options = control
                    .select(&Selector::parse("option").expect("a selector"))
                    .collect::<Vec<_>>();
                let value = |option: &ElementRef<'_>| {
                    let text = || {
                        option
                            .text()
                            .collect::<String>()
                            .split_ascii_whitespace()
                            .collect::<Vec<_>>()
                            .join(" ")
                    };
                    attr(option, "value").map_or_else(text, str::to_owned)
                };
                let selected = options
                    .iter()
                    .filter(|option| attr(option, "selected").is_some());
                let selected: Vec<String> = selected.map(value).collect();
                if attr(&control, "multiple").is_some() {
                    selected
                } else {
                    vec![
                        selected
                            .last()
                            .cloned()
                            .unwrap_or_else(|| value(&options[0])),
                    ]
                }
            }
            (_, "checkbox" | "radio") => {
                let checked = attr(&control, "checked").is_some();
                Vec::from_iter(checked.then(|| attr(&control, "value").unwrap_or("on").to_owned()))
            }
            (_, "password" | "submit" | "file") => {
                assert!(
                    attr(&control, "value") != Some("typed"),
                    "a quiet field was filled in"
                );
                Vec::new()
            }
            _ => vec![attr(&control, "value").unwrap_or_default().to_owned()],
        };
        out.extend(values.into_iter().map(|value| (name.clone(), read(&value))));
    }
    out
}

const OURS: &str = ".formgate-message, .formgate-message *, .formgate-field-error, .formgate-field-error *, .formgate-field-note, .formgate-entries, .formgate-entries *";

/// Every element of a page that is not ours, with its attributes but for those that are ours to change.
fn skeleton(html: &Html) -> Vec<String> {
    let ours: BTreeSet<_> = all(html, OURS).iter().map(|element| element.id()).collect();
    let elements = all(html, "*")
        .into_iter()
        .filter(|element| !ours.contains(&element.id()));
    elements
        .map(|element| {
            let attributes: BTreeMap<&str, &str> = element.value().attrs().collect();
            let kept = attributes.iter().filter(|(name, value)| {
                !matches!(
                    **name,
                    "value"
                        | "checked"
                        | "selected"
                        | "autofocus"
                        | "aria-invalid"
                        | "aria-describedby"
                ) && !value.starts_with("formgate-")
            });
            format!("{} {:?}", element.value().name(), kept.collect::<Vec<_>>())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_browser_finds_what_the_person_typed(
        fields in prop::collection::vec(field(), 1..7),
        texts in prop::collection::vec(typed(), 0..2),
        elsewhere in prop::option::of(typed()),
        unplaced in prop::option::of("[a-z<&]{1,8}"),
        charset in select(vec![encoding_rs::UTF_8, encoding_rs::UTF_8, encoding_rs::WINDOWS_1252, encoding_rs::KOI8_R, encoding_rs::EUC_KR]),
        cuts in cuts(),
    ) {
        let controls: String = fields.iter().enumerate().map(|(at, field)| field.html(at)).collect();
        let page = format!(
            "<!doctype html><body><form action=/other><input name=t0[] value=x></form><input autofocus><form action=/send>{controls}</form><form action=/send><input type=hidden name=which value=2><input name=t0[]></form>"
        );
        let mut sent = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            sent.extend(field.sent(at));
        }
        let mut errors: Vec<(String, String)> = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            errors.extend(field.error.clone().map(|text| (field.name(at), text)));
        }
        errors.extend(elsewhere.map(|text| ("elsewhere".to_owned(), text)));
        let mut submitted = sent.clone();
        submitted.extend(unplaced.iter().map(|text| ("unplaced".to_owned(), text.clone())));
        let told = Told { texts: Some(texts), place: Place::Form, errors: errors.clone(), focus: None, submitted: Some(submitted) };
        let out = rewritten(&told, charset, Limits::DEFAULT, &cut(&charset.encode(&page).0, &cuts));
        let (out, is_wrong) = charset.decode_without_bom_handling(&out);
        prop_assert!(!is_wrong, "{}", out);
        let before = Html::parse_document(&page);
        let after = Html::parse_document(&out);

        // Every value is where it was typed, and nothing else is anywhere.
        let quiet = |name: &str| fields.iter().enumerate().any(|(at, field)| {
            matches!(field.control, Control::Quiet { kind: "password" | "submit" | "file", .. }) && field.name(at) == name
        });
        let mut expected: Vec<(String, String)> = sent.iter().filter(|(name, _)| !quiet(name)).map(|(name, value)| (name.clone(), read(value))).collect();
        expected.extend([("which".to_owned(), "2".to_owned()), ("t0[]".to_owned(), String::new())]);
        prop_assert_eq!(held(&after), expected, "{}", out);
        prop_assert_eq!(skeleton(&after), skeleton(&before), "{}", out);

        // What has no place is listed, and nothing else.
        let listed: Vec<String> = all(&after, "form[action='/send'] .formgate-entries dd").iter().map(|text| text.text().collect()).collect();
        prop_assert_eq!(listed, Vec::from_iter(unplaced), "{}", out);

        // One message, first in the form, which names every error.
        let alerts = all(&after, "[role=alert]");
        prop_assert_eq!(alerts.len(), 1);
        prop_assert_eq!(all(&after, "form[action='/send'] > [role=alert]:first-child").len(), 1);
        prop_assert_eq!(all(&after, "[role=alert] li").len(), errors.len());

        // What is linked is there, once.
        let mut ids = BTreeSet::new();
        for element in all(&after, "[id]") {
            prop_assert!(ids.insert(attr(&element, "id").expect("an id")), "{}", out);
        }
        for element in all(&after, "[aria-describedby]") {
            for id in attr(&element, "aria-describedby").expect("ids").split(' ') {
                prop_assert!(ids.contains(id), "{}: {}", id, out);
            }
            let is_secret = attr(&element, "type") == Some("password");
            prop_assert!(is_secret || attr(&element, "aria-invalid") == Some("true"), "{}", out);
        }
        for link in all(&after, "[role=alert] a") {
            let target = attr(&link, "href").expect("a link").trim_start_matches('#');
            prop_assert!(ids.contains(target), "{}: {}", target, out);
        }

        // One thing has the focus; it is no part of another form.
        let focused = all(&after, "[autofocus]");
        prop_assert_eq!(focused.len(), 1, "{}", out);
        prop_assert_eq!(all(&after, "form[action='/send'] [autofocus]").len(), 1);
        let has_shown_error = fields.iter().any(|field| field.error.is_some() && !matches!(field.control, Control::Quiet { kind: "hidden" | "submit", .. }));
        prop_assert_eq!(focused[0].value().name() == "div", !has_shown_error, "{}", out);

        // No text stands in a label of which it would become a part.
        prop_assert_eq!(all(&after, "label .formgate-field-error").len(), 0, "{}", out);
    }

    #[test]
    fn what_was_put_into_a_form_is_read_out_of_it(fields in prop::collection::vec(field(), 1..7)) {
        let controls: String = fields.iter().enumerate().map(|(at, field)| field.html(at)).collect();
        let page = format!("<form action=/send>{controls}</form>");
        let shown = fields.iter().enumerate().filter(|(_, field)| !matches!(field.control, Control::Quiet { kind: "password" | "submit" | "file", .. }));
        let sent: Vec<(String, String)> = shown.flat_map(|(at, field)| field.sent(at)).collect();
        let told = Told { submitted: Some(sent.clone()), ..Told::NOTHING };
        let out = rewritten(&told, encoding_rs::UTF_8, Limits::DEFAULT, &[page.into_bytes()]);
        let mut reader = Reader::new(page_url(), is_ours(), encoding_rs::UTF_8, Limits::DEFAULT);
        reader.push(&out);
        let values = reader.end().expect("a form");
        // A line of text loses its line breaks, an address the spaces around it.
        let plain = |pairs: Vec<(String, String)>| -> Vec<(String, String)> {
            pairs.into_iter().map(|(name, value)| (name, value.replace(['\r', '\n'], "").trim().to_owned())).collect()
        };
        prop_assert_eq!(plain(values), plain(sent));
    }
}
