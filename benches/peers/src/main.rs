//! brooklet and everything one could link instead, side by side in one run.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml              all workloads
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- append    one of them
//! ```

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use lexopt::ValueExt;

use crate::harness::Options;
use crate::machine::Machine;
use crate::records::DataKind;
use crate::workloads::{ALL, CAPACITY_MIN, Spec};

mod contenders;
#[path = "../../endpoint.rs"]
mod endpoint;
mod harness;
mod heap;
mod machine;
mod plot;
mod records;
mod report;
mod workloads;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const HELP: &str = "\
brooklet and everything one could link instead, side by side in one run

usage: brooklet-peers [options] [workload]...

A workload is a name of --list, or a part of some; all are run if none is given.

options:
  --rounds N     how often the contenders take turns; 25 unless set
  --quick        5 rounds of a fifth of the length: to see that it works, not for figures
  --data KIND    shared (a clone of shared Bytes, the default), static (no reference count),
                 fresh (allocated and copied for each record)
  --capacity N   how many records each has room for to which is only appended, a power of two from
                 2048 on; 8192 unless set: out of the first cache, within the second, which no
                 neighbour shares
  --only PART    keeps brooklet and the contenders of which the name has this part
  --pin          pins threads to cores
  --json FILE    writes every figure, a line of JSON for each contender
  --svg FILE     draws the ratios
  --list         lists the workloads
  --help         shows this";

/// What the command line asks for.
struct Arguments {
    options: Options,
    workloads: Vec<&'static Spec>,
    only: Option<String>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let started: Vec<_> = std::env::args().collect();
    if let [_, "serve", who] = started.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        contenders::endpoints::serve(who);
        return Ok(());
    }
    let Some(arguments) = arguments()? else {
        return Ok(());
    };
    let options = &arguments.options;
    let machine = Machine::measure(options);
    print!("{}", report::head(&machine, options));
    let mut all = Vec::new();
    for spec in &arguments.workloads {
        let mut workload = (spec.make)(options);
        if let Some(part) = &arguments.only {
            workload.keep(part);
        }
        let results = harness::run(spec.name, workload, options);
        print!("{}", report::table(&results));
        all.push(results);
    }
    if all.len() > 1 {
        print!("{}", report::summary(&all));
    }
    if let Some(path) = arguments.json {
        fs::write(path, report::json_lines(&machine, options, &all))?;
    }
    if let Some(path) = arguments.svg {
        fs::write(path, plot::svg(&all)?)?;
    }
    Ok(())
}

/// `None`: there is nothing to run.
fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value};

    let mut rounds = None;
    let mut options = Options {
        rounds: 25,
        quick: false,
        pin: false,
        kind: DataKind::Shared,
        capacity: 1 << 13,
    };
    let (mut workloads, mut only, mut json, mut svg) = (Vec::new(), None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => rounds = Some(parser.value()?.parse()?),
            Long("quick") => options.quick = true,
            Long("pin") => options.pin = true,
            Long("data") => {
                options.kind = match parser.value()?.string()?.as_str() {
                    "shared" => DataKind::Shared,
                    "static" => DataKind::Static,
                    "fresh" => DataKind::Fresh,
                    other => return Err(format!("no kind of data is named {other}").into()),
                };
            }
            Long("capacity") => {
                options.capacity = parser.value()?.parse()?;
                if options.capacity < CAPACITY_MIN || !options.capacity.is_power_of_two() {
                    let asked = format!("a power of two, from {CAPACITY_MIN} on");
                    return Err(format!("the capacity has to be {asked}").into());
                }
            }
            Long("only") => only = Some(parser.value()?.string()?),
            Long("json") => json = Some(parser.value()?.into()),
            Long("svg") => svg = Some(parser.value()?.into()),
            Long("list") => {
                for spec in ALL {
                    println!("{:<20} {}", spec.name, spec.about);
                }
                return Ok(None);
            }
            Short('h') | Long("help") => {
                println!("{HELP}");
                return Ok(None);
            }
            Value(name) => workloads.extend(find(&name.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    options.rounds = rounds.unwrap_or(if options.quick { 5 } else { options.rounds });
    if workloads.is_empty() {
        workloads.extend(ALL);
    }
    Ok(Some(Arguments {
        options,
        workloads,
        only,
        json,
        svg,
    }))
}

/// The workload of a name, or all of which it is a part.
fn find(name: &str) -> Result<Vec<&'static Spec>, String> {
    if let Some(spec) = ALL.iter().find(|spec| spec.name == name) {
        return Ok(vec![spec]);
    }
    let found: Vec<_> = ALL.iter().filter(|spec| spec.name.contains(name)).collect();
    if found.is_empty() {
        return Err(format!("no workload is named {name}: see --list"));
    }
    Ok(found)
}
