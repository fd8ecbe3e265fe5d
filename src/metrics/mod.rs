//! What is measured, as one value made at assembly and handed down: counters, gauges and histograms of plain atomics,
//! held by whoever counts. Owns their names, their labels – bounded – and both text formats in which they are given out
//! (`prometheus-client`); serving them is left to `admin`, what they mean to whoever counts.
//!
//! Counting costs a relaxed atomic or two. What a form, hook or backend counts with is looked up when a book is put in
//! force, never for a request.

pub mod exposition;
pub mod instrument;
pub mod label;
pub mod meters;
pub mod process;
pub mod register;
pub mod word;
