//! Asking a responder. Owns the call on the wire – its headers and signature, its time, the one safe second attempt,
//! its turn, the breaker – and what an answer means. Order, failure policy and record keeping are left to `flow`.

pub mod answer;
pub mod breaker;
pub mod by_hand;
pub mod call;
pub mod replay;
pub mod sign;
pub mod target;
pub mod turn;
