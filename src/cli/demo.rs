//! `formgate demo`: a small site and a responder on loopback ports, and the real gateway in front of them. Owns
//! finding ports, starting, saying what to do and ending; the parts are beside it.

mod built_in;
mod log;
mod responder;
mod server;
mod site;

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
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::demo::responder::Responder;
use crate::cli::demo::site::Site;
use crate::cli::out;
use crate::config::Config;
use crate::flow::Gate;
use crate::gateway::serve::Listener;
use crate::gateway::stop::Stop;
use crate::hooks::sign::Signer;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::rules::book::Loaded;
use crate::rules::hook::SigningKey;

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
    let mut ending = Ending::begin().context("signals cannot be listened for")?;
    let site = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no port for the site")?;
    let responder = own_port(built_in::RESPONDER_PORT)
        .await
        .context("no port for the responder")?;
    let responder_port = responder.local_addr()?.port();
    // Kept until the end: removed with all that is in it.
    let folder = tempfile::tempdir().context("no folder for the demo's secrets")?;
    built_in::put_secrets(folder.path()).context("no file for the demo's secrets")?;
    let loaded = match built_in::load(responder_port, folder.path()) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            out::complaints(&complaints, as_json);
            return Ok(ExitCode::from(1));
        }
    };
    let mut config = Config {
        backend: Origin {
            tls: false,
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: site.local_addr()?.port(),
        },
        project: "camp-lakeside".to_owned(),
        ..Config::default()
    };
    let listener = listen(demo.listen, &mut config).await?;
    let origin = format!("http://{}", listener.address()?);
    log::begin(&loaded.book, as_json).map_err(|why| anyhow!(why))?;
    announce(&origin, responder_port, &loaded, as_json);
    let key =
        SigningKey::parse(&Secret::new(built_in::SECRET.trim())).map_err(|why| anyhow!(why))?;
    let responding = server::serve(
        responder,
        Arc::new(Responder {
            signer: Signer::new(&[key]),
        }),
    );
    let serving = server::serve(site, Arc::new(Site::new(origin, built_in::TOKEN)));
    let settings = config.settings().map_err(|why| anyhow!(why))?;
    let proof = config.proof_key().map_err(|why| anyhow!(why))?;
    let gate = Gate::new(settings, proof, None, loaded.book);
    let stop = Stop::default();
    let gateway = tokio::spawn(listener.run(gate, stop.clone()));
    tokio::select! {
        ended = responding => drop(ended.context("the responder ended")?),
        ended = serving => drop(ended.context("the site ended")?),
        () = ending.wait() => {}
    }
    stop.now();
    if !as_json {
        out::line("\nThe demo has ended.");
    }
    gateway.await.context("the gateway failed")?;
    Ok(ExitCode::SUCCESS)
}

/// This port of the machine itself, or any if it is taken.
async fn own_port(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        bound => bound,
    }
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

/// The signals that end it. Listened for before anybody is told that the demo runs.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn begin() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn announce(origin: &str, responder_port: u16, loaded: &Loaded, as_json: bool) {
    let book = &loaded.book;
    let forms: Vec<&str> = book.forms().iter().map(|form| form.id.as_str()).collect();
    if as_json {
        let responder = format!("http://127.0.0.1:{responder_port}");
        out::json(&json!({"listening": origin, "responder": responder, "forms": forms}));
        return;
    }
    out::line(&format!(
        "The demo is at \x1b[1m{origin}/\x1b[0m - open it in a browser; Ctrl-C ends it."
    ));
    out::line(&format!(
        "Its forms are {}; their rule files are in the folder `rules` of Formgate's source.",
        forms.join(", ")
    ));
    if responder_port != built_in::RESPONDER_PORT {
        out::line(&format!(
            "Port {} is taken, so the responder, and the hooks' URLs with it, are on port {responder_port}.",
            built_in::RESPONDER_PORT
        ));
    }
    out::line("What the gateway decides, and why:\n");
}
