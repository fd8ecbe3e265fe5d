//! A relay between two sides that is a bad network when it is told to be: at one point of the stream of bytes it
//! waits, drips, repeats bytes, falls silent, or ends the connection in one of the ways in which connections end. Owns
//! finding that point in HTTP/1 and HTTP/2 and doing it; what should come of it is said by each test.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use super::h2c;
use super::within;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The rest comes a moment later.
    Delay,
    /// The next bytes come one by one.
    Drip,
    /// The last bytes come twice.
    Duplicate,
    /// Nothing more comes this way, and nobody says so.
    Stall,
    /// This way ends; the other one stays open.
    Half,
    /// Both ways end.
    Cut,
    /// The connection is reset.
    Reset,
}

/// Where on the way of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    /// The connection has just been made.
    Connected,
    /// In its first line; in the first frame of a head.
    InHead,
    /// Head and body have not both been seen.
    AfterHead,
    /// In the middle of the body.
    InBody,
    /// It is complete.
    AfterBody,
}

/// Which of the two messages of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// The request.
    There,
    /// The answer.
    Back,
}

/// One thing that goes wrong at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Plan {
    /// In which message.
    pub(crate) way: Way,
    /// Where in it.
    pub(crate) point: Point,
    /// What.
    pub(crate) fault: Fault,
}

/// How many bytes come twice.
pub(crate) const TWICE: usize = 7;
/// Where in a head the point is.
pub(crate) const IN_HEAD: usize = 10;
/// How many bytes drip.
const DRIPPING: usize = 24;
/// How long the rest is waited for.
const MOMENT: Duration = Duration::from_millis(20);

struct Shared {
    target: SocketAddr,
    armed: Mutex<Option<Plan>>,
    /// How often something went wrong.
    fired: watch::Sender<usize>,
    open: watch::Sender<usize>,
    /// How often all connections were to be ended.
    severed: watch::Sender<usize>,
}

/// A relay.
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// Begins to relay to this address.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target,
            armed: Mutex::new(None),
            fired: watch::Sender::new(0),
            open: watch::Sender::new(0),
            severed: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Something goes wrong the next time that a message gets to this point.
    pub(crate) fn arm(&self, plan: Plan) {
        *self.shared.armed.lock().expect("no panic") = Some(plan);
    }

    /// Nothing goes wrong any more; whether something still would have.
    pub(crate) fn disarm(&self) -> bool {
        self.shared.armed.lock().expect("no panic").take().is_some()
    }

    /// Told how often something went wrong so far.
    pub(crate) fn fired(&self) -> watch::Receiver<usize> {
        self.shared.fired.subscribe()
    }

    /// Ends all connections, as a server does with those that nobody uses, and waits until the clients know.
    pub(crate) async fn sever(&self) {
        self.shared.severed.send_modify(|times| *times += 1);
        let mut open = self.shared.open.subscribe();
        let none = open.wait_for(|open| *open == 0);
        within("the end of relayed connections", none)
            .await
            .expect("a relay");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        shared.open.send_modify(|open| *open += 1);
        open.spawn(async move {
            relay(client, &shared).await;
            shared.open.send_modify(|open| *open -= 1);
        });
        while open.try_join_next().is_some() {}
    }
}

/// How a connection goes on after one of its ways has come to something.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// To its end.
    End,
    /// To where both ends are to be told of it.
    Cut,
    /// To where nobody is told.
    Reset,
}

async fn relay(client: TcpStream, shared: &Shared) {
    let mut severed = shared.severed.subscribe();
    severed.mark_unchanged();
    let Ok(server) = TcpStream::connect(shared.target).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut silent = false;
    if let Some(fault) = shared.take(Way::There, Point::Connected) {
        match fault {
            Fault::Delay => tokio::time::sleep(MOMENT).await,
            Fault::Stall => silent = true,
            Fault::Half => drop(to_client.shutdown().await),
            Fault::Cut => return until_both_end(from_client, to_client, None).await,
            Fault::Reset => return reset(&to_client),
            Fault::Drip | Fault::Duplicate => {}
        }
    }
    let came = {
        let there = async {
            if silent {
                swallow(&mut from_client).await;
                let _ = to_server.shutdown().await;
                return Came::End;
            }
            pump(Way::There, &mut from_client, &mut to_server, shared).await
        };
        let back = pump(Way::Back, &mut from_server, &mut to_client, shared);
        let (mut there, mut back) = (pin!(there), pin!(back));
        let mut ended = 0;
        loop {
            let (mut there_done, mut back_done) = (ended & 1 != 0, ended & 2 != 0);
            let came = tokio::select! {
                came = &mut there, if !there_done => { there_done = true; came }
                came = &mut back, if !back_done => { back_done = true; came }
                _ = severed.changed() => break None,
            };
            ended = u8::from(there_done) | u8::from(back_done) << 1;
            if came != Came::End || ended == 3 {
                break Some(came);
            }
        }
    };
    match came {
        None => until_both_end(from_client, to_client, None).await,
        Some(Came::Cut) => {
            until_both_end(from_client, to_client, Some((from_server, to_server))).await;
        }
        Some(Came::Reset) => {
            reset(&to_server);
            reset(&to_client);
        }
        Some(Came::End) => {}
    }
}

/// The connection is reset as soon as it is dropped.
fn reset(half: &OwnedWriteHalf) {
    let _ = half.as_ref().set_zero_linger();
}

/// Says to both sides that nothing more comes, and reads away what they still say.
async fn until_both_end(
    mut from_client: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    server: Option<(OwnedReadHalf, OwnedWriteHalf)>,
) {
    let _ = to_client.shutdown().await;
    let server = async {
        if let Some((mut from_server, mut to_server)) = server {
            let _ = to_server.shutdown().await;
            swallow(&mut from_server).await;
        }
    };
    tokio::join!(swallow(&mut from_client), server);
}

async fn swallow(from: &mut OwnedReadHalf) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(1..) = from.read(&mut buffer).await {}
}

impl Shared {
    /// What goes wrong here, if it does.
    fn take(&self, way: Way, point: Point) -> Option<Fault> {
        let mut armed = self.armed.lock().expect("no panic");
        let plan = armed.filter(|plan| plan.way == way && plan.point == point)?;
        *armed = None;
        drop(armed);
        self.fired.send_modify(|times| *times += 1);
        Some(plan.fault)
    }
}

async fn pump(
    way: Way,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    shared: &Shared,
) -> Came {
    let mut scanner = Scanner::default();
    let mut last = VecDeque::new();
    let mut dripping = 0;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            let _ = to.shutdown().await;
            return Came::End;
        };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let (length, point) = scanner.next(rest);
            let (now, later) = rest.split_at(length);
            rest = later;
            if write(to, now, &mut dripping).await.is_err() {
                // Whoever was to read it has gone, and what else comes is for nobody.
                swallow(from).await;
                return Came::End;
            }
            last.extend(now);
            last.drain(..last.len().saturating_sub(TWICE));
            let fault = point.and_then(|point| shared.take(way, point));
            match fault {
                None => {}
                Some(Fault::Delay) => tokio::time::sleep(MOMENT).await,
                Some(Fault::Drip) => dripping = DRIPPING,
                Some(Fault::Duplicate) => {
                    let _ = to.write_all(last.make_contiguous()).await;
                }
                Some(Fault::Stall) => {
                    swallow(from).await;
                    // Now it may be told: nobody is left who would wait.
                    let _ = to.shutdown().await;
                    return Came::End;
                }
                Some(Fault::Half) => {
                    let _ = to.shutdown().await;
                    swallow(from).await;
                    return Came::End;
                }
                Some(Fault::Cut) => return Came::Cut,
                Some(Fault::Reset) => return Came::Reset,
            }
        }
    }
}

async fn write(to: &mut OwnedWriteHalf, bytes: &[u8], dripping: &mut usize) -> std::io::Result<()> {
    let (slow, rest) = bytes.split_at(bytes.len().min(*dripping));
    *dripping -= slow.len();
    for byte in slow {
        to.write_all(&[*byte]).await?;
        tokio::task::yield_now().await;
    }
    to.write_all(rest).await
}

/// Finds the points of one message after the other.
#[derive(Default)]
struct Scanner {
    state: State,
    /// What is known of the head, or of the frame's head.
    head: Vec<u8>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of anything.
    #[default]
    Fresh,
    /// In the head of a message of HTTP/1.
    Head,
    /// So many bytes of its body are left until the middle, and after that.
    Body(usize, usize),
    /// In chunks: so many bytes until the point in the body.
    Chunks(usize),
    /// In HTTP/2: so many bytes that are no frame's.
    Preface(usize),
    /// In the head of a frame.
    Frame,
    /// In its payload: so many bytes until its middle, and after that; and the points at both places.
    Payload(usize, usize, Option<Point>, Option<Point>),
}

impl Scanner {
    /// How many of these bytes there are until the next point, and what it is.
    fn next(&mut self, bytes: &[u8]) -> (usize, Option<Point>) {
        match self.state {
            State::Fresh => {
                self.state = match bytes[0] {
                    b'P' if bytes.starts_with(b"PRI") => State::Preface(h2c::PREFACE.len()),
                    b'A'..=b'Z' | b'a'..=b'z' => State::Head,
                    _ => State::Frame,
                };
                self.next(bytes)
            }
            State::Head => self.head(bytes),
            State::Body(0, rest) => {
                let here = rest.min(bytes.len());
                if here == rest {
                    self.state = State::Head;
                    return (here, Some(Point::AfterBody));
                }
                self.state = State::Body(0, rest - here);
                (here, None)
            }
            State::Body(first, rest) => {
                let here = first.min(bytes.len());
                self.state = State::Body(first - here, rest);
                (here, (here == first).then_some(Point::InBody))
            }
            State::Chunks(left) => self.chunks(bytes, left),
            State::Preface(left) => {
                let here = left.min(bytes.len());
                self.state = match left - here {
                    0 => State::Frame,
                    left => State::Preface(left),
                };
                (here, None)
            }
            State::Frame => self.frame(bytes),
            State::Payload(0, rest, _, point) => {
                let here = rest.min(bytes.len());
                if here == rest {
                    self.state = State::Frame;
                    return (here, point);
                }
                self.state = State::Payload(0, rest - here, None, point);
                (here, None)
            }
            State::Payload(first, rest, middle, end) => {
                let here = first.min(bytes.len());
                self.state = State::Payload(first - here, rest, middle, end);
                (here, middle.filter(|_| here == first))
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> (usize, Option<Point>) {
        for (at, byte) in bytes.iter().enumerate() {
            self.head.push(*byte);
            if self.head.len() == IN_HEAD {
                return (at + 1, Some(Point::InHead));
            }
            if self.head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
                self.head.clear();
                let value = |name: &str| {
                    let line = head.lines().find(|line| line.starts_with(name))?;
                    line.split_once(':').map(|(_, value)| value.trim())
                };
                let length = value("content-length:").and_then(|value| value.parse().ok());
                self.state = match (value("transfer-encoding:"), length) {
                    (Some(_), _) => State::Chunks(20),
                    (None, Some(length @ 1..)) => State::Body(length / 2, length - length / 2),
                    (None, _) => State::Head,
                };
                return (at + 1, Some(Point::AfterHead));
            }
        }
        (bytes.len(), None)
    }

    fn chunks(&mut self, bytes: &[u8], left: usize) -> (usize, Option<Point>) {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        for (at, byte) in bytes.iter().enumerate() {
            self.head.push(*byte);
            let extra = self.head.len().saturating_sub(LAST.len());
            self.head.drain(..extra);
            if self.head == LAST {
                self.head.clear();
                self.state = State::Head;
                return (at + 1, Some(Point::AfterBody));
            }
            if at + 1 == left {
                self.state = State::Chunks(0);
                return (at + 1, Some(Point::InBody));
            }
        }
        self.state = State::Chunks(left.saturating_sub(bytes.len()));
        (bytes.len(), None)
    }

    fn frame(&mut self, bytes: &[u8]) -> (usize, Option<Point>) {
        let here = (9 - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..here]);
        let [a, b, c, kind, flags, ..] = self.head[..] else {
            return (here, None);
        };
        if self.head.len() < 9 {
            return (here, None);
        }
        self.head.clear();
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let ends = (flags & h2c::END_STREAM != 0).then_some(Point::AfterBody);
        let (middle, end) = match kind {
            h2c::HEADERS => (Some(Point::InHead), ends.or(Some(Point::AfterHead))),
            h2c::DATA => (Some(Point::InBody), ends),
            _ => (None, None),
        };
        if length == 0 {
            return (here, end);
        }
        self.state = State::Payload(length / 2, length - length / 2, middle, end);
        (here, None)
    }
}
