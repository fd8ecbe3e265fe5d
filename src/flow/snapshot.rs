//! Everything a request works with, as one immutable value: the book, its hooks made ready, its backends, the keys. Owns
//! making the next one from the one before, so that connections and breakers survive a reload.

use std::sync::Arc;

use crate::backend::Backends;
use crate::flow::places::Places;
use crate::flow::trust::Trust;
use crate::hooks::target::Targets;
use crate::metrics::meters::FormMeter;
use crate::metrics::meters::PageMeter;
use crate::metrics::register::DISCOVERED;
use crate::metrics::register::Metrics;
use crate::model::origin::Origin;
use crate::rules::book::Book;
use crate::rules::form::Form;
use crate::wire::connect::Connector;
use crate::wire::pool;

/// What a request works with from its beginning to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// The rule files.
    pub book: Arc<Book>,
    /// The hooks, ready to be called.
    pub targets: Targets,
    /// The backends.
    pub backends: Backends,
    /// The places for submissions.
    pub places: Places,
    /// What pages are counted with.
    pub pages: Arc<PageMeter>,
    /// Whom to believe.
    pub trust: Arc<Trust>,
    /// What forms count with, by their number.
    meters: Vec<Arc<FormMeter>>,
}

/// How the gateway reaches others.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The backend of forms that name none.
    pub backend: Origin,
    /// Makes connections to backends.
    pub to_backends: Connector,
    /// Keeps connections to backends.
    pub backend_pool: pool::Settings,
    /// Makes connections to responders.
    pub to_hooks: Connector,
    /// Keeps connections to responders.
    pub hook_pool: pool::Settings,
}

impl Snapshot {
    /// Makes a book ready to be worked with.
    #[must_use]
    pub fn new(
        book: Arc<Book>,
        reach: &Reach,
        trust: Arc<Trust>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Self {
        let none = Targets::default();
        let targets = before.map_or(&none, |before| &before.targets);
        let backends = before.map(|before| &before.backends);
        Self {
            places: Places::prepare(&book, before.map(|before| &before.places)),
            targets: Targets::prepare(
                &book,
                &reach.to_hooks,
                &reach.hook_pool,
                &metrics.hooks,
                targets,
            ),
            backends: Backends::prepare(
                &book,
                &reach.backend,
                (&reach.to_backends, &reach.backend_pool),
                &metrics.backends,
                backends,
            ),
            pages: Arc::clone(&metrics.pages),
            meters: meters(&book, metrics),
            trust,
            book,
        }
    }

    /// What a form counts with.
    #[must_use]
    pub fn meter(&self, form: &Form) -> Option<&Arc<FormMeter>> {
        self.meters.get(form.number)
    }
}

fn meters(book: &Book, metrics: &Metrics) -> Vec<Arc<FormMeter>> {
    let own = book.forms().iter().map(|form| form.id.as_str());
    let discovered = book.discovered().map(|_| DISCOVERED);
    let labels = own.chain(discovered);
    let keys = labels.map(|label| [label.to_owned(), String::new()]);
    metrics.forms.adopt(keys)
}
