//! A call that somebody makes by hand, to see what comes of it. Owns sending it once – without turn, breaker or second
//! attempt – and hearing the whole answer; what it means is [`crate::hooks::answer`]'s.

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use tokio::time::Instant;

use crate::hooks::answer::Answered;
use crate::hooks::answer::MAX_REPLY;
use crate::hooks::target::Target;
use crate::model::job::Finding;
use crate::model::job::Outcome;
use crate::model::reply_table::Reading;
use crate::wire::body::Outgoing;
use crate::wire::pool::SendError;

/// An answer as it came.
#[derive(Debug)]
pub struct Heard {
    /// Its status and headers.
    pub head: Parts,
    /// `None` if it was too large.
    pub body: Option<Bytes>,
}

/// There was none.
#[derive(Debug)]
pub struct Unheard {
    /// What the job says.
    pub outcome: Outcome,
    /// Why.
    pub why: String,
}

impl Heard {
    /// The answer as it is read.
    #[must_use]
    pub fn answered(&self) -> Answered<'_> {
        Answered::of(self.head.status, &self.head.headers, self.body.clone())
    }
}

impl Unheard {
    /// What can be read of no answer.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            faults: vec![Finding::new("connection", self.why.as_str())],
            ..Reading::default()
        }
    }
}

/// Sends a call and hears the answer, within the hook's `timeout` in all.
///
/// # Errors
/// There is no whole answer in time.
pub async fn hear(target: &Target, request: Box<Request<Outgoing>>) -> Result<Heard, Unheard> {
    let timeout = target.rule.timeout;
    let deadline = Instant::now() + timeout;
    let exchange = target.pool.send(request, timeout).await;
    let exchange = exchange.map_err(|error| Unheard {
        outcome: match error {
            SendError::TimedOut(_) => Outcome::TimedOut,
            _ => Outcome::Failed,
        },
        why: error.to_string(),
    })?;
    let (head, body) = exchange.response.into_parts();
    let body = body.until(deadline).whole(MAX_REPLY).await;
    let body = body.map_err(|broken| Unheard {
        outcome: Outcome::Failed,
        why: format!("the reply broke off: {broken}"),
    })?;
    Ok(Heard { head, body })
}
