//! Keeping the rules current while serving. Owns noticing changes on disk and putting a good book in force; a bad
//! one is reported and never replaces it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::sync::mpsc;

use crate::cli::out;
use crate::config::Config;
use crate::flow::Gate;
use crate::gateway::tls::Tls;
use crate::rules::book::Book;
use crate::source::complaint::Complaint;

/// Editors write a file in several steps; so long after the last one it is read.
const SETTLE: Duration = Duration::from_millis(200);

/// Watches folders and says when something in them has changed.
#[derive(Debug)]
pub struct Watch {
    /// Kept, because it stops watching when it is dropped.
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches these folders.
    ///
    /// # Errors
    /// The system gives no more watches.
    pub fn begin(folders: &[PathBuf]) -> notify::Result<Self> {
        let (changed, changes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let matters = event.is_ok_and(|event| !event.kind.is_access());
                if matters {
                    // One waiting note is enough.
                    let _ = changed.try_send(());
                }
            })?;
        for folder in folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            _watcher: watcher,
            changes,
        })
    }

    /// Waits until something has changed and settled.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        loop {
            match tokio::time::timeout(SETTLE, self.changes.recv()).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// The folders in which something may change: the rules', and those of certificate and key.
#[must_use]
pub fn folders(config: &Config) -> Vec<PathBuf> {
    let mut folders = vec![config.rules.clone()];
    if let Some(files) = &config.tls {
        for file in [&files.cert, &files.key] {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_path_buf());
            }
        }
    }
    folders
}

/// Reads everything again and puts what is good in force.
pub async fn reload(config: &Config, gate: &Arc<Gate>, tls: Option<&Arc<Tls>>) {
    if let Some(Err(why)) = tls.map(|tls| tls.reload()) {
        tracing::error!(target: "formgate::reload", "the certificate stays as it was: {why}");
    }
    let (rules, hosts) = (config.rules.clone(), config.hosts.clone());
    match tokio::task::spawn_blocking(move || Book::load(&rules, &hosts)).await {
        Ok(Ok(loaded)) => {
            out::complaints(&loaded.warnings, false);
            let forms = loaded.book.forms().len();
            gate.replace(loaded.book);
            tracing::info!(target: "formgate::reload", forms, "the rule files were read again");
        }
        Ok(Err(complaints)) => refuse(&complaints),
        Err(error) => {
            tracing::error!(target: "formgate::reload", %error, "the rule files could not be read");
        }
    }
}

fn refuse(complaints: &[Complaint]) {
    out::complaints(complaints, false);
    let errors = complaints
        .iter()
        .filter(|complaint| complaint.is_error())
        .count();
    tracing::error!(target: "formgate::reload", errors, "the rule files stay as they were");
}
