//! lib
pub mod backend;
pub mod cli;
pub mod codec;
pub mod config;
pub mod flow;
pub mod gateway;
pub mod hooks;
pub mod model;
pub mod page;
pub mod rules;
pub mod source;
pub mod wire;
