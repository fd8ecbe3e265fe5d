//! lib
pub mod backend;
pub mod codec;
pub mod flow;
pub mod hooks;
pub mod model;
pub mod page;
pub mod rules;
pub mod source;
pub mod wire;
