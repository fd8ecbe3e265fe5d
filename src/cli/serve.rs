//! `formgate serve`. Owns starting, saying what was loaded, reloading and ending.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::account::Accounts;
use crate::admin::serve::Admin;
use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::check;
use crate::cli::logging;
use crate::cli::manager::Handed;
use crate::cli::manager::Manager;
use crate::cli::out;
use crate::cli::read;
use crate::cli::read::Work;
use crate::cli::watch::Keeper;
use crate::config::Config;
use crate::flow::Gate;
use crate::gateway::serve::Listener;
use crate::gateway::stop::Stop;
use crate::gateway::tls::Tls;
use crate::metrics::register::Metrics;
use crate::metrics::word::Reloaded;
use crate::rules::book::Loaded;
use crate::store::Store;

/// What may be left to do when `limits.drain` is over, and the process still ends by itself.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until told to stop.
///
/// # Errors
/// What keeps it from serving.
pub fn run(args: &Args, serve: &args::Serve) -> anyhow::Result<ExitCode> {
    // First of all: it changes the environment, which only a process of one thread may do.
    let handed = Handed::take()?;
    let Some(work) = read::work(args, &serve.flags()) else {
        return Ok(ExitCode::from(1));
    };
    logging::begin(&work.config).map_err(|why| anyhow!(why))?;
    logging::log_panics();
    let runtime = runtime().context("the runtime could not start")?;
    let code = runtime.block_on(go(work, handed, args.json));
    // What was given up on must not hold the process.
    runtime.shutdown_background();
    code
}

/// One thread where there is one processor: handing work from thread to thread costs a fifth of a request there.
fn runtime() -> io::Result<Runtime> {
    let single = thread::available_parallelism().is_ok_and(|count| count.get() == 1);
    let mut builder = if single {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

async fn go(work: Work, handed: Handed, as_json: bool) -> anyhow::Result<ExitCode> {
    let Work { config, loaded } = work;
    let tls = config
        .tls
        .clone()
        .map(Tls::load)
        .transpose()
        .map_err(|why| anyhow!(why))?
        .map(Arc::new);
    let mut settings = config.settings().map_err(|why| anyhow!(why))?;
    let key = config.proof_key().map_err(|why| anyhow!(why))?;
    let verifier = config.verifier().map_err(|why| anyhow!(why))?;
    let mut signals = Signals::new()?;
    let metrics = Metrics::new();
    // Before it listens: without the store that it is told to have, it does not serve.
    let store = match &config.store {
        Some(store) => {
            // A server that says nothing, or another gateway that changes the tables, may take long.
            let begun = tokio::select! {
                begun = Store::begin(store, Arc::clone(&metrics.store)) => begun,
                () = signals.end() => {
                    out::error("formgate: ended before the store was open");
                    return Ok(ExitCode::SUCCESS);
                }
            };
            Some(begun.map_err(|why| anyhow!(why))?)
        }
        None => None,
    };
    settings.recorder = store.as_ref().map(|store| store.recorder.clone());
    let manager = Manager::of_environment();
    let sockets = handed.public.len();
    let Handed { public, admin } = handed;
    let listener = listen(public, &config, tls.clone()).await?;
    let accounts = config.accounts(out::stream(), &metrics.telemetry);
    let accounts = accounts.map_err(|why| anyhow!(why))?;
    let listener = listener.telling(accounts.clone());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", listener.address()?);
    let admin = match (admin, config.admin) {
        (Some(socket), _) => Some(Admin::on(socket).context("cannot listen on `admin`")?),
        (None, Some(address)) => {
            let bound = Admin::bind(address).await;
            Some(bound.with_context(|| format!("cannot listen on {address} ([admin])"))?)
        }
        (None, None) => None,
    };
    // Watched before it is said that it serves, so that no change after that is missed.
    let keeper = Keeper::begin(&config, loaded.files.clone(), tls);
    let admin_address = admin.as_ref().map(Admin::address).transpose()?;
    let where_to = (address.as_str(), admin_address);
    announce(where_to, sockets, &config, &loaded, as_json);
    let status = check::summary(&loaded.book);
    metrics.reload(Reloaded::Rules).begin();
    let gate = Gate::new(settings, key, verifier, loaded.book, Arc::clone(&metrics));
    let stop = Stop::default();
    // The last to end: it says how the end goes.
    let _admin = admin.map(|admin| tokio::spawn(admin.run(Arc::clone(&metrics))));
    let mut serving = tokio::spawn(listener.run(Arc::clone(&gate), stop.clone()));
    manager.ready(&status);
    manager.watch();
    tokio::select! {
        done = &mut serving => { done.context("the listener failed")?; }
        () = attend(keeper, &gate, accounts.as_ref(), &manager, &mut signals) => {}
    }
    metrics.draining.set(true);
    let delay = config.limits.drain_delay;
    let within = delay + config.limits.drain + LAST_WORDS;
    manager.stopping("finishing what is under way", within);
    if !delay.is_zero() {
        out::error(
            "formgate: not ready any more; new connections are taken for limits.drain_delay",
        );
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals.end() => {
                out::error("formgate: ended at once");
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    stop.now();
    out::error("formgate: finishing what is under way; a second signal ends at once");
    let end = Instant::now() + config.limits.drain;
    tokio::select! {
        done = finish(serving, accounts, store, end) => done?,
        () = signals.end() => out::error("formgate: ended at once"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets what is under way finish, by `end`; then those who are told of it hear the rest.
async fn finish(
    serving: JoinHandle<bool>,
    accounts: Option<Arc<Accounts>>,
    store: Option<Store>,
    end: Instant,
) -> anyhow::Result<()> {
    let all = serving.await.context("the listener failed")?;
    if !all {
        tracing::warn!(target: "formgate::gateway", "not everything was finished within limits.drain");
    }
    // Each of them may be held up by somebody else, and neither may hold up the other.
    let accounts = async {
        if let Some(accounts) = &accounts {
            accounts.end().await;
        }
    };
    let store = async {
        if let Some(store) = store {
            store.end().await;
        }
    };
    let told = async { tokio::join!(accounts, store) };
    if tokio::time::timeout_at(end + LAST_WORDS, told)
        .await
        .is_err()
    {
        tracing::warn!(
            target: "formgate::telemetry",
            "not everything was told to the collector, the access log or the store in time"
        );
    }
    Ok(())
}

/// The signals that the process listens to.
pub(in crate::cli) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen: from now on they no longer end the process by themselves.
    ///
    /// # Errors
    /// The system does not let us.
    pub(in crate::cli) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal to end.
    pub(in crate::cli) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Listens on the sockets that were handed over, else where the configuration says.
async fn listen(
    handed: Vec<TcpListener>,
    config: &Config,
    tls: Option<Arc<Tls>>,
) -> anyhow::Result<Listener> {
    let limits = config.limits.clone();
    if handed.is_empty() {
        let bound = Listener::bind(config.listen, tls, limits).await;
        return bound.with_context(|| format!("cannot listen on {}", config.listen));
    }
    let taken = Listener::on(handed, tls, limits);
    taken.context("cannot listen on what the service manager handed over")
}

/// Reloads when something changes, until the process is told to end.
async fn attend(
    mut keeper: Keeper,
    gate: &Arc<Gate>,
    accounts: Option<&Arc<Accounts>>,
    manager: &Manager,
    signals: &mut Signals,
) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hangup.recv() => {
                if let Some(accounts) = accounts {
                    accounts.reopen();
                }
            }
            () = keeper.changed() => {}
        }
        manager.reloading();
        let status = tokio::select! {
            status = keeper.reload(gate) => status,
            // What is read may be a file that nobody gives.
            () = signals.end() => return,
        };
        manager.ready(&status);
    }
}

/// Says where it listens and what it loaded.
fn announce(
    (address, admin): (&str, Option<SocketAddr>),
    sockets: usize,
    config: &Config,
    loaded: &Loaded,
    as_json: bool,
) {
    let book = &loaded.book;
    if as_json {
        let forms: Vec<_> = book
            .forms()
            .iter()
            .map(|form| json!({"id": form.id, "file": form.place.to_string()}))
            .collect();
        out::json(&json!({
            "listening": address, "admin": admin.map(|admin| format!("http://{admin}")), "backend": config.backend.to_string(), "rules": config.rules.display().to_string(),
            "forms": forms, "hooks": book.hooks().len(), "discovers": book.discovered().is_some(),
            "warnings": loaded.warnings.len(), "handed_over": sockets,
        }));
    } else {
        let version = env!("CARGO_PKG_VERSION");
        let whose = match sockets {
            0 => "",
            _ => ", as handed over,",
        };
        out::line(&format!(
            "formgate {version} listens on {address}{whose} in front of {}",
            config.backend
        ));
        if let Some(admin) = admin {
            out::line(&format!("probes and numbers: http://{admin}"));
        }
        out::line(&format!(
            "{}: {}",
            config.rules.display(),
            check::summary(book)
        ));
        check::forms(book);
    }
    logging::complaints(&loaded.warnings, config);
}
