//! Attributes of elements, as text: what `lol_html` gives and takes is raw. Owns decoding and encoding them.

use std::borrow::Cow;

use lol_html::send::Element;

use crate::page::charset;

/// An attribute's value, its character references decoded.
pub(in crate::page) fn get(element: &Element<'_, '_>, name: &str) -> Option<String> {
    let raw = element.get_attribute(name)?;
    let text = htmlize::unescape_attribute(charset::guess(&raw));
    Some(text.into_owned())
}

/// Sets an attribute, if it is not so already.
pub(in crate::page) fn set(element: &mut Element<'_, '_>, name: &str, value: &str) {
    if get(element, name).as_deref() == Some(value) {
        return;
    }
    // Quotes are escaped by lol_html, all else is left to us. The names are constants that are good names.
    let _ = element.set_attribute(name, &escape(value));
}

/// Adds a word to an attribute that is a list of words.
pub(in crate::page) fn add_word(element: &mut Element<'_, '_>, name: &str, word: &str) {
    let mut words = get(element, name).unwrap_or_default();
    if words.split_ascii_whitespace().any(|known| known == word) {
        return;
    }
    if !words.trim().is_empty() {
        words.push(' ');
    }
    words.push_str(word);
    set(element, name, words.trim_start());
}

/// Text as it is written in HTML, outside of tags.
pub(in crate::page) fn escape(text: &str) -> Cow<'_, str> {
    bare(htmlize::escape_text(text))
}

/// HTML outside of tags, or a value within one, without ESC: to a browser that takes the page for ISO-2022-JP, it would
/// begin a text in which quotes and tags are none.
pub(in crate::page) fn bare(html: Cow<'_, str>) -> Cow<'_, str> {
    if html.contains('\x1b') {
        html.replace('\x1b', "&#27;").into()
    } else {
        html
    }
}
