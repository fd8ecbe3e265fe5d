//! Stores for tests: a file in a folder of its own, and a database of its own on a PostgreSQL server that this run of
//! the tests starts. Owns starting the server once, and ending it with the process, however that ends.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use formgate::store::settings::Place;
use formgate::store::settings::Settings;
use tempfile::TempDir;

/// A place for a store, empty.
pub(crate) struct Scene {
    /// Which engine, for messages.
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) settings: Settings,
    /// Where the file is; for PostgreSQL an empty folder.
    pub(crate) folder: TempDir,
}

/// Runs a test on each engine there is.
pub(crate) async fn on_each(test: impl AsyncFn(Scene)) {
    test(sqlite()).await;
    if let Some(scene) = postgres() {
        test(scene).await;
    }
}

/// A file that is not there yet.
pub(crate) fn sqlite() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::Sqlite(folder.path().join("formgate.db"));
    Scene {
        name: "SQLite",
        settings: Settings::at(place),
        folder,
    }
}

/// An empty database; `None` where there is no PostgreSQL.
pub(crate) fn postgres() -> Option<Scene> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let server = server()?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let database = format!("test_{number}");
    let made = Command::new("psql")
        .args([
            "-q",
            "-h",
            &server.folder,
            "-U",
            "postgres",
            "-d",
            "postgres",
        ])
        .args(["-c", &format!("CREATE DATABASE {database}")])
        .status()
        .expect("psql");
    assert!(made.success(), "no database could be made");
    let url = format!(
        "postgres://postgres@localhost/{database}?host={}",
        server.folder
    );
    Some(Scene {
        name: "PostgreSQL",
        settings: Settings::at(Place::parse(&url, Path::new("")).expect("a URL")),
        folder: tempfile::tempdir().expect("a folder"),
    })
}

/// A server for this run.
struct Server {
    /// Where its socket is.
    folder: String,
    /// Ends it when its input ends, which is when this process does.
    _keeper: Child,
}

#[expect(clippy::print_stdout, reason = "what is skipped is said")]
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || match programs() {
        Some(programs) => Some(start(&programs)),
        None => {
            let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
            assert!(
                !all,
                "PostgreSQL is not installed, and FORMGATE_REQUIRE_ALL=1"
            );
            println!("skipped on PostgreSQL: `initdb` and `psql` are not installed");
            None
        }
    };
    SERVER.get_or_init(start).as_ref()
}

/// The folder of `initdb` and `pg_ctl`: Debian keeps them out of the way.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let client = folders.iter().any(|folder| folder.join("psql").is_file());
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    let mut servers = folders.into_iter();
    servers
        .find(|folder| client && folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}

/// A server refuses to run as root: then it runs as `postgres`.
const SCRIPT: &str = r#"
set -eu
bin=$1
as() { "$@"; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/formgate-pg.XXXXXX")
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as() { runuser -u postgres -- "$@"; }
fi
cd "$folder"
as "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1
options="-c listen_addresses= -k $folder -F -c max_connections=400"
as "$bin/pg_ctl" -D "$folder/data" -l "$folder/server" -o "$options" -w start >>"$folder/log" 2>&1
echo "$folder"
exec >&-
cat >/dev/null || true
as "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
cd /
rm -rf "$folder"
"#;

fn start(programs: &Path) -> Server {
    let mut keeper = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(programs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut folder = String::new();
    let output = keeper.stdout.take().expect("its output");
    let read = BufReader::new(output).read_line(&mut folder);
    read.expect("the server's folder");
    let folder = folder.trim().to_owned();
    assert!(!folder.is_empty(), "PostgreSQL did not start");
    Server {
        folder,
        _keeper: keeper,
    }
}
