//! What must hold for every input of each parser, as functions that panic where it does not and else say in a few
//! words what came of it. Owns the list; the harness beside this folder and the one for libFuzzer both run it.

mod bodies;
mod heads;
mod pages;
mod replies;
mod rules;
mod sealed;

use std::sync::Arc;
use std::sync::LazyLock;

use formgate::codec::Limits;
use formgate::codec::Settings;
use formgate::model::hidden::Hidden;

/// A name, and what to do with an input.
pub(crate) type Target = (&'static str, fn(&[u8]) -> String);

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    ("urlencoded", bodies::urlencoded),
    ("multipart", bodies::multipart),
    ("part_header", bodies::part_header),
    ("text_plain", bodies::text_plain),
    ("json", bodies::json),
    ("content_type", bodies::content_type),
    ("charset", bodies::charset),
    ("unpack", bodies::unpack),
    ("head", heads::head),
    ("preface", heads::preface),
    ("path", heads::path),
    ("headers", heads::headers),
    ("rule_file", rules::rule_file),
    ("configuration", rules::configuration),
    ("condition", rules::condition),
    ("words_of_rules", rules::words_of_rules),
    ("reply", replies::reply),
    ("redirect", replies::redirect),
    ("flash", sealed::flash),
    ("jwt", sealed::jwt),
    ("page", pages::page),
];

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static HIDDEN: LazyLock<Arc<Hidden>> = LazyLock::new(Arc::default);

fn settings() -> Settings<'static> {
    Settings {
        limits: &LIMITS,
        hidden: &HIDDEN,
        charset: None,
        nested: false,
        doc_path: &[],
    }
}

/// The first byte says which variant is meant, the rest is the input.
fn variant(input: &[u8]) -> (usize, &[u8]) {
    input
        .split_first()
        .map_or((0, input), |(first, rest)| (usize::from(*first), rest))
}

/// The input in pieces whose borders depend on it: single bytes, or longer ones.
fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = input
        .iter()
        .fold(1_usize, |sum, byte| (sum * 31 + usize::from(*byte)) % 17)
        .max(1);
    input.chunks(step)
}
