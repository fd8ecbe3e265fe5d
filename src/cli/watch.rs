//! Keeping the rules current while serving. Owns noticing changes on disk and putting a good book in force; a bad
//! one is reported and never replaces it.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::check;
use crate::cli::logging;
use crate::cli::read;
use crate::config::Config;
use crate::flow::Gate;
use crate::gateway::tls::Tls;
use crate::metrics::word::Reloaded;
use crate::source::complaint::Complaint;
use crate::wire::proof::Key;

/// Editors write a file in several steps; so long after the last one it is read.
const SETTLE: Duration = Duration::from_millis(150);
/// But no longer than this after the first one: some file near by may change all the time.
const AT_LAST: Duration = Duration::from_millis(600);

/// Keeps what is in force current.
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    tls: Option<Arc<Tls>>,
    /// Files that rule files and the configuration name: secrets, certificates.
    files: BTreeSet<PathBuf>,
    /// When the configuration was last written, as far as is known.
    configured: Option<SystemTime>,
    watch: Option<Watch>,
}

impl Keeper {
    /// Begins to watch the rule files, the files they name, and the certificate.
    #[must_use]
    pub fn begin(config: &Config, mut files: BTreeSet<PathBuf>, tls: Option<Arc<Tls>>) -> Self {
        files.extend(config.reach_files());
        files.extend(config.key_files());
        let mut keeper = Self {
            config: config.clone(),
            tls,
            files,
            configured: None,
            watch: None,
        };
        keeper.configured = keeper.written();
        keeper.watch_again();
        keeper
    }

    /// Waits until something has changed and settled.
    pub async fn changed(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Reads everything again and puts what is good in force. Says in a line what is in force now.
    pub async fn reload(&mut self, gate: &Arc<Gate>) -> String {
        // Before reading: what changes from here on is noticed, and a folder that was replaced is watched anew.
        self.watch_again();
        let written = self.written();
        if written != self.configured {
            self.configured = written;
            let file = self.config.file.as_deref().unwrap_or(Path::new(""));
            tracing::warn!(target: "formgate::reload", "{} has changed; it counts from the next start", file.display());
        }
        let metrics = gate.metrics();
        if let Some(read) = self.tls.as_ref().map(|tls| tls.reload()) {
            metrics.reload(Reloaded::Certificate).note(read.is_ok());
            if let Err(why) = read {
                tracing::error!(target: "formgate::reload", "the certificate stays as it was: {why}");
            }
        }
        let rules = metrics.reload(Reloaded::Rules);
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut files = BTreeSet::new();
            let loaded = read::book_naming(&config, &mut files);
            files.extend(config.reach_files());
            files.extend(config.key_files());
            let keys = config.with_keys_of_now();
            (loaded, files, config.reach(), keys)
        });
        let (loaded, files, reach, keys) = match read.await {
            Ok(read) => read,
            Err(error) => {
                rules.note(false);
                tracing::error!(target: "formgate::reload", %error, "the rule files could not be read");
                return "the rule files could not be read; those from before are in force"
                    .to_owned();
            }
        };
        if files != self.files {
            self.files = files;
            self.watch_again();
        }
        metrics.reload(Reloaded::Reach).note(reach.is_ok());
        match reach {
            Ok(reach) => gate.reach_by(reach),
            Err((key, why)) => {
                tracing::error!(target: "formgate::reload", "what `{key}` names stays as it was: {why}");
            }
        }
        self.take_keys(keys, gate);
        match loaded {
            // What a deployment that deletes and then copies looks like in between; it must not turn every form off.
            Ok(loaded) if loaded.book.is_empty() && !gate.is_empty() => {
                rules.note(false);
                tracing::error!(target: "formgate::reload",
                    "`{}` has no rule files any more; those in force stay until there are some, or the next start",
                    self.config.rules.display());
                "the rule files are gone; those from before are in force".to_owned()
            }
            Ok(loaded) => {
                logging::complaints(&loaded.warnings, &self.config);
                let forms = loaded.book.forms().len();
                let summary = check::summary(&loaded.book);
                gate.replace(loaded.book);
                rules.note(true);
                tracing::info!(target: "formgate::reload", forms, "the rule files were read again");
                summary
            }
            Err(complaints) => {
                rules.note(false);
                let errors = self.refuse(&complaints);
                format!("{errors} errors in the rule files; those from before are in force")
            }
        }
    }

    /// Puts the keys in force that the configuration names, if they are others than before.
    fn take_keys(&mut self, keys: Result<Config, (String, String)>, gate: &Arc<Gate>) {
        let taken = keys.and_then(|now| {
            if (&now.key, &now.jwt) == (&self.config.key, &self.config.jwt) {
                return Ok(());
            }
            let verifier = now.verifier().map_err(|why| ("jwt.key".to_owned(), why))?;
            gate.believe(now.key.as_ref().map(Key::shared), verifier);
            self.config = now;
            Ok(())
        });
        if let Err((key, why)) = taken {
            tracing::error!(target: "formgate::reload", "what `{key}` names stays as it was: {why}");
        }
    }

    /// When the configuration was last written.
    fn written(&self) -> Option<SystemTime> {
        let file = self.config.file.as_ref()?;
        file.metadata().ok()?.modified().ok()
    }

    fn refuse(&self, complaints: &[Complaint]) -> usize {
        logging::complaints(complaints, &self.config);
        let errors = complaints
            .iter()
            .filter(|complaint| complaint.is_error())
            .count();
        tracing::error!(target: "formgate::reload", errors, "the rule files stay as they were");
        errors
    }

    fn watch_again(&mut self) {
        match Watch::begin(self.paths()) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                self.watch = None;
                tracing::warn!(target: "formgate::reload", %error, "changes on disk are not noticed; send SIGHUP instead");
            }
        }
    }

    /// What to look at: the rules, the files they name, certificate and key – and every link on the way there.
    fn paths(&self) -> Paths {
        let mut paths = Paths::default();
        paths.add_folder(&self.config.rules);
        let tls = self.tls.as_ref().map(|tls| tls.files());
        let tls = tls.into_iter().flat_map(|files| [&files.cert, &files.key]);
        for file in tls.chain(&self.files).chain(&self.config.file) {
            paths.add(file);
        }
        paths
    }
}

/// What is watched. A folder is watched as a whole, but only some of what happens in it matters.
#[derive(Debug, Default, Clone)]
struct Paths {
    /// Every `*.toml` in these matters.
    rules: BTreeSet<PathBuf>,
    /// These matter themselves.
    names: BTreeSet<PathBuf>,
}

impl Paths {
    fn add_folder(&mut self, folder: &Path) {
        self.rules.extend(std::path::absolute(folder));
        self.rules.extend(folder.canonicalize());
        self.add(folder);
    }

    /// Adds a file or folder, where it leads to, and every link on the way: any of them may be replaced.
    fn add(&mut self, file: &Path) {
        let Ok(whole) = std::path::absolute(file) else {
            return;
        };
        self.names.extend(whole.canonicalize());
        let links = whole.ancestors().filter(|path| path.is_symlink());
        self.names.extend(links.map(Path::to_path_buf));
        self.names.insert(whole);
    }

    fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.names.iter().filter_map(|path| path.parent());
        let parents = parents.map(Path::to_path_buf);
        self.rules.iter().cloned().chain(parents).collect()
    }

    fn concern(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Kubernetes swaps the link `..data`, through which all files of a volume go.
        let swapped = name.starts_with("..");
        let is_rule = name.ends_with(".toml")
            && path
                .parent()
                .is_some_and(|folder| self.rules.contains(folder));
        swapped || is_rule || self.names.contains(path)
    }
}

/// Watches folders and says when something that matters has changed.
#[derive(Debug)]
struct Watch {
    /// Kept, because it stops watching when it is dropped.
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    fn begin(paths: Paths) -> notify::Result<Self> {
        let (changed, changes) = mpsc::channel(1);
        let (folders, rules) = (paths.folders(), paths.rules.clone());
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let matters = event.is_ok_and(|event| {
                    let lost = event.need_rescan();
                    let ours = event.paths.iter().any(|path| paths.concern(path));
                    lost || (ours && !event.kind.is_access())
                });
                if matters {
                    // One waiting note is enough.
                    let _ = changed.try_send(());
                }
            })?;
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            // A folder that only leads to the others may be closed to us.
            if rules.contains(folder) {
                watched?;
            }
        }
        Ok(Self {
            _watcher: watcher,
            changes,
        })
    }

    async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let at_last = Instant::now() + AT_LAST;
        loop {
            let settled = at_last.min(Instant::now() + SETTLE);
            match tokio::time::timeout_at(settled, self.changes.recv()).await {
                Ok(Some(())) if Instant::now() < at_last => {}
                _ => return,
            }
        }
    }
}
