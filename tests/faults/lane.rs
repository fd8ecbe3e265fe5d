//! A lane: a form of its own, and relays on all its sides. Owns one case after the other; many lanes go side by side
//! through one gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::kind::Kind;
use crate::ledger::Ledger;
use crate::ledger::id;
use crate::person::Person;
use crate::person::Told;
use crate::support::relay::Fault;
use crate::support::relay::Plan;
use crate::support::relay::Point;
use crate::support::relay::Relay;
use crate::support::relay::Way;

/// Every limit on time in the gateway of these tests, but for `limits.idle`.
pub(crate) const LIMIT: Duration = Duration::from_millis(1500);
/// `limits.idle`.
pub(crate) const IDLE: Duration = Duration::from_secs(3);
/// What a case may take: every side may use up its time once; a busy machine has some more.
const LONGEST: Duration = Duration::from_secs(10);
/// How often a person tries afterwards until it must have worked.
const TRIES: usize = 4;

/// Between which two sides something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The person and the gateway.
    Person,
    /// The gateway and the hook that is asked before.
    Before,
    /// The gateway and the backend.
    Backend,
    /// The gateway and the hook that is asked afterwards.
    After,
}

/// All sides.
pub(crate) const SIDES: [Side; 4] = [Side::Person, Side::Before, Side::Backend, Side::After];

/// One thing that goes wrong with one kind of submission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// Between whom.
    pub(crate) side: Side,
    /// What, and where; a connection is refused where this is nothing.
    pub(crate) plan: Option<Plan>,
    /// With what.
    pub(crate) kind: Kind,
}

/// One submission and what the person knows about it.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    /// Its id.
    pub(crate) id: String,
    /// What the person was told.
    pub(crate) told: Told,
    /// Whether the network may have changed what the backend got.
    pub(crate) garbled: bool,
}

/// What came of a case.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The case.
    pub(crate) case: Case,
    /// The submission with which something went wrong.
    pub(crate) submitted: Submitted,
    /// Those before and afterwards.
    pub(crate) others: Vec<Submitted>,
    /// What is wrong at once.
    pub(crate) wrong: Vec<String>,
}

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its number.
    pub(crate) number: usize,
    /// Where persons connect.
    pub(crate) person: Relay,
    /// What stands before the hook that is asked before, the backend, and the hook that is asked afterwards.
    pub(crate) inner: [Arc<Relay>; 3],
    /// What was seen.
    pub(crate) ledger: Arc<Ledger>,
}

impl Lane {
    fn relay(&self, side: Side) -> &Relay {
        match side {
            Side::Person => &self.person,
            Side::Before => &self.inner[0],
            Side::Backend => &self.inner[1],
            Side::After => &self.inner[2],
        }
    }

    /// The path of the lane's form.
    pub(crate) fn path(&self) -> String {
        format!("/lane-{}", self.number)
    }

    /// Ends all connections that are kept.
    pub(crate) async fn sever(&self) {
        for relay in &self.inner {
            relay.sever().await;
        }
    }

    /// Lets one thing go wrong. Ids begin at this number.
    pub(crate) async fn run(&self, case: Case, first_id: usize) -> Outcome {
        let mut ids = first_id..;
        let mut next_id = || id(ids.next().unwrap_or_default());
        let mut person = Person::at(self.person.address());
        let mut others = Vec::new();
        let mut wrong = Vec::new();
        self.sever().await;
        if case.kind.reused {
            let warm = self.calmly(&mut person, case.kind, next_id()).await;
            if warm.told != Told::Accepted {
                wrong.push(format!("before anything went wrong: {warm:?}"));
            }
            others.push(warm);
        }

        let began = Instant::now();
        let submitted = self.badly(&mut person, case, next_id()).await;
        let took = began.elapsed();
        if took > LONGEST {
            wrong.push(format!("took {took:?}"));
        }

        let mut accepted = false;
        for _ in 0..TRIES {
            let next = self.calmly(&mut person, case.kind, next_id()).await;
            accepted = next.told == Told::Accepted;
            others.push(next);
            if accepted {
                break;
            }
            person.leave();
        }
        if !accepted {
            wrong.push(format!("nothing worked afterwards: {others:?}"));
        }
        Outcome {
            case,
            submitted,
            others,
            wrong,
        }
    }

    async fn calmly(&self, person: &mut Person, kind: Kind, id: String) -> Submitted {
        let path = self.path();
        self.ledger.expect(&id, &kind.expected(&path, &id, None));
        let told = person
            .submit(kind, &path, &id, tokio::time::sleep(LONGEST))
            .await;
        Submitted {
            id,
            told,
            garbled: false,
        }
    }

    async fn badly(&self, person: &mut Person, case: Case, id: String) -> Submitted {
        let Case { side, plan, kind } = case;
        let relay = self.relay(side);
        let mut fired = relay.fired();
        fired.mark_unchanged();
        let path = match plan {
            Some(plan) => {
                relay.arm(plan);
                self.path()
            }
            None => format!("{}/refused-{side:?}", self.path()),
        };
        let of_person = plan.filter(|_| side == Side::Person);
        self.ledger
            .expect(&id, &kind.expected(&path, &id, of_person));
        let is_deaf = of_person.is_some_and(|plan| {
            plan.fault == Fault::Stall && (plan.way == Way::Back || plan.point == Point::Connected)
        });
        let enough = async {
            if is_deaf {
                // Nobody could tell the person anything from here on.
                let _ = fired.changed().await;
            } else {
                tokio::time::sleep(LONGEST).await;
            }
        };
        let told = person.submit(kind, &path, &id, enough).await;
        let changes = plan.is_some_and(|plan| plan.fault == Fault::Duplicate);
        if changes && side == Side::Person {
            // Their connection is of no use any more.
            person.leave();
        }
        // What goes wrong at the end of an answer may do so after the person has it.
        let is_last =
            plan.is_some_and(|plan| (plan.way, plan.point) == (Way::Back, Point::AfterBody));
        if is_last && !fired.has_changed().unwrap_or_default() {
            let _ = tokio::time::timeout(LIMIT, fired.changed()).await;
        }
        relay.disarm();
        Submitted {
            id,
            told,
            garbled: changes && side == Side::Backend,
        }
    }
}
