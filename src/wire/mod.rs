//! Bytes on sockets and on disk. Owns connections to other servers – who may be reached, over TLS or not, kept open
//! and used again – a person's request as it arrived, and bodies too large for memory. What is said over them is
//! left to `hooks`, `backend` and `gateway`.

pub mod arrival;
pub mod body;
pub mod caught;
pub mod client_tls;
pub mod clock;
pub mod connect;
pub mod early;
pub mod egress;
pub mod hop;
pub mod paced;
pub mod peeked;
pub mod pool;
pub mod proof;
pub mod proxy;
pub mod rewritten;
pub mod spool;
pub mod tempo;
