//! The life of the real program under load: it is started by a service manager, reads everything again, ends and is
//! replaced, while people go on submitting. Owns what is seen from outside: no request is lost, refused or answered
//! twice. What a reload or an end does to a single request is tested in `tests/it`.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../it/support/mod.rs"]
mod support;

mod ending;
mod manager;
mod people;
mod program;
mod reload;
