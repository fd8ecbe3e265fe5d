//! Laws that hold for every input: what was written is read back, a change changes nothing else, borders between
//! frames mean nothing, and nothing that comes from outside makes a panic. One module per subject; other crates that
//! read the same formats are asked for their opinion where there are some.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

mod anything;
mod charsets;
mod fold;
mod json;
mod multipart;
mod nested;
mod packed;
mod pages;
mod text;
mod urlencoded;

use std::sync::Arc;
use std::sync::LazyLock;

use encoding_rs::Encoding;
use formgate::codec::Limits;
use formgate::codec::Settings;
use formgate::model::doc::Item;
use formgate::model::doc::Jdoc;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use proptest::prelude::*;

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static HIDDEN: LazyLock<Arc<Hidden>> = LazyLock::new(Arc::default);

/// How a form without settings of its own is read.
fn settings() -> Settings<'static> {
    Settings {
        limits: &LIMITS,
        hidden: &HIDDEN,
        charset: None,
        nested: false,
        doc_path: &[],
    }
}

/// A form's fields: names and their texts, in order.
type Fields = Vec<(String, Vec<String>)>;

/// The fields of a form that has no files.
fn fields(flat: &Flat) -> Fields {
    let texts = |items: Vec<Item<'_>>| items.iter().filter_map(Item::text).collect();
    flat.fields()
        .map(|(name, items)| (name.to_owned(), texts(items)))
        .collect()
}

/// Pairs, as fields: values of the same name together, where the first one is.
fn grouped<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Fields {
    let mut fields: Fields = Vec::new();
    for (name, value) in pairs {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => fields.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    fields
}

/// What a jdoc makes of fields.
fn changed(fields: &Fields, jdoc: &Jdoc) -> Fields {
    let mut out = fields.clone();
    for (name, value) in jdoc {
        let texts = formgate::codec::urlencoded::texts(value);
        let place = out.iter().position(|(known, _)| known == name);
        match (place, texts.is_empty()) {
            (Some(at), true) => drop(out.remove(at)),
            (Some(at), false) => out[at].1 = texts,
            (None, true) => {}
            (None, false) => out.push((name.clone(), texts)),
        }
    }
    out
}

/// Field names as forms have them; a few, so that they repeat.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        2 => "[a-z_]{1,8}(\\[[a-z0-9]{0,3}\\]){0,2}",
        1 => "[^\\x00\\\\]{0,6}",
    ]
    .prop_filter("a charset field is read as one", |name| {
        !name.eq_ignore_ascii_case("_charset_")
    })
    .prop_filter(
        "a name in which another could be found is refused",
        |name| !name.to_lowercase().contains("name"),
    )
}

/// Values as people type them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9 ]{0,8}", 2 => "\\PC{0,12}", 1 => any::<String>()]
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((name(), value()), 0..8)
}

/// A change as hooks make them: texts, numbers, lists, and `null`.
fn change() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;

    prop_oneof![
        4 => value().prop_map(|text| json!(text)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
        2 => prop::collection::vec(value(), 0..4).prop_map(|list| json!(list)),
        2 => Just(serde_json::Value::Null),
    ]
}

fn jdoc() -> impl Strategy<Value = Jdoc> {
    prop::collection::vec((name(), change()), 0..4).prop_map(Jdoc::from_iter)
}

/// Where bytes are cut into frames.
fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = at.iter().map(|at| at.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut frames = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        frames.push(bytes[from..place].to_vec());
        from = place;
    }
    frames
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

/// Bytes that look like what a parser is made for: pieces of it in any order, and anything.
fn pieces(of: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(of).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// The charsets that forms come in.
const CHARSETS: [&Encoding; 7] = [
    encoding_rs::UTF_8,
    encoding_rs::WINDOWS_1252,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_JP,
    encoding_rs::GB18030,
    encoding_rs::BIG5,
    encoding_rs::KOI8_R,
];
