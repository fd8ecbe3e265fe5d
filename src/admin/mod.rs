//! The admin listener: what programs that watch over the gateway ask it. Owns a socket of its own, which nothing that
//! comes through the gateway can reach, probes and the numbers; it shows and decides nothing.
//!
//! Whoever can reach it may ask: probes carry no token. What changes something or shows what people submitted will want
//! one and have its place here, too (`[admin] token`, `/api/…`).

pub mod health;
pub mod routes;
pub mod serve;
