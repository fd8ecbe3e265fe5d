//! What was measured, as a table, as JSON and as a chart. Owns the statistics; figures of several rounds are given by
//! their median.

use std::fmt::Write;
use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::drive::Outcome;
use crate::gateway::Used;
use crate::work::Work;

/// What is known of one work.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    what: String,
    rates: Vec<f64>,
    /// Microseconds of CPU time for each request.
    costs: Vec<f64>,
    took: Vec<u32>,
    peak: u64,
}

impl Row {
    pub(crate) fn new(work: &Work) -> Self {
        Self {
            name: work.name.clone(),
            what: work.what.clone(),
            rates: Vec::new(),
            costs: Vec::new(),
            took: Vec::new(),
            peak: 0,
        }
    }

    /// Takes over a round. One in which an answer was wrong is no measurement.
    pub(crate) fn add(&mut self, outcome: &Outcome, used: Used) {
        if let Some(wrong) = outcome.wrong.first() {
            panic!("{}: {} times: {wrong}", self.name, outcome.wrong.len());
        }
        let many = count(outcome.took.len());
        assert!(many > 0.0, "{}: nothing was answered", self.name);
        self.rates.push(many / outcome.time.as_secs_f64());
        self.costs.push(used.cpu.as_secs_f64() * 1e6 / many);
        self.took.extend_from_slice(&outcome.took);
        self.peak = self.peak.max(used.peak);
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    fn cost(&self) -> f64 {
        median(&self.costs)
    }

    /// The least and the most of all rounds: how far the figure can be trusted.
    fn range(&self) -> (f64, f64) {
        let least = self.costs.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.costs.iter().copied().fold(0.0, f64::max))
    }

    fn peak_mib(&self) -> f64 {
        Duration::from_micros(self.peak).as_secs_f64() * 1e6 / 1024.0
    }
}

/// What the gateway adds to a work.
#[derive(Debug)]
pub(crate) struct Added {
    name: String,
    rate: f64,
    through: [u32; 2],
    alone: [u32; 2],
}

impl Added {
    /// Through the gateway, and each part of the work by itself.
    pub(crate) fn new(work: &Work, rate: f64, through: &Outcome, alone: &[Outcome]) -> Self {
        let both = |outcome: &Outcome| [0.5, 0.99].map(|part| percentile(&outcome.took, part));
        let alone = alone.iter().map(both);
        Self {
            name: work.name.clone(),
            rate,
            through: both(through),
            alone: alone.fold([0, 0], |sum, part| [sum[0] + part[0], sum[1] + part[1]]),
        }
    }
}

/// Says on a terminal what is being done; an empty text takes that away again.
pub(crate) fn progress(text: &str) {
    if io::stdout().is_terminal() {
        print!("\r\x1b[2K{text}");
        let _ = io::Write::flush(&mut io::stdout());
    }
}

const PARTS: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "{:<12} {:<36} {:>9} {:>8} {:>8} {:>8} {:>8}  {:>9} {:<15} {:>7}\n",
        "work", "", "requests", "p50", "p90", "p99", "p99.9", "CPU", "(least - most)", "memory"
    );
    let _ = writeln!(
        table,
        "{:<12} {:<36} {:>9} {:>8} {:>8} {:>8} {:>8}  {:>9} {:<15} {:>7}",
        "", "", "a second", "ms", "ms", "ms", "ms", "us each", "", "MiB"
    );
    for row in rows {
        let [p50, p90, p99, p999] = PARTS.map(|part| ms(percentile(&row.took, part)));
        let (least, most) = row.range();
        let range = format!("({least:.1} - {most:.1})");
        let _ = writeln!(
            table,
            "{:<12} {:<36} {:>9.0} {p50:>8} {p90:>8} {p99:>8} {p999:>8}  {:>9.1} {range:<15} {:>7.1}",
            row.name,
            row.what,
            row.rate(),
            row.cost(),
            row.peak_mib(),
        );
    }
    table
}

pub(crate) fn added(all: &[Added]) -> String {
    let mut table = format!(
        "at half of that rate, in ms\n{:<12} {:>9} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}\n",
        "work",
        "a second",
        "p50 through",
        "p50 without",
        "p99 through",
        "p99 without",
        "p50 added",
        "p99 added"
    );
    for one in all {
        let adds = [0, 1].map(|at: usize| ms(one.through[at].saturating_sub(one.alone[at])));
        let _ = writeln!(
            table,
            "{:<12} {:>9.0} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}",
            one.name,
            one.rate,
            ms(one.through[0]),
            ms(one.alone[0]),
            ms(one.through[1]),
            ms(one.alone[1]),
            adds[0],
            adds[1],
        );
    }
    table
}

pub(crate) fn json(rows: &[Row], all: &[Added]) -> Value {
    let works = rows.iter().map(|row| {
        let [p50, p90, p99, p999] = PARTS.map(|part| percentile(&row.took, part));
        json!({
            "work": row.name, "what": row.what, "requests": row.took.len(), "requests_per_second": row.rate(),
            "microseconds": {"p50": p50, "p90": p90, "p99": p99, "p99.9": p999},
            "cpu_microseconds_per_request": row.cost(), "cpu_of_each_round": row.costs, "peak_kib": row.peak,
        })
    });
    let added = all.iter().map(|one| {
        json!({
            "work": one.name, "requests_per_second": one.rate,
            "through": {"p50": one.through[0], "p99": one.through[1]},
            "alone": {"p50": one.alone[0], "p99": one.alone[1]},
        })
    });
    json!({"works": works.collect::<Vec<_>>(), "added": added.collect::<Vec<_>>()})
}

/// A bar of CPU time for each work, as SVG. Bars are as long as the logarithm says, for a file costs a hundred forms.
pub(crate) fn chart(rows: &[Row]) -> String {
    let most = rows.iter().map(Row::cost).fold(1.0, f64::max);
    let height = 30 + rows.len() * 26;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<title>CPU time of the gateway for each request</title>\n\
         <text x=\"300\" y=\"16\">CPU time for each request, microseconds (logarithmic)</text>\n"
    );
    for (number, row) in rows.iter().enumerate() {
        let top = 26 + number * 26;
        let length = (row.cost().max(1.0).ln() / most.max(2.0).ln() * 380.0).max(2.0);
        let _ = writeln!(
            svg,
            "<text x=\"292\" y=\"{}\" text-anchor=\"end\">{}: {}</text>\
             <rect x=\"300\" y=\"{top}\" width=\"{length:.0}\" height=\"18\" fill=\"#2b6cb0\"/>\
             <text x=\"{:.0}\" y=\"{}\">{:.1}</text>",
            top + 14,
            row.name,
            row.what,
            306.0 + length,
            top + 14,
            row.cost(),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// A number of things as a number to reckon with.
fn count(many: usize) -> f64 {
    f64::from(u32::try_from(many).unwrap_or(u32::MAX))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn percentile(took: &[u32], part: f64) -> u32 {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let place = Duration::from_secs_f64(count(sorted.len()) * part).as_secs();
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    let last = sorted.len().saturating_sub(1);
    sorted.get(place.min(last)).copied().unwrap_or_default()
}

fn ms(micros: u32) -> String {
    format!("{:.3}", f64::from(micros) / 1000.0)
}
