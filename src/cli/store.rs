//! `formgate store` and what all commands on the store share. Owns opening it and the report; the work is `store`'s.

use std::process::ExitCode;

use anyhow::anyhow;
use anyhow::bail;
use serde_json::json;
use tokio::runtime::Builder;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::args::StoreCommand;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::config::Config;
use crate::config::Flags;
use crate::source::complaint::Complaint;
use crate::source::measure::show_size;
use crate::store;
use crate::store::check;
use crate::store::engine::Engine;
use crate::store::settings::Settings;

/// Looks after the store.
///
/// # Errors
/// It cannot be used.
pub fn run(args: &Args, command: &args::Store) -> anyhow::Result<ExitCode> {
    let Some(settings) = settings(args, &command.store.flags())? else {
        return Ok(ExitCode::from(1));
    };
    with(&settings, async |engine| match &command.command {
        StoreCommand::Check => report(&settings, &engine, args.json).await,
        StoreCommand::Vacuum => {
            check::vacuum(&engine).await?;
            out::line("the room of what was cleared away is free again");
            Ok(ExitCode::SUCCESS)
        }
        StoreCommand::Backup { file } => {
            check::backup(&engine, file).await?;
            out::line(&format!("{} is a copy of the store", file.display()));
            Ok(ExitCode::SUCCESS)
        }
    })
}

/// How the store is configured. `None` if the configuration is wrong; that has been said.
///
/// # Errors
/// There is none.
pub(in crate::cli) fn settings(args: &Args, flags: &Flags) -> anyhow::Result<Option<Settings>> {
    let configured = Config::read(args.config.as_deref(), flags);
    if configured.warnings.iter().any(Complaint::is_error) {
        out::complaints(&configured.warnings, args.json);
        return Ok(None);
    }
    let Some(settings) = configured.config.store else {
        bail!(
            "there is no [store]: name one in formgate.toml (url = \"sqlite:formgate.db\") or with --store"
        );
    };
    Ok(Some(settings))
}

/// Does something with the store, and closes it.
///
/// # Errors
/// The store cannot be opened, or the work failed.
pub(in crate::cli) fn with<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(Engine) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let engine = store::open(settings).await.map_err(|why| anyhow!(why))?;
        work(engine).await
    })
}

async fn report(settings: &Settings, engine: &Engine, as_json: bool) -> anyhow::Result<ExitCode> {
    let health = check::check(engine).await?;
    let whole = health.faults.is_empty();
    if as_json {
        let mut value = health.to_json();
        value["url"] = json!(settings.place.to_string());
        out::json(&value);
    } else {
        let size = show_size(u64::try_from(health.bytes).unwrap_or_default());
        out::line(&format!("{}: {}, {size}", settings.place, health.engine));
        for (table, count) in &health.rows {
            out::line(&format!("  {table:<10} {count}"));
        }
        for fault in &health.faults {
            out::line(&paint(Paint::Red, fault));
        }
        let word = if whole {
            paint(Paint::Green, "it is whole")
        } else {
            paint(Paint::Red, "it is damaged; put back a backup")
        };
        out::line(&word);
    }
    Ok(ExitCode::from(u8::from(!whole)))
}
