//! The table in docs/FAULTS.md: where, what, and what came of it. Owns all places and faults there are, reading the
//! table and writing it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::lane::Case;
use crate::lane::SIDES;
use crate::lane::Side;
use crate::support::relay::Fault;
use crate::support::relay::Plan;
use crate::support::relay::Point;
use crate::support::relay::Way;

const FAULTS: [Fault; 7] = [
    Fault::Delay,
    Fault::Drip,
    Fault::Duplicate,
    Fault::Stall,
    Fault::Half,
    Fault::Cut,
    Fault::Reset,
];
const POINTS: [Point; 4] = [
    Point::InHead,
    Point::AfterHead,
    Point::InBody,
    Point::AfterBody,
];

/// Everything that can go wrong: where, and what.
pub(crate) fn places() -> Vec<(Side, Option<Plan>)> {
    let mut places = Vec::new();
    for side in SIDES {
        if side != Side::Person {
            places.push((side, None));
        }
        for fault in FAULTS {
            if matches!(fault, Fault::Drip | Fault::Duplicate) {
                continue;
            }
            let (way, point) = (Way::There, Point::Connected);
            places.push((side, Some(Plan { way, point, fault })));
        }
        for way in [Way::There, Way::Back] {
            for point in POINTS {
                let plans = FAULTS.map(|fault| Plan { way, point, fault });
                places.extend(plans.map(|plan| (side, Some(plan))));
            }
        }
    }
    places
}

/// Between whom, and at which step.
type Row = (Side, Option<(Way, Point)>);

/// What came of what, and how often.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cells: BTreeMap<Row, BTreeMap<String, BTreeSet<String>>>,
    counts: BTreeMap<(Side, String), usize>,
}

fn row(case: &Case) -> Row {
    (case.side, case.plan.map(|plan| (plan.way, plan.point)))
}

/// What stands where nothing was tried.
const NONE: &str = "–";
const REFUSED: &str = "Refused";

fn fault(case: &Case) -> String {
    case.plan
        .map_or(REFUSED.to_owned(), |plan| format!("{:?}", plan.fault))
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FAULTS.md")
}

const BEGIN: &str = "<!-- begin of what tests/faults writes -->\n";
const END: &str = "<!-- end of what tests/faults writes -->\n";

impl Table {
    /// Adds an outcome.
    pub(crate) fn note(&mut self, case: &Case, word: &str) {
        let cells = self.cells.entry(row(case)).or_default();
        cells
            .entry(fault(case))
            .or_default()
            .insert(word.to_owned());
        *self.counts.entry((case.side, word.to_owned())).or_default() += 1;
    }

    /// The table in the docs.
    pub(crate) fn written() -> Self {
        let text = fs::read_to_string(page()).unwrap_or_default();
        let mut table = Self::default();
        let rows: BTreeMap<String, Row> = places()
            .into_iter()
            .map(|(side, plan)| (side, plan.map(|plan| (plan.way, plan.point))))
            .map(|row| (heading(row), row))
            .collect();
        for line in text.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let Some((side, step)) = rows.get(cells[0]).copied() else {
                continue;
            };
            let cells = columns().into_iter().zip(cells.into_iter().skip(1));
            for (fault, cell) in cells.filter(|(_, cell)| *cell != NONE) {
                let words = cell.split("; ").map(str::to_owned).collect();
                let row = (side, step.filter(|_| fault != REFUSED));
                table.cells.entry(row).or_default().insert(fault, words);
            }
        }
        table
    }

    /// Whether this is in it.
    pub(crate) fn knows(&self, case: &Case, word: &str) -> bool {
        let cell = self
            .cells
            .get(&row(case))
            .and_then(|cells| cells.get(&fault(case)));
        // The reset of an HTTP/2 stream can overtake the head of an answer that breaks off.
        let unseen = case.kind.http2 && word == "silence, it was";
        cell.is_some_and(|words| words.contains(word) || (unseen && words.contains("half")))
    }

    /// Puts it into the docs.
    pub(crate) fn write(&self) {
        let text = fs::read_to_string(page()).expect("docs/FAULTS.md");
        let (before, rest) = text.split_once(BEGIN).expect("the begin of the table");
        let (_, after) = rest.split_once(END).expect("the end of the table");
        let text = format!("{before}{BEGIN}\n{self}\n{END}{after}");
        fs::write(page(), text).expect("docs/FAULTS.md can be written");
    }
}

fn columns() -> Vec<String> {
    let faults = FAULTS.iter().map(|fault| format!("{fault:?}"));
    [REFUSED.to_owned()].into_iter().chain(faults).collect()
}

/// The words for a place.
fn heading((side, step): Row) -> String {
    let side = match side {
        Side::Person => "person",
        Side::Before => "preprocess hook",
        Side::Backend => "backend",
        Side::After => "submit hook",
    };
    let step = match step {
        None | Some((Way::There, Point::Connected)) => "connecting",
        Some((Way::There, Point::InHead)) => "in the request's head",
        Some((Way::There, Point::AfterHead)) => "after the request's head",
        Some((Way::There, Point::InBody)) => "in the request's body",
        Some((Way::There, Point::AfterBody)) => "after the request",
        Some((Way::Back, Point::InHead | Point::Connected)) => "in the answer's head",
        Some((Way::Back, Point::AfterHead)) => "after the answer's head",
        Some((Way::Back, Point::InBody)) => "in the answer's body",
        Some((Way::Back, Point::AfterBody)) => "after the answer",
    };
    format!("{side}: {step}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = columns();
        writeln!(f, "| where | {} |", columns.join(" | ").to_lowercase())?;
        writeln!(f, "|---{}|", "|---".repeat(columns.len()))?;
        let mut rows: BTreeMap<Row, BTreeMap<&str, String>> = BTreeMap::new();
        for ((side, step), cells) in &self.cells {
            // A connection is refused where it would be made.
            let step = step.or(Some((Way::There, Point::Connected)));
            let row = rows.entry((*side, step)).or_default();
            for (fault, words) in cells {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                row.insert(fault, words.join("; "));
            }
        }
        for (row, cells) in rows {
            let cells = columns
                .iter()
                .map(|column| cells.get(column.as_str()).map_or(NONE, String::as_str));
            let cells: Vec<&str> = cells.collect();
            writeln!(f, "| {} | {} |", heading(row), cells.join(" | "))?;
        }
        let words: BTreeSet<&String> = self.counts.keys().map(|(_, word)| word).collect();
        writeln!(
            f,
            "\n| times | {} |",
            SIDES
                .map(|side| format!("{side:?}"))
                .join(" | ")
                .to_lowercase()
        )?;
        writeln!(f, "|---{}|", "|---:".repeat(SIDES.len()))?;
        for word in words {
            let count = |side| {
                self.counts
                    .get(&(side, word.clone()))
                    .copied()
                    .unwrap_or_default()
            };
            let counts = SIDES.map(|side| count(side).to_string());
            writeln!(f, "| {word} | {} |", counts.join(" | "))?;
        }
        Ok(())
    }
}
