//! An upload of 1 GiB through a form with a hook, on real sockets, the gateway a process of its own: checks that its
//! memory stays under 64 MiB, that what arrives is what was sent – unchanged, and with one field changed – and that
//! nothing is left on disk. Prints time and peak memory.
//!
//! `cargo bench --profile ci --bench upload`; `FORMGATE_BENCH_MIB=64` for a smaller one.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::env;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

/// The most memory the gateway may ever have held, in KiB.
const AT_MOST_KIB: u64 = 64 << 10;
const MIB: usize = 1 << 20;
const BOUNDARY: &str = "boundary-of-the-upload";

/// A body that was read and forgotten.
struct Seen {
    length: u64,
    sha256: String,
}

/// The head of a request, and its connection with the body still to come.
struct Asked {
    target: String,
    length: u64,
    stream: BufReader<TcpStream>,
}

/// The gateway's process; killed if the bench fails.
struct Gateway {
    process: Child,
    address: SocketAddr,
}

fn main() {
    let mib: usize = env::var("FORMGATE_BENCH_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1024);
    let (backend, arrived) = server(|asked, seen| {
        let _ = seen.send(read_body(asked));
        "{\"id\": 1}".to_owned()
    });
    let (responder, asked_about) = server(|mut asked, seen| {
        let mut body = vec![0; usize::try_from(asked.length).unwrap_or_default()];
        asked.stream.read_exact(&mut body).expect("the call");
        let call: Value = serde_json::from_slice(&body).expect("JSON");
        let changes = call["doc"]["change"] == "yes";
        let _ = seen.send(call["doc"]["file"].clone());
        if changes {
            json!({"jdoc": {"city": "Bern"}}).to_string()
        } else {
            "{}".to_owned()
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = start(folder.path(), backend, responder);
    for changed in [false, true] {
        let city = if changed { "Berne" } else { "Basel" };
        let (took, file) = upload(gateway.address, mib, city, changed);
        let seen = arrived
            .recv_timeout(Duration::from_secs(60))
            .expect("the backend");
        let expected = expected(mib, if changed { "Bern" } else { city }, changed);
        assert_eq!(
            (seen.length, &seen.sha256),
            (expected.length, &expected.sha256)
        );
        let told = asked_about
            .recv_timeout(Duration::from_secs(60))
            .expect("the hook");
        assert_eq!(told["size"], mib * MIB);
        assert_eq!(told["sha256"], file);
        let what = if changed {
            "one field changed"
        } else {
            "unchanged"
        };
        let rate = f64::from(u32::try_from(mib).unwrap_or(u32::MAX)) / took.as_secs_f64();
        println!("{mib} MiB, {what}: {took:.2?}, {rate:.0} MiB/s; the backend got what was meant");
    }
    let peak = peak_kib(gateway.process.id());
    println!(
        "peak memory of the gateway: {:.1} MiB",
        f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0
    );
    assert!(peak < AT_MOST_KIB, "over {AT_MOST_KIB} KiB");
    let left = fs::read_dir(folder.path().join("spool"))
        .expect("the spool folder")
        .count();
    let held = open_files_below(gateway.process.id(), folder.path());
    assert_eq!(
        (left, held),
        (0, 0),
        "files left in the spool folder, files held open"
    );
    end(gateway);
    println!("no file was left, and the gateway ended well");
}

/// Serves one request after another on threads of its own; what `answer` saw comes out of the channel.
fn server<T: Send + 'static>(
    answer: impl Fn(Asked, &mpsc::Sender<T>) -> String + Send + Sync + Clone + 'static,
) -> (SocketAddr, mpsc::Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (send, seen) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, send) = (answer.clone(), send.clone());
            thread::spawn(move || {
                let mut out = stream.try_clone().expect("a second handle");
                let asked = read_head(BufReader::with_capacity(256 << 10, stream));
                assert!(asked.target.starts_with('/'), "{}", asked.target);
                let body = answer(asked, &send);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
                let _ = write!(out, "{head}: {}\r\n\r\n{body}", body.len());
            });
        }
    });
    (address, seen)
}

fn read_head(mut stream: BufReader<TcpStream>) -> Asked {
    let mut first = String::new();
    stream.read_line(&mut first).expect("a request");
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a header");
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    Asked {
        target,
        length,
        stream,
    }
}

fn read_body(asked: Asked) -> Seen {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut body = asked.stream.take(asked.length);
    let mut block = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        let read = body.read(&mut block).expect("the body");
        if read == 0 {
            break;
        }
        hash.update(&block[..read]);
        length += u64::try_from(read).unwrap_or_default();
    }
    Seen {
        length,
        sha256: hex(hash),
    }
}

fn hex(hash: digest::Context) -> String {
    let bytes = hash.finish();
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn start(folder: &Path, backend: SocketAddr, responder: SocketAddr) -> Gateway {
    fs::create_dir(folder.join("rules")).expect("writable");
    fs::create_dir(folder.join("spool")).expect("writable");
    let rule = format!(
        "[form]\nsubmit = 'POST /upload'\n[[hook]]\non = 'preprocess'\nurl = 'http://{responder}/'\n"
    );
    fs::write(folder.join("rules/upload.toml"), rule).expect("writable");
    let config = format!(
        "listen = '127.0.0.1:0'\nrules = 'rules'\nbackend = 'http://{backend}'\n[limits]\nbody = '64GiB'\nspool_folder = '{}'\n",
        folder.join("spool").display()
    );
    let file = folder.join("formgate.toml");
    fs::write(&file, config).expect("writable");
    let mut process = Command::new(env!("CARGO_BIN_EXE_formgate"))
        .args(["serve", "--json", "--config"])
        .arg(&file)
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .expect("the gateway starts");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("its output");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("a first line");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    let listening = said["listening"].as_str().unwrap_or_default();
    let address = listening.trim_start_matches("http://").parse();
    Gateway {
        process,
        address: address.expect("an address"),
    }
}

/// The fields before the file, the beginning of the file's part, and what follows the file.
fn around(city: &str, change: bool) -> (String, String) {
    let change = if change { "yes" } else { "no" };
    let field = |name: &str, value: &str| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let file = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"film.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let before = field("change", change) + &field("city", city) + &file;
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    (before, after)
}

/// One MiB of the file, each another.
fn block(number: usize) -> Vec<u8> {
    let mut state = u64::try_from(number).unwrap_or_default() + 0x9e37_79b9_7f4a_7c15;
    let mut block = Vec::with_capacity(MIB);
    while block.len() < MIB {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}

/// Sends the form; how long it took until the answer, and the hash of the file.
fn upload(gateway: SocketAddr, mib: usize, city: &str, change: bool) -> (Duration, String) {
    let (before, after) = around(city, change);
    let mut hash = digest::Context::new(&digest::SHA256);
    let began = Instant::now();
    let mut stream = TcpStream::connect(gateway).expect("the gateway");
    let length = before.len() + mib * MIB + after.len();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: {gateway}\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{before}"
    );
    stream.write_all(head.as_bytes()).expect("the head");
    for number in 0..mib {
        let block = block(number);
        hash.update(&block);
        stream.write_all(&block).expect("the file");
    }
    stream.write_all(after.as_bytes()).expect("the end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let took = began.elapsed();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    (took, hex(hash))
}

/// What should arrive.
fn expected(mib: usize, city: &str, change: bool) -> Seen {
    let (before, after) = around(city, change);
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(before.as_bytes());
    (0..mib).for_each(|number| hash.update(&block(number)));
    hash.update(after.as_bytes());
    let length = before.len() + mib * MIB + after.len();
    Seen {
        length: u64::try_from(length).unwrap_or_default(),
        sha256: hex(hash),
    }
}

fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).expect("KiB")
}

/// How many files below a folder a process holds open, with a name or without.
fn open_files_below(process: u32, folder: &Path) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("Linux");
    let targets = open
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    let spool = folder.join("spool");
    targets.filter(|target| target.starts_with(&spool)).count()
}

fn end(mut gateway: Gateway) {
    let process = gateway.process.id().to_string();
    let told = Command::new("kill").args(["-TERM", &process]).status();
    assert!(told.is_ok_and(|status| status.success()));
    let status = gateway.process.wait().expect("an end");
    assert!(status.success(), "{status}");
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let _ = self.process.kill();
    }
}
