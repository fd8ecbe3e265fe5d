//! How many calls of one hook are made at a time, so that a slow responder holds up itself and nobody else. Owns the
//! places and the bounded queue before them; what happens instead of a call is left to `flow`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// How many calls of one hook may wait for their turn.
pub const QUEUE: usize = 256;
/// What must be left of a call's time when its turn comes: the least that a hook can be given.
const LEAST: Duration = Duration::from_millis(50);

/// The places of one hook.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    /// Shared with the same hook of books before and after: calls that began before a reload count.
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    places: Semaphore,
    waiting: AtomicUsize,
}

/// A call's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    _place: SemaphorePermit<'t>,
    /// How long it was waited for.
    pub waited: Duration,
}

/// Why a call has no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTurn {
    /// The queue is full as well.
    #[error(
        "{0} calls of this hook are under way and {QUEUE} more wait (`at_once`), so it was not called"
    )]
    Crowded(usize),
    /// None of the calls under way has ended in time.
    #[error(
        "{0} calls of this hook are under way (`at_once`) and none ended in time, so it was not called"
    )]
    Late(usize),
}

/// One of those who wait.
struct Waiting<'t>(&'t AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    /// So many places, all free.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let state = State {
            places: Semaphore::new(most),
            waiting: AtomicUsize::new(0),
        };
        Self {
            most,
            state: Arc::new(state),
        }
    }

    /// The same places after a reload; others where their number has changed.
    #[must_use]
    pub fn carried_over(&self, most: usize) -> Self {
        if self.most != most {
            return Self::new(most);
        }
        Self {
            most,
            state: Arc::clone(&self.state),
        }
    }

    /// A turn, if there is one right now.
    #[must_use]
    pub fn now(&self) -> Option<Turn<'_>> {
        let place = self.state.places.try_acquire().ok()?;
        Some(Turn {
            _place: place,
            waited: Duration::ZERO,
        })
    }

    /// Waits for a turn of a call that must be over at `end`.
    ///
    /// # Errors
    /// [`NoTurn`] with the reason.
    pub async fn wait(&self, end: Instant) -> Result<Turn<'_>, NoTurn> {
        let began = Instant::now();
        let waiting = Waiting(&self.state.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            return Err(NoTurn::Crowded(self.most));
        }
        let latest = end.checked_sub(LEAST).unwrap_or(began);
        let place = tokio::time::timeout_at(latest, self.state.places.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(NoTurn::Late(self.most));
        };
        Ok(Turn {
            _place: place,
            waited: began.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_place_or_none_in_time() {
        let turns = Turns::new(1);
        let first = turns.now().expect("a free place");
        assert!(turns.now().is_none(), "it is taken");
        let wait = |time: Duration| turns.wait(Instant::now() + time);
        assert_eq!(wait(SECOND).await.expect_err("taken"), NoTurn::Late(1));
        let (turn, ()) = tokio::join!(wait(2 * SECOND), async {
            tokio::time::sleep(SECOND).await;
            drop(first);
        });
        assert_eq!(turn.expect("the place").waited, SECOND);
        assert!(turns.now().is_some(), "whoever waited has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_ends_somewhere_and_who_leaves_it_makes_room() {
        let turns = Turns::new(1);
        let carried = turns.carried_over(1);
        let first = turns.now().expect("a free place");
        assert!(carried.now().is_none(), "a reload makes no places");
        let end = Instant::now() + SECOND;
        let mut queue: Vec<_> = (0..QUEUE).map(|_| Box::pin(turns.wait(end))).collect();
        for one in &mut queue {
            assert!(futures_util::poll!(one).is_pending());
        }
        let refused = carried.wait(end).await.expect_err("a full queue");
        assert_eq!(refused, NoTurn::Crowded(1));
        queue.pop();
        let mut last = Box::pin(carried.wait(end));
        assert!(futures_util::poll!(&mut last).is_pending(), "room for one");
        drop((queue, first));
        assert!(last.await.is_ok());
        assert!(turns.carried_over(2).now().is_some(), "other places");
    }
}
