//! Mistakes in rule files and in `formgate.toml`, one a file, each with the picture that the operator sees. Owns the
//! corpus in `tests/bad_rules`: `x.toml` (or a folder `x` of rule files) and `x.err`; `config-*.toml` are
//! configurations, and what begins with `warn-` works all the same.
//!
//! After a deliberate change of messages: `UPDATE=1 cargo test --test bad_rules`, then read the difference.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::source::complaint::Complaint;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_rules")
}

/// Everything in the corpus that is a mistake: its name and its place.
fn mistakes() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(corpus()).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mistakes =
        paths.filter(|path| path.is_dir() || path.extension().is_some_and(|it| it == "toml"));
    let mut mistakes: Vec<(String, PathBuf)> = mistakes
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, path)
        })
        .collect();
    mistakes.sort();
    mistakes
}

fn written(path: &Path, folder: &Path) -> Written {
    Written {
        name: format!(
            "rules/{}",
            path.strip_prefix(folder).expect("inside").display()
        ),
        stem: path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned(),
        text: fs::read_to_string(path).expect("readable"),
    }
}

/// What is said of rule files, errors and warnings alike.
fn judged(path: &Path) -> Vec<Complaint> {
    let files = if path.is_dir() {
        let entries = fs::read_dir(path).expect("readable");
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .collect();
        files.sort();
        files.iter().map(|file| written(file, path)).collect()
    } else {
        vec![written(path, &corpus())]
    };
    match Book::compile(files, &corpus(), &[]) {
        Ok(loaded) => loaded.warnings,
        Err(complaints) => complaints,
    }
}

fn pictures(complaints: &[Complaint]) -> String {
    let pictures: Vec<String> = complaints.iter().map(|one| one.picture(false)).collect();
    // Where the corpus lies on this machine is nobody's business.
    let folder = format!("{}/", corpus().display());
    pictures.join("\n\n").replace(&folder, "")
}

/// What `formgate check` says of a configuration. A process of its own, since the environment counts.
fn configured(path: &Path) -> String {
    let empty = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_formgate"));
    command.current_dir(corpus()).env_clear().arg("check");
    // Where the folder of rule files is not what is wrong, there is a good one.
    let text = fs::read_to_string(path).expect("readable");
    if !text.contains("rules =") {
        command.arg(empty.path());
    }
    let name = path.file_name().expect("a name");
    let output = command.arg("--config").arg(name).output();
    let output = output.expect("the program runs");
    assert_eq!(output.status.code(), Some(1), "{}", path.display());
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn every_mistake_has_its_picture() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differ = Vec::new();
    let mut wrong = Vec::new();
    let mistakes = mistakes();
    assert!(mistakes.len() > 200, "only {} mistakes", mistakes.len());
    for (name, path) in mistakes {
        let said = if name.starts_with("config-") {
            configured(&path)
        } else {
            let complaints = judged(&path);
            let is_wrong = complaints.iter().any(Complaint::is_error);
            if is_wrong == name.starts_with("warn-") {
                wrong.push(name.clone());
            }
            pictures(&complaints)
        };
        let said = format!("{}\n", said.trim_end());
        let expected = corpus().join(format!("{name}.err"));
        if update {
            fs::write(&expected, &said).expect("writable");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        if known != said {
            differ.push(format!("=== {name}: expected\n{known}=== got\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "wrongly judged: {wrong:?}");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn every_picture_has_a_mistake() {
    let names: Vec<String> = mistakes().into_iter().map(|(name, _)| name).collect();
    for entry in fs::read_dir(corpus()).expect("the corpus is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|it| it == "err") {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            assert!(names.contains(&name), "{} has no mistake", path.display());
        }
    }
}

#[test]
fn every_complaint_says_how_to_mend_it() {
    let mut silent = Vec::new();
    for (name, path) in mistakes() {
        if name.starts_with("config-") {
            continue;
        }
        for complaint in judged(&path) {
            let mends = ["; ", "write ", " only"];
            let told = mends.iter().any(|part| complaint.message.contains(part));
            if complaint.label.is_empty() && !told {
                silent.push(format!("{name}: {}", complaint.message));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
