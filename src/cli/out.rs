//! Writing to the terminal. The one place that prints: colours only where they are wanted, and no panic when the
//! reader has gone.

use std::io::IsTerminal;
use std::io::Write;

use serde_json::Value;

use crate::source::complaint::Complaint;

/// Prints a line of the result.
pub fn line(text: &str) {
    // Whoever reads may have gone (`| head`); that is no error of ours.
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// Prints a line about the work.
pub fn error(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints a value for machines, in one line.
pub fn json(value: &Value) {
    line(&value.to_string());
}

/// Prints what is wrong in files: as pictures, or one JSON object a line.
pub fn complaints(complaints: &[Complaint], as_json: bool) {
    let colours = std::io::stderr().is_terminal();
    for complaint in complaints {
        if as_json {
            json(&complaint.to_json());
        } else {
            error(&format!("{}\n", complaint.picture(colours)));
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
