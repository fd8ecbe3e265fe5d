//! The gateway's process. Owns its rule files and configuration, and reading what it uses of the machine.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::site::Site;
use crate::work::Work;

/// A gateway that serves; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Of processors, by itself and by the system for it.
    pub(crate) cpu: Duration,
    /// The most memory it ever had, in KiB.
    pub(crate) peak: u64,
}

impl Gateway {
    pub(crate) fn start(work: &Work, site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).expect("writable");
        for (name, text) in work.rule_files(site.responder) {
            fs::write(rules.join(name), text).expect("writable");
        }
        let gateway = env!("CARGO_BIN_EXE_formgate");
        let mut command = if processors() > 1 && has_taskset() {
            let mut command = Command::new("taskset");
            command.args(["-c", "0", gateway]);
            command.env("TOKIO_WORKER_THREADS", "1");
            command
        } else {
            Command::new(gateway)
        };
        let config = format!(
            "listen = '127.0.0.1:0'\nrules = 'rules'\nbackend = 'http://{}'\nlog = 'warn'\n\
             [limits]\nconnections = 20000\nconnections_per_address = 20000\n",
            site.backend
        );
        let file = folder.path().join("formgate.toml");
        fs::write(&file, config).expect("writable");
        let mut process = command
            .args(["serve", "--json", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let stdout = process.stdout.take().expect("its output");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a first line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let listening = said["listening"].as_str().unwrap_or_default();
        let address = listening.trim_start_matches("http://").parse();
        Self {
            address: address.expect("an address"),
            process,
            _folder: folder,
        }
    }

    /// The processor time it has used up to now.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.expect("Linux");
        // proc(5): utime and stime are the 14th and 15th, counted from after the name, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u32>().ok())
            .sum();
        // Linux counts in hundredths of a second on every platform it is built for.
        Duration::from_millis(10) * ticks
    }

    /// What it has used since then.
    pub(crate) fn used_since(&self, before: Duration) -> Used {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let peak = line.and_then(|line| line.split_whitespace().nth(1));
        Used {
            cpu: self.cpu().saturating_sub(before),
            peak: peak.and_then(|peak| peak.parse().ok()).expect("KiB"),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Leaves the first processor to the gateway, for this process and those it starts.
pub(crate) fn leave_the_first_processor() {
    let last = processors().saturating_sub(1);
    if last > 0 && has_taskset() {
        let own = std::process::id().to_string();
        let command = Command::new("taskset")
            .args(["-a", "-c", "-p", &format!("1-{last}"), &own])
            .stdout(Stdio::null())
            .status();
        assert!(command.is_ok_and(|status| status.success()), "taskset");
    }
}

fn processors() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let counted = text.lines().filter(|line| line.starts_with("processor"));
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    counted.count().max(allowed)
}

fn has_taskset() -> bool {
    let tried = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
