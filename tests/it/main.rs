//! Black-box tests: people, forms, backends and responders on real sockets, one module per subject.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

mod support;

mod evasions;
mod recognising;
mod smoke;
mod smuggling;
