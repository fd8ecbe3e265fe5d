//! Formgate: a synchronous form-hook gateway. These are its parts in reading order: a part stands on those above it
//! and knows nothing of those below or beside it (`tests/tidy.rs` holds it).

// -- words: plain values; no IO, no async, no clock
/// Event, doc, reply, decision, job; the gateway's own words.
pub mod model;

// -- measures: what is counted on the way
/// Counters, gauges and histograms, and giving them out.
pub mod metrics;

// -- text: what people write, with places kept
/// TOML files and the complaints that point into them.
pub mod source;

// -- reading: bytes or text in, values out
/// Bodies to docs and back.
pub mod codec;

/// The gateway's own pages.
pub mod page;

/// Rule files to a checked book; requests to forms.
pub mod rules;

// -- wire: bytes on sockets and on disk
/// Connections, arrivals, bodies.
pub mod wire;

// -- edges: one conversation with the outside world each
/// What operators are told of each request.
pub mod account;

/// The form application.
pub mod backend;

/// The responders.
pub mod hooks;

/// What is kept.
pub mod store;

// -- flow: the steps, in order
/// One request from arrival to response.
pub mod flow;

// -- faces: who may talk to us
/// The listener.
pub mod gateway;

/// Probes and numbers, on a listener of their own.
pub mod admin;

// -- assembly
/// Every key of the configuration.
pub mod config;

// -- command line
/// The commands.
pub mod cli;
