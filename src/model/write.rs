//! Writing JSON into a buffer that cannot fail. Owns these two functions; what is written is left to the values.

use serde_json::Value;

/// Writes one JSON string, quoted and escaped.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // A Vec takes every byte, and a string cannot fail to serialise.
    drop(serde_json::to_writer(out, text));
}

/// Writes one JSON value.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    // As above; the keys of a Value are strings.
    drop(serde_json::to_writer(out, value));
}
