//! Sending requests over many connections, and checking every answer. Owns the clock: without a rate each connection
//! sends again as soon as it was answered; with one, requests are due at fixed times and their time counts from then,
//! so that a gateway that falls behind cannot hide it.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::http::Line;
use crate::work::Work;

/// Requests of one kind to one address.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) work: &'a Work,
    pub(crate) address: SocketAddr,
    /// Requests a second over all connections; as many as there can be without it.
    pub(crate) rate: Option<f64>,
}

/// What came of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    /// How long it went on.
    pub(crate) time: Duration,
    /// How long each request took, in microseconds.
    pub(crate) took: Vec<u32>,
    /// What was not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Load<'_> {
    pub(crate) async fn drive(&self, time: Duration) -> Outcome {
        let outcome = Rc::new(RefCell::new(Outcome::default()));
        let began = Instant::now();
        let tasks = LocalSet::new();
        let work = Rc::new(self.work.clone());
        let many = u32::try_from(work.connections).unwrap_or(u32::MAX);
        let every = self
            .rate
            .map(|rate| Duration::from_secs_f64(f64::from(many) / rate));
        for number in 0..many {
            let (work, outcome) = (Rc::clone(&work), Rc::clone(&outcome));
            let address = self.address;
            // Spread over the first interval.
            let pace = every.map(|every| (every, began + every * number / many));
            tasks.spawn_local(async move {
                let done = keep_asking(&work, address, began + time, pace, &outcome).await;
                if let Err(error) = done {
                    outcome.borrow_mut().wrong.push(error.to_string());
                }
            });
        }
        tasks.await;
        let mut outcome = outcome.take();
        outcome.time = began.elapsed();
        outcome
    }
}

async fn keep_asking(
    work: &Work,
    address: SocketAddr,
    end: Instant,
    pace: Option<(Duration, Instant)>,
    outcome: &RefCell<Outcome>,
) -> io::Result<()> {
    let mut line = Line::new(TcpStream::connect(address).await?)?;
    let mut due = pace.map(|(_, first)| first);
    loop {
        let late = due.filter(|due| *due < Instant::now());
        if let Some(due) = due {
            sleep_until(due).await;
        }
        // Whoever had to wait for the answer before has been waiting since it was due; a timer's own delay counts for
        // nobody.
        let began = late.unwrap_or_else(Instant::now);
        if began >= end {
            return Ok(());
        }
        line.write(&work.ask).await?;
        let answer = line.read().await?;
        let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        let wrong = work.expects.differs(&answer);
        let mut outcome = outcome.borrow_mut();
        outcome.took.push(took);
        outcome.wrong.extend(wrong);
        due = due.zip(pace).map(|(due, (every, _))| due + every);
    }
}

/// Opens connections that say nothing, until they are dropped.
pub(crate) async fn idle(address: SocketAddr, many: usize) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(many);
    for _ in 0..many {
        let stream = TcpStream::connect(address).await;
        open.push(stream.expect("a connection; raise `ulimit -n`"));
    }
    open
}
