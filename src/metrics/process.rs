//! What the system says of the process, and the runtime of itself. Owns reading it when it is asked for.

use std::fs;

use tokio::runtime::Handle;

/// What the system says of the process; a part is missing where the system does not say it as Linux does.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Memory that is in use, in bytes.
    pub resident: Option<u64>,
    /// Memory that is reserved, in bytes.
    pub virtual_memory: Option<u64>,
    /// Open files and sockets.
    pub open_fds: Option<u64>,
    /// How many there may be.
    pub max_fds: Option<u64>,
    /// Time of processors, in seconds.
    pub cpu: Option<f64>,
}

/// What the runtime says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// Threads that do the work.
    pub workers: usize,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Tasks that wait in the queue that all threads share.
    pub queued: usize,
}

impl Process {
    /// Reads it.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            resident: memory(&status, "VmRSS:"),
            virtual_memory: memory(&status, "VmSize:"),
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|all| u64::try_from(all.count()).ok()),
            max_fds: max_fds(&limits),
            cpu: cpu(&stat),
        }
    }
}

impl Runtime {
    /// Asks the runtime that this is called in; `None` outside of one.
    #[must_use]
    pub fn now() -> Option<Self> {
        let metrics = Handle::try_current().ok()?.metrics();
        Some(Self {
            workers: metrics.num_workers(),
            tasks: metrics.num_alive_tasks(),
            queued: metrics.global_queue_depth(),
        })
    }
}

/// A line like `VmRSS:      1234 kB`.
fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A line like `Max open files            1024                 524288               files`.
fn max_fds(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Linux counts in hundredths of a second for everybody, whatever it counts in itself.
const TICKS: f64 = 100.0;

/// Fields 14 and 15; the name before them may hold anything, blanks and parentheses too.
fn cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_understood() {
        let status = "Name:\tformgate\nVmSize:\t  204800 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(memory(status, "VmSwap:"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(max_fds(limits), Some(1024));
        let stat = "7 (a ) b) S 1 1 1 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 3 0 1 2 3";
        assert_eq!(cpu(stat), Some(2.0));
        // More than a processor-year.
        let old = stat.replace(" 150 50 ", " 5000000000 0 ");
        assert_eq!(cpu(&old), Some(50_000_000.0));
        assert_eq!(cpu("nothing"), None);
    }

    #[tokio::test]
    async fn the_runtime_is_asked_where_there_is_one() {
        let runtime = Runtime::now().expect("a runtime");
        assert_eq!(runtime.workers, 1);
        let outside = std::thread::spawn(Runtime::now).join().expect("no panic");
        assert_eq!(outside, None);
    }
}
