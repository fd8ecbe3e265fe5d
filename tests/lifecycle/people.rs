//! People who submit all the time and behave as browsers do: they keep their connections, make a new one when they
//! are told that an answer was the last, and believe what they are told. Owns what each of them saw.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::h2c;
use crate::support::peer::Received;
use crate::support::within;

/// A connection over which somebody speaks HTTP.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How people reach the gateway.
pub(crate) type Connect =
    Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Box<dyn Stream>>> + Send + Sync>;

/// Over plain TCP.
pub(crate) fn plainly(address: SocketAddr) -> Connect {
    Arc::new(move || {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    })
}

/// What all of them saw.
#[derive(Default)]
pub(crate) struct Seen {
    enough: AtomicBool,
    /// How many answers there were so far.
    pub(crate) answers: AtomicUsize,
    /// How many times somebody made a new connection because of being told to.
    pub(crate) moved: AtomicUsize,
    /// The submissions that were told to be accepted.
    pub(crate) accepted: Mutex<BTreeSet<String>>,
    /// Everything that must not be.
    pub(crate) wrong: Mutex<Vec<String>>,
}

/// People at work.
pub(crate) struct People {
    pub(crate) seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

/// An answer: status, head in lower case, body.
pub(crate) type Answer = (u16, String, Vec<u8>);

impl Seen {
    fn wrong(&self, what: String) {
        self.wrong.lock().expect("no panic").push(what);
    }

    fn accept(&self, name: &str, status: u16, said: &str) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if status != 200 {
            self.wrong(format!("{name}: {status} {said}"));
        } else if !self
            .accepted
            .lock()
            .expect("no panic")
            .insert(name.to_owned())
        {
            self.wrong(format!("{name}: twice"));
        }
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// A submission that says whose it is.
pub(crate) fn submission(name: &str) -> Vec<u8> {
    let body = format!("name={name}");
    format!(
        "POST /contact HTTP/1.1\r\nhost: forms.example.org\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer with a length; `None` if the connection ends before that.
pub(crate) async fn answer(
    stream: &mut (impl Stream + ?Sized),
    ahead: &mut Vec<u8>,
) -> Option<Answer> {
    let end = loop {
        if let Some(at) = crate::support::client::find(ahead, b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, ahead).await?;
    };
    let head: Vec<u8> = ahead.drain(..end).collect();
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.parse().ok()?;
    while ahead.len() < length {
        more(stream, ahead).await?;
    }
    Some((status, head, ahead.drain(..length).collect()))
}

async fn more(stream: &mut (impl Stream + ?Sized), ahead: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 << 10];
    let read = within("an answer", stream.read(&mut buffer)).await.ok()?;
    ahead.extend_from_slice(&buffer[..read]);
    (read > 0).then_some(())
}

impl People {
    pub(crate) fn new() -> Self {
        Self {
            seen: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// So many more, over kept connections of HTTP/1; each answer is also given to `judge`.
    pub(crate) fn keeping(
        &mut self,
        count: usize,
        connect: &Connect,
        judge: impl Fn(&str, &Answer) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let judge = Arc::new(judge);
        for number in 0..count {
            let (seen, connect, judge) = (
                Arc::clone(&self.seen),
                Arc::clone(connect),
                Arc::clone(&judge),
            );
            self.tasks.spawn(async move {
                keep(&format!("kept-{number}"), &seen, &connect, &*judge).await;
            });
        }
    }

    /// So many more, each with a connection of HTTP/2 and several requests at a time.
    pub(crate) fn multiplexing(&mut self, count: usize, connect: &Connect) {
        for number in 0..count {
            let (seen, connect) = (Arc::clone(&self.seen), Arc::clone(connect));
            self.tasks.spawn(async move {
                multiplex(&format!("many-{number}"), &seen, &connect).await;
            });
        }
    }

    /// Waits until there were so many answers more.
    pub(crate) async fn go_on_for(&self, answers: usize) {
        let until = self.seen.answers.load(Ordering::Relaxed) + answers;
        let come = async {
            while self.seen.answers.load(Ordering::Relaxed) < until {
                // It is the people that are waited for, and they tell nobody.
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        within("more answers", come).await;
    }

    /// Lets everybody finish what they are at; what they saw.
    pub(crate) async fn leave(mut self) -> Arc<Seen> {
        self.seen.enough.store(true, Ordering::Relaxed);
        while let Some(done) = within("people to leave", self.tasks.join_next()).await {
            done.expect("no panic");
        }
        self.seen
    }
}

async fn keep(
    who: &str,
    seen: &Seen,
    connect: &Connect,
    judge: &(dyn Fn(&str, &Answer) -> Result<(), String> + Send + Sync),
) {
    let mut count = 0;
    while !seen.is_enough() {
        let mut stream = match connect().await {
            Ok(stream) => stream,
            Err(error) => return seen.wrong(format!("{who}: no connection: {error}")),
        };
        let mut ahead = Vec::new();
        while !seen.is_enough() {
            count += 1;
            let name = format!("{who}-{count}");
            let sent = stream.write_all(&submission(&name)).await;
            let flushed = stream.flush().await;
            let answer = answer(&mut stream, &mut ahead).await;
            let Some(answer) = answer else {
                return seen.wrong(format!("{name}: no answer ({sent:?}, {flushed:?})"));
            };
            if let Err(why) = judge(&name, &answer) {
                seen.wrong(format!("{name}: {why}"));
            }
            seen.accept(&name, answer.0, &String::from_utf8_lossy(&answer.2));
            if answer.1.contains("connection: close") {
                seen.moved.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
}

async fn multiplex(who: &str, seen: &Seen, connect: &Connect) {
    let mut count = 0;
    while !seen.is_enough() {
        let stream = match connect().await {
            Ok(stream) => stream,
            Err(error) => return seen.wrong(format!("{who}: no connection: {error}")),
        };
        let client = h2c::speak(stream, &h2::client::Builder::new()).await;
        let mut open = true;
        while open && !seen.is_enough() {
            let asked = (0..4).map(|_| {
                count += 1;
                once(format!("{who}-{count}"), seen, client.send.clone())
            });
            open = futures_util::future::join_all(asked)
                .await
                .into_iter()
                .all(|open| open);
        }
        if !open {
            seen.moved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Submits once; whether the connection takes more. What it does not take was not carried out and is not counted.
async fn once(name: String, seen: &Seen, mut send: h2::client::SendRequest<bytes::Bytes>) -> bool {
    if std::future::poll_fn(|cx| send.poll_ready(cx))
        .await
        .is_err()
    {
        return false;
    }
    let request = h2c::request("POST", "/contact")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .expect("a request");
    let Ok((answer, mut body)) = send.send_request(request, false) else {
        return false;
    };
    // An answer says more about it.
    let _ = body.send_data(format!("name={name}").into(), true);
    match h2c::got(answer).await {
        Ok(got) => {
            seen.accept(&name, got.status, &got.text());
            true
        }
        Err(error) => {
            let not_taken = error.is_go_away() && error.is_remote()
                || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            if !not_taken {
                seen.wrong(format!("{name}: {error}"));
            }
            false
        }
    }
}

/// Whose submissions a backend has got; each came once, or that is said.
pub(crate) fn arrived(received: &[Received], seen: &Seen) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for request in received.iter().filter(|request| request.method == "POST") {
        let body = request.text();
        let name = body.strip_prefix("name=").unwrap_or(&body).to_owned();
        if !all.insert(name.to_owned()) {
            seen.wrong(format!("{name}: twice at the backend"));
        }
    }
    all
}
