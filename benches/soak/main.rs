//! The soak test anyone can run: the gateway's own program, people who submit as fast as they are answered and some of
//! whom go away, responders and a backend of which some answer slowly, wrongly, with a reset or not at all. Owns the
//! clock, what the gateway's process holds meanwhile, and the account at the end: every submission that the backend took
//! was told as such, or told as unknown, or its person had gone; none was taken twice, changed, or against a hook.
//! Ends with a failure where that is not so, or where the process holds more in the second half than in the first, beyond
//! what is allowed; whether memory is level is for the table to show.
//!
//! ```sh
//! cargo bench --profile ci --bench soak -- --minutes 10
//! ```
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::panic, reason = "a measurement that went wrong is none")]

mod account;
mod chaos;
mod gateway;
mod people;

#[path = "../../tests/faults/kind.rs"]
mod kind;
#[path = "../../tests/faults/person.rs"]
mod person;
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::account::Account;
use crate::gateway::Gateway;
use crate::gateway::Held;

/// What is asked of the bench.
#[derive(Debug, Parser)]
struct Args {
    /// How long people submit.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many people there are.
    #[arg(long, default_value_t = 48)]
    people: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How often it is looked at what the process holds, in all.
const LOOKS: u32 = 10;
/// What is not counted as growth: allocators keep something back.
const SLACK_KIB: u64 = 8 << 10;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = Builder::new_multi_thread().enable_all().build();
    let wrong = runtime.expect("a runtime").block_on(soak(&args));
    for wrong in &wrong {
        println!("WRONG: {wrong}");
    }
    if wrong.is_empty() {
        println!("every submission is accounted for, and what the process holds is within bounds");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

async fn soak(args: &Args) -> Vec<String> {
    let account = Account::new();
    let backend = chaos::backend(&account).await;
    let responder = chaos::responder(&account).await;
    let gateway = Gateway::start(backend.address(), responder.address());
    gateway.is_there().await;
    let at_rest = gateway.held().await;
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(args.minutes * 60.0);
    let people = people::come(args.people, gateway.address, end, &account);

    println!("| minute | submissions | a second | resident, MiB | descriptors | tasks |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let mut held = Vec::new();
    let (mut before, mut since) = (0, began);
    for look in 1..=LOOKS {
        let at = began + Duration::from_secs_f64(args.minutes * 60.0) * look / LOOKS;
        // A little before the end, while everybody is still there.
        tokio::time::sleep_until(at - Duration::from_millis(200)).await;
        let now = gateway.held().await;
        let count = account.count();
        print(began, now, count, (count - before, since.elapsed()));
        (before, since) = (count, Instant::now());
        held.push(now);
    }
    people.join_all().await;
    gateway.is_done().await;
    // What is kept of connections goes with those to whom they lead.
    drop((backend, responder));
    let mut wrong = growth(&held);
    let left = gateway.comes_to_rest(at_rest).await;
    println!("\nat rest before: {at_rest}; afterwards: {left}");
    if left.descriptors > at_rest.descriptors || left.tasks > at_rest.tasks {
        wrong.push(format!(
            "something is left: {left}, before it was {at_rest}"
        ));
    }
    if let Err(why) = gateway.end() {
        wrong.push(why);
    }
    let (table, faults) = account.settle();
    println!("\n{table}");
    wrong.extend(faults);
    wrong
}

fn print(began: Instant, held: Held, count: usize, (more, time): (usize, Duration)) {
    let rate = f64::from(u32::try_from(more).unwrap_or(u32::MAX)) / time.as_secs_f64();
    println!(
        "| {:.1} | {count} | {rate:.0} | {:.1} | {} | {} |",
        began.elapsed().as_secs_f64() / 60.0,
        held.mib(),
        held.descriptors,
        held.tasks
    );
}

/// Its name, the figure, and what is not counted as growth.
type Figure = (&'static str, fn(&Held) -> u64, u64);

/// What is more in the second half than in the first, but for its very beginning.
fn growth(held: &[Held]) -> Vec<String> {
    let (first, second) = held[1..].split_at(held.len() / 2 - 1);
    let most =
        |looks: &[Held], of: fn(&Held) -> u64| looks.iter().map(of).max().unwrap_or_default();
    let figures: [Figure; 3] = [
        ("memory, in KiB", |held| held.kib, SLACK_KIB),
        ("descriptors", |held| held.descriptors, 16),
        ("tasks", |held| held.tasks, 32),
    ];
    let grown = figures.into_iter().filter_map(|(name, of, slack)| {
        let (before, after) = (most(first, of), most(second, of));
        let is_more = after > before + before / 8 + slack;
        is_more.then(|| format!("{name}: {before} in the first half, {after} in the second"))
    });
    grown.collect()
}
