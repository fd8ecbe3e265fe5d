//! What the tests stand on: a gateway in front of a scripted backend, scripted responders, and clients that speak
//! plain bytes. Owns starting and recording; what should come of it is said by each test.

#![allow(dead_code, reason = "not every test needs every word")]

pub(crate) mod authority;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod h2c;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod numbers;
pub(crate) mod peer;
pub(crate) mod relay;
pub(crate) mod stores;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use formgate::account::Accounts;
use formgate::admin::serve::Admin;
use formgate::codec::jwt;
use formgate::codec::jwt::Verifier;
use formgate::config::Config;
use formgate::flow::Gate;
use formgate::gateway::serve::Listener;
use formgate::gateway::stop::Stop;
use formgate::gateway::tls::Tls;
use formgate::metrics::register::Metrics;
use formgate::model::origin::Origin;
use formgate::rules::book::Book;
use formgate::rules::book::Loaded;
use formgate::rules::book::Written;
use formgate::source::complaint::Complaint;
use formgate::store::Store;
use tokio::task::JoinHandle;

use self::client::Ask;
use self::client::Wire;
use self::lines::Lines;
use self::log::Log;
use self::numbers::Numbers;
use self::peer::Peer;

/// How long anything in a test may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
///
/// # Panics
/// It did not come within [`PATIENCE`].
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// A gateway to be.
pub(crate) struct Site {
    files: Vec<Written>,
    config: Config,
    tls: Option<Arc<Tls>>,
    jwt: Option<jwt::Settings>,
}

/// A gateway in front of a backend, with one responder that answers for every hook by its path.
pub(crate) struct App {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// The backend.
    pub(crate) backend: Peer,
    /// The responder; its URL stands for `HOOK` in rule files.
    pub(crate) hooks: Peer,
    /// Everything that was logged.
    pub(crate) log: Log,
    /// The access log, where it has no file.
    pub(crate) lines: Lines,
    /// Whoever is told of requests.
    pub(crate) accounts: Option<Arc<Accounts>>,
    /// The flow, to put other rules in force.
    pub(crate) gate: Arc<Gate>,
    /// Ends the gateway.
    pub(crate) stop: Stop,
    /// Says whether everything was finished when it ended.
    pub(crate) serving: JoinHandle<bool>,
    /// Where jobs are kept, if the test wants one.
    pub(crate) store: Option<Store>,
}

/// A gateway without forms.
pub(crate) fn site() -> Site {
    Site {
        files: Vec::new(),
        config: Config::default(),
        tls: None,
        jwt: None,
    }
}

/// A gateway with this one rule file, `contact.toml`, started. `HOOK` and `BACKEND` are filled in.
pub(crate) async fn app(rules: &str) -> App {
    site().rules("contact", rules).start().await
}

impl Site {
    /// Adds a rule file; `all-forms` is for all of them. In it `HOOK` stands for the responder's URL, `BACKEND` for
    /// the backend's.
    pub(crate) fn rules(mut self, stem: &str, text: &str) -> Self {
        self.files.push(Written {
            name: format!("rules/{stem}.toml"),
            stem: stem.to_owned(),
            text: text.to_owned(),
        });
        self
    }

    /// Changes the configuration.
    pub(crate) fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Believes everybody on this machine about whom they speak for.
    pub(crate) fn trusting(self) -> Self {
        self.configure(|config| {
            config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        })
    }

    /// Serves TLS.
    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Serves TLS with a certificate that the test replaces.
    pub(crate) fn shared_tls(mut self, tls: &Arc<Tls>) -> Self {
        self.tls = Some(Arc::clone(tls));
        self
    }

    /// Verifies login tokens.
    pub(crate) fn jwt(mut self, settings: jwt::Settings) -> Self {
        self.jwt = Some(settings);
        self
    }

    /// Starts everything: backend, responder, gateway.
    pub(crate) async fn start(self) -> App {
        self.start_with(Peer::start().await, Peer::start().await)
            .await
    }

    /// Starts the gateway in front of this backend, with this responder.
    pub(crate) async fn start_with(mut self, backend: Peer, hooks: Peer) -> App {
        let log = Log::begin();
        let files = std::mem::take(&mut self.files);
        let loaded = book(files, &self.config.hosts, &backend, &hooks);
        let loaded = loaded.unwrap_or_else(|complaints| panic!("{}", pictures(&complaints)));
        self.config.backend = Origin::parse(&backend.url()).expect("a URL");
        self.config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut settings = self.config.settings().expect("a good configuration");
        let metrics = Metrics::new();
        let store = match &self.config.store {
            Some(store) => {
                let begun = Store::begin(store, Arc::clone(&metrics.store)).await;
                Some(begun.expect("a store"))
            }
            None => None,
        };
        settings.recorder = store.as_ref().map(|store| store.recorder.clone());
        let key = self.config.proof_key().expect("a key");
        let verifier = self.jwt.as_ref().map(Verifier::new);
        let verifier = verifier.transpose().expect("a good key");
        let gate = Gate::new(settings, key, verifier, loaded.book, metrics);
        let limits = self.config.limits.clone();
        let listener = Listener::bind(self.config.listen, self.tls, limits).await;
        let listener = listener.expect("a free port");
        let lines = Lines::default();
        let accounts = self
            .config
            .accounts(Box::new(lines.clone()), &gate.metrics().telemetry);
        let accounts = accounts.expect("good telemetry");
        let listener = listener.telling(accounts.clone());
        let address = listener.address().expect("an address");
        let stop = Stop::default();
        let serving = tokio::spawn(listener.run(Arc::clone(&gate), stop.clone()));
        App {
            address,
            backend,
            hooks,
            log,
            lines,
            accounts,
            gate,
            stop,
            serving,
            store,
        }
    }
}

/// Compiles rule files with the addresses of this backend and responder filled in.
pub(crate) fn book(
    mut files: Vec<Written>,
    hosts: &[String],
    backend: &Peer,
    hooks: &Peer,
) -> Result<Loaded, Vec<Complaint>> {
    for file in &mut files {
        file.text = file
            .text
            .replace("HOOK", &hooks.url())
            .replace("BACKEND", &backend.url());
    }
    Book::compile(files, Path::new("."), hosts)
}

fn pictures(complaints: &[Complaint]) -> String {
    let pictures: Vec<String> = complaints
        .iter()
        .map(|complaint| complaint.picture(false))
        .collect();
    pictures.join("\n")
}

impl App {
    /// A connection to the gateway.
    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Sends bytes on a connection of their own and reads the answer.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> client::Answer {
        let mut wire = self.connect().await;
        wire.write(bytes.as_ref()).await;
        wire.answer().await
    }

    /// A `POST`, as a script would send it until it is told otherwise.
    pub(crate) fn post(&self, target: &str) -> Ask {
        Ask::new(self.address, "POST", target)
    }

    /// A `GET`.
    pub(crate) fn get(&self, target: &str) -> Ask {
        Ask::new(self.address, "GET", target)
    }

    /// Any request.
    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address, method, target)
    }

    /// Puts another `contact.toml` in force, as a reload does.
    pub(crate) fn reload(&self, rules: &str) {
        let file = Written {
            name: "rules/contact.toml".to_owned(),
            stem: "contact".to_owned(),
            text: rules.to_owned(),
        };
        let loaded = book(vec![file], &[], &self.backend, &self.hooks);
        let loaded = loaded.unwrap_or_else(|complaints| panic!("{}", pictures(&complaints)));
        self.gate.replace(loaded.book);
    }

    /// Opens an admin listener of this gateway's.
    pub(crate) async fn admin(&self) -> SocketAddr {
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let admin = admin.expect("a free port");
        let address = admin.address().expect("an address");
        tokio::spawn(admin.run(Arc::clone(self.gate.metrics())));
        address
    }

    /// Everything that is counted, asked for as Prometheus does.
    pub(crate) async fn numbers(&self) -> Numbers {
        Numbers::of(self.admin().await).await
    }

    /// Ends the store: what was recorded is written.
    pub(crate) async fn end_store(&mut self) {
        let store = self.store.take().expect("a store");
        within("the end of the store", store.end()).await;
    }

    /// Tells the gateway to end; whether all that was under way was finished.
    pub(crate) async fn end(self) -> bool {
        self.stop.now();
        within("the end of the gateway", self.serving)
            .await
            .expect("no panic")
    }
}
