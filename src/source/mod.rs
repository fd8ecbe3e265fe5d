//! What people write: rule files and the gateway's configuration, as TOML. Owns reading it with places kept, the
//! vocabulary a file may use, and complaints that point into it. What a key means is left to `rules` and `config`.

pub mod certificate;
pub mod complaint;
pub mod measure;
pub mod page;
pub mod secret;
pub mod shape;
pub mod table;
