//! Keeping the rules current while serving. Owns noticing changes on disk and putting a good book in force; a bad
//! one is reported and never replaces it.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
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
use crate::flow::snapshot::Reach;
use crate::gateway::tls::Tls;
use crate::metrics::word::Reloaded;
use crate::rules::book::Loaded;
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
    /// Kept, because it stops watching when it is dropped.
    watcher: Option<RecommendedWatcher>,
    /// One for all watchers: what an earlier one has noticed is not forgotten when the next takes its place.
    notes: Notes,
    changes: mpsc::Receiver<()>,
}

/// One waiting note is enough.
type Notes = mpsc::Sender<()>;

/// What was read again.
struct Again {
    loaded: Result<Loaded, Vec<Complaint>>,
    files: BTreeSet<PathBuf>,
    reach: Result<Reach, (String, String)>,
    keys: Result<Config, (String, String)>,
    /// Whether the certificate is another than before.
    certificate: Option<Result<bool, String>>,
    watcher: Option<RecommendedWatcher>,
}

impl Keeper {
    /// Begins to watch the rule files, the files they name, and the certificate.
    #[must_use]
    pub fn begin(config: &Config, mut files: BTreeSet<PathBuf>, tls: Option<Arc<Tls>>) -> Self {
        files.extend(config.reach_files());
        files.extend(config.key_files());
        let (notes, changes) = mpsc::channel(1);
        let paths = Paths::all(config, tls.as_deref(), &files);
        let mut keeper = Self {
            config: config.clone(),
            tls,
            files,
            configured: None,
            watcher: watch(&paths, &notes),
            notes,
            changes,
        };
        let written = keeper.written();
        keeper.configured = written.filter(|written| *written <= config.begun);
        // What was written while all of it was being read may have been read before.
        if paths.changed_since(config.begun) {
            let _ = keeper.notes.try_send(());
        }
        keeper
    }

    /// Waits until something has changed and settled.
    pub async fn changed(&mut self) {
        // There is always a sender: our own.
        self.changes.recv().await;
        let at_last = Instant::now() + AT_LAST;
        loop {
            let settled = at_last.min(Instant::now() + SETTLE);
            match tokio::time::timeout_at(settled, self.changes.recv()).await {
                Ok(Some(())) if Instant::now() < at_last => {}
                _ => return,
            }
        }
    }

    /// Reads everything again and puts what is good in force. Says in a line what is in force now.
    pub async fn reload(&mut self, gate: &Arc<Gate>) -> String {
        // What was noticed until now is read now; whatever comes from here on is noticed anew.
        while self.changes.try_recv().is_ok() {}
        let written = self.written();
        if written != self.configured {
            self.configured = written;
            let file = self.config.file.as_deref().unwrap_or(Path::new(""));
            tracing::warn!(target: "formgate::reload", "{} has changed; it counts from the next start", file.display());
        }
        let metrics = gate.metrics();
        let rules = metrics.reload(Reloaded::Rules);
        let (config, tls) = (self.config.clone(), self.tls.clone());
        let (files, notes) = (self.files.clone(), self.notes.clone());
        let read =
            tokio::task::spawn_blocking(move || again(&config, tls.as_deref(), &files, &notes));
        let Again {
            loaded,
            files,
            reach,
            keys,
            certificate,
            watcher,
        } = match read.await {
            Ok(read) => read,
            Err(error) => {
                rules.note(false);
                tracing::error!(target: "formgate::reload", %error, "the rule files could not be read");
                return "the rule files could not be read; those from before are in force"
                    .to_owned();
            }
        };
        self.files = files;
        self.watcher = watcher;
        if let Some(read) = certificate {
            metrics.reload(Reloaded::Certificate).note(read.is_ok());
            match read {
                Ok(true) => {
                    tracing::info!(target: "formgate::reload", "another certificate is in force for new connections");
                }
                Ok(false) => {}
                Err(why) => {
                    tracing::error!(target: "formgate::reload", "the certificate stays as it was: {why}");
                }
            }
        }
        metrics.reload(Reloaded::Reach).note(reach.is_ok());
        match reach {
            Ok(reach) => gate.reach_by(reach),
            Err((key, why)) => {
                tracing::error!(target: "formgate::reload", "what `{key}` names stays as it was: {why}");
            }
        }
        let keys = self.take_keys(keys, gate);
        metrics.reload(Reloaded::Keys).note(keys);
        match loaded {
            // What a deployment that deletes and then copies looks like in between; it must not turn every form off.
            Ok(loaded) if loaded.book.is_empty() && !gate.is_empty() => {
                gate.renew();
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
                // A mistake in a rule file does not hold up the keys and certificates that are good.
                gate.renew();
                rules.note(false);
                let errors = self.refuse(&complaints);
                let plural = if errors == 1 { "" } else { "s" };
                format!("{errors} error{plural} in the rule files; those from before are in force")
            }
        }
    }

    /// Takes the keys that the configuration names, if they are others than before; whether they are good.
    fn take_keys(&mut self, keys: Result<Config, (String, String)>, gate: &Arc<Gate>) -> bool {
        let taken = keys.and_then(|now| {
            if (&now.key, &now.jwt) == (&self.config.key, &self.config.jwt) {
                return Ok(());
            }
            let verifier = now.verifier().map_err(|why| ("jwt.key".to_owned(), why))?;
            gate.believe(now.key.as_ref().map(Key::shared), verifier);
            self.config = now;
            Ok(())
        });
        if let Err((key, why)) = &taken {
            tracing::error!(target: "formgate::reload", "what `{key}` names stays as it was: {why}");
        }
        taken.is_ok()
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
}

/// Reads everything again. Blocks.
fn again(config: &Config, tls: Option<&Tls>, before: &BTreeSet<PathBuf>, notes: &Notes) -> Again {
    let begun = SystemTime::now();
    // Before reading: what changes from here on is noticed, and a folder that was replaced is watched anew.
    let mut watcher = watch(&Paths::all(config, tls, before), notes);
    let certificate = tls.map(Tls::reload);
    let mut files = BTreeSet::new();
    let loaded = read::book_naming(config, &mut files);
    files.extend(config.reach_files());
    files.extend(config.key_files());
    let (keys, reach) = (config.with_keys_of_now(), config.reach());
    if files != *before {
        let paths = Paths::all(config, tls, &files);
        watcher = watch(&paths, notes);
        // Those that were not watched before are, too, noticed if they changed in between.
        if paths.changed_since(begun) {
            let _ = notes.try_send(());
        }
    }
    Again {
        loaded,
        files,
        reach,
        keys,
        certificate,
        watcher,
    }
}

/// What is watched. A folder is watched as a whole, but only some of what happens in it matters. Folders are spelt in
/// one way, without links and `..`: the system knows each but once, and tells of it in the spelling that was used last.
#[derive(Debug, Default, Clone)]
struct Paths {
    /// Every `*.toml` in these matters.
    rules: BTreeSet<PathBuf>,
    /// These matter themselves.
    names: BTreeSet<PathBuf>,
}

impl Paths {
    /// What to look at: the rules, the files they name, certificate and key – and every link on the way there.
    fn all(config: &Config, tls: Option<&Tls>, files: &BTreeSet<PathBuf>) -> Self {
        let mut paths = Self::default();
        paths.add_folder(&config.rules);
        let tls = tls.map(Tls::files);
        let tls = tls.into_iter().flat_map(|files| [&files.cert, &files.key]);
        for file in tls.chain(files).chain(&config.file) {
            paths.add(file);
        }
        paths
    }

    fn add_folder(&mut self, folder: &Path) {
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
        self.names.extend(links.filter_map(in_its_folder));
        self.names.extend(in_its_folder(&whole));
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

    /// Whether anything of it was written or replaced after this moment.
    fn changed_since(&self, moment: SystemTime) -> bool {
        let rules = self
            .rules
            .iter()
            .filter_map(|folder| folder.read_dir().ok());
        let rules = rules.flatten().flatten().map(|entry| entry.path());
        let mut all = rules
            .filter(|path| self.concern(path))
            .chain(self.names.iter().cloned());
        // The moment of a rename, too, and of no other clock than the one files are dated with.
        all.any(|path| {
            path.symlink_metadata().is_ok_and(|about| {
                let seconds = u64::try_from(about.ctime()).unwrap_or_default();
                let nanoseconds = u64::try_from(about.ctime_nsec()).unwrap_or_default();
                let changed = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
                SystemTime::UNIX_EPOCH + changed > moment
            })
        })
    }
}

/// A path with its folder spelt as the system does.
fn in_its_folder(path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?);
    let folder = folder.canonicalize();
    Some(folder.ok()?.join(name))
}

/// Watches until it is dropped, and notes when something that matters has changed.
fn watch(paths: &Paths, notes: &Notes) -> Option<RecommendedWatcher> {
    match watch_all(paths, notes.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(target: "formgate::reload", %error, "changes on disk are not noticed; send SIGHUP instead");
            None
        }
    }
}

fn watch_all(paths: &Paths, notes: Notes) -> notify::Result<RecommendedWatcher> {
    let ours = paths.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let matters = event.is_ok_and(|event| {
            let lost = event.need_rescan();
            let ours = event.paths.iter().any(|path| ours.concern(path));
            lost || (ours && !event.kind.is_access())
        });
        if matters {
            let _ = notes.try_send(());
        }
    })?;
    for folder in paths.folders().iter().filter(|folder| folder.is_dir()) {
        let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
        // A folder that only leads to the others may be closed to us.
        if paths.rules.contains(folder) {
            watched?;
        }
    }
    Ok(watcher)
}
