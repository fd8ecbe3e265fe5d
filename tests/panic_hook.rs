//! The panic hook, in a process of its own, since a process has one for all of its threads: a panic is logged with its
//! place and without its words.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use formgate::cli::logging;
use tracing::Event;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Every event as text.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Written {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(event.metadata().target().to_owned());
        event.record(&mut fields);
        self.0.lock().expect("no panic").push(fields.0);
    }
}

#[test]
fn a_panic_is_logged_by_its_place_and_not_by_its_words() {
    let written = Written::default();
    let subscriber = tracing_subscriber::registry().with(written.clone());
    subscriber.try_init().expect("nothing logs yet");
    logging::log_panics();
    let thread = thread::Builder::new().name("hit".to_owned());
    let work = || -> () { panic!("planted: {}", std::hint::black_box("typed")) };
    let hit = thread.spawn(work).expect("a thread");
    assert!(hit.join().is_err(), "it panics all the same");
    let lines = written.0.lock().expect("no panic").clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    for part in ["formgate::panic", "tests/panic_hook.rs:", "thread=\"hit\""] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(
        !line.contains("planted") && !line.contains("typed"),
        "{line}"
    );
}
