//! `formgate serve`. Owns starting, saying what was loaded, reloading and ending.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::logging;
use crate::cli::out;
use crate::cli::watch;
use crate::cli::watch::Watch;
use crate::config::Config;
use crate::flow::Gate;
use crate::gateway::serve::Listener;
use crate::gateway::stop::Stop;
use crate::gateway::tls::Tls;
use crate::model::event::Event;
use crate::rules::book::Book;
use crate::rules::book::Loaded;
use crate::rules::form::Form;

/// Serves until told to stop.
///
/// # Errors
/// What keeps it from serving.
pub fn run(args: &Args, serve: &args::Serve) -> anyhow::Result<ExitCode> {
    let configured = match Config::load(args.config.as_deref(), &serve.flags()) {
        Ok(configured) => configured,
        Err(complaints) => {
            out::complaints(&complaints, args.json);
            return Ok(ExitCode::from(1));
        }
    };
    out::complaints(&configured.warnings, args.json);
    let config = configured.config;
    logging::begin(&config).map_err(|why| anyhow!(why))?;
    let loaded = match Book::load(&config.rules, &config.hosts) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            out::complaints(&complaints, args.json);
            return Ok(ExitCode::from(1));
        }
    };
    Runtime::new()
        .context("the runtime could not start")?
        .block_on(go(config, loaded, args.json))
}

async fn go(config: Config, loaded: Loaded, as_json: bool) -> anyhow::Result<ExitCode> {
    let tls = config
        .tls
        .clone()
        .map(Tls::load)
        .transpose()
        .map_err(|why| anyhow!(why))?
        .map(Arc::new);
    let listener = Listener::bind(config.listen, tls.clone(), config.limits.clone()).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", listener.address()?);
    announce(&address, &config, &loaded, as_json);
    let settings = config.settings().map_err(|why| anyhow!(why))?;
    let key = config.proof_key().map_err(|why| anyhow!(why))?;
    let verifier = config.verifier().map_err(|why| anyhow!(why))?;
    let gate = Gate::new(settings, key, verifier, loaded.book);
    let stop = Stop::default();
    let mut serving = tokio::spawn(listener.run(Arc::clone(&gate), stop.clone()));
    tokio::select! {
        done = &mut serving => { done.context("the listener failed")?; }
        ended = attend(&config, &gate, tls.as_ref()) => ended?,
    }
    stop.now();
    out::error("formgate: finishing what is under way");
    let all = serving.await.context("the listener failed")?;
    if !all {
        tracing::warn!(target: "formgate::gateway", "not everything was finished within limits.drain");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reloads when something changes, until the process is told to end.
async fn attend(config: &Config, gate: &Arc<Gate>, tls: Option<&Arc<Tls>>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut changes = match Watch::begin(&watch::folders(config)) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(target: "formgate::reload", %error, "changes on disk are not noticed; send SIGHUP instead");
            None
        }
    };
    loop {
        let changed = async {
            match &mut changes {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {}
            () = changed => {}
        }
        watch::reload(config, gate, tls).await;
    }
}

/// Says where it listens and what it loaded.
fn announce(address: &str, config: &Config, loaded: &Loaded, as_json: bool) {
    let book = &loaded.book;
    if as_json {
        let forms: Vec<_> = book
            .forms()
            .iter()
            .map(|form| json!({"id": form.id, "file": form.place.to_string()}))
            .collect();
        out::json(&json!({
            "listening": address, "backend": config.backend.to_string(), "rules": config.rules.display().to_string(),
            "forms": forms, "hooks": book.hooks().len(), "discovers": book.discovered().is_some(),
            "warnings": loaded.warnings.len(),
        }));
    } else {
        let version = env!("CARGO_PKG_VERSION");
        out::line(&format!(
            "formgate {version} listens on {address} in front of {}",
            config.backend
        ));
        let forms = out::count(book.forms().len(), "form");
        let hooks = out::count(book.hooks().len(), "hook");
        out::line(&format!(
            "{forms} and {hooks} from {}",
            config.rules.display()
        ));
        for form in book.forms().iter().take(SHOWN) {
            out::line(&format!("  {:<20} {}", form.id, contents(form)));
        }
        if book.forms().len() > SHOWN {
            out::line(&format!("  … and {} more", book.forms().len() - SHOWN));
        }
        if let Some(form) = book.discovered() {
            out::line(&format!("  {:<20} {}", "(discovered)", contents(form)));
        }
    }
    out::complaints(&loaded.warnings, as_json);
}

/// How many forms are named at start.
const SHOWN: usize = 20;

fn contents(form: &Form) -> String {
    let mut parts = vec![form.place.to_string()];
    if !form.fields.is_empty() {
        parts.push(out::count(form.fields.len(), "field"));
    }
    for event in Event::ALL {
        let rules = form.rules(event).count();
        let hooks = form.hooks(event).len();
        if rules + hooks > 0 {
            parts.push(format!(
                "{}: {}, {}",
                event.word(),
                out::count(rules, "rule"),
                out::count(hooks, "hook")
            ));
        }
    }
    parts.join("; ")
}
