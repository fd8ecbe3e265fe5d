//! A clock for something that nearly always comes in time. Owns setting the runtime's timer late and rarely: a
//! deadline that has moved on is looked up only when the old one passes, so a request usually sets no timer at all.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::time::Instant;
use tokio::time::Sleep;

/// A clock that one connection keeps for all its requests.
#[derive(Debug, Default)]
pub struct Clock(Option<(Instant, Pin<Box<Sleep>>)>);

impl Clock {
    /// Whether the task will be woken by it, sooner or later.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let set = self.0.as_ref();
        set.is_some_and(|(_, sleep)| !sleep.is_elapsed())
    }

    /// Ready once `deadline` has passed; wakes the task when it does.
    pub fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.0 {
                None => self.0 = Some((deadline, Box::pin(tokio::time::sleep_until(deadline)))),
                Some((set, sleep)) => {
                    if *set <= deadline {
                        ready!(sleep.as_mut().poll(cx));
                        if Instant::now() >= deadline {
                            return Poll::Ready(());
                        }
                    }
                    sleep.as_mut().reset(deadline);
                    *set = deadline;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn deadlines_move_both_ways() {
        let mut clock = Clock::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        poll_fn(|cx| {
            assert!(clock.poll_until(at(10), cx).is_pending());
            assert!(
                clock.poll_until(at(30), cx).is_pending(),
                "later: the timer stays"
            );
            assert!(
                clock.poll_until(at(5), cx).is_pending(),
                "earlier: the timer is set again"
            );
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| clock.poll_until(at(5), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        poll_fn(|cx| clock.poll_until(at(20), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
    }
}
