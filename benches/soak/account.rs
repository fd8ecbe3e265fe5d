//! The account of every submission. Owns what was seen of each, and whether it adds up.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::chaos;
use crate::chaos::Before;
use crate::chaos::Behind;
use crate::people::id;
use crate::people::kind_of;
use crate::person::Told;

/// What is known of one submission.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// How often it was asked about before.
    before: u8,
    /// How often the backend took it.
    taken: u8,
    /// How often it was asked about afterwards.
    after: u8,
    /// Whether what was taken was something else.
    differs: bool,
    end: End,
}

/// What the person knows at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// Nothing, as they have gone away.
    #[default]
    Left,
    Accepted,
    /// The beginning of the backend's answer, or the gateway's word that it was submitted.
    Half,
    Nothing,
    Unknown,
    /// Nothing, although they waited.
    Silence,
    Nonsense,
}

const ENDS: [(End, &str); 7] = [
    (End::Accepted, "accepted"),
    (End::Half, "accepted, but the answer broke off"),
    (End::Unknown, "not known"),
    (End::Nothing, "nothing was submitted"),
    (End::Left, "nothing: the person had gone"),
    (End::Silence, "nothing: the stream was reset"),
    (End::Nonsense, "nonsense"),
];

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    lines: Mutex<Vec<Line>>,
}

impl Account {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().expect("no panic")
    }

    fn note(&self, number: usize, note: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lines().get_mut(number) {
            note(line);
        }
    }

    /// How many submissions there were.
    pub(crate) fn count(&self) -> usize {
        self.lines().len()
    }

    /// The number of a new one.
    pub(crate) fn begin(&self) -> usize {
        let mut lines = self.lines();
        lines.push(Line::default());
        lines.len() - 1
    }

    /// A hook was called.
    pub(crate) fn asked(&self, number: usize, is_before: bool) {
        self.note(number, |line| {
            let times = if is_before {
                &mut line.before
            } else {
                &mut line.after
            };
            *times = times.saturating_add(1);
        });
    }

    /// The backend took it.
    pub(crate) fn taken(&self, number: usize, body: &[u8]) {
        let differs = kind_of(number).expected("", &id(number), None) != body;
        self.note(number, |line| {
            line.taken = line.taken.saturating_add(1);
            line.differs |= differs;
        });
    }

    /// The person went away.
    pub(crate) fn left(&self, number: usize) {
        self.note(number, |line| line.end = End::Left);
    }

    /// The person was told something.
    pub(crate) fn told(&self, number: usize, told: &Told) {
        let end = match told {
            Told::Accepted => End::Accepted,
            Told::Half | Told::Saved => End::Half,
            Told::Nothing => End::Nothing,
            Told::Unknown => End::Unknown,
            Told::Silence => End::Silence,
            Told::Nonsense(what) => {
                println!("{}: {what}", id(number));
                End::Nonsense
            }
        };
        self.note(number, |line| line.end = end);
    }

    /// A table of everything, and what is wrong.
    pub(crate) fn settle(&self) -> (String, Vec<String>) {
        let lines = self.lines();
        let mut table =
            "| the person was told | submissions | taken by the backend |\n|---|---:|---:|\n"
                .to_owned();
        let mut taken_in_all = 0;
        for (end, words) in ENDS {
            let these = lines.iter().filter(|line| line.end == end);
            let (count, taken) = these.fold((0, 0), |(count, taken), line| {
                (count + 1, taken + usize::from(line.taken))
            });
            let _ = writeln!(table, "| {words} | {count} | {taken} |");
            taken_in_all += taken;
        }
        let _ = writeln!(table, "| in all | {} | {taken_in_all} |", lines.len());
        let wrong = lines.iter().enumerate().filter_map(|(number, line)| {
            let wrong = wrong(number, *line)?;
            Some(format!(
                "{}: {wrong}: {line:?}, {:?}, {:?}",
                id(number),
                chaos::before(number),
                chaos::behind(number)
            ))
        });
        let mut wrong: Vec<String> = wrong.collect();
        let count = wrong.len();
        wrong.truncate(20);
        if count > wrong.len() {
            wrong.push(format!("and {} more", count - wrong.len()));
        }
        (table, wrong)
    }
}

/// What must not be.
fn wrong(number: usize, line: Line) -> Option<&'static str> {
    let is_taken = line.taken > 0;
    let may_go_on = matches!(chaos::before(number), Before::Well | Before::Slow);
    // Seen now and then where an answer breaks off over HTTP/2: probably the reset of its stream overtakes its head.
    let may_be_silent = kind_of(number).http2 && chaos::behind(number) == Behind::Half;
    let is_silent = line.end == End::Silence && !may_be_silent;
    let wrongs = [
        (line.taken > 1, "taken more than once"),
        (line.differs, "taken as something else"),
        (is_taken && !may_go_on, "taken against the hook"),
        (
            is_taken && line.before == 0,
            "taken without having been asked about",
        ),
        (
            line.before > 1 || line.after > 1,
            "asked about more than once",
        ),
        (
            line.after > 0 && !is_taken,
            "asked about afterwards, but not taken",
        ),
        (
            matches!(line.end, End::Accepted | End::Half) && !is_taken,
            "said to be submitted, but not taken",
        ),
        (
            line.end == End::Nothing && is_taken,
            "said not to be submitted, but taken",
        ),
        (
            is_silent || line.end == End::Nonsense,
            "no answer to somebody who waited",
        ),
    ];
    wrongs
        .into_iter()
        .find_map(|(is_so, what)| is_so.then_some(what))
}
