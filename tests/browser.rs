//! A person in a real browser: `tests/browser` drives Chromium against the program. Owns starting those tests, which
//! need node, Chromium and what `npm ci` in that folder installs; without them they are skipped, unless
//! `FORMGATE_REQUIRE_ALL=1`.

#![expect(clippy::panic, reason = "a test whose other half fails")]

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// What is missing, if anything is.
fn missing() -> Option<&'static str> {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    if !has("node") {
        return Some("node is not installed");
    }
    if std::env::var_os("CHROMIUM").is_none() && !browsers.into_iter().any(has) {
        return Some("chromium is not installed");
    }
    let installed = folder().join("node_modules/playwright-core").is_dir();
    (!installed).then_some("`npm ci` was not run in tests/browser")
}

/// Runs one file of tests.
fn run(file: &str) {
    if let Some(missing) = missing() {
        let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!all, "{missing}, and FORMGATE_REQUIRE_ALL=1");
        // Past the test runner, which shows what a test prints only if the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: {missing}");
        return;
    }
    let output = Command::new("node")
        .args(["--test", file])
        .current_dir(folder())
        .env("FORMGATE_BIN", env!("CARGO_BIN_EXE_formgate"))
        .output()
        .expect("node starts");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn formgate_js() {
    run("formgate-js.test.mjs");
}

#[test]
fn types() {
    run("types.test.mjs");
}

#[test]
fn frontends() {
    run("frontends.test.mjs");
}

#[test]
fn demo() {
    run("demo.test.mjs");
}

#[test]
fn pages() {
    run("pages.test.mjs");
}
