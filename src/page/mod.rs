//! The gateway's own pages, and those it changes. Owns the plain, accessible page and the fragment that carry a message
//! where no other page can, and putting a message and a form's values into a page that is there, while it streams;
//! what to say is left to `flow`.

mod attributes;
pub mod change;
pub mod charset;
mod control;
pub mod entries;
mod fields;
pub mod files;
mod focus;
mod given;
pub mod message;
pub mod moved;
mod outlet;
mod parser;
mod pick;
pub mod plain;
mod prescan;
pub mod read;
pub mod rewrite;
mod shared;
mod state;
mod text;
mod walk;
