//! The text of a piece of HTML that has been read already. Owns leaving out what is no text of it: tags, comments,
//! scripts, and what stands in controls.

/// Elements whose content is no text of the element around them.
const SKIPPED: [&str; 6] = [
    "select", "textarea", "script", "style", "button", "template",
];

/// The text in it, its white space collapsed as HTML collapses that of an option.
pub(in crate::page) fn of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = skip_markup(&rest[start..], &mut text);
    }
    text.push_str(rest);
    let text = htmlize::unescape(text);
    let words: Vec<&str> = text
        .split([' ', '\t', '\n', '\r', '\x0c'])
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// The text of a textarea: nothing in it is markup, and its first line break is not its own.
pub(in crate::page) fn of_textarea(html: &str) -> String {
    let html = html.replace("\r\n", "\n").replace('\r', "\n");
    htmlize::unescape(html.strip_prefix('\n').unwrap_or(&html)).into_owned()
}

/// What follows the markup at the beginning of `html`; a `<` that opens none is text.
fn skip_markup<'h>(html: &'h str, text: &mut String) -> &'h str {
    if html.starts_with("<!--") {
        return html.find("-->").map_or("", |end| &html[end + 3..]);
    }
    let second = html.as_bytes().get(1).copied().unwrap_or_default();
    if !(second.is_ascii_alphabetic() || matches!(second, b'/' | b'!' | b'?')) {
        text.push('<');
        return &html[1..];
    }
    let rest = after_tag(html);
    if !second.is_ascii_alphabetic() {
        return rest;
    }
    let name = html[1..]
        .split(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'))
        .next()
        .unwrap_or_default();
    let skipped = SKIPPED
        .iter()
        .find(|known| name.eq_ignore_ascii_case(known));
    skipped.map_or(rest, |name| after_end_tag(rest, name))
}

/// What follows a tag: its end is the first `>` that stands in no quotes.
fn after_tag(html: &str) -> &str {
    let mut quote = None;
    let mut before = 0;
    for (at, byte) in html.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'"' | b'\'') if before == b'=' => quote = Some(byte),
            (None, b'>') => return &html[at + 1..],
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    ""
}

fn after_end_tag<'h>(html: &'h str, name: &str) -> &'h str {
    let mut ends = html.match_indices("</").map(|(at, _)| &html[at..]);
    let end = ends.find(|end| {
        let found = end.get(2..2 + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    });
    end.map_or("", after_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_person_reads() {
        for (html, expected) in [
            (
                "  Your\n <b>e-mail</b>&nbsp;&amp; name ",
                "Your e-mail\u{a0}& name",
            ),
            ("a<input value='>x'>b", "ab"),
            ("a<SELECT name=x><option>no</SELECT>b", "ab"),
            (
                "<label for=\"x\">Size <!-- > -->(1 < 2)<textarea>t</textarea></label>",
                "Size (1 < 2)",
            ),
            ("<option>R&ampD", "R&D"),
            ("a <script>\"</b>\"", "a"),
            ("cut <b", "cut"),
            ("1 <", "1 <"),
        ] {
            assert_eq!(of(html), expected, "{html}");
        }
    }
}
