//! What operators are told of each request: a line of the access log, and a tree of spans. Owns the account of a
//! request, from its head to the last byte of its answer and the end of all work for it, and telling it to the log file
//! ([`crate::account::access`]) and to a collector ([`crate::account::collector`]). What is noted in it is said by
//! whoever does the work.
//!
//! Where nobody wants to be told there is no account: an empty pointer goes along, and noting does nothing.
//! Names, sizes, times and outcomes only: no value of a field, no query, no header.

pub mod access;
pub mod collector;
mod crowded;
pub mod leg;
pub mod spans;
pub mod writer;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use http::Request;
use http::Version;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::account::access::Access;
use crate::account::access::Entry;
use crate::account::leg::Kind;
use crate::account::leg::Leg;
use crate::account::spans::Root;
use crate::account::spans::Traces;
use crate::metrics::word::Ended;
use crate::model::event::Event;
use crate::wire::arrival::Peer;

/// Everybody who wants to be told of requests; at least one of them is there.
#[derive(Debug)]
pub struct Accounts {
    access: Option<Access>,
    traces: Option<Traces>,
}

/// The account of one request; empty where nobody wants one.
#[derive(Debug, Clone, Default)]
pub struct Account(Option<Arc<Kept>>);

/// What is kept of a request until all that is done for it has ended. Then it is told.
#[derive(Debug)]
pub(in crate::account) struct Kept {
    accounts: Arc<Accounts>,
    began: Instant,
    at: Timestamp,
    method: Method,
    path: String,
    version: Version,
    tls: Option<&'static str>,
    received: Arc<AtomicU64>,
    sent: AtomicU64,
    /// Microseconds for which the backend was waited for, and hooks.
    backend: AtomicU64,
    hooks: AtomicU64,
    root: Option<Root>,
    notes: Mutex<Notes>,
}

/// What becomes known of a request on its way.
#[derive(Debug, Default)]
struct Notes {
    address: Option<String>,
    request_id: Option<String>,
    form: Option<String>,
    event: Option<Event>,
    outcome: Option<&'static str>,
    status: Option<u16>,
}

impl Accounts {
    /// Tells these; `None` where there is nobody to tell.
    #[must_use]
    pub fn of(access: Option<Access>, traces: Option<Traces>) -> Option<Arc<Self>> {
        let anybody = access.is_some() || traces.is_some();
        anybody.then(|| Arc::new(Self { access, traces }))
    }

    /// Begins the account of a request.
    #[must_use]
    pub fn open<B>(self: &Arc<Self>, request: &Request<B>, peer: &Peer) -> Account {
        let traces = self.traces.as_ref();
        Account(Some(Arc::new(Kept {
            accounts: Arc::clone(self),
            began: Instant::now(),
            at: Timestamp::now(),
            method: request.method().clone(),
            path: shortened(request.uri().path()),
            version: request.version(),
            tls: peer.tls_version,
            received: Arc::default(),
            sent: AtomicU64::new(0),
            backend: AtomicU64::new(0),
            hooks: AtomicU64::new(0),
            root: traces.map(|traces| traces.root(request, peer.trusted)),
            notes: Mutex::default(),
        })))
    }

    /// Opens the access log anew, so that a file that was moved away is let go.
    pub fn reopen(&self) {
        if let Some(access) = &self.access {
            access.reopen();
        }
    }

    /// Hands on everything that is still waiting to be.
    pub async fn end(&self) {
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
        if let Some(access) = &self.access {
            access.flush().await;
        }
    }
}

/// The most of a path that is kept, in bytes: many requests may wait to be told of.
const PATH: usize = 2 << 10;

fn shortened(path: &str) -> String {
    if path.len() <= PATH {
        return path.to_owned();
    }
    let cut = path.floor_char_boundary(PATH);
    format!("{}…", &path[..cut])
}

impl Account {
    /// The account of nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether the person's address is wanted; whoever knows it then says so with [`Account::person`].
    #[must_use]
    pub fn wants_person(&self) -> bool {
        let access = |kept: &Arc<Kept>| kept.accounts.access.as_ref().map(Access::wants_person);
        self.0.as_ref().and_then(access).unwrap_or(false)
    }

    /// Notes whose request it is, as far as that is wanted.
    pub fn person(&self, address: IpAddr) {
        self.note(|kept, notes| {
            let access = kept.accounts.access.as_ref();
            notes.address = access.and_then(|access| access.shown(address));
        });
    }

    /// Notes the request's id.
    pub fn request_id(&self, id: &str) {
        self.note(|_, notes| notes.request_id = Some(id.to_owned()));
    }

    /// Notes whose form it is.
    pub fn form(&self, form: &str) {
        self.note(|_, notes| notes.form = Some(form.to_owned()));
    }

    /// Notes the last event that it came to.
    pub fn event(&self, event: Event) {
        self.note(|_, notes| notes.event = Some(event));
    }

    /// Notes how it ended.
    pub fn outcome(&self, outcome: &'static str) {
        self.note(|_, notes| notes.outcome = Some(outcome));
    }

    /// Notes the status of the answer.
    pub fn answered(&self, status: u16) {
        self.note(|_, notes| notes.status = Some(status));
    }

    /// Counts bytes of the answer's body.
    pub fn sent(&self, bytes: usize) {
        if let Some(kept) = &self.0 {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            kept.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts the bytes of the request's body, for whoever reads it.
    #[must_use]
    pub fn received(&self) -> Option<Arc<AtomicU64>> {
        self.0.as_ref().map(|kept| Arc::clone(&kept.received))
    }

    /// Begins a leg of the request; it ends when it is dropped.
    #[must_use]
    pub fn leg(&self, name: &'static str, kind: Kind) -> Leg {
        match &self.0 {
            None => Leg::none(),
            Some(kept) => Leg::begin(kept, None, name.into(), kind),
        }
    }

    fn note(&self, write: impl FnOnce(&Kept, &mut Notes)) {
        if let Some(kept) = &self.0 {
            write(kept, &mut kept.lock());
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts time for which hooks were waited for.
    fn waited_for_hooks(&self, time: Duration) {
        add(&self.hooks, time);
    }

    /// Counts time for which the backend was waited for.
    fn waited_for_backend(&self, time: Duration) {
        add(&self.backend, time);
    }
}

fn add(micros: &AtomicU64, time: Duration) {
    let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    micros.fetch_add(time, Ordering::Relaxed);
}

impl Drop for Kept {
    fn drop(&mut self) {
        let notes = self.notes.get_mut();
        let notes = std::mem::take(notes.unwrap_or_else(PoisonError::into_inner));
        // The answer is made where the panic is caught, beyond this.
        let panicked = notes.outcome.is_none() && std::thread::panicking();
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let waited = |count: &AtomicU64| Duration::from_micros(counted(count));
        let entry = Entry {
            at: self.at,
            method: std::mem::take(&mut self.method),
            path: std::mem::take(&mut self.path),
            version: self.version,
            tls: self.tls,
            status: notes.status.or(panicked.then_some(500)),
            received: counted(&self.received),
            sent: counted(&self.sent),
            total: self.began.elapsed(),
            backend: waited(&self.backend),
            hooks: waited(&self.hooks),
            form: notes.form,
            event: notes.event,
            outcome: notes.outcome.or_else(|| Some(Ended::unsaid().word())),
            request_id: notes.request_id,
            trace_id: self.root.as_ref().map(Root::trace_id),
            address: notes.address,
        };
        if let Some(root) = self.root.take() {
            root.end(&entry);
        }
        if let Some(access) = &self.accounts.access {
            access.write(entry);
        }
    }
}
