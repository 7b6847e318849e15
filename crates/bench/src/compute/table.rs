//! What the rounds of a crowd are printed as.

use minispod_runtime::reactors::CONCURRENCY;
use serde_json::json;

use super::{Crowd, Pass, Round, Side};
use crate::table::{Spread, percentile};

/// What is measured, before minutes of silence.
pub fn open(crowd: Crowd, rounds: usize) {
    println!(
        "\ncompute: {} instances of {} customers asked for at once, {CONCURRENCY} reconciled beside each other; median \
         [least–most] of {rounds} rounds",
        crowd.instances, crowd.customers
    );
    println!(
        "real etcd, API server, controllers and scheduler; the kubelet is PLAYED: pods are said to run, nothing is started"
    );
    println!(
        "bare: the same objects by one plain POST each until all run, then by one GET each; in the same round, on a control \
         plane of its own"
    );
}

/// Both sides and their ratio, row by row.
pub fn print(rounds: &[Round]) {
    println!("{:<40} {:>24} {:>24} {:>20}", "cell", "ours", "bare", "ours / bare");
    row(rounds, "until all are ready, s", |side| side.first.seconds);
    row(rounds, "instances a minute", |side| side.first.a_minute());
    row(rounds, "requests for one instance", |side| side.first.requests_each());
    row(rounds, "nothing to change: all, s", |side| side.second.seconds);
    row(rounds, "nothing to change: instances a minute", |side| side.second.a_minute());
    row(rounds, "nothing to change: requests for one", |side| side.second.requests_each());
    println!("{:<40} {:>8} {:>8} {:>8} {:>8}", "from the request until it is done, s", "samples", "p50", "p99", "most");
    waits(rounds, "ours: ready", |round| &round.ours.first);
    waits(rounds, "bare: ready", |round| &round.bare.first);
    waits(rounds, "ours: nothing to change", |round| &round.ours.second);
    let inventory = Spread::of(&rounds.iter().map(|round| round.inventory as f64).collect::<Vec<_>>());
    println!("requests for one inventory of everything: {:.0}", inventory.median);
    println!(
        "{}",
        json!({"suite": "compute", "cell": "inventory", "kubelet": "played",
               "requests": [inventory.median, inventory.least, inventory.most]})
    );
}

fn row(rounds: &[Round], name: &str, pick: fn(&Side) -> f64) {
    let column = |pick: &dyn Fn(&Round) -> f64| Spread::of(&rounds.iter().map(pick).collect::<Vec<_>>());
    let (ours, bare) = (column(&|round| pick(&round.ours)), column(&|round| pick(&round.bare)));
    let ratio = column(&|round| pick(&round.ours) / pick(&round.bare));
    println!("{name:<40} {:>24} {:>24} {:>20}", ours.to_string(), bare.to_string(), ratio.to_string());
    println!(
        "{}",
        json!({"suite": "compute", "cell": name, "kubelet": "played", "ours": [ours.median, ours.least, ours.most],
               "bare": [bare.median, bare.least, bare.most], "ratio_to_bare": [ratio.median, ratio.least, ratio.most]})
    );
}

fn waits(rounds: &[Round], name: &str, pick: fn(&Round) -> &Pass) {
    let all: Vec<f64> = rounds.iter().flat_map(|round| pick(round).each.iter().copied()).collect();
    let (p50, p99, most) = (percentile(&all, 0.50), percentile(&all, 0.99), percentile(&all, 1.0));
    println!("{name:<40} {:>8} {p50:>8.2} {p99:>8.2} {most:>8.2}", all.len());
    println!(
        "{}",
        json!({"suite": "compute", "cell": name, "kubelet": "played", "p50_s": p50, "p99_s": p99, "most_s": most})
    );
}
