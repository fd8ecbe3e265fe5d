//! Rule files: everything the gateway does for one form. Owns reading and checking them, the one immutable
//! [`crate::rules::book::Book`] they make, which request belongs to which form, and local checks that need no network. Calling
//! hooks is left to `hooks`, watching the files to `cli`.

pub mod accepted;
pub mod book;
pub mod case;
pub mod condition;
pub mod error_body;
pub mod fields;
pub mod file;
pub mod form;
pub mod hook;
pub mod kind;
pub mod local;
pub mod path;
pub mod pattern;
pub mod person;
pub mod place;
pub mod recognise;
pub mod route;
pub mod shapes;
pub mod when;
pub mod words;
pub mod writable;
