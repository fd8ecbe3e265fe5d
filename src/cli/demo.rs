//! `formgate demo`: a small site and a responder on loopback ports, and the real gateway in front of them. Owns
//! finding ports, starting, saying what to do and ending; the parts are beside it.

mod built_in;
mod log;
mod responder;
mod server;
mod site;

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::demo::responder::Responder;
use crate::cli::demo::site::Site;
use crate::cli::out;
use crate::cli::read;
use crate::cli::serve::Signals;
use crate::cli::watch::Keeper;
use crate::config::Config;
use crate::config::LogFormat;
use crate::config::telemetry::Telemetry;
use crate::flow::Gate;
use crate::gateway::serve::Listener;
use crate::gateway::stop::Stop;
use crate::hooks::sign::Signer;
use crate::metrics::register::Metrics;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::rules::book::Loaded;
use crate::rules::hook::SigningKey;
use crate::source::complaint::Complaint;

/// How many ports are tried after the first.
const PORTS_TRIED: u16 = 100;

/// Runs the demo until told to stop. It reads no configuration and no environment: it is the same everywhere.
///
/// # Errors
/// What keeps it from starting.
pub fn run(args: &Args, demo: &args::Demo) -> anyhow::Result<ExitCode> {
    Runtime::new()
        .context("the runtime could not start")?
        .block_on(go(demo, args.json))
}

async fn go(demo: &args::Demo, as_json: bool) -> anyhow::Result<ExitCode> {
    // Before anybody is told that the demo runs.
    let mut signals = Signals::new()?;
    let site = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no port for the site")?;
    let responder = responder_port(demo).await?;
    let port = responder.local_addr()?.port();
    let mut config = Config {
        backend: Origin {
            tls: false,
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: site.local_addr()?.port(),
        },
        rules: demo.rules.clone().unwrap_or_default(),
        project: "camp-lakeside".to_owned(),
        telemetry: Telemetry {
            log: if as_json {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
            ..Telemetry::default()
        },
        ..Config::default()
    };
    let (loaded, mut keeper) = match rules(demo, &config, port)? {
        Ok(rules) => rules,
        Err(complaints) => {
            out::complaints(&complaints, as_json);
            return Ok(ExitCode::from(1));
        }
    };
    let listener = listen(demo.listen, &mut config).await?;
    let origin = format!("http://{}", listener.address()?);
    log::begin(as_json).map_err(|why| anyhow!(why))?;
    announce(&origin, port, demo, &loaded, as_json);
    let signer = responder_s_signer()?;
    let responding = server::serve(responder, Arc::new(Responder { signer }));
    let serving = server::serve(site, Arc::new(Site::new(origin, built_in::TOKEN)));
    let settings = config.settings().map_err(|why| anyhow!(why))?;
    let proof = config.proof_key().map_err(|why| anyhow!(why))?;
    let gate = Gate::new(settings, proof, None, loaded.book, Metrics::new());
    let stop = Stop::default();
    let mut gateway = tokio::spawn(listener.run(Arc::clone(&gate), stop.clone()));
    // Site and responder go on until the gateway has finished what is under way.
    let until_the_end = async {
        tokio::select! {
            () = signals.end() => {}
            () = keep_current(keeper.as_mut(), &gate) => {}
        }
        stop.now();
        tokio::select! {
            ended = &mut gateway => ended.map(drop),
            // A second signal ends it at once.
            () = signals.end() => Ok(()),
        }
    };
    tokio::select! {
        ended = responding => drop(ended.context("the responder ended")?),
        ended = serving => drop(ended.context("the site ended")?),
        ended = until_the_end => ended.context("the gateway failed")?,
    }
    if !as_json {
        out::line("\nThe demo has ended.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts changed rule files in force, for ever.
async fn keep_current(keeper: Option<&mut Keeper>, gate: &Arc<Gate>) {
    let Some(keeper) = keeper else {
        return std::future::pending().await;
    };
    loop {
        keeper.changed().await;
        keeper.reload(gate).await;
    }
}

type Rules = (Loaded, Option<Keeper>);

/// The rule files: the built-in ones, or those of a folder, which are read again when they change.
fn rules(
    demo: &args::Demo,
    config: &Config,
    port: u16,
) -> anyhow::Result<Result<Rules, Vec<Complaint>>> {
    if let Some(folder) = &demo.rules {
        anyhow::ensure!(folder.is_dir(), "there is no folder `{}`", folder.display());
        let mut files = BTreeSet::new();
        let loaded = read::book_naming(config, &mut files);
        return Ok(loaded.map(|loaded| (loaded, Some(Keeper::begin(config, files, None)))));
    }
    // Secrets are read once, while the rule files are compiled.
    let folder = tempfile::tempdir().context("no folder for the demo's secrets")?;
    built_in::put_secrets(folder.path()).context("no file for the demo's secrets")?;
    Ok(built_in::load(port, folder.path()).map(|loaded| (loaded, None)))
}

/// Signs as the gateway does, so that the responder can tell whether a call is the gateway's.
fn responder_s_signer() -> anyhow::Result<Signer> {
    let key = SigningKey::parse(&Secret::new(built_in::SECRET.trim()));
    Ok(Signer::new(&[key.map_err(|why| anyhow!(why))?]))
}

/// The port that the rule files call. If it is taken, any other will do for the built-in ones; files that somebody
/// edits stay as they are.
async fn responder_port(demo: &args::Demo) -> anyhow::Result<TcpListener> {
    let port = demo.responder.unwrap_or(built_in::RESPONDER_PORT);
    let movable = demo.responder.is_none() && demo.rules.is_none();
    let bound = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && movable => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        bound => bound,
    };
    bound.with_context(|| format!("the responder cannot listen on port {port}"))
}

/// The wanted address; without a wish the usual one, or the next whose port is free.
async fn listen(wanted: Option<SocketAddr>, config: &mut Config) -> anyhow::Result<Listener> {
    if let Some(address) = wanted {
        config.listen = address;
    }
    let mut tried = 0;
    loop {
        match Listener::bind(config.listen, None, config.limits.clone()).await {
            Ok(listener) => return Ok(listener),
            Err(error)
                if wanted.is_none()
                    && error.kind() == io::ErrorKind::AddrInUse
                    && tried < PORTS_TRIED =>
            {
                tried += 1;
                config.listen.set_port(config.listen.port() + 1);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot listen on {}", config.listen));
            }
        }
    }
}

fn announce(origin: &str, port: u16, demo: &args::Demo, loaded: &Loaded, as_json: bool) {
    let book = &loaded.book;
    let forms: Vec<&str> = book.forms().iter().map(|form| form.id.as_str()).collect();
    if as_json {
        let responder = format!("http://127.0.0.1:{port}");
        out::json(&json!({"listening": origin, "responder": responder, "forms": forms}));
        return;
    }
    out::line(&format!(
        "The demo is at \x1b[1m{origin}/\x1b[0m - open it in a browser; Ctrl-C ends it."
    ));
    let rules = match &demo.rules {
        Some(folder) => format!(
            "in the folder {}; change them, and the change is in force at once.",
            folder.display()
        ),
        None => "part of this program. In Formgate's source they are the folder `rules`; to change them while the demo \
                 runs, start it there as `formgate demo --rules rules`."
            .to_owned(),
    };
    out::line(&format!(
        "Its forms are {}. Their rule files are {rules}",
        forms.join(", ")
    ));
    if port != demo.responder.unwrap_or(built_in::RESPONDER_PORT) {
        out::line(&format!(
            "Port {} is taken, so the responder, and the hooks' URLs with it, are on port {port}.",
            built_in::RESPONDER_PORT
        ));
    }
    out::line("What the gateway decides, and why:\n");
}
