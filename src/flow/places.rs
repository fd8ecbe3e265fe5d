//! How many submissions of each form are under way. Owns the counts, which survive a reload; what the person is told
//! where there is no place is left to [`crate::flow::error`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::rules::book::Book;
use crate::rules::form::Form;

/// The places of all forms.
#[derive(Debug, Default)]
pub struct Places {
    /// How many are taken, by the form's id.
    taken: HashMap<String, Arc<AtomicUsize>>,
}

/// One submission's place, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// The places of a book's forms. What was under way `before` still counts.
    #[must_use]
    pub fn prepare(book: &Book, before: Option<&Self>) -> Self {
        let known = |id: &str| before.and_then(|before| before.taken.get(id)).cloned();
        let forms = book.forms().iter().chain(book.discovered());
        let taken = forms.map(|form| (form.id.clone(), known(&form.id).unwrap_or_default()));
        Self {
            taken: taken.collect(),
        }
    }

    /// Takes a place of a form, which has as many as its rule file says, else `most`.
    ///
    /// # Errors
    /// All are taken; the name of the limit.
    pub fn take(&self, form: &Form, most: usize) -> Result<Option<Place>, &'static str> {
        let Some(taken) = self.taken.get(&form.id) else {
            return Ok(None);
        };
        let (most, limit) = match form.at_once {
            Some(own) => (own, "at_once"),
            None => (most, "limits.submissions"),
        };
        // Given back at once if it is one too many.
        let before = taken.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(taken));
        if before < most {
            Ok(Some(place))
        } else {
            Err(limit)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
