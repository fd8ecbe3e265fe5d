//! The program as a service manager starts it. Owns starting it with sockets and variables, its log and signals.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::within;

/// A folder with the configuration and the rules of one gateway.
pub(crate) struct Place(TempDir);

/// A gateway that runs until it is dropped.
pub(crate) struct Program {
    child: Child,
    /// What it said at its start.
    pub(crate) hello: Value,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: watch::Receiver<String>,
}

/// What a gateway is started with.
#[derive(Default)]
pub(crate) struct Start<'a> {
    /// The socket for people.
    pub(crate) public: Option<&'a TcpListener>,
    /// The socket for the operator.
    pub(crate) admin: Option<&'a TcpListener>,
    /// Variables.
    pub(crate) environment: Vec<(&'a str, String)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file as deployments do: at once, by a rename.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        let new = path.with_extension("new");
        fs::write(&new, text).expect("writable");
        fs::rename(new, path).expect("writable");
    }
}

impl Start<'_> {
    /// The command; sockets come as descriptors from 3 on, as service managers hand them over.
    fn command(&self, place: &Place) -> Command {
        let program = env!("CARGO_BIN_EXE_formgate");
        let mut command = Command::new("sh");
        let inherited = |socket: &TcpListener| {
            let socket = socket.try_clone().expect("a socket");
            Stdio::from(OwnedFd::from(socket))
        };
        let (script, names) = match (self.public, self.admin) {
            (Some(public), Some(admin)) => {
                command.stdin(inherited(public)).stderr(inherited(admin));
                let script = "exec 3<&0 4<&2 0</dev/null 2>log; LISTEN_FDS=2";
                (script, "formgate.socket:admin")
            }
            (Some(public), None) => {
                command.stdin(inherited(public)).stderr(Stdio::piped());
                ("exec 3<&0 0</dev/null; LISTEN_FDS=1", "formgate.socket")
            }
            (None, _) => {
                command.stdin(Stdio::null()).stderr(Stdio::piped());
                ("LISTEN_FDS=0", "")
            }
        };
        let script = format!(
            "{script}; export LISTEN_FDS; LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\""
        );
        command.args(["-c", &script, program, "serve", "--json"]);
        if self.public.is_none() {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.current_dir(place.path()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("LISTEN_FDNAMES", names);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped());
        command
    }

    /// Starts the gateway and waits until it serves.
    pub(crate) async fn go(&self, place: &Place) -> Program {
        let mut child = self.command(place).spawn().expect("it starts");
        let (said, log) = watch::channel(String::new());
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    said.send_modify(|all| *all += &format!("{line}\n"));
                }
            });
        }
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let first = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| line)
        });
        let hello = within("its first line", first).await.expect("no panic");
        let hello = hello.expect("text");
        let hello: Value = serde_json::from_str(&hello).unwrap_or_else(|_| {
            panic!("it says {hello:?} and {}", *log.borrow());
        });
        let address = hello["listening"].as_str().expect("an address");
        let (_, address) = address.split_once("://").expect("a URL");
        Program {
            child,
            address: address.parse().expect("an address"),
            hello,
            log,
        }
    }
}

impl Program {
    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -s \"$0\" \"$1\"", name, &id]);
        assert!(kill.status().expect("it runs").success());
    }

    /// Waits until this is in the log.
    pub(crate) async fn wait_for_log(&self, part: &str) {
        let mut log = self.log.clone();
        let come = log.wait_for(|log| log.contains(part));
        let _ = within(&format!("{part:?} in the log"), come).await;
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                match self.child.try_wait().expect("a child") {
                    Some(status) => break status,
                    // The system tells nobody but a parent that waits in vain for everything else.
                    None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        within("its end", ended).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
