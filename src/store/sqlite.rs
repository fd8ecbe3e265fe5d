//! SQLite: one file, one gateway. Owns opening it so that what is committed is on disk, and refusing files that cannot
//! keep that promise: on network file systems, in use by another gateway, made by a newer version.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::store::engine::Engine;
use crate::store::engine::StoreError;
use crate::store::settings::Role;
use crate::store::tables;

/// The tables, version by version.
pub static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// Versions before this one can damage a file whose log is reset while it is written.
const LEAST_VERSION: (u32, u32, u32) = (3, 51, 3);
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// How many connections read at a time.
const READERS: u32 = 4;
/// Different statements that are kept prepared.
const PREPARED: usize = 256;

/// The lock of a gateway on its file; free again when the process has ended, however it ends.
#[derive(Debug)]
pub struct Locked {
    _file: File,
}

/// Opens the file.
///
/// # Errors
/// It cannot be opened or used, and why.
pub async fn open(path: &Path, role: Role) -> Result<Engine, StoreError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(unusable(path, "its folder is not there; make it"));
    }
    if role == Role::Command && !path.is_file() {
        let mend = "there is no such file yet: `formgate serve` makes it, if `store.url` names it";
        return Err(unusable(path, mend));
    }
    local(path, folder)?;
    let lock = match role {
        Role::Gateway => Some(lock(path)?),
        Role::Command => None,
    };
    if role == Role::Gateway {
        // The files beside it get the same rights.
        private()
            .open(path)
            .map_err(|error| unusable(path, &error.to_string()))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .statement_cache_capacity(PREPARED)
        .pragma("journal_size_limit", "67108864");
    let pool = |most, options: SqliteConnectOptions| {
        SqlitePoolOptions::new()
            .max_connections(most)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
    };
    let writer = pool(1, options.clone()).await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&writer)
        .await?;
    check_version(&version)?;
    let tables = match role {
        Role::Gateway => tables::update(&MIGRATIONS, &writer).await,
        Role::Command => tables::check(&MIGRATIONS, tables::version(&writer).await),
    };
    tables.map_err(|why| unusable(path, &why))?;
    let readers = pool(READERS, options.read_only(true)).await?;
    Ok(Engine::Sqlite {
        writer,
        readers,
        lock,
    })
}

fn unusable(path: &Path, why: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the store `{}` cannot be used: {why}",
        path.display()
    ))
}

fn check_version(version: &str) -> Result<(), StoreError> {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) >= LEAST_VERSION {
        return Ok(());
    }
    let (major, minor, patch) = LEAST_VERSION;
    Err(StoreError::Unusable(format!(
        "SQLite {version} can damage its files; formgate must be built with {major}.{minor}.{patch} or later"
    )))
}

/// For a file that only its owner may read; one that is there keeps what it holds.
pub(in crate::store) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Takes the lock of a gateway, and writes down whose it is.
fn lock(path: &Path) -> Result<Locked, StoreError> {
    let cannot = |error: std::io::Error| unusable(path, &format!("{error}"));
    let mut file = private().open(lock_path(path)).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {
            let pid = std::process::id().to_string();
            file.set_len(0).map_err(cannot)?;
            file.rewind().map_err(cannot)?;
            file.write_all(pid.as_bytes()).map_err(cannot)?;
            Ok(Locked { _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Whoever has it may not have written it down yet.
            let _ = file.read_to_string(&mut pid);
            let who = match pid.trim().parse::<u32>() {
                Ok(pid) => format!("the formgate with process id {pid}"),
                Err(_) => "another formgate".to_owned(),
            };
            let mend = "end it, or give this one a file of its own; several gateways share a store on PostgreSQL only";
            Err(unusable(path, &format!("{who} is using it; {mend}")))
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

/// Refuses network file systems: their locks and shared memory do not keep a file whole.
#[cfg(target_os = "linux")]
fn local(path: &Path, folder: &Path) -> Result<(), StoreError> {
    let found = rustix::fs::statfs(folder).map_err(|error| unusable(path, &error.to_string()))?;
    // Its type differs between platforms; only its lower half counts.
    match network(i128::from(found.f_type)) {
        None => Ok(()),
        Some(name) => Err(unusable(
            path,
            &format!(
                "it lies on a network file system ({name}), which cannot be trusted with it; name a file on a local disk, or use PostgreSQL"
            ),
        )),
    }
}

/// What elsewhere is known of a file system does not say whether it is on a network.
#[cfg(not(target_os = "linux"))]
fn local(_path: &Path, _folder: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// The name of a network file system, by its magic number (statfs(2), and the kernel's `magic.h`).
#[cfg(target_os = "linux")]
fn network(magic: i128) -> Option<&'static str> {
    // Some have the upper half set where the number is signed.
    Some(match magic & 0xFFFF_FFFF {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x0102_1997 => "9P",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x00C3_6400 => "Ceph",
        0x6573_5546 => "FUSE",
        0x0BD0_0BD0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x4750_4653 => "GPFS",
        0x1983_0326 => "BeeGFS",
        0x786F_4256 => "VirtualBox shared folders",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_refused() {
        for good in ["3.51.3", "3.52.0", "4.0.0"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["3.51.2", "3.7.17", "2.8.0", ""] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(network(0x6969), Some("NFS"));
        assert_eq!(network(0xFFFF_FFFF_FF53_4D42), Some("SMB"));
        for (name, magic) in [
            ("ext4", 0xEF53),
            ("xfs", 0x5846_5342),
            ("tmpfs", 0x0102_1994),
        ] {
            assert_eq!(network(magic), None, "{name}");
        }
    }
}
