//! Labels that come from rule files: bounded, kept over reloads, and forgotten in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// How long the numbers of what is in no rule file any more are still given out, so that the last of them are seen.
const GRACE: Duration = Duration::from_secs(600);

/// The label of all that are too many.
pub const OTHER: &str = "(other)";

/// A label's values: one, or two that belong together.
pub type Key = [String; 2];

/// Meters by the label values that they are given out with. What is counted in one is left to its kind.
#[derive(Debug)]
pub struct Shelf<M> {
    most: usize,
    kept: Mutex<BTreeMap<Key, Entry<M>>>,
    other: Arc<M>,
}

#[derive(Debug)]
struct Entry<M> {
    meter: Arc<M>,
    /// Since when it is in no rule file any more.
    gone: Option<Instant>,
}

impl<M: Default> Shelf<M> {
    /// Room for so many; the rest share one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::default(),
            other: Arc::default(),
        }
    }

    /// A meter for each of these, which are all that there are from now on. Those that were there before go on counting.
    #[must_use]
    pub fn adopt(&self, keys: impl IntoIterator<Item = Key>) -> Vec<Arc<M>> {
        let now = Instant::now();
        let mut kept = self.lock();
        forget(&mut kept, now);
        for entry in kept.values_mut() {
            entry.gone = entry.gone.or(Some(now));
        }
        let keys: Vec<Key> = keys.into_iter().collect();
        // First those that are known, so that none of them has to make room for a new one.
        for key in &keys {
            if let Some(entry) = kept.get_mut(key) {
                entry.gone = None;
            }
        }
        let adopted = keys.into_iter().map(|key| {
            if let Some(entry) = kept.get(&key) {
                return Arc::clone(&entry.meter);
            }
            if kept.len() >= self.most && !make_room(&mut kept) {
                return Arc::clone(&self.other);
            }
            let meter = Arc::default();
            let entry = Entry {
                meter: Arc::clone(&meter),
                gone: None,
            };
            kept.insert(key, entry);
            meter
        });
        adopted.collect()
    }

    /// All that are given out now, by their label values.
    #[must_use]
    pub fn shown(&self) -> Vec<(Key, Arc<M>)> {
        let mut kept = self.lock();
        forget(&mut kept, Instant::now());
        let own = kept.iter();
        let mut all: Vec<(Key, Arc<M>)> = own
            .map(|(key, entry)| (key.clone(), Arc::clone(&entry.meter)))
            .collect();
        // Somebody besides this shelf counts with it.
        if Arc::strong_count(&self.other) > 1 || all.len() >= self.most {
            all.push((
                [OTHER.to_owned(), OTHER.to_owned()],
                Arc::clone(&self.other),
            ));
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry<M>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget<M>(kept: &mut BTreeMap<Key, Entry<M>>, now: Instant) {
    kept.retain(|_, entry| entry.gone.is_none_or(|since| now - since < GRACE));
}

/// Forgets the one that has been gone for longest, if any has.
fn make_room<M>(kept: &mut BTreeMap<Key, Entry<M>>) -> bool {
    let gone = kept.iter().filter(|(_, entry)| entry.gone.is_some());
    let oldest = gone
        .min_by_key(|(_, entry)| entry.gone)
        .map(|(key, _)| key.clone());
    oldest.is_some_and(|key| kept.remove(&key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::instrument::Counter;

    fn keys(names: &[&str]) -> Vec<Key> {
        let keys = names.iter();
        keys.map(|name| [(*name).to_owned(), String::new()])
            .collect()
    }

    fn shown(shelf: &Shelf<Counter>) -> Vec<(String, u64)> {
        let shown = shelf.shown().into_iter();
        shown
            .map(|([name, _], meter)| (name, meter.get()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_goes_on_counting_and_what_goes_is_forgotten_in_the_end() {
        let shelf = Shelf::<Counter>::new(10);
        let first = shelf.adopt(keys(&["a", "b"]));
        first[0].inc();
        first[1].inc();
        let second = shelf.adopt(keys(&["b", "c"]));
        second[0].inc();
        let both = [
            ("a".to_owned(), 1),
            ("b".to_owned(), 2),
            ("c".to_owned(), 0),
        ];
        assert_eq!(shown(&shelf), both);
        tokio::time::advance(GRACE / 2).await;
        shelf.adopt(keys(&["a", "b"]))[0].inc();
        tokio::time::advance(GRACE).await;
        assert_eq!(shown(&shelf), [("a".to_owned(), 2), ("b".to_owned(), 2)]);
        let again = shelf.adopt(keys(&["c"]));
        assert_eq!(again[0].get(), 0, "it was forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_share_one_label() {
        let shelf = Shelf::<Counter>::new(2);
        let all = shelf.adopt(keys(&["a", "b", "c", "d"]));
        all.iter().for_each(|meter| meter.inc());
        let other = (OTHER.to_owned(), 2);
        let two = [("a".to_owned(), 1), ("b".to_owned(), 1), other.clone()];
        assert_eq!(shown(&shelf), two);
        // Whatever is gone makes room, the oldest first, and nobody who stays is moved.
        let next = shelf.adopt(keys(&["d", "b"]));
        next.iter().for_each(|meter| meter.inc());
        let names = shown(&shelf);
        assert_eq!(names, [("b".to_owned(), 2), ("d".to_owned(), 1), other]);
    }
}
