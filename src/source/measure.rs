//! Durations (`3s`, `250ms`, `10m`) and sizes (`32MiB`, `64KB`) as people write them. Owns reading and writing
//! both; which of them a key wants is left to its shape.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `3s`, `1.5s`, `250ms`, `10m`, `1h`, `7d`.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mend = || {
        format!(
            "`{text}` is not a duration; write for example \"3s\", \"250ms\", \"10m\", \"1h\" or \"7d\""
        )
    };
    // Nothing needs no unit.
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let millis = measure(text, &DURATIONS).ok_or_else(mend)?;
    Ok(Duration::from_millis(millis))
}

/// Reads `32MiB`, `64KB`, `100B`.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn size(text: &str) -> Result<u64, String> {
    measure(text, &SIZES).ok_or_else(|| {
        format!("`{text}` is not a size; write for example \"32MiB\", \"64KiB\" or \"100B\"")
    })
}

fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => fraction(number, factor),
    }
}

/// `1.5` times `factor`, in whole units; exact, so that `0.1s` is 100 ms.
fn fraction(number: &str, factor: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.')?;
    if part.is_empty() || part.len() > 9 || part.contains('.') {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let parts = part.parse::<u64>().ok()?.checked_mul(factor)? / scale;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)?
        .checked_add(parts)
}

/// Writes a duration in its largest whole unit: `3s`, `90s`, `2m`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, DURATIONS.iter().rev())
}

/// Writes a size in its largest whole binary unit: `32MiB`, `1500B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(
        bytes,
        SIZES
            .iter()
            .filter(|(unit, _)| unit.ends_with("iB") || *unit == "B"),
    )
}

fn show<'a>(amount: u64, units: impl Iterator<Item = &'a (&'a str, u64)>) -> String {
    let mut last = "";
    for (unit, factor) in units {
        last = unit;
        if amount > 0 && amount.is_multiple_of(*factor) {
            return format!("{}{unit}", amount / factor);
        }
    }
    format!("{amount}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written() {
        for (text, millis) in [
            ("3s", 3000),
            ("250ms", 250),
            ("1.5s", 1500),
            ("0.1s", 100),
            ("2m", 120_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, bytes) in [
            ("32MiB", 32 << 20),
            ("64KB", 64_000),
            ("1.5KiB", 1536),
            ("100B", 100),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "3",
            "s",
            "3 weeks",
            "-1s",
            "1..5s",
            "1.s",
            "99999999999999999999s",
            "3S",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(3600)), "1h");
        assert_eq!(show_duration(Duration::ZERO), "0ms");
        assert_eq!(
            (show_size(32 << 20).as_str(), show_size(1500).as_str()),
            ("32MiB", "1500B")
        );
    }
}
