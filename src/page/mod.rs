//! Pages and the gateway's own words. Owns the plain, accessible page and the fragment that carry a message where
//! no other page can; what to say is left to `flow`.

pub mod plain;
pub mod words;
