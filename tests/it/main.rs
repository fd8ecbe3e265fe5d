//! Black-box tests: people, forms, backends and responders on real sockets, one module per subject.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

mod support;

mod access_log;
mod admin;
mod answers;
mod api;
mod backend_faults;
mod caches;
mod chain;
mod crowd;
mod crowding;
mod drain;
mod early;
mod egress;
mod evasions;
mod fields;
mod flash;
mod forwarded;
mod hooks;
mod http2;
mod injection;
mod journal;
mod languages;
mod leaving;
mod limits;
mod metrics;
mod named_limits;
mod opening;
mod own_files;
mod packed;
mod pages;
mod recognising;
mod reload;
mod replies;
mod result;
mod script;
mod serving;
mod shown;
mod smoke;
mod smuggling;
mod tls;
mod traces;
mod upgrades;
