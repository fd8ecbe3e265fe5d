//! lib
pub mod codec;
pub mod model;
pub mod rules;
pub mod source;
