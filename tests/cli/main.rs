//! The command line as people and scripts use it: the real program, real folders, real sockets. What a decision is
//! made of is tested beside the code.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

mod admin;
mod commands;
mod schemas;
mod secrets;
mod serving;
mod support;
