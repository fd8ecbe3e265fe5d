//! Hostile bytes for every parser. Each target states laws that must hold whatever it is given; its corpus
//! (`tests/fuzz/corpus/<target>/`) is replayed by every `cargo test`, and changed at random for as long as
//! `FORMGATE_FUZZ_SECONDS` says. docs/SECURITY.md says how to search
//! for hours.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "how much was tried is worth a line")]

mod harness;
mod targets;

/// One test for each target, so that they run beside each other and fail by name.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            harness::run(stringify!($name));
        })*

        #[test]
        fn every_target_is_a_test_and_has_a_corpus() {
            let tests = [$(stringify!($name)),*];
            let targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(targets, tests);
            let mut corpora: Vec<String> = harness::corpora();
            corpora.sort_unstable();
            let mut sorted = targets;
            sorted.sort_unstable();
            assert_eq!(corpora, sorted);
        }
    };
}

tests! {
    urlencoded multipart part_header text_plain json content_type charset unpack
    head preface path headers
    rule_file configuration condition words_of_rules
    reply redirect
    flash jwt
    page
}
