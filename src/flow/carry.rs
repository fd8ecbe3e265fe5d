//! Carrying a submission to its end. Owns the promise that what has arrived whole is not given up because the
//! person's connection went away: the work goes on as a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use tokio_util::task::TaskTracker;

use crate::flow::error::FlowError;
use crate::metrics::register::Metrics;
use crate::wire::caught::Panicked;
use crate::wire::caught::caught;

/// Where work goes on whose caller is gone, and what is done if it panics there.
#[derive(Debug, Clone)]
pub struct After {
    /// Where it goes on.
    pub tasks: TaskTracker,
    /// What panics are counted with.
    pub metrics: Arc<Metrics>,
    /// The request that it is for.
    pub request_id: String,
}

/// A future that finishes even if nobody waits for it any more. Work that panics fails.
pub struct Carried<T: Send + 'static> {
    work: Option<Work<T>>,
    after: After,
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, FlowError>> + Send>>;

impl<T: Send + 'static> std::fmt::Debug for Carried<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried")
            .field("done", &self.work.is_none())
            .finish_non_exhaustive()
    }
}

/// Runs `work` in place; if the caller is dropped before it is done, it goes on as a task.
pub fn to_its_end<T: Send + 'static>(
    after: After,
    work: impl Future<Output = Result<T, FlowError>> + Send + 'static,
) -> Carried<T> {
    Carried {
        work: Some(Box::pin(work)),
        after,
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = Result<T, FlowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out while it runs: work that panics must not be gone on with.
        let Some(mut work) = self.work.take() else {
            return Poll::Pending;
        };
        match caught(|| work.as_mut().poll(cx)) {
            Poll::Pending => {
                self.work = Some(work);
                Poll::Pending
            }
            Poll::Ready(Ok(done)) => Poll::Ready(done),
            Poll::Ready(Err(Panicked)) => Poll::Ready(Err(FlowError::Panicked)),
        }
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        // Outside a runtime there is nobody left to go on.
        if let (Some(mut work), Ok(_)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            let After {
                tasks,
                metrics,
                request_id,
            } = self.after.clone();
            tasks.spawn(async move {
                let done = std::future::poll_fn(|cx| caught(|| work.as_mut().poll(cx))).await;
                if done.is_err() {
                    metrics.gate.panics.inc();
                    // Nobody is there to be answered; but it is written down.
                    drop(FlowError::Panicked.into_answer(&request_id));
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn fault() -> Result<(), FlowError> {
        panic!("a fault of ours");
    }

    fn after() -> After {
        After {
            tasks: TaskTracker::new(),
            metrics: Metrics::new(),
            request_id: "0193".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_when_its_caller_is_gone() {
        let after = after();
        let (done, finished) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            done.send(()).expect("somebody listens");
            Ok(())
        };
        let carried = to_its_end(after.clone(), work);
        let gone = tokio::time::timeout(Duration::from_secs(1), carried).await;
        assert!(gone.is_err(), "the caller gave up");
        finished.await.expect("the work was done all the same");
        after.tasks.close();
        after.tasks.wait().await;
        assert_eq!(after.metrics.gate.panics.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_of_this_work_alone() {
        let after = after();
        let work = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            fault()
        };
        let done = to_its_end(after.clone(), work).await;
        assert!(matches!(done, Err(FlowError::Panicked)), "{done:?}");
        let again = to_its_end(after, async { Ok(1) }).await;
        assert!(matches!(again, Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_work_that_nobody_waits_for_is_counted() {
        let after = after();
        let work = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            fault()
        };
        let carried = to_its_end(after.clone(), work);
        let gone = tokio::time::timeout(Duration::from_secs(1), carried).await;
        assert!(gone.is_err(), "the caller gave up");
        after.tasks.close();
        after.tasks.wait().await;
        assert_eq!(after.metrics.gate.panics.get(), 1);
    }
}
