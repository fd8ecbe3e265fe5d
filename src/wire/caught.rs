//! Work that may panic by a fault of ours. Owns keeping that to the one request it is for; what its person is told, and
//! counting it, are left to whoever waits for the work.
//!
//! A panic's own words are never handed on: they may hold what a person typed (a text that is cut in the middle of a
//! character says which one). Its place in the sources is logged by the process as a whole.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::task::Poll;

/// The work panicked; it must not be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Does a piece of work.
pub fn caught<T>(work: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Panicked>> {
    // What the work held is given up with it.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    }
}
