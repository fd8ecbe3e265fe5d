//! What a service manager sees: sockets it hands over are served, and it is told how the program is.

use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::people::answer;
use crate::people::submission;
use crate::program::Place;
use crate::program::Start;
use crate::support::PATIENCE;
use crate::support::client::Ask;
use crate::support::client::Wire;
use crate::support::within;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const STOPS: &str = "[form]\nsubmit = \"POST /contact\"\n\n[[rule]]\non = \"preprocess\"\nreply = { msg = \"No.\", msg_type = \"error\" }\n";

/// A place whose one form stops everything.
fn place() -> Place {
    let place = Place::new();
    place.write("rules/contact.toml", STOPS);
    place
}

/// A socket for messages to the manager.
struct Told {
    socket: UnixDatagram,
    path: String,
}

impl Told {
    fn new(place: &Place) -> Self {
        let path = place.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self {
            socket,
            path: path.display().to_string(),
        }
    }

    /// The next message that is not just a sign of life.
    fn next(&self) -> Vec<String> {
        loop {
            let message = self.any();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    fn any(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message in time");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_manager_is_told_how_it_is() {
    let place = place();
    let told = Told::new(&place);
    let start = Start {
        environment: vec![("NOTIFY_SOCKET", told.path.clone())],
        ..Start::default()
    };
    let mut program = start.go(&place).await;
    assert_eq!(told.next(), ["READY=1", "STATUS=1 form, 0 hooks, 0 cases"]);
    program.signal("HUP");
    let reloading = told.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let usec = reloading[1]
        .strip_prefix("MONOTONIC_USEC=")
        .expect("a time");
    assert!(usec.parse::<u64>().is_ok_and(|usec| usec > 0), "{usec}");
    assert_eq!(told.next(), ["READY=1", "STATUS=1 form, 0 hooks, 0 cases"]);
    place.write("rules/contact.toml", "[form]\nsubmitt = 1\n");
    assert_eq!(told.next()[0], "RELOADING=1");
    let refused = "STATUS=2 errors in the rule files; those from before are in force";
    assert_eq!(told.next(), ["READY=1", refused]);
    program.signal("TERM");
    let stopping = [
        "STOPPING=1",
        "STATUS=finishing what is under way",
        "EXTEND_TIMEOUT_USEC=35000000",
    ];
    assert_eq!(told.next(), stopping);
    assert!(program.ended().await.success());
}

#[tokio::test]
async fn a_manager_that_wants_signs_of_life_gets_them() {
    let place = place();
    let told = Told::new(&place);
    let start = Start {
        environment: vec![
            ("NOTIFY_SOCKET", told.path.clone()),
            ("WATCHDOG_USEC", "400000".to_owned()),
        ],
        ..Start::default()
    };
    let program = start.go(&place).await;
    assert_eq!(told.any()[0], "READY=1");
    let began = tokio::time::Instant::now();
    for _ in 0..6 {
        assert_eq!(told.any(), ["WATCHDOG=1"]);
    }
    let took = began.elapsed();
    // The first comes at once, the others every half of the time.
    assert!(took >= Duration::from_millis(900), "{took:?}");
    // One that is stopped gives none.
    program.signal("STOP");
    told.socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a socket");
    let mut buffer = [0; 100];
    while told.socket.recv(&mut buffer).is_ok() {}
    program.signal("CONT");
    told.socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    assert_eq!(told.any(), ["WATCHDOG=1"]);
}

#[tokio::test]
async fn a_socket_that_is_handed_over_is_served() {
    let place = place();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let start = Start {
        public: Some(&socket),
        ..Start::default()
    };
    let program = start.go(&place).await;
    assert_eq!(program.address, address);
    assert_eq!(program.hello["handed_over"], 1);
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream
        .write_all(&submission("a"))
        .await
        .expect("a connection");
    let answer = answer(&mut stream, &mut Vec::new())
        .await
        .expect("an answer");
    assert_eq!(answer.0, 422);
}

#[tokio::test]
async fn the_operator_s_socket_is_known_by_its_name() {
    let place = place();
    let [public, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let start = Start {
        public: Some(&public),
        admin: Some(&admin),
        ..Start::default()
    };
    let mut program = start.go(&place).await;
    let address = admin.local_addr().expect("an address");
    let asked =
        |path: &'static str| async move { Ask::new(address, "GET", path).send().await.status };
    assert_eq!(asked("/readyz").await, 200);
    let people = Ask::new(program.address, "POST", "/contact").form("a=1");
    assert_eq!(people.send().await.status, 422);
    program.signal("TERM");
    assert!(program.ended().await.success());
}

#[tokio::test]
async fn what_is_no_socket_is_refused() {
    let place = place();
    let ran = Command::new("sh")
        .args([
            "-c",
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve 3</dev/null",
        ])
        .arg(env!("CARGO_BIN_EXE_formgate"))
        .current_dir(place.path())
        .env("LISTEN_FDNAMES", "formgate.socket")
        .output()
        .expect("it runs");
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        said.contains("the service manager handed over `formgate.socket`: fd 3 is not a socket"),
        "{said}"
    );
}

#[tokio::test]
async fn what_does_not_listen_is_refused() {
    let place = place();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    for name in ["admin", "formgate.socket"] {
        let stream = std::net::TcpStream::connect(address).expect("a connection");
        let ran = Command::new("sh")
            .args([
                "-c",
                "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --listen 127.0.0.1:0",
            ])
            .arg(env!("CARGO_BIN_EXE_formgate"))
            .current_dir(place.path())
            .env("LISTEN_FDNAMES", name)
            .stdin(OwnedFd::from(stream))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut program = Ending(ran.expect("it runs"));
        let mut said = String::new();
        let stderr = program.0.stderr.take().expect("piped");
        // Its first line: one that serves would go on for ever.
        BufReader::new(stderr).read_line(&mut said).expect("text");
        let why = format!("handed over `{name}`, which is a connection and does not listen");
        assert!(said.contains(&why), "{said}");
    }
}

/// A program that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is there; if not, the test that needs it is skipped.
fn has(program: &str) -> bool {
    use std::io::Write;

    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        !all,
        "{program} is not installed, and FORMGATE_REQUIRE_ALL=1"
    );
    let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    false
}

#[tokio::test]
async fn systemd_s_own_tool_starts_it_when_somebody_comes() {
    if !has("systemd-socket-activate") {
        return;
    }
    let place = place();
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = free.expect("a port");
    let mut child = Command::new("systemd-socket-activate")
        .args(["--fdname=formgate.socket", "-l", &address.to_string()])
        .args([env!("CARGO_BIN_EXE_formgate"), "serve"])
        .current_dir(place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let connect = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                // It does not say when it begins to listen, so it is asked again and again.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let stream = within("the tool to listen", connect).await;
    let mut wire = Wire {
        stream,
        ahead: Vec::new(),
    };
    wire.write(&submission("a")).await;
    let status = wire.answer().await.status;
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(status, 422);
}
