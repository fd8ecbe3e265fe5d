//! Bodies: bytes to a doc, and a doc's changes back into the very same bytes (protocol §7). Owns each body format
//! with its limits and its strictness; whether to decode at all is left to `flow`.

pub mod charset;
pub mod content_type;
pub mod flash;
pub mod json;
pub mod jwt;
pub mod multipart;
pub mod part_header;
pub mod rejected;
pub mod text;
pub mod unpack;
pub mod urlencoded;

use std::sync::Arc;

use encoding_rs::Encoding;

use crate::codec::rejected::Rejected;
use crate::model::hidden::Hidden;

/// How much of a submission is taken in. Each has the name it has in `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One field's value, in bytes.
    pub field: usize,
    /// How many different fields there may be.
    pub fields: usize,
    /// How many values all of them may have together, since even an empty one costs memory.
    pub values: usize,
    /// All names and values together, files' contents not counted, in bytes.
    pub doc: usize,
    /// How deep a JSON body may nest.
    pub depth: usize,
    /// The header lines of one multipart part, in bytes.
    pub part_header: usize,
    /// How many times its packed length a packed body may unpack to.
    pub unpack_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            field: 1 << 20,
            fields: 2000,
            values: 20_000,
            doc: 8 << 20,
            depth: 64,
            part_header: 8 << 10,
            unpack_ratio: 200,
        }
    }
}

impl Limits {
    /// Whether so many different fields with so many values in all are within the limits.
    ///
    /// # Errors
    /// 413 with the limit's name.
    pub fn check_counts(&self, fields: usize, values: usize) -> Result<(), Rejected> {
        if values > self.values {
            let text = format!("The form has more than {} values.", self.values);
            return Err(Rejected::too_large("limits.values", text));
        }
        if fields > self.fields {
            let text = format!("The form has more than {} fields.", self.fields);
            return Err(Rejected::too_large("limits.fields", text));
        }
        Ok(())
    }
}

/// How one form's bodies are read.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The limits.
    pub limits: &'a Limits,
    /// The fields that are hidden.
    pub hidden: &'a Arc<Hidden>,
    /// The charset of bodies that do not say theirs.
    pub charset: Option<&'static Encoding>,
    /// Whether bracketed names are shown nested.
    pub nested: bool,
    /// The member names that lead to the doc in a JSON body.
    pub doc_path: &'a [String],
}

/// A stretch of a patched body: bytes that stay, or new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes of the body as it came.
    Kept(std::ops::Range<u64>),
    /// New bytes.
    New(Vec<u8>),
}
