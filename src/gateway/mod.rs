//! The listener: sockets in, requests handed to the flow. Owns accepting, TLS, both HTTP versions, what a connection
//! may do and for how long, and ending gracefully; it knows nothing of forms.

pub mod connection;
pub mod fault;
pub mod guard;
pub mod head;
pub mod layers;
pub mod line;
pub mod neighbours;
pub mod preface;
pub mod serve;
pub mod stop;
pub mod tls;
