//! The load test anyone can run: starts the gateway's own program, a backend and a responder, sends requests, checks
//! every answer, and prints for each kind of work the rate, the percentiles of the time, the gateway's CPU time per
//! request and its peak memory. Owns the order of measuring; what is sent is `work`'s, how it is sent `drive`'s.
//!
//! ```sh
//! cargo bench --profile ci --bench load                        # every work, three rounds
//! cargo bench --profile ci --bench load -- --only form,page    # some of it
//! cargo bench --profile ci --bench load -- --series            # how the cost grows
//! cargo bench --profile ci --bench load -- --budget            # what the gateway adds at half load
//! ```
//!
//! With two processors or more the gateway has the first for itself, and everything else the others. CPU time per
//! request is the figure to compare: it depends least on what else a machine does.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::panic, reason = "a measurement that went wrong is none")]

mod drive;
mod gateway;
mod http;
mod report;
mod site;
mod work;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Builder;

use crate::drive::Load;
use crate::drive::Outcome;
use crate::gateway::Gateway;
use crate::report::Added;
use crate::report::Row;
use crate::site::Site;
use crate::work::Work;

/// How long connections are warmed up before it counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// What is asked of the bench.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Args {
    /// How long each work is measured in each round, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How many rounds; works take turns, so that all of them meet the same disturbances.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Works to measure, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How the cost of one work grows with the size of things.
    #[arg(long)]
    series: bool,
    /// What the gateway adds to the time of the backend and the hook, at half of what it can take.
    #[arg(long)]
    budget: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the chart is put.
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/load.svg"))]
    chart: PathBuf,
    /// Be the backend and the responder: how the bench starts itself again.
    #[arg(long, hide = true)]
    site: bool,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if args.site {
        return runtime.block_on(site::serve());
    }
    gateway::leave_the_first_processor();
    runtime.block_on(measure(&args));
}

async fn measure(args: &Args) {
    let works = if args.series {
        work::series()
    } else {
        work::usual()
    };
    let works: Vec<Work> = works
        .into_iter()
        .filter(|work| {
            args.only.is_empty() || args.only.iter().any(|name| work.name.contains(name))
        })
        .collect();
    assert!(!works.is_empty(), "no work has such a name");
    let site = Site::start();
    let time = Duration::from_secs(args.seconds);
    let mut rows: Vec<Row> = works.iter().map(Row::new).collect();
    for round in 1..=args.rounds {
        for (work, row) in works.iter().zip(&mut rows) {
            if !args.json {
                report::progress(&format!("round {round} of {}: {}", args.rounds, work.name));
            }
            let (outcome, gateway) = once(work, &site, time, None).await;
            row.add(&outcome, gateway);
        }
    }
    let mut added = Vec::new();
    if args.budget {
        for (work, row) in works.iter().zip(&rows) {
            added.push(budget(work, row.rate() / 2.0, &site, time).await);
        }
    }
    if args.json {
        println!("{}", report::json(&rows, &added));
    } else {
        report::progress("");
        println!("{}", report::table(&rows));
        if !added.is_empty() {
            println!("{}", report::added(&added));
        }
    }
    match fs::write(&args.chart, report::chart(&rows)) {
        Ok(()) if args.json => {}
        Ok(()) => println!("chart: {}", args.chart.display()),
        Err(error) => panic!("{}: {error}", args.chart.display()),
    }
}

/// Measures a work once, with a gateway of its own; what that took of the machine comes with it.
async fn once(
    work: &Work,
    site: &Site,
    time: Duration,
    rate: Option<f64>,
) -> (Outcome, gateway::Used) {
    let gateway = Gateway::start(work, site);
    let idle = drive::idle(gateway.address, work.idle).await;
    let load = Load {
        work,
        address: gateway.address,
        rate,
    };
    load.drive(WARM_UP).await;
    let before = gateway.cpu();
    let outcome = load.drive(time).await;
    let used = gateway.used_since(before);
    drop(idle);
    (outcome, used)
}

/// What a request takes through the gateway, at a rate, more than the backend and the hooks take by themselves.
async fn budget(work: &Work, rate: f64, site: &Site, time: Duration) -> Added {
    let (through, _) = once(work, site, time, Some(rate)).await;
    let mut direct = Vec::new();
    for (address, ask) in work.alone(site) {
        let alone = work.asking(ask);
        let load = Load {
            work: &alone,
            address,
            rate: Some(rate),
        };
        load.drive(WARM_UP).await;
        direct.push(load.drive(time).await);
    }
    Added::new(work, rate, &through, &direct)
}
