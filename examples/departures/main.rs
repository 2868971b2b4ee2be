//! A flow of departures, enriched with what was true at their hour.
//!
//! ```text
//! cargo run --release --example departures                        a week, shipped with the crate
//! cargo run --release --example departures -- FOLDER              other files of the same form
//! cargo run --release --example departures -- --year FOLDER       all of 2013, see data/README.md
//! ```
//!
//! ```text
//!   flights.csv ──> [flights] ──> enrich ──> [enriched] ──┬──> delays by maker
//!                    4 shards       ^         2 shards    └──> traffic by route
//!                       ^           │
//!                    operator:   aircraft by tail number,
//!                 split, merge   weather by airport and hour
//!
//!   and when all is over, a late reader replays [flights] and [enriched] from the beginning
//! ```
//!
//! Everything runs at the same time, each box in a thread of its own. In mid-flow the busiest shard
//! of `flights` is split and two others are merged; nobody is told, and no plane's flights get out of
//! order. At the end every figure is compared with that of plain loops over the files, which know
//! of no stream. The exit code says whether all agree.

mod event;
mod figures;
mod files;
mod metadata;
mod pipeline;
mod plain;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use brooklet::Stream;

use files::{Input, Result};
use metadata::Metadata;
use pipeline::Progress;
use report::{Checks, Facts};

const USAGE: &str = "usage: departures [[--year] FOLDER or flights.csv(.gz)]";

fn main() -> ExitCode {
    match run() {
        Ok(checks) if checks.all_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("departures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Checks> {
    let begun = Instant::now();
    let (input, facts) = arguments()?;
    let expected = plain::compute(&input)?;
    let metadata = Metadata::load(&input)?;

    let flights = Stream::new("flights", 4)?;
    let enriched = Stream::new("enriched", 2)?;
    let progress = Progress::new(expected.matches.flights);
    let live = pipeline::run(&input, &metadata, [&flights, &enriched], &progress)?;
    let late = pipeline::replay(&flights, &enriched, &progress)?;
    progress.finish();

    report::print_streams(&[&flights, &enriched]);
    report::print_paces(&live, &late);
    report::print_figures(&live, &input)?;
    let mut checks = Checks::default();
    checks.compare(&live, &late, &expected);
    checks.compare_streams(&flights, &enriched, expected.matches.flights);
    if let Some(facts) = facts {
        checks.compare_facts(&live, facts);
        checks.compare_reshard(&flights, &live.reshard);
    }
    checks.print(begun.elapsed());
    Ok(checks)
}

/// Where the files are, and what is known of them.
fn arguments() -> Result<(Input, Option<&'static Facts>)> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok((Input::shipped()?, Some(&report::WEEK))),
        ["--year", path] => Ok((Input::at(path.as_ref())?, Some(&report::YEAR))),
        [path] if !path.starts_with('-') => Ok((Input::at(path.as_ref())?, None)),
        _ => Err(USAGE.into()),
    }
}
