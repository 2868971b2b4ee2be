//! What came out, as tables to read and as JSON to work with.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::contenders::LEGEND;
use crate::harness::{Options, Results, Spread};
use crate::machine::Machine;

/// What comes before all tables.
pub fn head(machine: &Machine, options: &Options) -> String {
    let Machine {
        processor,
        cores,
        round_trip_ns,
        read_gigabytes_per_second,
        md5_ns,
        clock_ns,
    } = machine;
    let mut text = format!(
        "{processor}, {cores} cores{}\n\
         measured now: a cache line to the other core and back {round_trip_ns:.0} ns, memory read at \
         {read_gigabytes_per_second:.1} GB/s by one thread, one MD5 {md5_ns:.0} ns, the time {clock_ns:.0} ns\n\
         {} rounds, in turns; \"ratio\" is a contender's cost in brooklet's, round by round: over 1.00 \
         brooklet is ahead\n\n\
         what they carry:\n",
        if options.pin { ", threads pinned" } else { "" },
        options.rounds,
    );
    for (letter, meaning) in LEGEND {
        writeln!(text, "  {letter}  {meaning}").expect("a string takes all");
    }
    text
}

/// One workload.
pub fn table(results: &Results) -> String {
    let rounds = results.rows[0].values.len();
    let mut text = format!(
        "\n{}: {}\n{}, median of {rounds} rounds\n\n  {:<36} {:>9} {:>19}   {:>6} {:>15}   carries\n",
        results.name, results.title, results.unit, "", "median", "min..max", "ratio", "quartiles",
    );
    for row in &results.rows {
        let Spread {
            min, median, max, ..
        } = row.spread();
        let ratio = results.ratio(row);
        let range = format!("{}..{}", short(min), short(max));
        let quartiles = format!("{:.2}..{:.2}", ratio.lower, ratio.upper);
        writeln!(
            text,
            "  {:<36} {:>9} {range:>19}   {:>6.2} {quartiles:>15}   {}",
            row.label,
            short(median),
            ratio.median,
            row.carries.0,
        )
        .expect("a string takes all");
    }
    for bar in &results.bars {
        let verdict = results.verdict(bar);
        let mark = if verdict.is_met { "+" } else { "-" };
        writeln!(text, "  {mark} {}: {}", bar.text, verdict.found).expect("a string takes all");
    }
    text
}

/// The bars of all workloads in a few lines.
pub fn summary(all: &[Results]) -> String {
    let verdicts = all.iter().flat_map(|results| {
        let verdict = |bar| (results.name, bar, results.verdict(bar));
        results.bars.iter().map(verdict)
    });
    let verdicts: Vec<_> = verdicts.collect();
    let met = verdicts.iter().filter(|(.., verdict)| verdict.is_met);
    let mut text = format!("\n{} of {} bars met\n", met.count(), verdicts.len());
    for (name, bar, verdict) in verdicts {
        let mark = if verdict.is_met { "+" } else { "-" };
        let found = verdict.found;
        writeln!(text, "  {mark} {name:<20} {:<56} {found}", bar.text).expect("a string takes all");
    }
    text
}

/// One line for the machine, then one for each contender of each workload.
pub fn json_lines(machine: &Machine, options: &Options, all: &[Results]) -> String {
    let head = json!({
        "processor": machine.processor,
        "cores": machine.cores,
        "cache_line_round_trip_ns": machine.round_trip_ns,
        "read_gigabytes_per_second": machine.read_gigabytes_per_second,
        "md5_ns": machine.md5_ns,
        "clock_ns": machine.clock_ns,
        "rounds": options.rounds,
        "quick": options.quick,
        "pinned": options.pin,
        "capacity": options.capacity,
        "data": format!("{:?}", options.kind).to_lowercase(),
    });
    let mut text = format!("{head}\n");
    for results in all {
        for row in &results.rows {
            let bars = results.bars.iter().filter(|bar| bar.subject == row.label);
            let bars: Vec<Value> = bars
                .map(|bar| {
                    let verdict = results.verdict(bar);
                    json!({ "bar": bar.text, "met": verdict.is_met, "found": verdict.found })
                })
                .collect();
            let line = json!({
                "workload": results.name,
                "title": results.title,
                "unit": results.unit,
                "contender": row.label,
                "carries": row.carries.0,
                "rounds": row.values,
                "value": spread(row.spread()),
                "ratio_to_brooklet": spread(results.ratio(row)),
                "bars": bars,
            });
            writeln!(text, "{line}").expect("a string takes all");
        }
    }
    text
}

fn spread(spread: Spread) -> Value {
    json!({
        "min": spread.min,
        "lower": spread.lower,
        "median": spread.median,
        "upper": spread.upper,
        "max": spread.max,
    })
}

/// Three digits that matter.
fn short(value: f64) -> String {
    if value.abs() < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
