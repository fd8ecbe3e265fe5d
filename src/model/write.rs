//! Writing JSON into a buffer that cannot fail. Owns these two functions; what is written is left to the values.

use serde_json::Value;

/// Writes one JSON string, quoted and escaped.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    if needs_escape(text.as_bytes()) {
        // A Vec takes every byte, and a string cannot fail to serialise.
        drop(serde_json::to_writer(out, text));
    } else {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Whether a text has a quote, a backslash or a control character; most have none. Eight bytes at a time: this is
/// where most of writing a call would go.
fn needs_escape(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let holds = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut words = text.chunks_exact(8);
    let found = words.by_ref().fold(0, |found, word| {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        found | below(word, 0x20) | holds(word, b'"') | holds(word, b'\\')
    });
    found != 0
        || words
            .remainder()
            .iter()
            .any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))
}

/// Writes one JSON value.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    // As above; the keys of a Value are strings.
    drop(serde_json::to_writer(out, value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_written_as_serde_writes_them(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_vec(&text).expect("a string"));
        }
    }
}
