//! The files that the gateway serves itself, for pages to use. Owns their texts, types and entity tags; answering
//! requests for them is left to `flow`.

use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::LazyLock;

/// One of them.
#[derive(Debug)]
pub struct OwnFile {
    /// Its path.
    pub path: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// What is served.
    pub text: String,
    /// Changes when the text does.
    pub etag: String,
}

/// All of them.
static FILES: LazyLock<[OwnFile; 3]> = LazyLock::new(|| {
    [
        OwnFile::new(
            "/_formgate/formgate.css",
            "text/css; charset=utf-8",
            include_str!("formgate.css").to_owned(),
        ),
        OwnFile::new(
            "/_formgate/formgate.js",
            "text/javascript; charset=utf-8",
            lean(include_str!("formgate.js")),
        ),
        OwnFile::new(
            "/_formgate/formgate.d.ts",
            "application/typescript; charset=utf-8",
            include_str!("formgate.d.ts").to_owned(),
        ),
    ]
});

impl OwnFile {
    fn new(path: &'static str, content_type: &'static str, text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self {
            path,
            content_type,
            text,
            etag: format!("\"{:016x}\"", hasher.finish()),
        }
    }

    /// The file at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<&'static Self> {
        // Nearly every request is for something else.
        if !path.starts_with("/_formgate/") {
            return None;
        }
        FILES.iter().find(|file| file.path == path)
    }
}

/// A script without the lines that are comments, and without indentation: a third of it. The script has neither
/// comments beside code nor texts of several lines.
fn lean(script: &str) -> String {
    let lines = script.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lang::Lang;
    use crate::model::words::Word;

    fn file(path: &str) -> &'static OwnFile {
        OwnFile::at(path).expect("a file")
    }

    #[test]
    fn what_is_taken_from_the_script_is_comments() {
        let source = include_str!("formgate.js");
        assert!(!source.contains("/*"), "a comment that is not a line");
        let code = source.lines().filter(|line| !line.trim().starts_with("//"));
        for line in code {
            assert!(!line.contains('`'), "{line}: may go over several lines");
        }
        let served = &file("/_formgate/formgate.js").text;
        assert!(!served.contains("// "), "{served}");
        assert!(served.contains("export function show(form, answer) {\n"));
    }

    #[test]
    fn the_script_speaks_as_the_gateway_does() {
        let served = &file("/_formgate/formgate.js").text;
        for lang in Lang::ALL {
            let says = |word: Word| word.text(lang).trim_end_matches('.');
            let [saved, refused, maybe] =
                [Word::Saved, Word::NotAccepted, Word::MaybeSaved].map(says);
            let line = format!("{lang}: [\"{saved}.\", \"{refused}.\", \"{maybe}.\"],");
            assert!(served.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_changed_text_has_another_tag() {
        let [one, other] = ["a", "b"].map(|text| OwnFile::new("", "", text.to_owned()).etag);
        assert_ne!(one, other);
        assert!(OwnFile::at("/_formgate/other").is_none() && OwnFile::at("/").is_none());
    }
}
