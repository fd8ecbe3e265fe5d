//! Carrying a submission to its end. Owns the promise that what has arrived whole is not given up because the
//! person's connection went away: the work goes on as a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use tokio_util::task::TaskTracker;

/// A future that finishes even if nobody waits for it any more.
pub struct Carried<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tasks: TaskTracker,
}

impl<T: Send + 'static> std::fmt::Debug for Carried<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried")
            .field("done", &self.work.is_none())
            .finish_non_exhaustive()
    }
}

/// Runs `work` in place; if the caller is dropped before it is done, it goes on among `tasks`.
pub fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
) -> Carried<T> {
    Carried {
        work: Some(Box::pin(work)),
        tasks: tasks.clone(),
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it runs: work that panics must not be gone on with.
        let Some(mut work) = self.work.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        // Outside a runtime there is nobody left to go on.
        if let (Some(work), Ok(_)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            self.tasks.spawn(async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_when_its_caller_is_gone() {
        let tasks = TaskTracker::new();
        let (done, finished) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            done.send(()).expect("somebody listens");
        };
        let gone = tokio::time::timeout(Duration::from_secs(1), to_its_end(&tasks, work)).await;
        assert!(gone.is_err(), "the caller gave up");
        finished.await.expect("the work was done all the same");
        tasks.close();
        tasks.wait().await;
    }
}
