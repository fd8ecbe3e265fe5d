//! `[store]`: where jobs are kept, and for how long. Owns taking its keys over, wherever each of them was said, and
//! showing them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::config::apply::Draft;
use crate::config::apply::secret_of;
use crate::config::apply::set;
use crate::source::measure::show_duration;
use crate::source::measure::show_size;
use crate::source::table::Table;
use crate::store::settings::Place;
use crate::store::settings::Settings;

/// What is said of a store, wherever it is.
#[derive(Default)]
pub(in crate::config) struct Keep {
    jobs: Option<Duration>,
    bodies: Option<Duration>,
    queue: Option<usize>,
}

impl Config {
    pub(in crate::config) fn apply_store(
        &mut self,
        table: &Table<'_>,
        folder: &Path,
        draft: &mut Draft,
    ) {
        let time = |name: &str| table.duration(name).map(|placed| placed.value);
        let queue = table.size("queue").map(|placed| placed.value);
        let queue = queue.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let keep = &mut draft.keep;
        keep.jobs = time("keep_jobs").or(keep.jobs);
        keep.bodies = time("keep_bodies").or(keep.bodies);
        keep.queue = queue.or(keep.queue);
        if let Some((password, reference)) = secret_of(table, "password", folder) {
            draft.password = Some(password);
            let path = "store.password".to_owned();
            self.references.insert(path, reference);
        }
        let place = table.text("url").and_then(|url| {
            // A password may stand in it, which is complained of.
            if url.value.contains('@') {
                table.page().conceal(url.span.clone());
            }
            let place = table.parsed(&url, |text| Place::parse(text, folder));
            place.map(|placed| placed.value)
        });
        let before = self.store.take().map(|store| store.place);
        let Some(mut place) = place.or(before) else {
            // A URL that was given but could not be read has been complained of.
            let complaint = || {
                let mend = "add url = \"sqlite:formgate.db\", or leave the table out";
                let page = table.page();
                page.complaint(table.span(), "[store] needs a `url`", mend)
            };
            draft.store_is_nowhere = (!table.has("url")).then(complaint);
            return;
        };
        draft.store_is_nowhere = None;
        if let (Place::Postgres(server), Some(password)) = (&mut place, &draft.password) {
            server.password = Some(password.clone());
        }
        let mut settings = Settings::at(place);
        set(&mut settings.keep_jobs, keep.jobs);
        set(&mut settings.keep_bodies, keep.bodies);
        set(&mut settings.queue, keep.queue);
        self.store = Some(settings);
    }

    /// The keys that have a value, as TOML; of the password only where it comes from.
    pub(in crate::config) fn shown_store(&self) -> Vec<(&'static str, String)> {
        let Some(store) = &self.store else {
            return Vec::new();
        };
        let quoted = |text: &str| Value::from(text).to_string();
        let time = |duration: Duration| quoted(&show_duration(duration));
        let queue = u64::try_from(store.queue).unwrap_or(u64::MAX);
        let mut shown = vec![("store.url", quoted(&store.place.to_string()))];
        let password = self.references.get("store.password");
        shown.extend(password.map(|reference| ("store.password", quoted(reference))));
        shown.extend([
            ("store.keep_jobs", time(store.keep_jobs)),
            ("store.keep_bodies", time(store.keep_bodies)),
            ("store.queue", quoted(&show_size(queue))),
        ]);
        shown
    }
}
