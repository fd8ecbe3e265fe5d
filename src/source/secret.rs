//! Where secrets come from: `env:NAME` or `file:PATH`. Owns resolving them when a file is loaded; keeping them
//! unseen is left to [`crate::model::secret::Secret`].

use std::path::Path;
use std::path::PathBuf;

use toml::de::DeTable;
use toml::de::DeValue;

use crate::model::secret::Secret;
use crate::source::page::Page;

/// Resolves `env:NAME` and `file:PATH` (relative to `folder`); `None` if the text is not a reference.
///
/// # Errors
/// A sentence that names the variable or file, never its content.
pub fn resolve(text: &str, folder: &Path) -> Option<Result<Secret, String>> {
    if let Some(name) = text.strip_prefix("env:") {
        return Some(from_env(name));
    }
    text.strip_prefix("file:")
        .map(|path| from_file(&folder.join(path)))
}

/// Whether a text says where a secret is, and is none itself.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// The same reference wherever it is read: a path counts from `folder`.
#[must_use]
pub fn from_folder(text: &str, folder: &Path) -> String {
    match text.strip_prefix("file:") {
        Some(path) => format!("file:{}", folder.join(path).display()),
        None => text.to_owned(),
    }
}

/// The file that a reference names.
#[must_use]
pub fn file(reference: &str) -> Option<&Path> {
    reference.strip_prefix("file:").map(Path::new)
}

/// The files that any value of a page names as `file:PATH`.
#[must_use]
pub fn files(page: &Page, table: &DeTable<'_>, folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // Most pages name none, and there may be very many pages.
    if page.text().content.contains("file:") {
        for value in table.values() {
            find(value.get_ref(), folder, &mut files);
        }
    }
    files
}

fn find(value: &DeValue<'_>, folder: &Path, files: &mut Vec<PathBuf>) {
    match value {
        DeValue::String(text) => {
            files.extend(text.strip_prefix("file:").map(|path| folder.join(path)));
        }
        DeValue::Array(list) => list
            .iter()
            .for_each(|item| find(item.get_ref(), folder, files)),
        DeValue::Table(table) => table
            .values()
            .for_each(|item| find(item.get_ref(), folder, files)),
        _ => {}
    }
}

fn from_env(name: &str) -> Result<Secret, String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
        Ok(_) => Err(format!(
            "the environment variable `{name}` is empty; put the secret into it"
        )),
        Err(std::env::VarError::NotPresent) => Err(format!(
            "the environment variable `{name}` is not set; the process that reads this file needs it"
        )),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(format!("the environment variable `{name}` is not UTF-8"))
        }
    }
}

fn from_file(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the secret file `{shown}`: {error}; a path counts from the folder of this file"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!(
            "the secret file `{shown}` is empty; put the secret into it"
        )),
        secret => Ok(Secret::new(secret)),
    }
}
