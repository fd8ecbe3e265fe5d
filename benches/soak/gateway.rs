//! The gateway's process. Owns its rule file and configuration, and reading what it holds.

use std::fmt;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::client::Ask;

/// A gateway that serves; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    process: Child,
    folder: TempDir,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Memory that is resident.
    pub(crate) kib: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Tasks of the runtime.
    pub(crate) tasks: u64,
}

impl Held {
    pub(crate) fn mib(&self) -> f64 {
        f64::from(u32::try_from(self.kib).unwrap_or(u32::MAX)) / 1024.0
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mib, descriptors, tasks) = (self.mib(), self.descriptors, self.tasks);
        write!(f, "{mib:.1} MiB, {descriptors} descriptors, {tasks} tasks")
    }
}

fn rules(responder: SocketAddr) -> String {
    let hook = |on: &str| {
        format!(
            "\n[[hook]]\non = '{on}'\nname = '{on}'\nurl = 'http://{responder}/{on}'\ntimeout = '1s'\n\
             breaker = {{ failures = 1000000000 }}\n"
        )
    };
    format!("[form]\nsubmit = 'POST {}'\n", crate::people::PATH)
        + &hook("preprocess")
        + &hook("submit")
}

fn address(said: &Value, name: &str) -> SocketAddr {
    let text = said[name].as_str().unwrap_or_default();
    let address = text.trim_start_matches("http://").parse();
    address.unwrap_or_else(|error| panic!("{name}: {error} in {said}"))
}

impl Gateway {
    pub(crate) fn start(backend: SocketAddr, responder: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("rules")).expect("writable");
        fs::create_dir(at("spool")).expect("writable");
        fs::write(at("rules/soak.toml"), rules(responder)).expect("writable");
        let config = format!(
            "listen = '127.0.0.1:0'\nrules = 'rules'\nbackend = 'http://{backend}'\nlog = 'off'\n\
             [admin]\nlisten = '127.0.0.1:0'\n\
             [limits]\nspool_above = '1KiB'\nspool_folder = 'spool'\n\
             [backend_timeouts]\nresponse = '2s'\n"
        );
        fs::write(at("formgate.toml"), config).expect("writable");
        let mut process = Command::new(env!("CARGO_BIN_EXE_formgate"))
            .args(["serve", "--json", "--config"])
            .arg(at("formgate.toml"))
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its output");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a first line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        Self {
            address: address(&said, "listening"),
            admin: address(&said, "admin"),
            process,
            folder,
        }
    }

    /// A number that the gateway counts itself.
    async fn number(&self, name: &str) -> u64 {
        let ask = Ask::new(self.admin, "GET", "/metrics");
        let text = ask.header("connection", "close").send().await.text();
        let lines = text.lines().filter(|line| line.starts_with(name));
        let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        let sum = numbers.sum::<f64>() as u64;
        sum
    }

    /// Waits until people are served.
    pub(crate) async fn is_there(&self) {
        let ask = Ask::new(self.address, "GET", "/_formgate/formgate.js");
        let answer = ask.header("connection", "close").send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// What the process holds now.
    pub(crate) async fn held(&self) -> Held {
        let tasks = self.number("formgate_runtime_tasks").await;
        let process = format!("/proc/{}", self.process.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let open = fs::read_dir(format!("{process}/fd")).expect("Linux");
        Held {
            kib: number.and_then(|number| number.parse().ok()).expect("KiB"),
            descriptors: u64::try_from(open.count()).unwrap_or(u64::MAX),
            tasks,
        }
    }

    /// Waits until no submission is under way, with its person or without.
    pub(crate) async fn is_done(&self) {
        self.until(async || self.number("formgate_submissions_under_way").await == 0)
            .await;
    }

    /// Waits until no more is held than before; what is held then, or after a while.
    pub(crate) async fn comes_to_rest(&self, before: Held) -> Held {
        self.until(async || {
            let held = self.held().await;
            held.descriptors <= before.descriptors && held.tasks <= before.tasks
        })
        .await;
        self.held().await
    }

    async fn until(&self, is_so: impl AsyncFn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        while Instant::now() < end && !is_so().await {
            looks.tick().await;
        }
    }

    /// Tells it to end, as a service manager does.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let left = fs::read_dir(self.folder.path().join("spool")).map_or(0, Iterator::count);
        let process = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &process]).status();
        let status = self.process.wait();
        match (told, status) {
            (Ok(_), Ok(status)) if status.success() && left == 0 => Ok(()),
            other => Err(format!("the end: {other:?}, {left} temporary files")),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
