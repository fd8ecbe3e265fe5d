//! The access log of a test's gateway, as it is written.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::within;

/// What was written so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<watch::Sender<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_modify(|all| all.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Everything that was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }

    /// Waits until there are so many lines, and gives all of them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        let mut watch = self.0.subscribe();
        let enough = |all: &Vec<u8>| all.iter().filter(|byte| **byte == b'\n').count() >= count;
        within("lines of the access log", watch.wait_for(enough))
            .await
            .expect("a log");
        self.text().lines().map(str::to_owned).collect()
    }

    /// The same where they are JSON.
    pub(crate) async fn objects(&self, count: usize) -> Vec<Value> {
        let lines = self.wait_for(count).await;
        let parsed = lines.iter().map(|line| serde_json::from_str(line));
        parsed.map(|line| line.expect("JSON")).collect()
    }
}
