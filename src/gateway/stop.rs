//! Telling many connections to end. Owns a signal that costs a connection nothing to look at while it serves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;

use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// The signal.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    is_set: Arc<AtomicBool>,
    token: CancellationToken,
}

/// One task's view of the signal.
#[derive(Debug)]
pub struct Watch {
    is_set: Arc<AtomicBool>,
    /// Until it has been asked once; from then on it wakes the task.
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    asked: bool,
}

impl Stop {
    /// Gives the signal.
    pub fn now(&self) {
        self.is_set.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Waits for the signal.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// For a task that looks often.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            is_set: Arc::clone(&self.is_set),
            wait: Box::pin(self.token.clone().cancelled_owned()),
            asked: false,
        }
    }
}

impl Watch {
    /// Whether the signal was given; if not, the task is woken when it is. To be asked by one task only.
    pub fn is_given(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.asked {
            self.asked = true;
            return self.wait.as_mut().poll(cx).is_ready();
        }
        self.is_set.load(Ordering::Acquire)
    }
}
