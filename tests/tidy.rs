//! House rules, held by a test: the direction of dependencies that `src/lib.rs` declares, one owner for each heavy
//! dependency, what every file opens with. Owns the rules on the text of the sources; what the sources do is left to
//! the other tests.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The modules of each band, in reading order; `tests/tidy.rs` and `src/lib.rs` must say the same, so that a new
/// module or band is a decision and not an accident.
const BANDS: [(&str, &[&str]); 10] = [
    ("words", &["model"]),
    ("measures", &["metrics"]),
    ("text", &["source"]),
    ("reading", &["codec", "page", "rules"]),
    ("wire", &["wire"]),
    ("edges", &["account", "backend", "hooks", "store"]),
    ("flow", &["flow"]),
    ("faces", &["gateway", "admin"]),
    ("assembly", &["config"]),
    ("command line", &["cli"]),
];

/// Dependencies that shape whatever they touch, and the modules that may name them. `main` is `src/main.rs`; `cli` is
/// among the owners of HTTP because the demo's site and responder are servers of their own.
const OWNERS: &[(&str, &[&str])] = &[
    ("annotate_snippets", &["source"]),
    ("anstream", &["cli"]),
    ("anyhow", &["cli"]),
    ("arc_swap", &["flow", "gateway"]),
    ("askama", &["page"]),
    ("axum", &["admin"]),
    ("brotli_decompressor", &["codec"]),
    ("clap", &["cli"]),
    ("encoding_rs", &["codec", "flow", "page", "rules"]),
    ("flate2", &["codec"]),
    ("htmlize", &["page"]),
    ("http_body_util", &["cli", "gateway"]),
    ("hyper", &["admin", "backend", "cli", "gateway", "wire"]),
    ("hyper_util", &["admin", "cli", "gateway", "wire"]),
    ("jsonpath_rust", &["rules"]),
    ("jsonwebtoken", &["codec"]),
    ("listenfd", &["cli"]),
    ("lol_html", &["page"]),
    ("memchr", &["codec", "gateway"]),
    ("mimalloc", &["main"]),
    ("notify", &["cli"]),
    ("opentelemetry", &["account"]),
    ("opentelemetry_proto", &["account"]),
    ("opentelemetry_sdk", &["account"]),
    ("pest", &["rules"]),
    ("prometheus_client", &["metrics"]),
    ("prost", &["account"]),
    ("regex", &["rules"]),
    ("rustls", &["gateway", "main", "source", "wire"]),
    ("rustls_native_certs", &["wire"]),
    ("sd_notify", &["cli"]),
    ("socket2", &["cli", "gateway"]),
    ("rustix", &["store"]),
    ("sqlx", &["store"]),
    ("tokio_rustls", &["gateway", "wire"]),
    ("toml", &["source"]),
    ("tower", &["gateway"]),
    ("tower_http", &["gateway"]),
    ("tracing_subscriber", &["cli"]),
    ("zstd", &["codec"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the project that ends like this, with its text.
fn files(folder: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "node_modules") {
                    folders.push(path);
                }
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(PathBuf, String)> {
    ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs"]))
        .collect()
}

fn shown(path: &Path, line: usize) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    format!("{}:{}", path.display(), line + 1)
}

/// The module of the crate that a source file belongs to: `flow` for `src/flow/load.rs`; `lib` and `main` for these.
fn module_of(path: &Path) -> String {
    let path = path
        .strip_prefix(root().join("src"))
        .expect("a file of src");
    let first = path.components().next().expect("not the folder itself");
    let name = first.as_os_str().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

/// A file of tests that no program of tests names is never run, and nobody hears of it.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    let lost = files("tests", &[".rs"]).into_iter().filter(|(path, _)| {
        let folder = path.parent().expect("a folder");
        let name = path.file_stem().expect("a name").to_string_lossy();
        if folder == root().join("tests") || matches!(&*name, "main" | "mod") {
            return false;
        }
        let above = [
            folder.join("main.rs"),
            folder.join("mod.rs"),
            folder.with_extension("rs"),
        ];
        let mut texts = above
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        !texts.any(|text| text.contains(&format!("mod {name};")))
    });
    let lost: Vec<String> = lost.map(|(path, _)| shown(&path, 0)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// Whether `text` holds `word` with nothing of an identifier before it.
fn names<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(word).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        let part = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        (!part).then(|| &text[at + word.len()..])
    })
}

/// The bands as `src/lib.rs` declares them.
fn declared() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let mut bands: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(band) = line.strip_prefix("// -- ") {
            let name = band.split(':').next().unwrap_or_default();
            bands.push((name.trim().to_owned(), Vec::new()));
        }
        if let Some(module) = line.strip_prefix("pub mod ") {
            let (_, modules) = bands
                .last_mut()
                .expect("every module of src/lib.rs stands in a band");
            modules.push(module.trim_end_matches(';').to_owned());
        }
    }
    bands
}

fn fail_if_any(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_bands_are_the_ones_that_were_decided() {
    let decided: Vec<(String, Vec<String>)> = BANDS
        .iter()
        .map(|(band, modules)| {
            let modules = modules.iter().map(|name| (*name).to_owned()).collect();
            ((*band).to_owned(), modules)
        })
        .collect();
    assert_eq!(declared(), decided);
}

#[test]
fn modules_look_up_only() {
    let bands = declared();
    let band_of = |module: &str| {
        bands
            .iter()
            .position(|(_, modules)| modules.iter().any(|known| known == module))
    };
    let mut faults = Vec::new();
    for (path, text) in files("src", &[".rs"]) {
        let module = module_of(&path);
        let Some(own) = band_of(&module) else {
            continue; // lib.rs and main.rs stand below all bands
        };
        for (number, line) in text.lines().enumerate() {
            for rest in names(line, "crate::") {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let other = &rest[..end.unwrap_or(rest.len())];
                let good = other == module || band_of(other).is_some_and(|band| band < own);
                if !good {
                    let place = shown(&path, number);
                    faults.push(format!(
                        "{place}: `{module}` may not look down or sideways at `{other}`"
                    ));
                }
            }
        }
    }
    fail_if_any(&faults);
}

#[test]
fn every_file_says_what_it_owns() {
    let mut faults = Vec::new();
    for (path, text) in rust_files() {
        if !text.starts_with("//! ") {
            faults.push(format!("{}: does not open with `//!`", shown(&path, 0)));
        }
    }
    fail_if_any(&faults);
}

#[test]
fn imports_are_one_a_line() {
    let mut faults = Vec::new();
    for (path, text) in files("src", &[".rs"]) {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let import = line.strip_prefix("pub ").unwrap_or(line);
            if import.starts_with("use crate::") && (import.contains('{') || import.contains('*')) {
                let place = shown(&path, number);
                faults.push(format!("{place}: write one `use crate::…;` for each thing"));
            }
        }
    }
    fail_if_any(&faults);
}

#[test]
fn heavy_dependencies_have_owners() {
    let mut faults = Vec::new();
    let sources: Vec<(PathBuf, String, String)> = files("src", &[".rs"])
        .into_iter()
        .map(|(path, text)| (path.clone(), module_of(&path), text))
        .collect();
    for &(dependency, owners) in OWNERS {
        let prefix = format!("{dependency}::");
        let mut seen: Vec<&str> = Vec::new();
        for (path, module, text) in &sources {
            for (number, line) in text.lines().enumerate() {
                if names(line, &prefix).next().is_none() {
                    continue;
                }
                seen.push(module);
                if !owners.contains(&module.as_str()) {
                    let place = shown(path, number);
                    faults.push(format!(
                        "{place}: `{dependency}` is left to {}",
                        owners.join(", ")
                    ));
                }
            }
        }
        for owner in owners.iter().filter(|owner| !seen.contains(owner)) {
            faults.push(format!(
                "tests/tidy.rs: `{owner}` does not use `{dependency}` any more"
            ));
        }
    }
    fail_if_any(&faults);
}

/// The names of a table of Cargo.toml, as code writes them.
fn dependencies(table: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let lines = text
        .lines()
        .skip_while(|line| *line != format!("[{table}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect()
}

#[test]
fn every_dependency_is_used() {
    let mut faults = Vec::new();
    for (table, folders) in [
        ("dependencies", &["src"][..]),
        (
            "dev-dependencies",
            &["src", "tests", "benches", "examples"][..],
        ),
    ] {
        let texts: Vec<String> = folders
            .iter()
            .flat_map(|folder| files(folder, &[".rs"]))
            .map(|(_, text)| text)
            .collect();
        let names_any = |name: &str| {
            let path = format!("{name}::");
            texts.iter().any(|text| names(text, &path).next().is_some())
        };
        let all = dependencies(table);
        assert!(!all.is_empty(), "no [{table}] in Cargo.toml");
        for name in all.iter().filter(|name| !names_any(name)) {
            faults.push(format!(
                "Cargo.toml: nothing in {} uses `{name}`",
                folders.join(", ")
            ));
        }
    }
    fail_if_any(&faults);
}

#[test]
fn nothing_names_one_persons_machine() {
    // Written in pieces, so that this file does not name them either.
    let homes = [["/ho", "me/"], ["/Us", "ers/"], ["/ro", "ot/"]].map(|parts| parts.concat());
    // A checkout right below the root has a path that other texts may hold by chance.
    let deep = root().components().count() > 3;
    let here = root().display().to_string();
    let mut faults = Vec::new();
    for (path, text) in files(
        "",
        &[
            ".rs", ".md", ".toml", ".html", ".css", ".js", ".mjs", ".py", ".sh", ".conf", ".txt",
            ".json", "run",
        ],
    ) {
        for (number, line) in text.lines().enumerate() {
            let own_path = homes
                .iter()
                .find(|home| names(line, home.as_str()).next().is_some());
            if own_path.is_some() || (deep && line.contains(&here)) {
                let place = shown(&path, number);
                faults.push(format!("{place}: a path that only one machine has"));
            }
        }
    }
    fail_if_any(&faults);
}
