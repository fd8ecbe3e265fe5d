//! The words of Formgate: plain values that every other part speaks in.
//!
//! Nothing here does IO, waits, or reads a clock; times are passed in. What the words look like on a wire is
//! left to `codec` (bodies), `hooks` (replies) and `flow` (answers) – except the call, whose JSON is written by
//! [`crate::model::call`] because rules read it before any hook does.

pub mod call;
pub mod decision;
pub mod doc;
pub mod event;
pub mod flat;
pub mod hidden;
pub mod job;
pub mod json_doc;
pub mod json_text;
pub mod lang;
pub mod nesting;
pub mod origin;
pub mod redirect;
pub mod reply;
pub mod reply_table;
pub mod secret;
pub mod template;
pub mod timeline;
pub mod trace;
pub mod words;
pub mod write;
