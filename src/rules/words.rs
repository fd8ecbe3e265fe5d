//! `[words]`: what is said instead of the gateway's own texts. Owns reading the table; the texts themselves and their
//! slots are [`crate::model::words`]'.

use crate::model::lang::Lang;
use crate::model::template::Template;
use crate::model::words::Word;
use crate::model::words::Words;
use crate::rules::shapes::WORDS_IN;
use crate::source::table::Table;

/// Reads `[words]`: texts for every language, and tables for one, whose texts win.
#[must_use]
pub fn read(table: &Table<'_>) -> Words {
    let mut words = Words::default();
    take(table, &Lang::ALL, &mut words);
    for lang in Lang::ALL {
        if let Some(inner) = table.table(lang.tag(), &WORDS_IN) {
            take(&inner, &[lang], &mut words);
        }
    }
    words
}

fn take(table: &Table<'_>, languages: &[Lang], words: &mut Words) {
    for word in Word::ALL.iter().copied() {
        let text = table.text(word.key());
        let read = text.and_then(|text| table.parsed(&text, |text| compile(word, text)));
        if let Some(template) = read {
            for lang in languages {
                words.replace(word, *lang, template.value.clone());
            }
        }
    }
}

fn compile(word: Word, text: &str) -> Result<Template, String> {
    if text.trim().is_empty() {
        return Err("an empty text says nothing; write what is to be said".to_owned());
    }
    let slots = word.slots();
    Template::compile(text, |slot| slots.contains(&slot)).map_err(|why| match slots {
        [] => format!("{why}; this text has no slots"),
        _ => format!("{why}; its slots are {{{}}}", slots.join("}, {")),
    })
}
