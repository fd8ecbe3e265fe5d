//! Hooks made ready to be called: addresses, headers and keys prepared once per book, connections and breakers kept
//! from one book to the next. Owns this preparation; calling is left to [`crate::hooks::call`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use http::header;
use tokio::sync::Semaphore;

use crate::hooks::breaker::Breaker;
use crate::hooks::sign::Signer;
use crate::hooks::turn::Turns;
use crate::metrics::label::Key;
use crate::metrics::label::Shelf;
use crate::metrics::meters::HookMeter;
use crate::model::origin::Origin;
use crate::rules::book::Book;
use crate::rules::hook::HookRule;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::arrival::TRACEPARENT;
use crate::wire::connect::Connector;
use crate::wire::pool::Pool;
use crate::wire::pool::Settings;
use crate::wire::proof::DEPTH;
use crate::wire::proof::PROOF;

/// The headers that differ from call to call.
pub static ID: HeaderName = HeaderName::from_static("webhook-id");
/// When it is sent, in seconds since 1970.
pub static TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The signatures.
pub static SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The event's name.
pub static EVENT: HeaderName = HeaderName::from_static("formgate-event");
/// How much time is left.
pub static TIMEOUT_MS: HeaderName = HeaderName::from_static("formgate-timeout-ms");

/// One hook, ready to be called.
#[derive(Debug)]
pub struct Target {
    /// What the rule file says of it.
    pub rule: Arc<HookRule>,
    /// Connections to its server.
    pub pool: Arc<Pool>,
    /// Path and query, where they have no slots.
    pub uri: Option<Uri>,
    /// The URL as it is written down: without its query, slots as they are in the rule file.
    pub url: String,
    /// What every call carries; what differs from call to call is there already and is replaced.
    pub headers: HeaderMap,
    /// Its keys.
    pub signer: Signer,
    /// Whether it is left alone.
    pub breaker: Breaker,
    /// How many calls are made at a time.
    pub turns: Turns,
    /// Places for calls in shadow mode, which nobody waits for.
    pub shadows: Arc<Semaphore>,
    /// What its calls are counted with.
    pub meter: Arc<HookMeter>,
}

/// How many shadow calls of one hook may be under way.
pub const SHADOWS: usize = 32;

impl Target {
    /// A hook that has not been called yet.
    #[must_use]
    pub fn new(rule: &Arc<HookRule>, pool: Arc<Pool>, meter: Arc<HookMeter>) -> Self {
        Self {
            pool,
            uri: rule.target.plain().and_then(|plain| plain.parse().ok()),
            url: rule.url().split('?').next().unwrap_or_default().to_owned(),
            headers: headers(rule),
            signer: Signer::new(&rule.keys),
            breaker: Breaker::new(rule.breaker),
            turns: Turns::new(rule.at_once),
            shadows: Arc::new(Semaphore::new(SHADOWS)),
            meter,
            rule: Arc::clone(rule),
        }
    }

    /// A hook by itself, reached as the gateway reaches it.
    #[must_use]
    pub fn alone(rule: &Arc<HookRule>, connector: &Connector, settings: Settings) -> Self {
        let connector = connector.with(&rule.certificates);
        let pool = Pool::new(rule.origin.clone(), connector, settings);
        Self::new(rule, Arc::new(pool), Arc::default())
    }
}

/// Every hook of a book, by its number.
#[derive(Debug, Default)]
pub struct Targets {
    targets: Vec<Target>,
}

impl Targets {
    /// Makes the hooks of a book ready. Connections and breakers of `before` are kept where the hook is the same.
    #[must_use]
    pub fn prepare(
        book: &Book,
        connector: &Connector,
        settings: &Settings,
        meters: &Shelf<HookMeter>,
        before: &Self,
    ) -> Self {
        // To one server, one for each way of making connections to it.
        let mut pools: HashMap<&Origin, Vec<Arc<Pool>>> = HashMap::new();
        for target in &before.targets {
            let same = pools.entry(target.pool.origin()).or_default();
            if !same.iter().any(|pool| Arc::ptr_eq(pool, &target.pool)) {
                same.push(Arc::clone(&target.pool));
            }
        }
        let hooks: HashMap<_, _> = before
            .targets
            .iter()
            .map(|target| (key(&target.rule), target))
            .collect();
        let mut targets = Vec::with_capacity(book.hooks().len());
        let meters = meters.adopt(book.hooks().iter().map(|rule| labels(rule)));
        for (rule, meter) in book.hooks().iter().zip(meters) {
            let connector = connector.with(&rule.certificates);
            let same = pools.entry(&rule.origin).or_default();
            let known = same.iter().find(|pool| *pool.connector() == connector);
            let pool = known.map_or_else(
                || {
                    Arc::new(Pool::new(
                        rule.origin.clone(),
                        connector.clone(),
                        settings.clone(),
                    ))
                },
                Arc::clone,
            );
            if known.is_none() {
                same.push(Arc::clone(&pool));
            }
            let mut target = Target::new(rule, pool, meter);
            if let Some(known) = hooks.get(&key(rule)) {
                target.breaker = known.breaker.carried_over(rule.breaker);
                target.turns = known.turns.carried_over(rule.at_once);
                target.shadows = Arc::clone(&known.shadows);
            }
            target.meter.left_alone.follow(target.breaker.left_alone());
            targets.push(target);
        }
        Self { targets }
    }

    /// The hook of this number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Target> {
        self.targets.get(number)
    }
}

/// The name of its file without folder and ending, and its own: together they are its own.
fn labels(rule: &HookRule) -> Key {
    let file = Path::new(&*rule.place.file).file_stem().unwrap_or_default();
    [file.to_string_lossy().into_owned(), rule.name.clone()]
}

/// A hook is the same after a reload if it has its file, its name and its URL.
fn key(rule: &HookRule) -> (Arc<str>, String, String) {
    (Arc::clone(&rule.place.file), rule.name.clone(), rule.url())
}

fn headers(rule: &HookRule) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24 + rule.headers.len());
    if let Ok(host) = HeaderValue::from_str(&rule.origin.authority()) {
        headers.insert(header::HOST, host);
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("formgate/", env!("CARGO_PKG_VERSION"))),
    );
    // Replaced in every call; here so that a copy has room for them.
    for name in [
        &header::CONTENT_LENGTH,
        &ID,
        &TIMESTAMP,
        &EVENT,
        &TIMEOUT_MS,
        &TRACEPARENT,
        &REQUEST_ID,
        &DEPTH,
        &PROOF,
    ] {
        headers.insert(name, HeaderValue::from_static(""));
    }
    if !rule.keys.is_empty() {
        headers.insert(&SIGNATURE, HeaderValue::from_static(""));
    }
    for (name, secret) in &rule.headers {
        // Both were checked when the rule file was read.
        let parsed = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(secret.expose()),
        );
        if let (Ok(name), Ok(mut value)) = parsed {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}
