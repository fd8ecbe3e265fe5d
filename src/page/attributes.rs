//! Attributes of elements, as text: what `lol_html` gives and takes is raw. Owns decoding and encoding them.

use lol_html::send::Element;

/// An attribute's value, its references decoded.
pub(in crate::page) fn get(element: &Element<'_, '_>, name: &str) -> Option<String> {
    let raw = element.get_attribute(name)?;
    Some(htmlize::unescape_attribute(raw).into_owned())
}
