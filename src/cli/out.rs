//! Writing to the terminal. The one place that prints: colours only where they are wanted, and no panic when the
//! reader has gone.

use std::io::Write;

use serde_json::Value;

use crate::source::complaint::Complaint;

/// How a word is shown on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// All is well.
    Green,
    /// Something is wrong.
    Red,
    /// Something is odd.
    Yellow,
    /// A heading.
    Bold,
    /// What matters less.
    Dim,
}

/// The text in colour; whoever prints it takes the colour away where there is no terminal or it is not wanted.
#[must_use]
pub fn paint(paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Green => 32,
        Paint::Red => 31,
        Paint::Yellow => 33,
        Paint::Bold => 1,
        Paint::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Prints a line of the result.
pub fn line(text: &str) {
    // Whoever reads may have gone (`| head`); that is no error of ours.
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// Prints bytes of the result as they are.
pub fn bytes(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// The result, for whoever writes it piece by piece.
#[must_use]
pub fn stream() -> Box<dyn Write + Send> {
    Box::new(std::io::stdout())
}

/// Prints a line about the work.
pub fn error(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints a value for machines, in one line.
pub fn json(value: &Value) {
    let _ = writeln!(std::io::stdout(), "{value}");
}

/// Prints a value for people, with indentation.
pub fn pretty(value: &Value) {
    line(&format!("{value:#}"));
}

/// Prints what is wrong in files: as pictures, or one JSON object a line.
pub fn complaints(complaints: &[Complaint], as_json: bool) {
    for complaint in complaints {
        if as_json {
            json(&complaint.to_json());
        } else {
            error(&format!("{}\n", complaint.picture(true)));
        }
    }
}

/// `1 form`, `2 forms`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
