//! What must hold of every submission, whatever goes wrong. Owns the judgement, once nothing is under way any more,
//! and the word for an outcome.

use crate::lane::Outcome;
use crate::lane::Submitted;
use crate::ledger::Entry;
use crate::ledger::Ledger;
use crate::person::Told;

/// The word for what came of a submission.
pub(crate) fn word(told: &Told, taken: bool) -> &'static str {
    match (told, taken) {
        (Told::Accepted, _) => "accepted",
        (Told::Half, _) => "half",
        (Told::Saved, _) => "saved",
        (Told::Nothing, _) => "nothing",
        (Told::Unknown, true) => "unknown, it was",
        (Told::Unknown, false) => "unknown, it was not",
        (Told::Silence, true) => "silence, it was",
        (Told::Silence, false) => "silence, it was not",
        (Told::Nonsense(_), _) => "nonsense",
    }
}

/// What came of a case, in a word.
pub(crate) fn outcome(outcome: &Outcome, ledger: &Ledger) -> &'static str {
    let Submitted { id, told, .. } = &outcome.submitted;
    word(told, ledger.of(id).taken > 0)
}

/// Everything that must not be.
pub(crate) fn faults(outcome: &Outcome, ledger: &Ledger) -> Vec<String> {
    let all = outcome.others.iter().chain([&outcome.submitted]);
    let wrong = all.filter_map(|submitted| {
        let wrong = wrong(submitted, &ledger.of(&submitted.id))?;
        Some(format!("{wrong}: {submitted:?}"))
    });
    let wrong = outcome.wrong.iter().cloned().chain(wrong);
    wrong
        .map(|wrong| format!("{:?}: {wrong}", outcome.case))
        .collect()
}

fn wrong(submitted: &Submitted, entry: &Entry) -> Option<String> {
    let is_taken = entry.taken > 0;
    let told = match &submitted.told {
        Told::Accepted | Told::Half | Told::Saved if !is_taken => {
            "told that it was submitted, but it was not"
        }
        Told::Nothing if is_taken => "told that nothing was submitted, but it was",
        Told::Nonsense(_) => "told nonsense",
        _ => "",
    };
    let wrongs = [
        (!told.is_empty(), told),
        (entry.taken > 1, "submitted more than once"),
        (
            entry.differs && !submitted.garbled,
            "submitted, but as something else",
        ),
        (entry.before > 1, "asked about more than once before"),
        (entry.after > 1, "asked about more than once afterwards"),
        (
            is_taken && entry.before == 0,
            "submitted without having been asked about",
        ),
        (
            entry.after > 0 && !is_taken,
            "asked about afterwards, but it was not submitted",
        ),
    ];
    let found: Vec<&str> = wrongs
        .into_iter()
        .filter_map(|(is_so, what)| is_so.then_some(what))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}
