//! What was logged while a test ran, as fields.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Map;
use serde_json::Value;
use tracing::Event;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// Everything that was logged on this test's thread – a test's gateway runs on it – since it began.
pub(crate) struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
    /// The target whose next event makes whoever logs it panic.
    trap: Arc<Mutex<Option<&'static str>>>,
    _guard: DefaultGuard,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// `formgate::job`, …
    pub(crate) target: String,
    /// `INFO`, …
    pub(crate) level: String,
    /// Its fields, `message` among them.
    pub(crate) fields: Map<String, Value>,
}

impl Log {
    /// Begins to record.
    pub(crate) fn begin() -> Self {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let trap = Arc::default();
        let recorder = Recorder(Arc::clone(&entries), Arc::clone(&trap));
        let subscriber = tracing_subscriber::registry().with(recorder);
        let guard = tracing::subscriber::set_default(subscriber);
        Self {
            entries,
            trap,
            _guard: guard,
        }
    }

    /// Makes whoever next logs something for this target panic in the middle of it: a subscriber is the one thing that
    /// the gateway calls and a test can bring along.
    pub(crate) fn panic_at(&self, target: &'static str) {
        *self.trap.lock().expect("no panic") = Some(target);
    }

    /// Everything of the gateway so far.
    pub(crate) fn all(&self) -> Vec<Entry> {
        self.entries.lock().expect("no panic").clone()
    }

    /// What was logged for a target, oldest first.
    pub(crate) fn of(&self, target: &str) -> Vec<Map<String, Value>> {
        let entries = self.all().into_iter();
        entries
            .filter(|entry| entry.target == target)
            .map(|entry| entry.fields)
            .collect()
    }

    /// The jobs.
    pub(crate) fn jobs(&self) -> Vec<Map<String, Value>> {
        self.of("formgate::job")
    }

    /// Everything as one text, to look for what must not be in it.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.all())
    }
}

struct Recorder(Arc<Mutex<Vec<Entry>>>, Arc<Mutex<Option<&'static str>>>);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        if !meta.target().starts_with("formgate") {
            return;
        }
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let trapped = self
            .1
            .lock()
            .expect("no panic")
            .take_if(|at| *at == meta.target());
        assert!(
            trapped.is_none(),
            "planted words of a panic at {}",
            meta.target()
        );
        self.0.lock().expect("no panic").push(Entry {
            target: meta.target().to_owned(),
            level: meta.level().to_string(),
            fields: fields.0,
        });
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
