//! The end of a process while people submit, and the next one on the same socket: whatever was sent is answered whole,
//! nobody is refused, and what people are told is what the backend has got.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::people;
use crate::people::People;
use crate::people::Seen;
use crate::people::plainly;
use crate::program::Place;
use crate::program::Program;
use crate::program::Start;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::within;

/// Everything around a gateway: backend, responder, and the socket that outlives each process.
struct World {
    place: Place,
    backend: Peer,
    hooks: Peer,
    socket: TcpListener,
    address: SocketAddr,
}

impl World {
    async fn new() -> Self {
        let (backend, hooks) = (Peer::start().await, Peer::start().await);
        hooks.reply(&json!({}));
        // A tunnel that sends back whatever comes.
        backend.at(
            "/tunnel",
            Script::custom(|_, mut wire| async move {
                wire.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
                    .await;
                while wire.more().await {
                    let come = std::mem::take(&mut wire.ahead);
                    wire.write(&come).await;
                }
            }),
        );
        let place = Place::new();
        let config = format!("backend = '{}'\n[limits]\ndrain = '15s'\n", backend.url());
        place.write("formgate.toml", &config);
        let rules = format!(
            "[form]\nsubmit = \"POST /contact\"\nbudget = \"30s\"\n\n[[hook]]\non = \"preprocess\"\nurl = \"{}/check\"\ntimeout = \"20s\"\n",
            hooks.url()
        );
        place.write("rules/contact.toml", &rules);
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        Self {
            place,
            backend,
            hooks,
            socket,
            address,
        }
    }

    async fn start(&self) -> Program {
        let start = Start {
            public: Some(&self.socket),
            ..Start::default()
        };
        start.go(&self.place).await
    }

    async fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.address).await;
        Wire {
            stream: stream.expect("a connection"),
            ahead: Vec::new(),
        }
    }
}

/// What people were told is what the backend has got, and nothing else went wrong.
fn assert_truthful(world: &World, seen: &Seen, others: &[&str]) {
    let mut arrived = people::arrived(&world.backend.received(), seen);
    for other in others {
        assert!(arrived.remove(*other), "{other} has not arrived");
    }
    let wrong = seen.wrong.lock().expect("no panic").clone();
    assert!(wrong.is_empty(), "{} things: {wrong:#?}", wrong.len());
    let accepted = seen.accepted.lock().expect("no panic").clone();
    assert_eq!(accepted, arrived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_loses_a_submission_when_a_process_is_replaced() {
    let world = World::new().await;
    let mut old = world.start().await;
    let connect = plainly(world.address);
    let mut people = People::new();
    people.keeping(64, &connect, |_, _| Ok(()));
    people.multiplexing(4, &connect);
    people.go_on_for(300).await;

    // An upload that is half here, a hook that takes its time, and a tunnel.
    let mut uploading = world.connect().await;
    let head = "POST /contact HTTP/1.1\r\nhost: forms.example.org\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 11\r\n\r\nname=";
    uploading.write(head.as_bytes()).await;
    let (go, gone) = tokio::sync::watch::channel(false);
    world.hooks.at(
        "/check",
        Script::custom(move |call, mut wire| {
            let mut gone = gone.clone();
            async move {
                if call.json()["doc"]["name"] == "hooked" {
                    let _ = gone.wait_for(|go| *go).await;
                }
                wire.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
                    .await;
            }
        }),
    );
    let mut hooked = world.connect().await;
    hooked.write(&people::submission("hooked")).await;
    let hooked_call = async {
        while !world
            .hooks
            .received()
            .iter()
            .any(|call| call.text().contains("\"hooked\""))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("the hook to be asked", hooked_call).await;
    let mut tunnel = world.connect().await;
    tunnel
        .write(b"GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await.expect("a tunnel");

    old.signal("TERM");
    let mut new = world.start().await;
    people.go_on_for(300).await;
    uploading.write(b"upload").await;
    go.send_replace(true);
    for wire in [&mut uploading, &mut hooked] {
        let answer = wire.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // The tunnel goes on until the time for ending is up.
    tunnel.write(b"still there?").await;
    tunnel.until("still there?").await.expect("an echo");
    assert!(tunnel.rest().await.is_empty());
    assert!(old.ended().await.success());
    old.wait_for_log("not everything was finished within limits.drain")
        .await;

    people.go_on_for(100).await;
    let seen = people.leave().await;
    new.signal("TERM");
    assert!(new.ended().await.success());
    assert!(seen.moved.load(Ordering::Relaxed) >= 68, "everybody moved");
    assert_truthful(&world, &seen, &["upload", "hooked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_there_is_no_process_waits_for_the_next() {
    let world = World::new().await;
    let mut old = world.start().await;
    old.signal("TERM");
    assert!(old.ended().await.success());
    let mut waiting = Vec::new();
    for number in 0..32 {
        let mut stream = TcpStream::connect(world.address)
            .await
            .expect("the system lets it in");
        let name = format!("waiting-{number}");
        stream
            .write_all(&people::submission(&name))
            .await
            .expect("a connection");
        waiting.push((name, stream));
    }
    let _new = world.start().await;
    for (name, mut stream) in waiting {
        let answer = people::answer(&mut stream, &mut Vec::new()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(200), "{name}");
    }
    assert_eq!(world.backend.count(), 32);
}

/// Without a socket that outlives it, the next process cannot be there in time; but nobody who was let in is reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_let_in_is_answered_at_the_end() {
    let world = World::new().await;
    let mut program = Start::default().go(&world.place).await;
    let connect = plainly(program.address);
    let mut people = People::new();
    people.keeping(64, &connect, |_, _| Ok(()));
    people.multiplexing(4, &connect);
    people.go_on_for(300).await;
    program.signal("TERM");
    assert!(program.ended().await.success());
    let seen = people.leave().await;
    {
        // They could not come again, of course; and between the gateway's last look and the closing of the socket the
        // system may let somebody in. Nothing of that goes on.
        let mut wrong = seen.wrong.lock().expect("no panic");
        wrong.retain(|what| !what.contains("no connection: Connection refused"));
        if wrong.len() <= 2 {
            wrong.clear();
        }
    }
    assert_truthful(&world, &seen, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_although_a_collector_does_not_answer() {
    let (world, collector) = (World::new().await, Peer::start().await);
    collector.always(Script::custom(|_, mut wire| async move {
        while wire.more().await {}
    }));
    let start = Start {
        environment: vec![
            ("FORMGATE_TELEMETRY_OTLP", collector.url()),
            ("FORMGATE_TELEMETRY_OTLP_TIMEOUT", "600s".to_owned()),
            ("FORMGATE_LIMITS_DRAIN", "600s".to_owned()),
        ],
        ..Start::default()
    };
    let mut program = start.go(&world.place).await;
    let mut person = Wire::connect(program.address).await;
    person.write(&people::submission("traced")).await;
    assert_eq!(person.answer().await.status, 200);
    drop(person);
    program.signal("TERM");
    collector.wait_for(1).await;
    program.signal("TERM");
    assert!(program.ended().await.success());
    program.wait_for_log("ended at once").await;
}

/// A store that says nothing is no reason not to end.
#[tokio::test]
async fn a_signal_ends_it_while_it_waits_for_its_store() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let silent = silent.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let config = format!(
        "backend = '{}'\n[store]\nurl = 'postgres://formgate@127.0.0.1:{port}/formgate'\n",
        world.backend.url()
    );
    world.place.write("formgate.toml", &config);
    let child = Command::new(env!("CARGO_BIN_EXE_formgate"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(world.place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let _connection = within("its connection", silent.accept()).await;
    let id = child.id().to_string();
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s TERM \"$0\"", &id]);
    assert!(kill.status().expect("it runs").success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let ended = within("its end", ended).await.expect("no panic");
    let ended = ended.expect("a child");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("ended before the store was open"), "{said}");
}

/// A file that somebody else should have filled is no reason not to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_while_it_reads_what_nobody_writes() {
    let world = World::new().await;
    let mut program = Start::default().go(&world.place).await;
    let pipe = world.place.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("it runs").success());
    let rules = format!(
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"{}/check\"\nsecrets = [\"file:{}\"]\n",
        world.hooks.url(),
        pipe.display()
    );
    world.place.write("rules/contact.toml", &rules);
    // Opened as soon as somebody reads it.
    let opened = tokio::task::spawn_blocking(move || {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).open(pipe)
    });
    let opened = within("a reader", opened).await.expect("no panic");
    program.signal("TERM");
    assert!(program.ended().await.success());
    drop(opened.expect("a pipe"));
}
