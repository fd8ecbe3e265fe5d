//! Folders, runs of the program, and small servers. Owns nothing of the gateway: whatever it says is read from
//! outside.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_formgate");

/// A text as JSON.
pub(crate) fn json(text: &str) -> Value {
    let value = serde_json::from_str(text);
    value.expect(text)
}

/// A folder in which the program is run, and the environment it sees.
pub(crate) struct Folder {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            environment: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    /// The program, in this folder, with nothing in its environment but what a test puts there.
    pub(crate) fn command(&self) -> Command {
        self.prepared(Command::new(PROGRAM))
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.path()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let environment = self.environment.iter();
        command.envs(environment.map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command();
        command.args(arguments).envs(environment.iter().copied());
        command.output().expect("it runs").into()
    }

    /// Runs a line of shell; `$FORMGATE` is the program.
    pub(crate) fn run_shell(&self, line: &str) -> Ran {
        let mut command = self.prepared(Command::new("sh"));
        command.args(["-c", line]).env("FORMGATE", PROGRAM);
        command.output().expect("it runs").into()
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.lines.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let lines = self.lines.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name).expect("a header's name");
            (
                name,
                HeaderValue::try_from(value).expect("a header's value"),
            )
        });
        lines.collect()
    }
}

type Answer = dyn Fn(&Request) -> (u16, String) + Send + Sync;

/// A small HTTP server: one thread a connection, one answer a connection.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    closed: Arc<Mutex<bool>>,
}

impl Server {
    pub(crate) fn begin(
        answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(Mutex::new(false));
        let (for_thread, for_closing) = (Arc::clone(&seen), Arc::clone(&closed));
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if *for_closing.lock().expect("not poisoned") {
                    return;
                }
                let (seen, answer) = (Arc::clone(&for_thread), Arc::clone(&answer));
                if let Ok(stream) = stream {
                    thread::spawn(move || exchange(stream, &seen, &*answer));
                }
            }
        });
        Self { port, seen, closed }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.closed.lock().expect("not poisoned") = true;
        // Wakes the thread, which then gives up the port.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// First line, header lines, body.
pub(crate) type Message = (String, Vec<(String, String)>, String);

/// Reads one message: its first line, its headers and as many bytes as it says.
pub(crate) fn read_message(stream: &TcpStream) -> Option<Message> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = Vec::new();
    match length.and_then(|(_, value)| value.parse::<usize>().ok()) {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
        }
        None if first.starts_with("HTTP/") => {
            reader.read_to_end(&mut body).ok()?;
        }
        None => {}
    }
    Some((first, headers, String::from_utf8_lossy(&body).into_owned()))
}

fn exchange(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &Answer) {
    let Some((first, lines, body)) = read_message(&stream) else {
        return;
    };
    let mut parts = first.split_whitespace().map(str::to_owned);
    let request = Request {
        method: parts.next().unwrap_or_default(),
        path: parts.next().unwrap_or_default(),
        lines,
        body,
    };
    seen.lock().expect("not poisoned").push(request.clone());
    let (status, body) = answer(&request);
    let text = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\nlocation: /elsewhere\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Who asked may have gone.
    let _ = stream.write_all(text.as_bytes());
}
