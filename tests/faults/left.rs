//! What a process holds: descriptors, temporary files, tasks, memory; and whether a gateway takes as many as at the
//! start. Owns counting.

use std::fs;
use std::path::Path;
use std::time::Duration;

use formgate::flow::Gate;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::CONNECTIONS;
use crate::lane::Lane;
use crate::ledger::TOGETHER;
use crate::ledger::id;
use crate::support::App;
use crate::support::PATIENCE;
use crate::support::client::Wire;

/// What there is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Those of temporary files, and temporary files with a name.
    pub(crate) spooled: usize,
    /// Tasks of the runtime, which the tests share with the gateway.
    pub(crate) tasks: usize,
    /// Submissions that the gateway must finish before it ends.
    pub(crate) carried: usize,
}

impl Left {
    /// Counts.
    pub(crate) fn now(gate: &Gate, spool: &Path) -> Self {
        let open = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        let open: Vec<_> = open
            .filter_map(|one| fs::read_link(one.path()).ok())
            .collect();
        let named = fs::read_dir(spool).expect("a folder").count();
        Self {
            descriptors: open.len(),
            spooled: named
                + open
                    .iter()
                    .filter(|target| target.starts_with(spool))
                    .count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            carried: gate.tasks().len(),
        }
    }

    /// Waits until there is no more than this.
    ///
    /// # Panics
    /// Something is left.
    pub(crate) async fn comes_back(self, gate: &Gate, spool: &Path) {
        // Nobody tells when a descriptor is closed.
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let back = async {
            while Self::now(gate, spool) != self {
                looks.tick().await;
            }
        };
        if tokio::time::timeout(PATIENCE, back).await.is_err() {
            let open = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
            let open: Vec<_> = open
                .filter_map(|one| fs::read_link(one.path()).ok())
                .collect();
            panic!("{:?} is left of {self:?}: {open:?}", Self::now(gate, spool));
        }
    }
}

/// Memory that is resident, in KiB.
pub(crate) fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// All connections that there may be are served at the same time.
pub(crate) async fn all_connections_are_there(app: &App) {
    let mut wires = Vec::new();
    for number in 0..CONNECTIONS {
        let mut wire = Wire::connect(app.address).await;
        wire.write(b"GET /anything HTTP/1.1\r\nhost: forms.example.org\r\n\r\n")
            .await;
        assert_eq!(
            wire.answer_to("GET").await.status,
            204,
            "connection {number}"
        );
        wires.push(wire);
    }
}

/// As many submissions of the lane's form, and calls of its hook, as there may be are under way at the same time.
pub(crate) async fn all_places_are_there(app: &App, lane: &Lane, first_id: usize) {
    for (at, place) in ["hold-before", "hold-backend"].into_iter().enumerate() {
        lane.ledger.hold_anew();
        let mut together = JoinSet::new();
        for number in 0..TOGETHER {
            let body = format!("id={}&what={place}", id(first_id + at * TOGETHER + number));
            let ask = app.post(&lane.path()).form(&body);
            together.spawn(ask.send());
        }
        for answer in together.join_all().await {
            assert_eq!(
                answer.status,
                201,
                "{place} on {}: {}",
                lane.path(),
                answer.text()
            );
        }
    }
}
