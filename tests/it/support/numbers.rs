//! What the gateway counts, as somebody reads it who scrapes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::client::Ask;

/// Every sample of one scrape, by its name and labels as they are written.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(BTreeMap<String, f64>);

impl Numbers {
    /// Scrapes an admin listener.
    pub(crate) async fn of(admin: SocketAddr) -> Self {
        let answer = Ask::new(admin, "GET", "/metrics").send().await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        Self::read(&answer.text())
    }

    /// Reads the text format.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    /// One sample, which must be there.
    pub(crate) fn get(&self, sample: &str) -> f64 {
        let found = self.0.get(sample);
        *found.unwrap_or_else(|| panic!("no {sample} in {:#?}", self.0))
    }

    /// One sample of a whole number, which must be there.
    pub(crate) fn count(&self, sample: &str) -> u64 {
        format!("{}", self.get(sample))
            .parse()
            .expect("a whole number")
    }

    /// Whether there is a sample that begins so.
    pub(crate) fn has(&self, beginning: &str) -> bool {
        self.0.keys().any(|name| name.starts_with(beginning))
    }

    /// The samples of a family that are not 0, by their labels.
    pub(crate) fn some_of(&self, family: &str) -> Vec<(String, f64)> {
        let own = self.0.iter().filter_map(|(name, value)| {
            let labels = name.strip_prefix(family)?.strip_prefix('{')?;
            Some((labels.trim_end_matches('}').to_owned(), *value))
        });
        own.filter(|(_, value)| *value > 0.0).collect()
    }

    /// All samples of a family together.
    pub(crate) fn sum(&self, family: &str) -> f64 {
        self.some_of(family).iter().map(|(_, value)| value).sum()
    }
}
