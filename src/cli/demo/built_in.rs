//! The demo's rule files, as part of the program. Owns reading them and, where the responder's own port is taken,
//! writing another one into them; the files themselves are those of the folder `rules`.

use std::fs;
use std::io;
use std::path::Path;

use crate::rules::book::Book;
use crate::rules::book::Loaded;
use crate::rules::book::Written;
use crate::source::complaint::Complaint;

/// The port that the rule files call: the demo's responder listens there if it can.
pub(in crate::cli) const RESPONDER_PORT: u16 = 18_090;

/// The secret that signs the demo's calls.
pub(in crate::cli) const SECRET: &str = include_str!("../../../rules/demo.secret");
/// The token that the demo's API traffic proves itself with.
pub(in crate::cli) const TOKEN: &str = include_str!("../../../rules/demo.token");

const FILES: [(&str, &str); 4] = [
    ("all-forms", include_str!("../../../rules/all-forms.toml")),
    ("contact", include_str!("../../../rules/contact.toml")),
    ("enrollment", include_str!("../../../rules/enrollment.toml")),
    ("newsletter", include_str!("../../../rules/newsletter.toml")),
];

/// Puts the secrets into `folder`, where the rule files look for them.
///
/// # Errors
/// The folder cannot be written.
pub(in crate::cli) fn put_secrets(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("demo.secret"), SECRET)?;
    fs::write(folder.join("demo.token"), TOKEN)
}

/// Compiles the rule files for a responder on `port`.
///
/// # Errors
/// Everything that is wrong in them.
pub(in crate::cli) fn load(port: u16, folder: &Path) -> Result<Loaded, Vec<Complaint>> {
    let (own, other) = (
        format!("://127.0.0.1:{RESPONDER_PORT}/"),
        format!("://127.0.0.1:{port}/"),
    );
    let files = FILES.map(|(stem, text)| Written {
        name: format!("rules/{stem}.toml"),
        stem: stem.to_owned(),
        text: text.replace(&own, &other),
    });
    Book::compile(files.into(), folder, &[])
}
